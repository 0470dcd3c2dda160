//! Which agent is served by which order of the backlog: its *view*.
//!
//! There is the default view; one for each list of groups that an override with a ranker names; and one for
//! the candidate. An agent has the view of the first such list that names one of its groups; of the others, a
//! canary takes its share; the rest has the default view. A shadow has no agents.

use std::fmt;
use std::sync::Arc;

use globset::GlobSet;
use sha2::{Digest, Sha256};

use super::ranking::Ranking;
use crate::config::CandidateMode;
use crate::domain::AgentId;

/// The name of a view: `default`, `candidate`, or `groups` and their names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ViewName(Arc<str>);

impl ViewName {
    /// The view of agents for which nothing else is configured.
    pub fn main() -> Self {
        Self("default".into())
    }

    /// The view of the ranker on trial.
    pub fn candidate() -> Self {
        Self("candidate".into())
    }

    pub(super) fn of_groups(groups: &[String]) -> Self {
        Self(format!("groups {}", groups.join(", ")).into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order of its own, for some agents.
#[derive(Debug)]
pub struct View {
    /// What it is called.
    pub name: ViewName,
    /// What puts it in order.
    pub ranking: Ranking,
    pub(super) agents: GlobSet,
    /// The groups that those agents belong to.
    pub(super) groups: Vec<String>,
}

/// The ranker on trial.
#[derive(Debug)]
pub struct Candidate {
    /// How it is tried.
    pub mode: CandidateMode,
    /// The share of agents that a canary serves, above 0 and up to 1.
    pub share: f64,
    /// What it is.
    pub ranking: Ranking,
}

impl Candidate {
    /// Whether a canary serves this agent: the same answer for ever, and at any larger share too.
    pub fn serves(&self, agent: &AgentId) -> bool {
        self.mode == CandidateMode::Canary && place_of(agent) < self.share
    }
}

/// Where an agent stands between 0 and 1, by its name alone.
fn place_of(agent: &AgentId) -> f64 {
    let digest: [u8; 32] = Sha256::digest(agent.as_str().as_bytes()).into();
    let [a, b, c, d, ..] = digest;
    f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_agents_is_about_that_large_and_grows_without_leaving_anyone_out() {
        let agents: Vec<AgentId> = (0..2_000).map(|n| format!("agent-{n}").parse().unwrap()).collect();
        let within = |share: f64| agents.iter().filter(|agent| place_of(agent) < share).count();
        assert!((150..250).contains(&within(0.1)), "{}", within(0.1));
        assert!((900..1_100).contains(&within(0.5)), "{}", within(0.5));
        assert_eq!((within(0.0), within(1.0)), (0, 2_000));
    }
}
