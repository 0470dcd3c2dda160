//! What is known of an issue beside its own facts, and changes without it: its repository's topics.

use std::sync::Arc;

use super::Board;
use super::known::Known;
use crate::claims::order::Slot;
use crate::domain::{IssueFacts, RepoName};

impl Board {
    /// An issue's own facts, with what is known beside them now.
    pub(super) fn complete(&self, facts: IssueFacts) -> IssueFacts {
        let topics = self.repos.get(&facts.issue.repo).map(|row| Arc::clone(&row.topics)).unwrap_or_default();
        IssueFacts { topics, ..facts }
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
        if let Some(row) = self.rows[slot as usize].as_mut() {
            row.facts = Known::new(completed);
            self.views.iter_mut().for_each(|view| view.wants_score(slot));
        }
    }
}
