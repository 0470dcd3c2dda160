//! Putting a new set of policies in force without making anyone wait: the whole backlog is copied,
//! judged, scored and ordered beside the board, and swapped in at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::board::{Board, Known, Place, View, slot_of};
use super::order::{Order, Slot, Standing};
use crate::domain::{Repo, RepoName};
use crate::policy::{BLOCK_ROW_COUNT_MAX, IssueBlock, IssueRows, Scored, ViewName};

/// Everything a new set of policies must be applied to, as it was when it was taken.
#[derive(Debug)]
pub(super) struct Backlog {
    /// In ascending order.
    slots: Vec<Slot>,
    pub(super) facts: IssueRows,
    /// Where an issue stands whatever a ranker says of it, if so: held, or finished.
    fixed: HashMap<Slot, Standing>,
    pub(super) repos: Vec<Repo>,
}

/// A backlog in order, under the set of policies that judged and scored it.
#[derive(Debug)]
pub(super) struct Plan {
    slots: Vec<Slot>,
    facts: IssueRows,
    views: Vec<View>,
    exclusions: HashMap<RepoName, Option<Arc<str>>>,
}

impl Backlog {
    /// Puts the backlog in order, once for each view; the default view comes first. Scores and `exclusions`
    /// are in the order of `facts` and `repos`.
    pub(super) fn plan(self, scores: Vec<(ViewName, Vec<Scored>)>, exclusions: Vec<Option<String>>) -> Plan {
        let names = self.repos.iter().map(|repo| repo.full_name.clone());
        let exclusions: HashMap<_, _> = names.zip(exclusions.into_iter().map(|why| why.map(Arc::from))).collect();
        let views = scores.into_iter().map(|(name, scores)| self.view(name, scores, &exclusions)).collect();
        Plan { slots: self.slots, facts: self.facts, views, exclusions }
    }

    fn view(&self, name: ViewName, scores: Vec<Scored>, exclusions: &HashMap<RepoName, Option<Arc<str>>>) -> View {
        let mut view = View::new(name);
        let slot_count = self.slots.last().map_or(0, |slot| *slot as usize + 1);
        view.places.resize_with(slot_count, Place::default);
        for ((&slot, facts), scored) in self.slots.iter().zip(self.facts.iter()).zip(scores) {
            let admitted = exclusions.get(&facts.issue.repo).is_some_and(Option::is_none);
            let standing = match self.fixed.get(&slot) {
                _ if !admitted => Standing::NotAdmitted,
                Some(fixed) => fixed.clone(),
                None => Standing::by_score(Some(&scored), facts, slot),
            };
            if let Some(at) = scored.runs_out_ms() {
                view.expiries.insert((at, slot));
            }
            view.places[slot as usize] = Place { score: Some(scored), standing };
        }
        let standing = |slot: &Slot| view.places[*slot as usize].standing.clone();
        view.order =
            Order::build(self.slots.iter().zip(self.facts.iter()).map(|(slot, facts)| (&**facts, standing(slot))));
        view
    }
}

impl Board {
    /// Copies the backlog. From here on the board remembers what is touched, until
    /// [`Board::put_in_force`] or [`Board::drop_backlog`].
    pub(super) fn take_backlog(&mut self) -> Backlog {
        self.touched = Some(HashSet::new());
        let repos = self.repos.values().map(|row| row.repo.clone()).collect();
        let claimed = self.claim_by_issue.keys().filter_map(|issue| self.by_issue.get(issue));
        let mut fixed: HashMap<Slot, Standing> = claimed.map(|slot| (*slot, Standing::Claimed)).collect();
        let mut slots = Vec::with_capacity(self.rows.len());
        for (index, row) in self.rows.iter().enumerate() {
            let Some(row) = row else { continue };
            slots.push(slot_of(index));
            if row.finished {
                fixed.entry(slot_of(index)).or_insert(Standing::Finished);
            }
        }
        Backlog { slots, facts: self.rows_in_blocks(), fixed, repos }
    }

    /// All issues, in blocks. A block of which no issue changed since it was last asked for is the same one, with
    /// the columns that policies have asked for: a new set of policies need not wait for those to be made.
    fn rows_in_blocks(&mut self) -> IssueRows {
        let known = std::mem::take(&mut self.blocks).into_iter().map(Some).chain(std::iter::repeat(None));
        let blocks = self.rows.chunks(BLOCK_ROW_COUNT_MAX as usize).zip(known).map(|(rows, known)| {
            let facts = || rows.iter().flatten().map(|row| &row.facts);
            let is_same = |known: &IssueBlock| {
                known.len() == facts().count() && facts().zip(&**known).all(|(it, was)| it.is(was))
            };
            known.filter(is_same).unwrap_or_else(|| IssueBlock::kept(facts().map(Known::shared).collect()))
        });
        self.blocks = blocks.collect();
        IssueRows::of_blocks(self.blocks.clone())
    }

    /// Forgets a backlog that came to nothing.
    pub(super) fn drop_backlog(&mut self) {
        self.touched = None;
    }

    /// Puts a plan in force; what was touched since its backlog was taken is placed anew, and scored
    /// again. Returns what it replaced, to be dropped outside the lock.
    pub(super) fn put_in_force(&mut self, plan: Plan) -> Vec<View> {
        let Plan { slots, facts, mut views, exclusions } = plan;
        let touched = self.touched.take().unwrap_or_default();
        self.generation += 1;
        for view in &mut views {
            for slot in &touched {
                let known = slots.binary_search(slot).ok().and_then(|place| facts.get(place));
                known.into_iter().for_each(|facts| view.forget(*slot, facts));
            }
            view.places.resize_with(self.rows.len(), Place::default);
        }
        let replaced = std::mem::replace(&mut self.views, views);
        for (name, row) in &mut self.repos {
            match exclusions.get(name) {
                Some(exclusion) => row.exclusion.clone_from(exclusion),
                None => _ = self.unjudged.insert(name.clone()),
            }
        }
        for slot in touched {
            self.place_anew(slot, &replaced);
        }
        replaced
    }

    /// Places an issue that the present views do not know yet. Its old score, if any, was given by
    /// the policies before: better than none until the new ones have spoken.
    fn place_anew(&mut self, slot: Slot, replaced: &[View]) {
        let Some(row) = self.row(slot) else { return };
        let (facts, fixed) = (row.facts.shared(), self.fixed_standing(row));
        for view in &mut self.views {
            let before = replaced.iter().find(|before| before.name == view.name).or(replaced.first());
            let score = before.and_then(|before| before.at(slot)).and_then(|place| place.score.clone());
            view.set_score(slot, score);
            view.wants_score(slot);
            view.enter(slot, &facts, fixed.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::claims::order::Question;
    use crate::domain::{AgentId, Claim, Empty, Issue, IssueNumber, IssueState, Lease, from_unix_ms};
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
            open_blocker_count: None,
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

    /// By default: the more labels the better; three or more are skipped; scores of two labels run out.
    /// To the candidate the other way round: the fewer the better, none is skipped, scores of one label run out.
    fn scores(view: &ViewName, facts: &IssueRows) -> Vec<Scored> {
        let is_candidate = *view == ViewName::candidate();
        let score = |labels: usize| {
            let runs_out = if is_candidate { 1 } else { 2 };
            Scored {
                value: if is_candidate { -(labels as f64) } else { labels as f64 },
                valid_until_ms: if labels == runs_out { 1_000 } else { Scored::NEVER },
                skip: (labels > 2 && !is_candidate).then(|| "too many".into()),
                scored_at: None,
            }
        };
        facts.iter().map(|facts| score(facts.labels.len())).collect()
    }

    fn board(issues: &[(u64, usize)]) -> Board {
        let facts =
            issues.iter().map(|(number, labels)| issue(*number, *labels).facts(|text| Arc::from(text))).collect();
        let repos = vec![Repo::named("acme/small".parse().unwrap())];
        let mut board = Board::load(Snapshot { repos, issues: facts, ..Snapshot::default() });
        let backlog = board.take_backlog();
        adopt(&mut board, backlog, &[ViewName::main(), ViewName::candidate()]);
        board
    }

    fn adopt(board: &mut Board, backlog: Backlog, views: &[ViewName]) {
        let scores = views.iter().map(|view| (view.clone(), scores(view, &backlog.facts))).collect();
        let plan = backlog.plan(scores, vec![None]);
        board.put_in_force(plan);
        board.take_unjudged();
        while let Some(batch) = board.take_unscored(2, from_unix_ms(0)) {
            let scores = super::tests::scores(&batch.view, &batch.facts);
            board.note_scores(batch, scores);
        }
    }

    /// What is on offer in a view, in order, and why the rest is not.
    fn offer(board: &Board, view: &ViewName) -> (Vec<u64>, Empty, usize) {
        let page = board.shortlist(view, &Question::default(), None, usize::MAX, |_| false);
        let numbers = page.rows.iter().map(|row| row.facts.issue.number.get()).collect();
        (numbers, board.tally(view, &Question::default()), board.view(view).expiries.len())
    }

    #[test]
    fn each_view_has_its_own_order_and_one_that_is_gone_answers_as_the_default_one() {
        let (main, candidate) = (ViewName::main(), ViewName::candidate());
        let mut board = board(&[(1, 0), (2, 2), (3, 3), (4, 1)]);
        board.apply(claimed(4));
        assert_eq!(offer(&board, &main).0, [2, 1], "the more labels the better, three are skipped");
        assert_eq!(offer(&board, &candidate).0, [1, 2, 3]);
        let backlog = board.take_backlog();
        adopt(&mut board, backlog, std::slice::from_ref(&main));
        assert_eq!(offer(&board, &candidate).0, [2, 1]);
        let backlog = board.take_backlog();
        board.apply(open(5, 1));
        adopt(&mut board, backlog, &[main, candidate.clone()]);
        assert_eq!(offer(&board, &candidate).0, [1, 5, 2, 3], "what came while the view was made is in it");
    }

    #[test]
    fn issues_that_did_not_change_are_shown_to_the_next_policies_as_they_were_to_the_last() {
        let count = u64::from(BLOCK_ROW_COUNT_MAX) + 2;
        let mut board = board(&(1..=count).map(|number| (number, 0)).collect::<Vec<_>>());
        let (first, again) = (board.take_backlog().facts, board.take_backlog().facts);
        let same = |one: &IssueRows, other: &IssueRows| {
            let pairs = one.blocks().iter().zip(other.blocks());
            pairs.map(|(one, other)| std::ptr::eq(&**one, &**other)).collect::<Vec<_>>()
        };
        assert_eq!(same(&first, &again), [true, true]);
        board.apply(open(1, 1));
        board.apply(Change::IssueGone(issue(2, 0).issue_ref()));
        let changed = board.take_backlog().facts;
        assert_eq!(same(&first, &changed), [false, true], "one changed, one is gone, both in the first block");
        let mut numbers: Vec<_> = changed.iter().map(|facts| facts.issue.number.get()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [vec![1], (3..=count).collect()].concat());
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
            let views = [ViewName::main(), ViewName::candidate()];
            adopt(&mut board_after, backlog, &views);
            let backlog = board_before.take_backlog();
            adopt(&mut board_before, backlog, &views);
            for view in &views {
                prop_assert_eq!(offer(&board_after, view), offer(&board_before, view));
            }
        }
    }
}
