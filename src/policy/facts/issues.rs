//! What rankers pull: the issues, who asks, and what is being worked on beside them.

use super::{Facts, IssueView, count_of, each, texts};
use crate::domain::unix_ms;
use crate::policy::bindings::ranker::issuecommand::policy::types::{LabelTable, TextColumn};
use crate::policy::bindings::ranker::issuecommand::policy::{candidates, live_claims, request};
use crate::policy::columns::label_table;
use crate::policy::state::{CallState, Stop};

impl candidates::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.issues()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| facts.issue_texts(|kept| &kept.repos, |row| row.issue.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| facts.issue_column(|kept| &kept.numbers, |rows| each(rows, |row| row.issue.number.get())))
    }

    fn titles(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| each(facts.issues(), |row| row.title.to_string()))
    }

    fn authors(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| facts.issue_texts(|kept| &kept.authors, |row| &row.author))
    }

    fn author_associations(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| facts.issue_texts(|kept| &kept.author_associations, |row| &row.author_association))
    }

    fn labels(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.labels, |row| &row.labels))
    }

    fn assignees(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.assignees, |row| &row.assignees))
    }

    fn milestones(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| {
            facts.issue_texts(|kept| &kept.milestones, |row| row.milestone.as_deref().unwrap_or_default())
        })
    }

    fn comment_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.issue_column(|kept| &kept.comment_counts, |rows| each(rows, |row| row.comment_count)))
    }

    fn reaction_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.issue_column(|kept| &kept.reaction_counts, |rows| each(rows, |row| row.reaction_count)))
    }

    fn created_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| facts.issue_column(|kept| &kept.created_at, |rows| each(rows, |row| unix_ms(row.created_at))))
    }

    fn updated_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| facts.issue_column(|kept| &kept.updated_at, |rows| each(rows, |row| unix_ms(row.updated_at))))
    }

    fn scores(&mut self) -> wasmtime::Result<Vec<f64>> {
        self.pull(|facts| if let Facts::Issues(view) = facts { view.scores.clone() } else { Vec::new() })
    }

    fn bodies(&mut self) -> wasmtime::Result<Vec<String>> {
        let texts = match &self.facts {
            Facts::Issues(IssueView { rows, bodies: Some(bodies), .. }) => {
                let read = bodies.bodies(&each(rows, |row| row.issue.clone()));
                read.map_err(|why| Stop::Unreadable(format!("the texts of issues cannot be read: {why}")))?
            }
            facts => vec![String::new(); facts.issues().len()],
        };
        self.pull(|_| texts)
    }

    fn topics(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.topics, |row| &row.topics))
    }

    fn open_blockers(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.open_blockers, |row| &row.open_blockers))
    }

    fn approvals(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| facts.issue_texts(|kept| &kept.approvals, |row| row.approval.as_str()))
    }

    fn areas(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.areas, |row| &row.areas))
    }

    fn reviewers(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| facts.issue_lists(|kept| &kept.reviewers, |row| &row.reviewers))
    }
}

impl request::Host for CallState {
    fn agent(&mut self) -> wasmtime::Result<String> {
        self.pull(|facts| facts.request().map_or_else(String::new, |request| request.agent.to_string()))
    }

    fn agent_claim_count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| facts.request().map_or(0, |request| count_of(&request.claim_repos)))
    }

    fn agent_claim_repos(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |r| each(&r.claim_repos, ToString::to_string)))
    }

    fn repo_claim_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.at_choose(|view| &view.repo_claim_counts))
    }

    fn skills(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |request| each(&request.skills, ToString::to_string)))
    }

    fn groups(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |request| each(&request.groups, ToString::to_string)))
    }

    fn agent_review_count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| facts.request().map_or(0, |request| request.review_count))
    }

    fn budget_spent(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| facts.request().map_or(0, |request| request.budget_spent))
    }

    fn repo_review_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.at_choose(|view| &view.repo_review_counts))
    }

    fn reviewer_loads(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.at_choose(|view| &view.reviewer_loads))
    }

    fn retry_after(&mut self, milliseconds: u64) -> wasmtime::Result<()> {
        self.note_retry_after(milliseconds);
        Ok(())
    }
}

impl live_claims::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.live_claims()))
    }

    fn agents(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.agent.as_str()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.issue.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.live_claims(), |row| row.issue.number.get()))
    }

    fn statuses(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.status.as_str()))
    }

    fn areas(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.live_claims().iter().map(|row| &*row.areas)))
    }

    fn claimed_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.live_claims(), |row| unix_ms(row.claimed_at)))
    }
}
