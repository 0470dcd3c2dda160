//! Signs of life of claims, and what agents are to be told at their next call.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::{
    AgentId, CiSignal, Claim, ClaimId, ClaimSignals, ContainerSignal, PullSignal, ReviewSignal, Timestamp,
};

/// Longest reason repeated to an agent, in bytes.
const WHY_BYTES_MAX: usize = 160;

/// The part of the store that keeps signs of life and notices.
#[async_trait]
pub trait SignalStore {
    /// Takes in news of a claim; nothing for one that has ended.
    async fn claim_signal_note(&self, claim_id: ClaimId, news: SignalNews) -> Result<(), StoreError>;
    /// What is known of each active claim of which anything is.
    async fn claim_signal_list(&self) -> Result<Vec<(ClaimId, KeptSignals)>, StoreError>;
    /// Forgets notices that were delivered.
    async fn notice_told(&self, told: Vec<NoticeId>) -> Result<(), StoreError>;
}

/// The place of a notice in the order of notices.
pub type NoticeId = i64;

/// Most notices kept for all agents: who never calls again is never told.
pub const NOTICE_COUNT_MAX: i64 = 10_000;

/// One line for an agent, to be told at its next call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Which notice.
    pub notice_id: NoticeId,
    /// For whom.
    pub agent_id: AgentId,
    /// What happened, and what to do.
    pub told: String,
}

/// The line for an agent whose claim was taken from it.
pub(super) fn claim_lost(claim: &Claim, why: &str, now: Timestamp) -> String {
    let why = why[..why.floor_char_boundary(WHY_BYTES_MAX)].trim_end_matches('.');
    let at = now.format("%Y-%m-%d %H:%M UTC");
    format!("{} is no longer yours since {at}: {why}. Stop work on it, or claim it again.", claim.issue_ref())
}

/// What is known of a claim, and of which commit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSignals {
    /// The signs of life.
    #[serde(flatten)]
    pub signals: ClaimSignals,
    /// The newest commit of its branch; empty where that is not known. What checks say is about this one.
    #[serde(default)]
    pub head_sha: String,
}

/// What was learnt of a claim; `None` where nothing was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignalNews {
    /// The newest commit of its branch.
    pub head_sha: Option<String>,
    /// When that was made.
    pub committed_at: Option<Timestamp>,
    /// When it was pushed.
    pub pushed_at: Option<Timestamp>,
    /// How the pull request is.
    pub pull: Option<PullSignal>,
    /// What reviewers last said.
    pub review: Option<ReviewSignal>,
    /// Whether reviewers were asked, who have not answered.
    pub asked_for_review: bool,
    /// What checks say.
    pub ci: Option<CiNews>,
    /// How the container of its agent is.
    pub container: Option<ContainerSignal>,
}

/// What checks say of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CiNews {
    /// Which commit.
    pub sha: String,
    /// What they say.
    pub signal: CiSignal,
    /// Whether this is the word of all of them, or of one among others.
    pub is_whole: bool,
}

impl KeptSignals {
    /// Takes in news. Times never step back; a new commit has no checks yet; checks of another commit than the
    /// newest say nothing.
    #[must_use]
    pub fn with(mut self, news: &SignalNews) -> Self {
        if let Some(sha) = news.head_sha.as_ref().filter(|sha| !sha.is_empty() && **sha != self.head_sha) {
            self.head_sha.clone_from(sha);
            self.signals.ci = CiSignal::Unknown;
        }
        self.signals.last_commit_at = self.signals.last_commit_at.max(news.committed_at);
        self.signals.last_push_at = self.signals.last_push_at.max(news.pushed_at);
        if let Some(pull) = news.pull {
            self.signals.pull = pull;
        }
        if let Some(review) = news.review {
            self.signals.review = review;
        }
        if let Some(container) = news.container {
            self.signals.container = container;
        }
        if news.asked_for_review && self.signals.review == ReviewSignal::None {
            self.signals.review = ReviewSignal::Requested;
        }
        let is_of_head = |ci: &&CiNews| self.head_sha.is_empty() || ci.sha == self.head_sha;
        if let Some(ci) = news.ci.as_ref().filter(is_of_head) {
            // One check that passed does not undo another that failed.
            if ci.is_whole || self.signals.ci != CiSignal::Failure {
                self.signals.ci = ci.signal;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn a_new_commit_has_no_checks_yet_and_old_checks_say_nothing_of_it() {
        let told = |sha: &str, signal, is_whole| {
            let ci = Some(CiNews { sha: sha.into(), signal, is_whole });
            SignalNews { ci, ..SignalNews::default() }
        };
        let green = |sha: &str| told(sha, CiSignal::Success, false);
        let head = |sha: &str| SignalNews { head_sha: Some(sha.into()), ..SignalNews::default() };
        let first = KeptSignals::default().with(&head("a")).with(&green("a"));
        assert_eq!(first.signals.ci, CiSignal::Success);
        let second = first.with(&head("b"));
        assert_eq!(second.signals.ci, CiSignal::Unknown);
        assert_eq!(second.clone().with(&green("a")).signals.ci, CiSignal::Unknown);
        assert_eq!(second.clone().with(&green("b")).signals.ci, CiSignal::Success);
        let failed = second.with(&told("b", CiSignal::Failure, false));
        assert_eq!(failed.clone().with(&green("b")).signals.ci, CiSignal::Failure, "one of several passed");
        assert_eq!(failed.with(&told("b", CiSignal::Success, true)).signals.ci, CiSignal::Success);
    }

    #[test]
    fn times_never_step_back() {
        let pushed = |ms| SignalNews { pushed_at: Some(from_unix_ms(ms)), ..SignalNews::default() };
        let kept = KeptSignals::default().with(&pushed(5)).with(&pushed(3)).with(&SignalNews::default());
        assert_eq!(kept.signals.last_push_at, Some(from_unix_ms(5)));
    }
}
