//! What is known of an issue beside its own facts, and changes without it: its repository's topics.

use std::sync::Arc;

use super::Board;
use crate::claims::order::Slot;
use crate::domain::{IssueFacts, RepoName};

impl Board {
    /// An issue's own facts, with what is known beside them now.
    pub(super) fn complete(&self, facts: IssueFacts) -> IssueFacts {
        let topics = self.repos.get(&facts.issue.repo).map(|row| Arc::clone(&row.topics)).unwrap_or_default();
        let facts = IssueFacts { topics, ..facts };
        // Until somebody looked again it goes where it went.
        match self.by_issue.get(&facts.issue).and_then(|slot| self.row(*slot)) {
            Some(row) if facts.areas.is_empty() => {
                let (areas, reviewers) = (row.facts.areas.clone(), row.facts.reviewers.clone());
                IssueFacts { areas, reviewers, ..facts }
            }
            _ => facts,
        }
    }

    /// Completes the facts of every open issue of a repository anew.
    pub(super) fn refresh_repo(&mut self, name: &RepoName) {
        let slots: Vec<Slot> = self.by_repo.get(name).into_iter().flatten().copied().collect();
        slots.into_iter().for_each(|slot| self.refresh(slot));
    }

    /// Completes an issue's facts anew; where that changes them it waits for a new score, and stays on offer
    /// under its old one until then.
    fn refresh(&mut self, slot: Slot) {
        let Some(row) = self.row(slot) else { return };
        let completed = self.complete(IssueFacts::clone(&row.facts));
        if completed == *row.facts {
            return;
        }
        self.touch(slot);
        self.unscored.insert(slot);
        if let Some(row) = self.rows[slot as usize].as_mut() {
            row.learn(completed);
        }
    }
}
