//! The in-memory index: every open issue with its score, every live claim, and the order of what is
//! on offer: one order for each view, of which there is one unless policies ask for more. Rebuilt from the store at start, and told of every commit by the store's writer.
//!
//! The board never decides a claim. It says what to try, in which order; the store decides.

mod anew;
mod beside;
mod blocks;
mod claims;
mod known;
mod notices;
mod places;
mod position;
mod repos;
mod review_loads;
mod view;
mod waiting;
mod work;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use self::beside::{Approvals, Blockers};
use self::blocks::Blocks;
use self::known::Known;
use self::notices::Notices;
pub(super) use self::notices::in_one_line;
pub(super) use self::position::Position;
use self::review_loads::ReviewLoads;
use self::work::Workload;
use super::order::{OrderKey, Question, Slot, Standing, answers, tally_of};
use super::shelf::Shelf;
use crate::domain::{AgentId, Claim, ClaimId, ClaimStatus, Empty, IssueFacts, IssueRef, Repo, RepoName, Timestamp};
use crate::policy::{Shortlisted, ViewName};
use crate::store::{Change, Snapshot};

pub(super) use view::{Place, View};

/// Rows that one walk looks at when a question names both a label and a milestone.
const WALK_COUNT_MAX: usize = 4_096;

/// Why a repository that the server does not know takes no part.
const NOT_SYNCED: &str = "it is not among the synced repositories";

/// Why a repository's issues wait until the filter has seen it.
const NOT_JUDGED_YET: &str = "the repository filter has not seen it yet";

/// One open issue.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) facts: Known,
    /// Finished here, still open on GitHub.
    pub(super) finished: bool,
}

/// A repository, and why it does not take part, if so.
#[derive(Debug, Clone)]
pub(super) struct RepoRow {
    pub(super) repo: Repo,
    pub(super) exclusion: Option<Arc<str>>,
    pub(super) open_issue_count: usize,
    /// Its topics, as each of its issues has them.
    topics: Arc<[Arc<str>]>,
}

/// A page of a short list.
#[derive(Debug, Default)]
pub(super) struct Shortlist {
    pub(super) rows: Vec<Shortlisted>,
    pub(super) slots: Vec<Slot>,
    /// Of each row, which state of its facts this is, and when it was scored.
    pub(super) seen: Vec<(Known, Option<Timestamp>)>,
    /// Where the next page begins; `None` at the end.
    pub(super) next: Option<OrderKey>,
}

/// Counts for the health page.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) open_issues: usize,
    /// Claims ever granted.
    pub(super) granted: u64,
    pub(super) active_claims: usize,
    pub(super) active_agents: usize,
    pub(super) stale_claims: usize,
}

/// The index itself. Guarded by one lock; no method blocks or takes long.
#[derive(Debug)]
pub(super) struct Board {
    pub(super) rows: Vec<Option<Row>>,
    free: Vec<Slot>,
    pub(super) by_issue: HashMap<IssueRef, Slot>,
    by_repo: HashMap<RepoName, HashSet<Slot>>,
    /// The default view, then the others: never empty.
    pub(super) views: Vec<View>,
    /// The issues as policies see all of them.
    blocks: Blocks,
    /// Slots touched since a backlog was taken; `None` while none is out.
    pub(super) touched: Option<HashSet<Slot>>,
    pub(super) repos: HashMap<RepoName, RepoRow>,
    /// Repositories that the filter has yet to see.
    pub(super) unjudged: HashSet<RepoName>,
    claims: HashMap<ClaimId, Arc<Claim>>,
    pub(super) claim_by_issue: HashMap<IssueRef, ClaimId>,
    claims_by_agent: HashMap<AgentId, HashSet<ClaimId>>,
    blockers: Blockers,
    approvals: Approvals,
    /// How much is under way, and where.
    pub(super) work: Workload,
    /// Every active follow-up.
    pub(super) shelf: Shelf,
    /// Open issues of which somebody is to look where they go.
    pub(super) unplaced: BTreeSet<IssueRef>,
    /// How much waits for each reviewer.
    review_loads: ReviewLoads,
    /// What agents are to be told at their next call.
    pub(super) notices: Notices,
    granted_count: u64,
    /// How much of the day's budget of dispatch is spent, in percent.
    pub(super) budget_spent: u32,
    /// Grows with every set of policies put in force.
    pub(super) generation: u64,
}

impl Default for Board {
    fn default() -> Self {
        let (rows, free, by_issue, by_repo, touched, repos, unjudged, blockers, approvals) = Default::default();
        let (claims, claim_by_issue, claims_by_agent, work, shelf, granted_count, generation) = Default::default();
        let budget_spent = 0;
        Self {
            rows,
            free,
            by_issue,
            by_repo,
            blockers,
            approvals,
            views: vec![View::new(ViewName::main())],
            blocks: Blocks::default(),
            touched,
            repos,
            unjudged,
            claims,
            claim_by_issue,
            claims_by_agent,
            work,
            shelf,
            unplaced: BTreeSet::new(),
            review_loads: ReviewLoads::default(),
            notices: Notices::default(),
            granted_count,
            budget_spent,
            generation,
        }
    }
}

impl Board {
    /// The board of a freshly opened store; nothing is on offer until a plan is put in force.
    pub(super) fn load(snapshot: Snapshot) -> Self {
        // The live claims among them are counted as they come in below.
        let past = snapshot.granted_count.saturating_sub(snapshot.claims.len() as u64);
        let mut board = Self { granted_count: past, ..Self::default() };
        snapshot.repos.into_iter().for_each(|repo| board.set_repo(repo));
        snapshot.claims.into_iter().for_each(|claim| board.set_claim(claim));
        snapshot.follow_ups.into_iter().for_each(|item| board.shelf.set(item));
        snapshot.issues.into_iter().for_each(|facts| board.set_issue(facts));
        board.unplaced = snapshot.unplaced.into_iter().collect();
        snapshot.notices.into_iter().for_each(|notice| board.notices.add(notice));
        snapshot.blockers.into_iter().for_each(|(issue, blockers)| board.set_blockers(&issue, blockers));
        snapshot.approvals.into_iter().for_each(|(issue, kept)| board.set_approval(&issue, Some(kept)));
        snapshot.finished.iter().for_each(|issue| board.set_finished(issue, true));
        board
    }

    /// Takes note of one committed change.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::ClaimSet(claim) => self.set_claim(*claim),
            Change::IssueOpen(facts) => self.set_issue(*facts),
            Change::BlockersSet(issue, blockers) => self.set_blockers(&issue, blockers),
            Change::ApprovalSet(issue, kept) => self.set_approval(&issue, kept),
            Change::IssueFinished(issue) => self.set_finished(&issue, true),
            Change::IssueGone(issue) => self.remove_issue(&issue),
            Change::IssuePlaced(place) => self.set_place(*place),
            Change::Notice(notice) => self.notices.add(*notice),
            Change::NoticesTold(told) => self.notices.forget(&told),
            Change::RepoSet(repo) => self.set_repo(*repo),
            Change::RepoGone(repo) => self.remove_repo(&repo),
            Change::FollowUpSet(item) => self.shelf.set(*item),
            Change::TokenSet(_) | Change::Event(_) => {}
        }
    }

    /// The view of this name; the default one where policies have none of this name any more.
    pub(super) fn view(&self, name: &ViewName) -> &View {
        self.views.iter().find(|view| view.name == *name).unwrap_or(&self.views[0])
    }

    /// Up to `limit` issues on offer in `view` in answer to `question`, best first, from behind `after`,
    /// without those that `passed` names.
    pub(super) fn shortlist(
        &self,
        view: &ViewName,
        question: &Question<'_>,
        after: Option<OrderKey>,
        limit: usize,
        passed: impl Fn(Slot) -> bool,
    ) -> Shortlist {
        let mut page = Shortlist::default();
        let view = self.view(view);
        for (looked_at, place) in view.order.walk(question, after).enumerate() {
            if page.slots.len() == limit || looked_at == WALK_COUNT_MAX {
                return page;
            }
            page.next = Some(place);
            let Some(row) = self.row(place.slot()).filter(|row| answers(&row.facts, question)) else { continue };
            if passed(place.slot()) {
                continue;
            }
            page.slots.push(place.slot());
            page.seen.push((row.facts.clone(), view.scored_at(place.slot())));
            page.rows.push(self.shortlisted(view, place.slot(), row));
        }
        page.next = None;
        page
    }

    /// Why there is nothing in `view` in answer to `question`.
    pub(super) fn tally(&self, view: &ViewName, question: &Question<'_>) -> Empty {
        let view = self.view(view);
        if question.label.is_none() || question.milestone.is_none() {
            return view.order.tally(question);
        }
        // There is no lane for a label within a milestone, and few ask for both.
        let asked_for = |row: &Row| {
            question.repo.is_none_or(|repo| row.facts.issue.repo.as_str() == repo) && answers(&row.facts, question)
        };
        let rows = self.rows.iter().zip(&view.places);
        tally_of(rows.filter(|(row, _)| row.as_ref().is_some_and(asked_for)).map(|(_, place)| &place.standing))
    }

    /// Why a repository does not take part, if so. One that was never synced does not.
    pub(super) fn exclusion(&self, repo: &RepoName) -> Option<Arc<str>> {
        match self.repos.get(repo) {
            Some(row) => row.exclusion.clone(),
            None => Some(NOT_SYNCED.into()),
        }
    }

    /// Whether a sync has seen a repository.
    pub(super) fn knows(&self, repo: &RepoName) -> bool {
        self.repos.contains_key(repo)
    }

    /// Whether no sync has seen any repository.
    pub(super) fn knows_nothing(&self) -> bool {
        self.repos.is_empty()
    }

    /// Counts for the health page.
    pub(super) fn counts(&self) -> Counts {
        Counts {
            open_issues: self.by_issue.len(),
            granted: self.granted_count,
            active_claims: self.claims.len(),
            active_agents: self.claims_by_agent.len(),
            stale_claims: self.claims.values().filter(|claim| claim.status() == ClaimStatus::Stale).count(),
        }
    }

    pub(super) fn row(&self, slot: Slot) -> Option<&Row> {
        self.rows.get(slot as usize).and_then(Option::as_ref)
    }

    /// Where an issue stands whatever its score: its repository takes no part, or it is held or finished.
    pub(super) fn fixed_standing(&self, row: &Row) -> Option<Standing> {
        let admitted = self.repos.get(&row.facts.issue.repo).is_some_and(|repo| repo.exclusion.is_none());
        if admitted { self.held_standing(row) } else { Some(Standing::NotAdmitted) }
    }

    /// Where an issue stands whatever policies say: held, or finished.
    pub(super) fn held_standing(&self, row: &Row) -> Option<Standing> {
        if self.claim_by_issue.contains_key(&row.facts.issue) {
            Some(Standing::Claimed)
        } else {
            row.finished.then_some(Standing::Finished)
        }
    }

    /// Moves an issue to where it stands now, in every view.
    fn place(&mut self, slot: Slot) {
        self.touch(slot);
        let Some(fixed) = self.row(slot).map(|row| self.fixed_standing(row)) else { return };
        if let Some(row) = &self.rows[slot as usize] {
            self.views.iter_mut().for_each(|view| view.place(slot, &row.facts, fixed.as_ref()));
        }
    }

    fn touch(&mut self, slot: Slot) {
        if let Some(touched) = &mut self.touched {
            touched.insert(slot);
        }
    }

    /// A new or changed issue.
    fn set_issue(&mut self, facts: IssueFacts) {
        let issue = facts.issue.clone();
        self.unplaced.insert(issue.clone());
        let facts = Known::new(self.complete(facts));
        let (slot, before) = match self.by_issue.get(&issue) {
            Some(&slot) => {
                self.unless_approved_still(slot, &facts);
                let row = self.rows[slot as usize].as_mut();
                (slot, row.map(|row| std::mem::replace(&mut row.facts, facts.clone())))
            }
            None => {
                self.repos.entry(issue.repo.clone()).and_modify(|repo| repo.open_issue_count += 1);
                let slot = self.occupy(Row { facts: facts.clone(), finished: false });
                self.by_repo.entry(issue.repo.clone()).or_default().insert(slot);
                self.by_issue.insert(issue.clone(), slot);
                (slot, None)
            }
        };
        self.touch(slot);
        self.blocks.outdate(slot);
        let fixed = self.row(slot).and_then(|row| self.fixed_standing(row));
        self.views.iter_mut().for_each(|view| view.take_in(slot, before.as_deref(), &facts, fixed.as_ref()));
        if before.is_none() {
            self.refresh_those_waiting_for(&issue);
        }
        if let Some(claim) = self.claim_on(&issue).cloned() {
            self.note_review(&claim);
        }
    }

    fn occupy(&mut self, row: Row) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.rows[slot as usize] = Some(row);
            return slot;
        }
        self.rows.push(Some(row));
        slot_of(self.rows.len() - 1)
    }

    fn remove_issue(&mut self, issue: &IssueRef) {
        self.unplaced.remove(issue);
        let slot = self.by_issue.remove(issue);
        self.no_longer_blocks(issue);
        self.approvals.forget(issue);
        let Some(slot) = slot else { return };
        self.touch(slot);
        self.blocks.outdate(slot);
        if let Some(row) = self.rows[slot as usize].take() {
            self.views.iter_mut().for_each(|view| view.forget(slot, &row.facts));
        }
        if let Some(slots) = self.by_repo.get_mut(&issue.repo) {
            slots.remove(&slot);
            if slots.is_empty() {
                self.by_repo.remove(&issue.repo);
            }
        }
        if let Some(repo) = self.repos.get_mut(&issue.repo) {
            repo.open_issue_count = repo.open_issue_count.saturating_sub(1);
        }
        self.free.push(slot);
    }

    fn set_finished(&mut self, issue: &IssueRef, finished: bool) {
        let Some(&slot) = self.by_issue.get(issue) else { return };
        if let Some(row) = self.rows[slot as usize].as_mut() {
            row.finished = finished;
        }
        self.place(slot);
    }
}

pub(super) fn slot_of(index: usize) -> Slot {
    Slot::try_from(index).expect("fewer than 2^32 open issues")
}
