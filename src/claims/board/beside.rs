//! What is known of an issue beside its own facts, and changes without it: its repository's topics, which of
//! its blockers are open, and what an approval of it is worth.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Board;
use super::known::Known;
use crate::claims::order::Slot;
use crate::claims::trust::Trust;
use crate::domain::{Approval, Blocker, IssueFacts, IssueRef, RepoName};
use crate::store::ApprovalKept;

/// Which issues are to be closed first, and the same the other way round: when an issue opens or closes,
/// those that wait for it are found at once.
#[derive(Debug, Default)]
pub(super) struct Blockers {
    of: HashMap<IssueRef, Vec<Blocker>>,
    dependents: HashMap<IssueRef, HashSet<IssueRef>>,
}

impl Blockers {
    fn set(&mut self, issue: &IssueRef, blockers: Vec<Blocker>) {
        for blocker in self.of.remove(issue).unwrap_or_default() {
            if let Some(waiting) = self.dependents.get_mut(&blocker.issue) {
                waiting.remove(issue);
                if waiting.is_empty() {
                    self.dependents.remove(&blocker.issue);
                }
            }
        }
        for blocker in &blockers {
            self.dependents.entry(blocker.issue.clone()).or_default().insert(issue.clone());
        }
        if !blockers.is_empty() {
            self.of.insert(issue.clone(), blockers);
        }
    }

    fn waiting_for(&self, issue: &IssueRef) -> Vec<IssueRef> {
        self.dependents.get(issue).into_iter().flatten().cloned().collect()
    }
}

/// Approvals of open issues, and whose word counts.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    kept: HashMap<IssueRef, ApprovalKept>,
    trust: Arc<Trust>,
}

impl Approvals {
    fn of(&self, facts: &IssueFacts) -> Approval {
        self.kept.get(&facts.issue).map_or(Approval::None, |kept| self.trust.judge(facts, kept))
    }

    pub(super) fn forget(&mut self, issue: &IssueRef) {
        self.kept.remove(issue);
    }
}

impl Board {
    /// An issue's own facts, with what is known beside them now.
    pub(super) fn complete(&self, facts: IssueFacts) -> IssueFacts {
        let topics = self.repos.get(&facts.issue.repo).map(|row| Arc::clone(&row.topics)).unwrap_or_default();
        let blockers = self.blockers.of.get(&facts.issue).into_iter().flatten();
        let is_open = |blocker: &&Blocker| blocker.stated_open || self.by_issue.contains_key(&blocker.issue);
        let open_blockers = blockers.filter(is_open).map(|blocker| blocker.issue.to_string().into()).collect();
        let approval = self.approvals.of(&facts);
        let facts = IssueFacts { topics, open_blockers, approval, ..facts };
        // Until somebody looked again it goes where it went.
        match self.by_issue.get(&facts.issue).and_then(|slot| self.row(*slot)) {
            Some(row) if facts.areas.is_empty() => {
                let (areas, reviewers) = (row.facts.areas.clone(), row.facts.reviewers.clone());
                IssueFacts { areas, reviewers, ..facts }
            }
            _ => facts,
        }
    }

    /// Notes what is to be closed before `issue` is worked on.
    pub(super) fn set_blockers(&mut self, issue: &IssueRef, blockers: Vec<Blocker>) {
        self.blockers.set(issue, blockers);
        self.refresh_issue(issue);
    }

    /// Notes that `issue` is closed, or gone: it waits for nothing, and nothing waits for it any more.
    pub(super) fn no_longer_blocks(&mut self, issue: &IssueRef) {
        self.blockers.set(issue, Vec::new());
        for waiting in self.blockers.waiting_for(issue) {
            let blockers = self.blockers.of.get_mut(&waiting).into_iter().flatten();
            blockers.filter(|blocker| blocker.issue == *issue).for_each(|blocker| blocker.stated_open = false);
            self.refresh_issue(&waiting);
        }
    }

    /// Completes the facts of the issues anew that wait for `issue`, which is open now.
    pub(super) fn refresh_those_waiting_for(&mut self, issue: &IssueRef) {
        for waiting in self.blockers.waiting_for(issue) {
            self.refresh_issue(&waiting);
        }
    }

    /// Notes how `issue` was approved; `None`: it is not.
    pub(super) fn set_approval(&mut self, issue: &IssueRef, kept: Option<ApprovalKept>) {
        match kept {
            Some(kept) => _ = self.approvals.kept.insert(issue.clone(), kept),
            None => self.approvals.forget(issue),
        }
        self.refresh_issue(issue);
    }

    /// Notes whose word counts from now on.
    pub(in crate::claims) fn set_trust(&mut self, trust: Arc<Trust>) {
        self.approvals.trust = trust;
        let approved: Vec<IssueRef> = self.approvals.kept.keys().cloned().collect();
        approved.iter().for_each(|issue| self.refresh_issue(issue));
    }

    /// Open issues that bear a label of which `wanted` is true.
    pub(in crate::claims) fn labelled(&self, wanted: impl Fn(&str) -> bool) -> Vec<IssueRef> {
        let rows = self.rows.iter().flatten();
        rows.filter(|row| row.facts.labels.iter().any(|label| wanted(label)))
            .map(|row| row.facts.issue.clone())
            .collect()
    }

    /// Takes an issue off offer that is approved no more, until it has a score as it is now: a score that was
    /// given to another text must not hand this one out.
    pub(super) fn unless_approved_still(&mut self, slot: Slot, now: &IssueFacts) {
        let was_approved = self.row(slot).is_some_and(|row| row.facts.approval == Approval::Approved);
        if was_approved && now.approval != Approval::Approved {
            self.views.iter_mut().for_each(|view| view.set_score(slot, None));
        }
    }

    /// Completes the facts of every open issue of a repository anew.
    pub(super) fn refresh_repo(&mut self, name: &RepoName) {
        let slots: Vec<Slot> = self.by_repo.get(name).into_iter().flatten().copied().collect();
        slots.into_iter().for_each(|slot| self.refresh(slot));
    }

    fn refresh_issue(&mut self, issue: &IssueRef) {
        if let Some(&slot) = self.by_issue.get(issue) {
            self.refresh(slot);
        }
    }

    /// Completes an issue's facts anew; where that changes them it waits for a new score, and stays on offer
    /// under its old one until then.
    fn refresh(&mut self, slot: Slot) {
        let Some(row) = self.row(slot) else { return };
        let completed = self.complete(IssueFacts::clone(&row.facts));
        if completed == *row.facts {
            return;
        }
        self.unless_approved_still(slot, &completed);
        if let Some(row) = self.rows[slot as usize].as_mut() {
            row.facts = Known::new(completed);
            self.views.iter_mut().for_each(|view| view.wants_score(slot));
            self.blocks.outdate(slot);
        }
        self.place(slot);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::{ApprovalRecord, Repo, from_unix_ms};
    use crate::policy::Scored;
    use crate::store::{Change, Snapshot};

    fn facts(issue: &str) -> IssueFacts {
        IssueFacts {
            issue: issue.parse().unwrap(),
            title: "t".into(),
            labels: Box::default(),
            assignees: Box::default(),
            milestone: None,
            author: "ann".into(),
            author_association: "OWNER".into(),
            comment_count: 0,
            reaction_count: 0,
            created_at: from_unix_ms(0),
            updated_at: from_unix_ms(0),
            topics: Arc::default(),
            open_blockers: Box::default(),
            approval: Approval::None,
            areas: Box::default(),
            reviewers: Box::default(),
        }
    }

    fn blocker(issue: &str, stated_open: bool) -> Blocker {
        Blocker { issue: issue.parse().unwrap(), stated_open }
    }

    fn repo(name: &str, topics: &[&str]) -> Repo {
        let topics = topics.iter().map(ToString::to_string).collect();
        Repo { topics, ..Repo::named(name.parse().unwrap()) }
    }

    /// Two repositories with an open issue each, all scored: `a/a#1` waits for `b/b#1`.
    fn board() -> Board {
        let mut board = Board::load(Snapshot {
            repos: vec![repo("a/a", &["web"]), repo("b/b", &[])],
            issues: vec![facts("a/a#1"), facts("b/b#1")],
            blockers: vec![("a/a#1".parse().unwrap(), vec![blocker("b/b#1", false)])],
            ..Snapshot::default()
        });
        rescored(&mut board);
        board
    }

    /// The issues that waited for a score, in their order; they have one now.
    fn rescored(board: &mut Board) -> Vec<String> {
        let Some(batch) = board.take_unscored(usize::MAX, from_unix_ms(0)) else { return Vec::new() };
        let mut names: Vec<_> = batch.facts.iter().map(|facts| facts.issue.to_string()).collect();
        let scores = names.iter().map(|_| Scored::stand_in(0.0)).collect();
        board.note_scores(batch, scores);
        names.sort();
        names
    }

    fn open_blockers(board: &Board, issue: &str) -> Vec<String> {
        let slot = board.by_issue[&issue.parse::<IssueRef>().unwrap()];
        board.row(slot).unwrap().facts.open_blockers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_issue_waits_as_long_as_its_blocker_is_open_in_whatever_repository() {
        let mut board = board();
        assert_eq!(open_blockers(&board, "a/a#1"), ["b/b#1"]);
        board.apply(Change::IssueGone("b/b#1".parse().unwrap()));
        assert_eq!(open_blockers(&board, "a/a#1"), [""; 0]);
        assert_eq!(rescored(&mut board), ["a/a#1"]);
        board.apply(Change::IssueOpen(Box::new(facts("b/b#1"))));
        assert_eq!(open_blockers(&board, "a/a#1"), ["b/b#1"]);
        assert_eq!(rescored(&mut board), ["a/a#1", "b/b#1"]);
        board.apply(Change::IssueOpen(Box::new(facts("a/a#1"))));
        assert_eq!(open_blockers(&board, "a/a#1"), ["b/b#1"], "its own change forgets nothing");
    }

    #[test]
    fn a_blocker_that_only_a_text_names_counts_where_it_is_known_as_open_and_one_of_githubs_until_it_is_closed() {
        let mut board = board();
        let blockers = vec![blocker("x/y#3", true), blocker("a/a#99", false), blocker("b/b#1", false)];
        board.apply(Change::BlockersSet("a/a#1".parse().unwrap(), blockers));
        assert_eq!(open_blockers(&board, "a/a#1"), ["x/y#3", "b/b#1"]);
        board.apply(Change::IssueGone("x/y#3".parse().unwrap()));
        assert_eq!(open_blockers(&board, "a/a#1"), ["b/b#1"]);
        rescored(&mut board);
        board.apply(Change::BlockersSet("a/a#1".parse().unwrap(), vec![blocker("b/b#1", true)]));
        assert_eq!(rescored(&mut board), [""; 0], "nothing that a policy sees has changed");
    }

    #[test]
    fn nothing_is_kept_of_issues_that_are_gone_or_wait_no_more() {
        let mut board = board();
        board.apply(Change::BlockersSet("b/b#1".parse().unwrap(), vec![blocker("a/a#1", false)]));
        board.apply(Change::BlockersSet("a/a#1".parse().unwrap(), Vec::new()));
        board.apply(Change::IssueGone("b/b#1".parse().unwrap()));
        assert!(board.blockers.of.is_empty() && board.blockers.dependents.is_empty(), "{:?}", board.blockers);
    }

    #[test]
    fn an_approved_issue_that_is_edited_is_off_offer_at_once_and_until_it_is_scored_as_it_is() {
        let mut board = board();
        let issue: IssueRef = "a/a#1".parse().unwrap();
        let kept = |covers_present| {
            let record = ApprovalRecord { by: "ann".into(), at: from_unix_ms(0), label: None, content: None };
            Change::ApprovalSet(issue.clone(), Some(ApprovalKept { record, covers_present }))
        };
        let approval = |board: &Board| board.row(board.by_issue[&issue]).unwrap().facts.approval;
        let is_scored = |board: &Board| board.views[0].at(board.by_issue[&issue]).unwrap().score.is_some();
        board.apply(kept(true));
        assert_eq!((approval(&board), is_scored(&board)), (Approval::Approved, true), "better news can wait");
        assert_eq!(rescored(&mut board), ["a/a#1"]);
        board.apply(kept(false));
        board.apply(Change::IssueOpen(Box::new(facts("a/a#1"))));
        assert_eq!((approval(&board), is_scored(&board)), (Approval::Edited, false));
        assert_eq!(rescored(&mut board), ["a/a#1"]);
        board.apply(Change::ApprovalSet(issue.clone(), None));
        assert_eq!(approval(&board), Approval::None);
        board.apply(kept(true));
        board.apply(Change::IssueGone(issue.clone()));
        assert!(board.approvals.kept.is_empty());
    }

    #[test]
    fn new_topics_reach_every_issue_of_the_repository_and_others_are_left_alone() {
        let mut board = board();
        let topics = |board: &Board, issue: &str| {
            let slot = board.by_issue[&issue.parse::<IssueRef>().unwrap()];
            board.row(slot).unwrap().facts.topics.join("+")
        };
        assert_eq!((topics(&board, "a/a#1"), topics(&board, "b/b#1")), ("web".into(), String::new()));
        board.apply(Change::RepoSet(Box::new(repo("a/a", &["web", "rust"]))));
        assert_eq!((topics(&board, "a/a#1"), rescored(&mut board)), ("web+rust".into(), vec!["a/a#1".into()]));
        let described = Repo { description: Some("new".into()), ..repo("a/a", &["web", "rust"]) };
        board.apply(Change::RepoSet(Box::new(described)));
        assert_eq!(rescored(&mut board), [""; 0]);
        board.apply(Change::IssueOpen(Box::new(facts("a/a#2"))));
        assert_eq!(topics(&board, "a/a#2"), "web+rust");
    }
}
