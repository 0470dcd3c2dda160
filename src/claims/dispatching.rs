//! What the dispatcher asks of the claim manager: which issues wait for it, in whose order, and a lease of its own
//! for each attempt.

use std::collections::{HashMap, HashSet};

use super::board::Board;
use super::order::{OrderKey, Question, Slot, Standing};
use super::{ClaimManager, ManagerError};
use crate::domain::{AgentId, CiSignal, Claim, ClaimId, ContainerSignal, IssueRef, IssueState, RunHold, label_key};
use crate::policy::ViewName;
use crate::store::{ClaimFilter, SignalNews, StoreError};

/// Most issues looked at for each label: a bound on what one round costs.
const LABELLED_COUNT_MAX: usize = 10_000;

/// An issue on offer that asks to be dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// Which.
    pub issue: IssueRef,
    /// Its labels.
    pub labels: Vec<String>,
}

/// How an issue stands with the dispatcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offer {
    /// It can be claimed.
    Ready,
    /// An agent holds it.
    HeldBy(AgentId),
    /// The ranker leaves it out, for this reason.
    Skipped(String),
    /// It has no score yet.
    Unscored,
    /// It is closed, finished here, or its repository takes no part.
    Gone,
}

impl ClaimManager {
    /// Issues on offer with one of `labels`, in repositories with one of `topics`, in the order that serves `agent`.
    pub fn labelled(&self, agent: &AgentId, labels: &[String], topics: &[String]) -> Vec<Labelled> {
        let view = self.desk.current().view_of(agent);
        let board = self.index.board.read();
        let order = &board.view(&view).order;
        let lanes = labels.iter().map(|label| Question { label: Some(label), ..Question::default() });
        let of_lane = |question| order.walk(&question, None).take(LABELLED_COUNT_MAX).collect::<Vec<OrderKey>>();
        let mut places: Vec<OrderKey> = lanes.flat_map(of_lane).collect();
        places.sort_unstable();
        places.dedup();
        let told = |place: &OrderKey| {
            let row = board.row(place.slot())?;
            let opted_in = board.has_topic(&row.facts.issue, topics);
            let labels = row.facts.labels.iter().map(ToString::to_string).collect();
            opted_in.then(|| Labelled { issue: row.facts.issue.clone(), labels })
        };
        places.iter().filter_map(told).collect()
    }

    /// Each of `issues` with how it stands: those on offer first, in the order that serves `agent`.
    pub fn in_order(&self, agent: &AgentId, issues: impl IntoIterator<Item = IssueRef>) -> Vec<(IssueRef, Offer)> {
        let view = self.desk.current().view_of(agent);
        let board = self.index.board.read();
        let mut ready = Vec::new();
        let mut others = Vec::new();
        for issue in issues {
            match board.offer(&view, &issue) {
                Ok(place) => ready.push((place, issue)),
                Err(offer) => others.push((issue, offer)),
            }
        }
        ready.sort_unstable_by_key(|(place, _)| *place);
        ready.into_iter().map(|(_, issue)| (issue, Offer::Ready)).chain(others).collect()
    }

    /// The labels of an open issue, as last synced; `None` for any other.
    pub fn labels_of(&self, issue: &IssueRef) -> Option<Vec<String>> {
        let board = self.index.board.read();
        let row = board.row(board.slot_of(issue)?)?;
        Some(row.facts.labels.iter().map(ToString::to_string).collect())
    }

    /// Gives a claim of `owner` a new epoch: what was begun under the former one ends there. `None` when the
    /// claim is no longer its own.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reissue(&self, claim_id: ClaimId, owner: AgentId, why: String) -> Result<Option<Claim>, ManagerError> {
        Ok(self.store.claim_reissue(claim_id, owner, why, self.lease(), self.clock.now()).await?)
    }

    /// Whether the first sync since the start goes on: what is not known yet may come.
    pub fn is_reading(&self) -> bool {
        self.status.is_reading()
    }

    /// Whether an issue is open; GitHub is asked about one that the last sync did not know.
    ///
    /// # Errors
    /// When its repository takes no part, or nobody can tell.
    pub async fn learn_of(&self, issue: &IssueRef) -> Result<bool, ManagerError> {
        self.admit(&issue.repo)?;
        let known = self.store.issue_get(issue.clone()).await?;
        match known {
            Some(known) => Ok(known.state == IssueState::Open),
            None => self.read_through(issue).await,
        }
    }

    /// The pull requests of an agent's live claims of which checks say that they fail, each with the commit that they
    /// speak of; empty where that is not known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn failing_pulls_of(&self, owner: &AgentId) -> Result<Vec<(String, String)>, StoreError> {
        let mut failing: HashMap<ClaimId, String> = self
            .store
            .claim_signal_list()
            .await?
            .into_iter()
            .filter(|(_, kept)| kept.signals.ci == CiSignal::Failure)
            .map(|(claim_id, kept)| (claim_id, kept.head_sha))
            .collect();
        let filter = ClaimFilter { agent: Some(owner.clone()), ..ClaimFilter::default() };
        let claims = self.store.claim_list(filter).await?;
        let failing_pull = |claim: Claim| Some((claim.pr_url()?.to_owned(), failing.remove(&claim.claim_id)?));
        Ok(claims.into_iter().filter_map(failing_pull).collect())
    }

    /// Tells the stale rule how the container is in which a claim is worked on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn note_container(&self, claim_id: ClaimId, container: ContainerSignal) -> Result<(), StoreError> {
        let news = SignalNews { container: Some(container), ..SignalNews::default() };
        self.store.claim_signal_note(claim_id, news).await
    }

    /// The pull request of a claim of `owner` on an issue, while there are both.
    pub fn pull_of_hold(&self, issue: &IssueRef, owner: &AgentId) -> Option<String> {
        let board = self.index.board.read();
        let claim = board.claim_on(issue).filter(|claim| claim.agent_id == *owner)?;
        claim.pr_url().map(str::to_owned)
    }

    /// Tells rankers how much of the day's budget of dispatch is spent, in percent.
    pub fn set_budget_spent(&self, percent: u32) {
        let mut board = self.index.board.write();
        board.budget_spent = percent;
    }

    /// The claim of `owner` on an issue, while there is one.
    pub fn hold_on(&self, issue: &IssueRef, owner: &AgentId) -> Option<RunHold> {
        let board = self.index.board.read();
        let claim = board.claim_on(issue).filter(|claim| claim.agent_id == *owner)?;
        Some(RunHold { claim_id: claim.claim_id, agent_id: claim.agent_id.clone(), epoch: claim.lease.epoch })
    }

    /// The active claim on an issue.
    pub(super) fn holder_of(&self, issue: &IssueRef) -> Option<Claim> {
        self.index.board.read().claim_on(issue).map(|claim| Claim::clone(claim))
    }

    /// Whether a claim is active, of `owner`, and under `epoch`; asked before anything is done in its name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn holds(&self, claim_id: ClaimId, owner: &AgentId, epoch: u64) -> Result<bool, ManagerError> {
        let claim = self.store.claim_get(claim_id).await?;
        let is_held =
            |claim: &Claim| !claim.status().is_terminal() && claim.agent_id == *owner && claim.lease.epoch == epoch;
        Ok(claim.as_ref().is_some_and(is_held))
    }
}

impl Board {
    /// Whether an issue's repository has one of these topics.
    fn has_topic(&self, issue: &IssueRef, topics: &[String]) -> bool {
        let wanted: HashSet<String> = topics.iter().map(|topic| label_key(topic)).collect();
        let of_repo = self.repos.get(&issue.repo);
        of_repo.is_some_and(|row| row.repo.topics.iter().any(|topic| wanted.contains(&label_key(topic))))
    }

    fn slot_of(&self, issue: &IssueRef) -> Option<Slot> {
        self.by_issue.get(issue).copied()
    }

    /// Its place in the order, or why it has none.
    fn offer(&self, view: &ViewName, issue: &IssueRef) -> Result<OrderKey, Offer> {
        if let Some(claim) = self.claim_on(issue) {
            return Err(Offer::HeldBy(claim.agent_id.clone()));
        }
        let place = self.slot_of(issue).and_then(|slot| self.view(view).at(slot));
        match place.map(|place| &place.standing) {
            Some(Standing::Ready(key)) => Ok(*key),
            Some(Standing::Skipped(why)) => Err(Offer::Skipped(why.to_string())),
            Some(Standing::Unscored) => Err(Offer::Unscored),
            Some(Standing::Claimed | Standing::Finished | Standing::NotAdmitted) | None => Err(Offer::Gone),
        }
    }
}
