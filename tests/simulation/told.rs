//! What GitHub told of each issue: all that a server may go by.

use std::collections::{BTreeMap, BTreeSet};

use issuecommand::domain::{Issue, IssueRef, IssueState, Timestamp};

/// What an issue is, by somebody's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Being {
    Open,
    Closed,
    Gone,
}

/// One word of GitHub about an issue.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    pub being: Being,
    /// Which state of the issue it speaks of.
    of: Option<Timestamp>,
}

impl Word {
    pub fn of(issue: &Issue) -> Self {
        let being = if issue.state == IssueState::Open { Being::Open } else { Being::Closed };
        Self { being, of: Some(issue.updated_at) }
    }

    pub fn gone() -> Self {
        Self { being: Being::Gone, of: None }
    }
}

/// What was told of every issue. Where it is not known whether a word was taken in, the server may go by either.
#[derive(Debug, Default)]
pub struct Told {
    present: BTreeMap<IssueRef, Believed>,
    /// Whether words may get lost on the way into the store just now.
    pub is_shaky: bool,
}

#[derive(Debug, Clone, Default)]
struct Believed {
    /// What the server may go by.
    beings: BTreeSet<Being>,
    newest: Option<Timestamp>,
}

impl Told {
    /// Something is said of an issue. An older word than the newest changes nothing.
    pub fn word(&mut self, issue: &IssueRef, word: Word) {
        let believed = self.present.entry(issue.clone()).or_default();
        if word.of.is_some() && word.of < believed.newest {
            return;
        }
        if !self.is_shaky {
            believed.beings.clear();
            // What is gone is remembered by nobody: any word brings it back.
            believed.newest = word.of;
        } else if word.of.is_none() {
            believed.newest = None;
        }
        believed.beings.insert(word.being);
    }

    /// As [`Told::word`], by a way on which nobody knows whether it arrived.
    pub fn perhaps(&mut self, issue: &IssueRef, word: Word) {
        let was_shaky = std::mem::replace(&mut self.is_shaky, true);
        self.word(issue, word);
        self.is_shaky = was_shaky;
    }

    /// What the server may go by now.
    pub fn beings(&self) -> BTreeMap<IssueRef, BTreeSet<Being>> {
        self.present.iter().map(|(issue, believed)| (issue.clone(), believed.beings.clone())).collect()
    }
}
