//! Putting a new set of policies in force without making anyone wait: the whole backlog is copied,
//! judged, scored and ordered beside the board, and swapped in at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::board::{Board, Place, View};
use super::order::{Order, Question, Slot, Standing};
use crate::domain::{Repo, RepoName};
use crate::policy::{IssueRows, Scored, Shortlisted, ViewName};

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

impl Plan {
    /// The issues on offer in the default view, best first.
    pub(super) fn on_offer(&self) -> Vec<Slot> {
        self.views[0].order.walk(&Question::default(), None).map(|place| place.slot()).collect()
    }

    /// Where an issue stands in the default view.
    pub(super) fn standing(&self, slot: Slot) -> Option<&Standing> {
        self.views[0].at(slot).map(|place| &place.standing)
    }

    /// An issue with its score in the default view, for who is told nothing of the work around it.
    pub(super) fn row(&self, slot: Slot) -> Option<Shortlisted> {
        let facts = self.slots.binary_search(&slot).ok().and_then(|place| self.facts.get(place))?;
        Some(Shortlisted::alone(Arc::clone(facts), self.views[0].score_at(slot)))
    }
}

impl Board {
    /// The issues on offer in the default view, best first.
    pub(super) fn on_offer(&self) -> Vec<Slot> {
        self.views[0].order.walk(&Question::default(), None).map(|place| place.slot()).collect()
    }

    /// Begins to copy the backlog, of which [`Board::take_block`] takes part after part, so that nobody waits for all
    /// of it. From here on the board remembers what is touched, until [`Board::put_in_force`] or
    /// [`Board::drop_backlog`].
    pub(super) fn begin_backlog(&mut self) -> Backlog {
        self.touched = Some(HashSet::new());
        let repos = self.repos.values().map(|row| row.repo.clone()).collect();
        let claimed = self.claim_by_issue.keys().filter_map(|issue| self.by_issue.get(issue));
        let fixed = claimed.map(|slot| (*slot, Standing::Claimed)).collect();
        Backlog { slots: Vec::new(), facts: IssueRows::default(), fixed, repos }
    }

    /// Copies the next part of the backlog; whether there was one.
    pub(super) fn take_block(&mut self, backlog: &mut Backlog) -> bool {
        let Some((slots, block)) = self.block(backlog.facts.blocks().len()) else { return false };
        let is_finished = |slot: &&Slot| self.row(**slot).is_some_and(|row| row.finished);
        for slot in slots.iter().filter(is_finished) {
            backlog.fixed.entry(*slot).or_insert(Standing::Finished);
        }
        backlog.slots.extend(slots);
        backlog.facts.push(block);
        true
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
    use proptest::test_runner::TestCaseResult;

    use super::*;
    use crate::domain::{AgentId, Claim, Empty, Issue, IssueNumber, IssueState, Lease, from_unix_ms};
    use crate::policy::BLOCK_ROW_COUNT_MAX;
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
        let backlog = taken(&mut board);
        adopt(&mut board, backlog, &[ViewName::main(), ViewName::candidate()]);
        board
    }

    fn taken(board: &mut Board) -> Backlog {
        let mut backlog = board.begin_backlog();
        while board.take_block(&mut backlog) {}
        backlog
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
        let backlog = taken(&mut board);
        adopt(&mut board, backlog, std::slice::from_ref(&main));
        assert_eq!(offer(&board, &candidate).0, [2, 1]);
        let backlog = taken(&mut board);
        board.apply(open(5, 1));
        adopt(&mut board, backlog, &[main, candidate.clone()]);
        assert_eq!(offer(&board, &candidate).0, [1, 5, 2, 3], "what came while the view was made is in it");
    }

    #[test]
    fn issues_that_did_not_change_are_shown_to_the_next_policies_as_they_were_to_the_last() {
        let count = u64::from(BLOCK_ROW_COUNT_MAX) + 2;
        let mut board = board(&(1..=count).map(|number| (number, 0)).collect::<Vec<_>>());
        let (first, again) = (taken(&mut board).facts, taken(&mut board).facts);
        let same = |one: &IssueRows, other: &IssueRows| {
            let pairs = one.blocks().iter().zip(other.blocks());
            pairs.map(|(one, other)| std::ptr::eq(&**one, &**other)).collect::<Vec<_>>()
        };
        assert_eq!(same(&first, &again), [true, true]);
        board.apply(open(1, 1));
        board.apply(Change::IssueGone(issue(2, 0).issue_ref()));
        let changed = taken(&mut board).facts;
        assert_eq!(same(&first, &changed), [false, true], "one changed, one is gone, both in the first block");
        let mut numbers: Vec<_> = changed.iter().map(|facts| facts.issue.number.get()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [vec![1], (3..=count).collect()].concat());
    }

    #[test]
    fn nothing_is_kept_of_an_issue_that_is_gone() {
        let mut board = board(&[(1, 0), (2, 0)]);
        let kept = taken(&mut board).facts.get(0).map(std::sync::Arc::downgrade).unwrap();
        board.drop_backlog();
        assert!(kept.upgrade().is_some(), "blocks are kept for the next set of policies");
        board.apply(Change::IssueGone(issue(1, 0).issue_ref()));
        assert!(board.has_work(from_unix_ms(0)), "somebody is to come and drop it");
        drop(board.take_outdated());
        assert!(kept.upgrade().is_none());
    }

    /// Whatever happens while a backlog is copied, and until its plan is put in force, the board ends as one on which
    /// it had all happened before. The first changes come before the copy, so many more after its first block.
    fn loses_no_change(issues: &[(u64, usize)], changes: Vec<(u8, u64, usize)>, early_count: usize) -> TestCaseResult {
        let (mut board_after, mut board_before) = (board(issues), board(issues));
        let mut claims = HashSet::new();
        let change = |(kind, number, labels)| match kind {
            0 => Some(open(number, labels)),
            1 => Some(Change::IssueGone(issue(number, 0).issue_ref())),
            _ => claims.insert(number).then(|| claimed(number)),
        };
        let changes: Vec<_> = changes.into_iter().filter_map(change).collect();
        changes.iter().cloned().for_each(|change| board_before.apply(change));
        let mut backlog = board_after.begin_backlog();
        let (early, late) = changes.split_at(early_count.min(changes.len()));
        let (first, second) = early.split_at(early.len() / 2);
        first.iter().cloned().for_each(|change| board_after.apply(change));
        board_after.take_block(&mut backlog);
        second.iter().cloned().for_each(|change| board_after.apply(change));
        while board_after.take_block(&mut backlog) {}
        late.iter().cloned().for_each(|change| board_after.apply(change));
        let views = [ViewName::main(), ViewName::candidate()];
        adopt(&mut board_after, backlog, &views);
        let backlog = taken(&mut board_before);
        adopt(&mut board_before, backlog, &views);
        for view in &views {
            prop_assert_eq!(offer(&board_after, view), offer(&board_before, view));
        }
        Ok(())
    }

    fn some_issues() -> impl Strategy<Value = Vec<(u64, usize)>> {
        prop::collection::btree_map(1u64..12, 0usize..4, 0..10).prop_map(|issues| issues.into_iter().collect())
    }

    fn some_changes() -> impl Strategy<Value = Vec<(u8, u64, usize)>> {
        prop::collection::vec((0u8..3, 1u64..16, 0usize..4), 0..24)
    }

    proptest! {
        #[test]
        fn changes_while_a_plan_is_made_are_not_lost(
            before in some_issues(), changes in some_changes(), early_count in 0usize..24,
        ) {
            loses_no_change(&before, changes, early_count)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn nor_where_a_backlog_has_several_blocks(
            before in some_issues(), changes in some_changes(), early_count in 0usize..24, others in 0u64..12,
        ) {
            // The first block ends somewhere among those that change.
            let others = (100..).map(|number| (number, 0)).take(BLOCK_ROW_COUNT_MAX as usize - others as usize);
            let (head, tail) = before.split_at(before.len() / 2);
            let issues: Vec<_> = head.iter().copied().chain(others).chain(tail.iter().copied()).collect();
            loses_no_change(&issues, changes, early_count)?;
        }
    }
}
