//! Answers that there was nothing: recorded when they are news, so that an agent that asks every second does
//! not fill the store with them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::TimeDelta;
use parking_lot::Mutex;
use tracing::warn;

use super::desk::InForce;
use super::recording::Recording;
use super::{ClaimManager, NextRequest};
use crate::domain::{AgentId, Empty, Timestamp};

/// How long the same answer to the same agent is no news. Ours: a history of an hour without work has six entries.
const REPEATED_AFTER: TimeDelta = TimeDelta::minutes(10);
/// Agents whose last answer is remembered; beyond that all are forgotten, and told once more.
const AGENT_COUNT_MAX: usize = 10_000;

/// Questions of one agent whose last answer is remembered.
const QUESTION_COUNT_MAX: usize = 8;

/// What an agent was told: the digest of its question, that of the answer, and when.
type Told = (u64, u64, Timestamp);

/// What each agent was last told.
#[derive(Debug, Default)]
pub(super) struct Nothings(Mutex<HashMap<AgentId, Vec<Told>>>);

impl Nothings {
    /// Whether the answer is news to the agent; notes it if so.
    fn is_news(&self, agent: &AgentId, question: u64, answer: u64, now: Timestamp) -> bool {
        let mut all = self.0.lock();
        if all.len() >= AGENT_COUNT_MAX && !all.contains_key(agent) {
            all.clear();
        }
        let told = all.entry(agent.clone()).or_default();
        let is_known =
            |(asked, before, at): &Told| (*asked, *before) == (question, answer) && now - *at < REPEATED_AFTER;
        if told.iter().any(is_known) {
            return false;
        }
        told.retain(|(asked, ..)| *asked != question);
        if told.len() == QUESTION_COUNT_MAX {
            told.remove(0);
        }
        told.push((question, answer, now));
        true
    }

    /// The agent got something: the next time that there is nothing is news.
    pub(super) fn forget(&self, agent: &AgentId) {
        self.0.lock().remove(agent);
    }
}

impl ClaimManager {
    /// Whether decisions are kept at all.
    pub fn keeps_decisions(&self) -> bool {
        self.config.current().store.decision_max_entries > 0
    }

    /// Records that there was nothing for an agent, if that is news. Trouble is only logged: the agent's answer
    /// does not depend on it.
    pub(super) async fn note_nothing(
        &self,
        policies: &InForce,
        request: &NextRequest,
        recording: Option<Recording>,
        why: &Empty,
    ) {
        if !self.keeps_decisions() {
            return;
        }
        let now = self.clock.now();
        if !self.nothings.is_news(&request.agent, asked(request), kind(request, policies, why), now) {
            return;
        }
        let begin = || Recording::begin(policies, &policies.view_of(&request.agent), request, now);
        let recording = recording.unwrap_or_else(begin);
        if let Err(error) = self.store.decision_insert(recording.of_nothing(policies, why.clone())).await {
            warn!("it was not recorded why there was nothing for {}: {error}", request.agent);
        }
    }
}

/// What was asked for.
fn asked(request: &NextRequest) -> u64 {
    let mut asked = DefaultHasher::new();
    (&request.repo, &request.label, &request.milestone).hash(&mut asked);
    asked.finish()
}

/// What an answer says, but for its counts: those change with every claim of anybody.
fn kind(request: &NextRequest, policies: &InForce, why: &Empty) -> u64 {
    let mut kind = DefaultHasher::new();
    let ranker = policies.set.ranking_of(&policies.view_of(&request.agent)).stamp();
    (&ranker.digest, &ranker.settings_digest).hash(&mut kind);
    let parts = [why.open, why.claimed, why.skipped, why.finished, why.not_admitted, why.unscored];
    parts.map(|count| count > 0).hash(&mut kind);
    (why.is_reading, why.was_raced).hash(&mut kind);
    let mut reasons: Vec<_> = why.skip_reasons.iter().map(|(reason, _)| reason).collect();
    reasons.sort_unstable();
    reasons.hash(&mut kind);
    kind.finish()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn the_same_answer_is_news_once_in_a_while_and_another_one_at_once() {
        let (nothings, agent) = (Nothings::default(), "a".parse().unwrap());
        let at = |minute: u64| from_unix_ms(minute * 60_000);
        assert!(nothings.is_news(&agent, 7, 1, at(0)));
        assert!(!nothings.is_news(&agent, 7, 1, at(9)));
        assert!(nothings.is_news(&"b".parse().unwrap(), 7, 1, at(9)), "to another agent it is");
        assert!(nothings.is_news(&agent, 7, 2, at(9)));
        assert!(nothings.is_news(&agent, 7, 1, at(9)));
        assert!(nothings.is_news(&agent, 7, 1, at(19)));
        assert!(nothings.is_news(&agent, 8, 1, at(19)), "an answer to another question is");
        assert!(!nothings.is_news(&agent, 7, 1, at(20)), "and the first one is remembered beside it");
        nothings.forget(&agent);
        assert!(nothings.is_news(&agent, 7, 1, at(19)), "after it got something");
    }

    #[test]
    fn a_crowd_does_not_fill_the_memory() {
        let nothings = Nothings::default();
        for number in 0..=AGENT_COUNT_MAX {
            nothings.is_news(&format!("agent-{number}").parse().unwrap(), 7, 1, from_unix_ms(0));
        }
        assert_eq!(nothings.0.lock().len(), 1);
    }
}
