//! What stale rules pull.

use super::{count_of, each, texts};
use crate::domain::unix_ms;
use crate::policy::bindings::ranker::issuecommand::policy::types::TextColumn;
use crate::policy::bindings::stale_rule::issuecommand::policy::claims;
use crate::policy::state::CallState;

impl claims::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.claims()))
    }

    fn agents(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.agent.as_str()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.number.get()))
    }

    fn statuses(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.status.as_str()))
    }

    fn claimed_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.claimed_at)))
    }

    fn status_since(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.status_since)))
    }

    fn last_call_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.last_call_at)))
    }

    fn last_commit_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.signals.last_commit_at.map_or(0, unix_ms)))
    }

    fn last_push_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.signals.last_push_at.map_or(0, unix_ms)))
    }

    fn pull_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.pull.as_str()))
    }

    fn review_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.review.as_str()))
    }

    fn ci_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.ci.as_str()))
    }

    fn container_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.container.as_str()))
    }
}
