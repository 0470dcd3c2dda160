//! Live claims made by hand, as a stale rule sees them.

use super::NOW;
use crate::column::Texts;
use crate::{Claims, Instant, StaleRule, Verdict};

/// The facts of one live claim: agent `a` on `acme/app#1`, `claimed` [`NOW`] and not heard of since.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClaimFacts {
    status: String,
    claimed_at: Instant,
    status_since: Instant,
    last_call_at: Instant,
    last_commit_at: Option<Instant>,
    last_push_at: Option<Instant>,
    pull_state: String,
    review_state: String,
    ci_state: String,
    container_state: String,
}

/// A claim to add facts to.
pub fn claim() -> ClaimFacts {
    ClaimFacts {
        status: "claimed".into(),
        claimed_at: NOW,
        status_since: NOW,
        last_call_at: NOW,
        last_commit_at: None,
        last_push_at: None,
        pull_state: "none".into(),
        review_state: "none".into(),
        ci_state: "unknown".into(),
        container_state: "none".into(),
    }
}

impl ClaimFacts {
    /// In this status since this instant.
    pub fn status(self, status: &str, since: Instant) -> Self {
        Self { status: status.into(), status_since: since, ..self }
    }

    /// Its owner last called at this instant.
    pub fn last_call_at(self, last_call_at: Instant) -> Self {
        Self { last_call_at, ..self }
    }

    /// Granted at this instant.
    pub fn claimed_at(self, claimed_at: Instant) -> Self {
        Self { claimed_at, ..self }
    }

    /// With a commit of this instant on its branch.
    pub fn last_commit_at(self, last_commit_at: Instant) -> Self {
        Self { last_commit_at: Some(last_commit_at), ..self }
    }

    /// With commits pushed to its branch at this instant.
    pub fn last_push_at(self, last_push_at: Instant) -> Self {
        Self { last_push_at: Some(last_push_at), ..self }
    }

    /// With its pull request so: `draft`, `open`, `merged`, `closed`.
    pub fn pull_state(self, word: &str) -> Self {
        Self { pull_state: word.into(), ..self }
    }

    /// With this last word of reviewers: `requested`, `commented`, `changes_requested`, `approved`.
    pub fn review_state(self, word: &str) -> Self {
        Self { review_state: word.into(), ..self }
    }

    /// With checks that say this: `pending`, `success`, `failure`.
    pub fn ci_state(self, word: &str) -> Self {
        Self { ci_state: word.into(), ..self }
    }

    /// In a container that is so: `running`, `unhealthy`, `exited`.
    pub fn container_state(self, word: &str) -> Self {
        Self { container_state: word.into(), ..self }
    }
}

/// Has a stale rule assess claims.
pub fn assess<S: StaleRule>(rule: &S, rows: impl IntoIterator<Item = ClaimFacts>, now: Instant) -> Vec<Verdict> {
    let rows: Vec<_> = rows.into_iter().collect();
    let claims = Claims {
        count: rows.len(),
        agents: Texts::of(rows.iter().map(|_| "a")),
        repos: Texts::of(rows.iter().map(|_| "acme/app")),
        numbers: (1..=rows.len() as u64).collect::<Vec<_>>().into(),
        statuses: Texts::of(rows.iter().map(|row| &row.status)),
        claimed_at: rows.iter().map(|row| row.claimed_at.ms()).collect::<Vec<_>>().into(),
        status_since: rows.iter().map(|row| row.status_since.ms()).collect::<Vec<_>>().into(),
        last_call_at: rows.iter().map(|row| row.last_call_at.ms()).collect::<Vec<_>>().into(),
        last_commit_at: rows.iter().map(|row| known_ms(row.last_commit_at)).collect::<Vec<_>>().into(),
        last_push_at: rows.iter().map(|row| known_ms(row.last_push_at)).collect::<Vec<_>>().into(),
        pull_states: Texts::of(rows.iter().map(|row| &row.pull_state)),
        review_states: Texts::of(rows.iter().map(|row| &row.review_state)),
        ci_states: Texts::of(rows.iter().map(|row| &row.ci_state)),
        container_states: Texts::of(rows.iter().map(|row| &row.container_state)),
    };
    claims.iter().map(|claim| rule.assess(&claim, now)).collect()
}

/// As the host says it: 0 where it does not know.
fn known_ms(instant: Option<Instant>) -> u64 {
    instant.map_or(0, Instant::ms)
}
