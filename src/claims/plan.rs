//! Putting a new set of policies in force without making anyone wait: the whole backlog is copied,
//! judged, scored and ordered beside the board, and swapped in at once.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::board::{Board, Row, slot_of};
use super::order::{Order, OrderKey, Slot, Standing};
use crate::domain::{IssueFacts, Repo, RepoName, Timestamp};
use crate::policy::Scored;

/// Everything a new set of policies must be applied to, as it was when it was taken.
#[derive(Debug)]
pub(super) struct Backlog {
    slots: Vec<Slot>,
    pub(super) facts: Vec<Arc<IssueFacts>>,
    /// Where an issue stands whatever a ranker says of it: held, or finished.
    fixed: Vec<Option<Standing>>,
    pub(super) repos: Vec<Repo>,
}

/// A backlog in order, under the set of policies that judged and scored it.
#[derive(Debug)]
pub(super) struct Plan {
    rows: Vec<(Slot, Arc<IssueFacts>, Scored, Standing)>,
    order: Order,
    expiries: BTreeSet<(Timestamp, Slot)>,
    exclusions: HashMap<RepoName, Option<Arc<str>>>,
}

impl Backlog {
    /// Puts the backlog in order. `scores` and `exclusions` are in the order of `facts` and `repos`.
    pub(super) fn plan(self, scores: Vec<Scored>, exclusions: Vec<Option<String>>) -> Plan {
        let names = self.repos.into_iter().map(|repo| repo.full_name);
        let exclusions: HashMap<_, _> = names.zip(exclusions.into_iter().map(|why| why.map(Arc::from))).collect();
        let mut rows = Vec::with_capacity(self.facts.len());
        let mut expiries = BTreeSet::new();
        for (((slot, facts), fixed), scored) in self.slots.into_iter().zip(self.facts).zip(self.fixed).zip(scores) {
            let admitted = exclusions.get(&facts.issue.repo).is_some_and(Option::is_none);
            let standing = match (&scored.skip, fixed) {
                _ if !admitted => Standing::NotAdmitted,
                (_, Some(fixed)) => fixed,
                (Some(reason), None) => Standing::Skipped(Arc::clone(reason)),
                (None, None) => Standing::Ready(OrderKey::new(scored.value, &facts, slot)),
            };
            if let Some(at) = scored.valid_until {
                expiries.insert((at, slot));
            }
            rows.push((slot, facts, scored, standing));
        }
        let order = Order::build(rows.iter().map(|(_, facts, _, standing)| (&**facts, standing.clone())));
        Plan { rows, order, expiries, exclusions }
    }
}

impl Board {
    /// Copies the backlog. From here on the board remembers what is touched, until
    /// [`Board::put_in_force`] or [`Board::drop_backlog`].
    pub(super) fn take_backlog(&mut self) -> Backlog {
        self.touched = Some(HashSet::new());
        let repos = self.repos.values().map(|row| row.repo.clone()).collect();
        let count = self.rows.len();
        let mut backlog = Backlog {
            slots: Vec::with_capacity(count),
            facts: Vec::with_capacity(count),
            fixed: Vec::with_capacity(count),
            repos,
        };
        for (index, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            backlog.slots.push(slot_of(index));
            backlog.facts.push(row.facts.shared());
            backlog.fixed.push(self.fixed_standing(row));
        }
        backlog
    }

    /// Forgets a backlog that came to nothing.
    pub(super) fn drop_backlog(&mut self) {
        self.touched = None;
    }

    /// Puts a plan in force; what was touched since its backlog was taken is placed anew, and scored
    /// again. Returns what it replaced, to be dropped outside the lock.
    pub(super) fn put_in_force(&mut self, mut plan: Plan) -> Order {
        let touched = self.touched.take().unwrap_or_default();
        self.generation += 1;
        self.unscored.clear();
        for (slot, facts, scored, standing) in plan.rows {
            if touched.contains(&slot) {
                plan.order.remove(&facts, &standing);
                if let Some(at) = scored.valid_until {
                    plan.expiries.remove(&(at, slot));
                }
            } else if let Some(row) = self.rows[slot as usize].as_mut() {
                (row.score, row.standing) = (Some(scored), standing);
            }
        }
        let replaced = std::mem::replace(&mut self.order, plan.order);
        self.expiries = plan.expiries;
        for (name, row) in &mut self.repos {
            match plan.exclusions.get(name) {
                Some(exclusion) => row.exclusion.clone_from(exclusion),
                None => _ = self.unjudged.insert(name.clone()),
            }
        }
        for slot in touched {
            self.place_anew(slot);
        }
        replaced
    }

    /// Where an issue stands whatever a ranker says of it.
    fn fixed_standing(&self, row: &Row) -> Option<Standing> {
        if self.claim_on(&row.facts.issue).is_some() {
            Some(Standing::Claimed)
        } else {
            row.finished.then_some(Standing::Finished)
        }
    }

    /// Places an issue that the present order does not know yet. Its old score, if any, was given by
    /// the policies before: better than none until the new ones have spoken.
    fn place_anew(&mut self, slot: Slot) {
        let Some(row) = self.row(slot) else { return };
        let standing = self.standing(slot, row);
        if let Some(row) = self.rows[slot as usize].as_mut() {
            if let Some(at) = row.score.as_ref().and_then(|scored| scored.valid_until) {
                self.expiries.insert((at, slot));
            }
            if let Some(score) = &mut row.score {
                score.scored_at = None;
            }
            self.order.insert(&row.facts, &standing);
            row.standing = standing;
            self.unscored.insert(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::order::Question;
    use crate::domain::{AgentId, Claim, Issue, IssueNumber, IssueState, Lease, from_unix_ms};
    use crate::store::{Change, Snapshot};

    fn issue(number: u64, labels: usize) -> Issue {
        Issue {
            repo: "acme/small".parse().unwrap(),
            number: IssueNumber::new(number).unwrap(),
            title: "t".into(),
            body: String::new(),
            state: IssueState::Open,
            labels: (0..labels).map(|n| format!("l{n}")).collect(),
            assignees: Vec::new(),
            milestone: None,
            comments: Vec::new(),
            created_at: from_unix_ms(0),
            updated_at: from_unix_ms(0),
            url: String::new(),
            author: String::new(),
            author_association: String::new(),
            comment_count: 0,
            reaction_count: 0,
        }
    }

    fn open(number: u64, labels: usize) -> Change {
        Change::IssueOpen(Box::new(issue(number, labels).facts(|text| Arc::from(text))))
    }

    fn claimed(number: u64) -> Change {
        let lease = Lease { epoch: 1, expires_at: from_unix_ms(1) };
        let agent: AgentId = format!("agent-{number}").parse().unwrap();
        Change::ClaimSet(Box::new(Claim::grant(&issue(number, 0), &agent, lease, None, from_unix_ms(0))))
    }

    /// The more labels the better; three or more are skipped; scores of two labels run out.
    fn scores(facts: &[Arc<IssueFacts>]) -> Vec<Scored> {
        let score = |facts: &Arc<IssueFacts>| {
            let labels = facts.labels.len();
            let valid_until = (labels == 2).then(|| from_unix_ms(1_000));
            Scored { value: labels as f64, valid_until, skip: (labels > 2).then(|| "too many".into()), scored_at: None }
        };
        facts.iter().map(score).collect()
    }

    fn board(issues: &[(u64, usize)]) -> Board {
        let facts =
            issues.iter().map(|(number, labels)| issue(*number, *labels).facts(|text| Arc::from(text))).collect();
        let repos = vec![Repo::named("acme/small".parse().unwrap())];
        let mut board = Board::load(Snapshot { repos, issues: facts, ..Snapshot::default() });
        let backlog = board.take_backlog();
        adopt(&mut board, backlog);
        board
    }

    fn adopt(board: &mut Board, backlog: Backlog) {
        let scores = scores(&backlog.facts);
        let plan = backlog.plan(scores, vec![None]);
        board.put_in_force(plan);
        while board.has_work(from_unix_ms(0)) {
            board.take_unjudged();
            let batch = board.take_unscored(2, from_unix_ms(0));
            let scores = super::tests::scores(&batch.facts);
            board.note_scores(batch, scores);
        }
    }

    /// What is on offer, in order, and why the rest is not.
    fn offer(board: &Board) -> (Vec<u64>, crate::domain::Empty, usize) {
        let page = board.shortlist(&Question::default(), None, usize::MAX, |_| false);
        let numbers = page.rows.iter().map(|row| row.facts.issue.number.get()).collect();
        (numbers, board.tally(&Question::default()), board.expiries.len())
    }

    proptest! {
        /// Whatever happens between taking a backlog and putting its plan in force, the board ends as one
        /// on which it had all happened before.
        #[test]
        fn changes_while_a_plan_is_made_are_not_lost(
            before in prop::collection::btree_map(1u64..12, 0usize..4, 0..10),
            changes in prop::collection::vec((0u8..3, 1u64..16, 0usize..4), 0..24),
        ) {
            let issues: Vec<_> = before.into_iter().collect();
            let mut board_after = board(&issues);
            let mut board_before = board(&issues);
            let backlog = board_after.take_backlog();
            let mut taken = HashSet::new();
            for (kind, number, labels) in changes {
                let change = match kind {
                    0 => open(number, labels),
                    1 => Change::IssueGone(issue(number, 0).issue_ref()),
                    _ if taken.insert(number) => claimed(number),
                    _ => continue,
                };
                board_before.apply(change.clone());
                board_after.apply(change);
            }
            adopt(&mut board_after, backlog);
            let backlog = board_before.take_backlog();
            adopt(&mut board_before, backlog);
            prop_assert_eq!(offer(&board_after), offer(&board_before));
        }
    }
}
