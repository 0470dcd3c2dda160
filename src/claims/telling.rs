//! Telling agents what happened to their claims while they were away: once, with the next answer they get.

use tracing::warn;

use super::ClaimManager;
use super::board::in_one_line;
use crate::domain::AgentId;
use crate::store::Notice;

/// A line for an agent, which is forgotten only when [`ClaimManager::told`] says that it was delivered.
#[derive(Debug)]
#[must_use = "what is taken and not told is lost until the next start"]
pub struct Told(Vec<Notice>);

impl Told {
    /// The line.
    pub fn line(&self) -> String {
        in_one_line(&self.0)
    }
}

impl ClaimManager {
    /// Takes what `agent` is to be told, if anything: the claims that were taken from it since its last call.
    pub fn notice_for(&self, agent: &AgentId) -> Option<Told> {
        // The usual case asks for no lock that writers want.
        if self.index.board.read().notices.is_empty() {
            return None;
        }
        let notices = self.index.board.write().notices.take(agent);
        (!notices.is_empty()).then_some(Told(notices))
    }

    /// Notes that an agent was told. Until this is written a crash makes the next server tell it again.
    pub async fn told(&self, told: Told) {
        let notices = told.0.iter().map(|notice| notice.notice_id).collect();
        if let Err(error) = self.store.notice_told(notices).await {
            warn!("an agent was told what happened to its claims, and will be again: {error}");
        }
    }
}
