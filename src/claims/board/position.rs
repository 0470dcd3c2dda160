//! Where one issue stands in the order of all work, and what stands before it.

use super::{Board, Row, Shortlist, View};
use crate::claims::order::{Question, Slot, Standing};
use crate::domain::IssueRef;
use crate::policy::{Shortlisted, ViewName};

/// Where an open issue stands.
#[derive(Debug)]
pub(in crate::claims) struct Position {
    /// The issue, as a ranker is shown it.
    pub(in crate::claims) own: Shortlisted,
    /// Whether it has a score. One that is skipped has none: what else its ranker said of it means nothing.
    pub(in crate::claims) is_scored: bool,
    pub(in crate::claims) standing: Standing,
    /// Its place among what is on offer, from 1; `None` where it is not.
    pub(in crate::claims) rank: Option<usize>,
    pub(in crate::claims) ready_count: usize,
    /// The best of what is on offer.
    pub(in crate::claims) best: Shortlist,
}

impl Board {
    /// Where an open issue stands, with the best `best_count` issues on offer. Counts along the order to the
    /// issue's place, so it costs more the further back that is: for people who ask, not for the claim path.
    pub(in crate::claims) fn position(&self, name: &ViewName, issue: &IssueRef, best_count: usize) -> Option<Position> {
        let slot = *self.by_issue.get(issue)?;
        let row = self.row(slot)?;
        let everything = Question::default();
        let view = self.view(name);
        let place = view.at(slot)?;
        let rank = match place.standing {
            Standing::Ready(_) => view.order.walk(&everything, None).position(|place| place.slot() == slot),
            _ => None,
        };
        Some(Position {
            own: self.shortlisted(view, slot, row),
            is_scored: place.score.as_ref().is_some_and(|scored| scored.skip.is_none()),
            standing: place.standing.clone(),
            rank: rank.map(|before| before + 1),
            ready_count: view.order.ready_count(&everything),
            best: self.shortlist(name, &everything, None, best_count, |_: Slot| false),
        })
    }

    /// Whether an issue is there for agents to take.
    pub(in crate::claims) fn is_on_offer(&self, name: &ViewName, issue: &IssueRef) -> bool {
        let place = self.by_issue.get(issue).and_then(|slot| self.view(name).at(*slot));
        place.is_some_and(|place| matches!(place.standing, Standing::Ready(_)))
    }

    /// An issue as the ranker of a view is shown it at the door.
    pub(super) fn shortlisted(&self, view: &View, slot: Slot, row: &Row) -> Shortlisted {
        let under_way = self.work.counts_in(&row.facts.issue.repo);
        Shortlisted {
            facts: row.facts.shared(),
            score: view.score_at(slot),
            repo_claim_count: under_way.claims,
            repo_review_count: under_way.reviews,
            reviewer_load: self.review_loads.least(&row.facts.reviewers),
        }
    }
}
