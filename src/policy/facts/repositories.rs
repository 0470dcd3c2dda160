//! What repository filters pull.

use super::{count_of, each};
use crate::policy::bindings::ranker::issuecommand::policy::types::LabelTable;
use crate::policy::bindings::repo_filter::issuecommand::policy::repositories;
use crate::policy::columns::label_table;
use crate::policy::state::CallState;

impl repositories::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.repos()))
    }

    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| each(facts.repos(), |row| row.full_name.to_string()))
    }

    fn topics(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.repos().iter().map(|row| &*row.topics)))
    }

    fn archived(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.archived))
    }

    fn forks(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.fork))
    }

    fn private(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.private))
    }
}
