//! Sessions of clients up to 2025-11-25: how many there are, and which goes when one more is wanted.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rmcp::transport::streamable_http_server::session::SessionManager;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;

/// Most sessions open at once. Ours: ten times a fleet.
pub(super) const SESSION_COUNT_MAX: usize = 512;

/// Marks a request that is served in a session.
#[derive(Debug, Clone, Copy)]
pub(super) struct InSession;

/// What is known of one session.
#[derive(Debug, Default, Clone, Copy)]
struct Use {
    /// Which request of all was the last in it.
    last: u64,
    /// Answers under way, a stream of updates among them.
    open_count: usize,
}

/// The open sessions, and their use.
#[derive(Debug, Clone)]
pub(super) struct Sessions {
    open: Arc<LocalSessionManager>,
    uses: Arc<Mutex<(u64, HashMap<String, Use>)>>,
}

/// An answer under way in a session, until this is dropped.
#[derive(Debug)]
pub(super) struct OpenAnswer {
    sessions: Sessions,
    session: String,
}

impl Sessions {
    pub(super) fn new(open: Arc<LocalSessionManager>) -> Self {
        Self { open, uses: Arc::default() }
    }

    pub(super) async fn has(&self, session: &str) -> bool {
        self.open.sessions.read().await.contains_key(session)
    }

    /// Notes an answer in a session.
    pub(super) fn begin_answer(&self, session: &str) -> OpenAnswer {
        let (count, uses) = &mut *self.uses.lock();
        *count += 1;
        let found = uses.entry(session.to_owned()).or_default();
        *found = Use { last: *count, open_count: found.open_count + 1 };
        OpenAnswer { sessions: self.clone(), session: session.to_owned() }
    }

    /// Whether there is room for one more. For want of it the session ends that was used least lately of
    /// those nobody listens in: its client never said that it left, or can do without.
    pub(super) async fn make_room(&self) -> bool {
        let there: Vec<String> = self.open.sessions.read().await.keys().map(ToString::to_string).collect();
        let unheard = {
            let (_, uses) = &mut *self.uses.lock();
            uses.retain(|session, used| used.open_count > 0 || there.iter().any(|open| open == session));
            if there.len() < SESSION_COUNT_MAX {
                return true;
            }
            let used = |session: &&String| uses.get(*session).copied().unwrap_or_default();
            there.iter().filter(|session| used(session).open_count == 0).min_by_key(|session| used(session).last)
        };
        let Some(unheard) = unheard else { return false };
        self.end(unheard).await;
        true
    }

    /// Ends a session.
    pub(super) async fn end(&self, session: &str) {
        if let Err(error) = self.open.close_session(&session.into()).await {
            tracing::warn!("failed to end an MCP session: {error}");
        }
    }
}

impl Drop for OpenAnswer {
    fn drop(&mut self) {
        if let Some(used) = self.sessions.uses.lock().1.get_mut(&self.session) {
            used.open_count -= 1;
        }
    }
}
