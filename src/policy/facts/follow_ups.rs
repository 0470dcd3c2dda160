//! What rankers that order review feedback pull.

use super::{Facts, count_of, each, texts};
use crate::domain::unix_ms;
use crate::policy::bindings::ranker::issuecommand::policy::types::TextColumn;
use crate::policy::bindings::work_order::issuecommand::policy::follow_ups;
use crate::policy::state::CallState;

impl follow_ups::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.follow_ups()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.follow_ups(), |row| row.pr_number.get()))
    }

    fn kinds(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.source_event_type.as_str()))
    }

    fn requested_by(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.requested_by.as_deref().unwrap_or_default()))
    }

    fn from_own_claim(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| match facts {
            Facts::FollowUps(view) => each(&view.rows, |row| row.is_own_of(&view.request.agent)),
            _ => Vec::new(),
        })
    }

    fn created_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.follow_ups(), |row| unix_ms(row.created_at)))
    }

    fn pushed(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.follow_ups(), |row| row.pushed_at.is_some()))
    }
}
