//! Where issues go, as far as the board knows it.

use super::Board;
use super::known::Known;
use crate::claims::order::Slot;
use crate::domain::{IssueFacts, IssueRef, RepoName};
use crate::store::IssuePlace;

impl Board {
    /// Takes up to `limit` issues of one repository of which somebody is to look where they go.
    pub(in crate::claims) fn take_unplaced(&mut self, limit: usize) -> Vec<IssueRef> {
        let Some(repo) = self.unplaced.first().map(|issue| issue.repo.clone()) else { return Vec::new() };
        let of_repo = self.unplaced.iter().take_while(|issue| issue.repo == repo);
        let taken: Vec<IssueRef> = of_repo.take(limit).cloned().collect();
        taken.iter().for_each(|issue| _ = self.unplaced.remove(issue));
        taken
    }

    /// Puts back what could not be looked at.
    pub(in crate::claims) fn put_back_unplaced(&mut self, issues: Vec<IssueRef>) {
        self.unplaced.extend(issues.into_iter().filter(|issue| self.by_issue.contains_key(issue)));
    }

    /// Every open issue of a repository is to be looked at again: what places are learnt from has changed.
    pub(in crate::claims) fn unplace_repo(&mut self, repo: &RepoName) {
        let slots: Vec<Slot> = self.by_repo.get(repo).into_iter().flatten().copied().collect();
        for slot in slots {
            if let Some(issue) = self.row(slot).map(|row| row.facts.issue.clone()) {
                self.unplaced.insert(issue);
            }
        }
    }

    /// Notes where an issue goes. It waits for a new score then, and stays on offer under its old one.
    pub(super) fn set_place(&mut self, place: IssuePlace) {
        let Some(&slot) = self.by_issue.get(&place.issue) else { return };
        let Some(row) = self.row(slot) else { return };
        if row.facts.areas == place.areas && row.facts.reviewers == place.reviewers {
            return;
        }
        let facts = IssueFacts { areas: place.areas, reviewers: place.reviewers, ..IssueFacts::clone(&row.facts) };
        if let Some(row) = self.rows[slot as usize].as_mut() {
            row.facts = Known::new(facts);
            self.views.iter_mut().for_each(|view| view.wants_score(slot));
            self.blocks.outdate(slot);
        }
        self.place(slot);
        if let Some(claim) = self.claim_on(&place.issue).cloned() {
            self.note_review(&claim);
        }
    }
}
