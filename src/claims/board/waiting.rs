//! What waits for a policy: issues for a score, repositories for the filter.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Board, slot_of};
use crate::claims::order::Slot;
use crate::domain::{Repo, RepoName, Timestamp, from_unix_ms};
use crate::policy::{IssueRows, Scored, ViewName};

/// Issues to be scored, as they were when they were taken.
#[derive(Debug)]
pub(in crate::claims) struct Batch {
    /// The view that needs the scores.
    pub(in crate::claims) view: ViewName,
    slots: Vec<Slot>,
    pub(in crate::claims) facts: IssueRows,
    generation: u64,
}

impl Board {
    /// Whether anything waits for a policy, issues for a score or repositories for the filter, or is to be dropped.
    pub(in crate::claims) fn has_work(&self, now: Timestamp) -> bool {
        self.views.iter().any(|view| !view.unscored.is_empty())
            || !self.unjudged.is_empty()
            || self.blocks.has_outdated()
            || self.next_expiry().is_some_and(|at| at <= now)
    }

    /// When the next score runs out.
    pub(in crate::claims) fn next_expiry(&self) -> Option<Timestamp> {
        self.views.iter().filter_map(|view| view.expiries.first()).map(|(at, _)| *at).min().map(from_unix_ms)
    }

    /// Takes up to `limit` issues that need a score at `now` in one view; `None` when no view needs any.
    pub(in crate::claims) fn take_unscored(&mut self, limit: usize, now: Timestamp) -> Option<Batch> {
        for view in &mut self.views {
            let slots = view.take_unscored(limit, now);
            if slots.is_empty() {
                continue;
            }
            let known = slots.into_iter().filter_map(|slot| Some((slot, self.rows.get(slot as usize)?.as_ref()?)));
            let (slots, facts): (_, Vec<_>) = known.map(|(slot, row)| (slot, row.facts.shared())).unzip();
            return Some(Batch { view: view.name.clone(), slots, facts: facts.into(), generation: self.generation });
        }
        None
    }

    /// Notes scores, except of issues that changed meanwhile: those wait for a score already. A batch
    /// taken under an earlier set of policies is dropped, since the newer set scored everything.
    pub(in crate::claims) fn note_scores(&mut self, batch: Batch, scores: Vec<Scored>) {
        if batch.generation != self.generation {
            return;
        }
        for ((slot, facts), scored) in batch.slots.into_iter().zip(batch.facts.iter()).zip(scores) {
            let Some(row) = self.row(slot).filter(|row| row.facts.is(facts)) else { continue };
            let fixed = self.fixed_standing(row);
            self.touch(slot);
            if let Some(view) = self.views.iter_mut().find(|view| view.name == batch.view) {
                view.set_score(slot, Some(scored));
                view.place(slot, facts, fixed.as_ref());
            }
        }
    }

    /// Puts repositories back that the filter failed on: what was said of them before holds.
    pub(in crate::claims) fn put_back_unjudged(&mut self, repos: Vec<Repo>) {
        self.unjudged.extend(repos.into_iter().map(|repo| repo.full_name));
    }

    /// Takes repositories that the filter has yet to see.
    pub(in crate::claims) fn take_unjudged(&mut self) -> Vec<Repo> {
        let names = std::mem::take(&mut self.unjudged);
        names.iter().filter_map(|name| self.repos.get(name)).map(|row| row.repo.clone()).collect()
    }

    /// Notes the filter's word on repositories: why each does not take part, if so.
    pub(in crate::claims) fn note_exclusions(
        &mut self,
        verdicts: impl IntoIterator<Item = (RepoName, Option<Arc<str>>)>,
    ) {
        let mut changed = HashSet::new();
        for (name, exclusion) in verdicts {
            if let Some(row) = self.repos.get_mut(&name)
                && row.exclusion != exclusion
            {
                row.exclusion = exclusion;
                changed.insert(name);
            }
        }
        if changed.is_empty() {
            return;
        }
        for index in 0..self.rows.len() {
            if self.rows[index].as_ref().is_some_and(|row| changed.contains(&row.facts.issue.repo)) {
                self.place(slot_of(index));
            }
        }
    }
}
