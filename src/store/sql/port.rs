//! The port, carried out: each call is one write or one read of the modules beside this one.

use async_trait::async_trait;

use super::connection::Connection;
use super::{
    SqlStore, approvals, blockers, claims, decisions, events, follow_up_import, follow_ups, import, issues, lists,
    operator, past, policies, pulls, repos, snapshot, tokens, writer,
};
use crate::domain::{
    AgentId, Claim, ClaimId, Decision, DecisionId, Event, EventDraft, EventSeq, FollowUp, Issue, IssueNumber, IssueRef,
    PullRequest, Repo, RepoName, Timestamp, TokenId, WorkItemId,
};
use crate::store::{
    AdvanceOutcome, ApprovalOutcome, ApprovalWish, COMPONENT_PIECE_BYTES, ClaimChange, ClaimFilter, ClaimFollow,
    ClaimHistoryFilter, ClaimHistoryPlace, ClaimImport, ClaimOverrule, ClaimWish, DecisionFilter, DependencyChange,
    DependencyDue, DependencyReading, FollowUpChange, FollowUpFilter, FollowUpImport, FollowUpImportOutcome,
    FollowUpInserted, FollowUpLink, FollowUpMoved, FollowUpTake, FollowUpTaken, ImportOutcome, InsertOutcome,
    IssueApplied, IssueBatch, IssueFilter, KeptToken, LabelDue, ListName, OverruleOutcome, PastClaims, PolicyAudit,
    PolicySetKept, PolicySetRecord, RepoMark, Settlement, Snapshot, Store, StoreError, SyncCursor, TokenInsertOutcome,
    TokenRevokeOutcome, Trial, TrialBatch,
};

#[async_trait]
impl Store for SqlStore {
    async fn snapshot_load(&self) -> Result<Snapshot, StoreError> {
        self.readers.read("load the snapshot", snapshot::load).await
    }

    async fn claim_insert(&self, mut wish: ClaimWish) -> Result<InsertOutcome, StoreError> {
        let decision = wish.decision.take().as_ref().map(decisions::Prepared::of).transpose()?;
        self.writer.write("insert a claim", move |txn| claims::insert(txn, wish, decision.as_ref())).await
    }

    async fn claim_advance(&self, change: ClaimChange) -> Result<AdvanceOutcome, StoreError> {
        self.writer.write("advance a claim", |txn| claims::advance(txn, change)).await
    }

    async fn claim_follow(&self, wish: ClaimFollow) -> Result<Option<Claim>, StoreError> {
        self.writer.write("take a claim where GitHub says", |txn| claims::follow(txn, wish)).await
    }

    async fn claim_list(&self, filter: ClaimFilter) -> Result<Vec<Claim>, StoreError> {
        self.readers.read("list claims", move |connection| claims::list(connection, &filter)).await
    }

    async fn claim_get(&self, claim_id: ClaimId) -> Result<Option<Claim>, StoreError> {
        self.readers.read("get a claim", move |connection| claims::get(connection, claim_id)).await
    }

    async fn claim_past_by_short_id(&self, agent: AgentId, short: String) -> Result<Option<ClaimId>, StoreError> {
        let find = move |connection: &Connection| past::by_short_id(connection, &agent, &short);
        self.readers.read("find a past claim", find).await
    }

    async fn follow_up_insert(&self, item: FollowUp) -> Result<FollowUpInserted, StoreError> {
        self.writer.write("insert a follow-up", |txn| follow_ups::insert(txn, item)).await
    }

    async fn follow_up_take(&self, wish: FollowUpTake) -> Result<FollowUpTaken, StoreError> {
        self.writer.write("take a follow-up", |txn| follow_ups::take(txn, wish)).await
    }

    async fn follow_up_advance(&self, change: FollowUpChange) -> Result<FollowUpMoved, StoreError> {
        self.writer.write("advance a follow-up", |txn| follow_ups::advance(txn, change)).await
    }

    async fn follow_up_settle(&self, settlement: Settlement) -> Result<usize, StoreError> {
        self.writer.write("settle follow-ups", |txn| follow_ups::settle(txn, settlement)).await
    }

    async fn follow_up_link(&self, link: FollowUpLink) -> Result<usize, StoreError> {
        self.writer.write("link follow-ups", |txn| follow_ups::link(txn, link)).await
    }

    async fn follow_up_import(&self, wish: FollowUpImport) -> Result<Vec<FollowUpImportOutcome>, StoreError> {
        self.writer.write("import follow-ups", |txn| follow_up_import::import(txn, wish)).await
    }

    async fn follow_up_list(&self, filter: FollowUpFilter) -> Result<Vec<FollowUp>, StoreError> {
        self.readers.read("list follow-ups", move |connection| follow_ups::list(connection, &filter)).await
    }

    async fn follow_up_history(&self, limit: usize) -> Result<Vec<FollowUp>, StoreError> {
        self.readers.read("list past follow-ups", move |connection| follow_ups::history(connection, limit)).await
    }

    async fn follow_up_list_of_pull(&self, pull: IssueRef, limit: usize) -> Result<Vec<FollowUp>, StoreError> {
        let list = move |connection: &Connection| follow_ups::all_of_pull(connection, &pull, limit);
        self.readers.read("list follow-ups of a pull request", list).await
    }

    async fn follow_up_get(&self, work_item_id: WorkItemId) -> Result<Option<FollowUp>, StoreError> {
        self.readers.read("get a follow-up", move |connection| follow_ups::get(connection, work_item_id)).await
    }

    async fn pull_apply(&self, pull: PullRequest) -> Result<bool, StoreError> {
        self.writer.write("write a pull request", |txn| pulls::apply(txn, pull)).await
    }

    async fn pull_get(&self, pull: IssueRef) -> Result<Option<PullRequest>, StoreError> {
        self.readers.read("get a pull request", move |connection| pulls::get(connection, &pull)).await
    }

    async fn delivery_seen(&self, delivery_id: String) -> Result<bool, StoreError> {
        self.readers.read("look a delivery up", move |connection| pulls::delivery_seen(connection, &delivery_id)).await
    }

    async fn delivery_record(&self, delivery_id: String) -> Result<(), StoreError> {
        self.writer.write("record a delivery", move |txn| pulls::delivery_record(txn, &delivery_id)).await
    }

    async fn claim_history(
        &self,
        filter: ClaimHistoryFilter,
        after: Option<ClaimHistoryPlace>,
        limit: usize,
    ) -> Result<PastClaims, StoreError> {
        self.readers.read("list past claims", move |connection| past::list(connection, &filter, after, limit)).await
    }

    async fn claim_overrule(&self, wish: ClaimOverrule) -> Result<OverruleOutcome, StoreError> {
        self.writer.write("overrule a claim", |txn| operator::overrule(txn, wish)).await
    }

    async fn claim_import(&self, wish: ClaimImport) -> Result<Vec<ImportOutcome>, StoreError> {
        self.writer.write("import claims", |txn| import::import(txn, wish)).await
    }

    async fn token_insert(&self, kept: KeptToken, now: Timestamp) -> Result<TokenInsertOutcome, StoreError> {
        self.writer.write("keep a token", move |txn| tokens::insert(txn, kept, now)).await
    }

    async fn token_revoke(&self, token_id: TokenId, now: Timestamp) -> Result<TokenRevokeOutcome, StoreError> {
        self.writer.write("revoke a token", move |txn| tokens::revoke(txn, token_id, now)).await
    }

    async fn token_list(&self) -> Result<Vec<KeptToken>, StoreError> {
        self.readers.read("list tokens", tokens::list).await
    }

    async fn repo_apply(&self, repos: Vec<Repo>) -> Result<(), StoreError> {
        self.writer.write("write repositories", |txn| repos::apply(txn, repos)).await
    }

    async fn repo_remove(&self, repo: RepoName) -> Result<(), StoreError> {
        self.writer.write("remove a repository", |txn| repos::remove(txn, repo)).await
    }

    async fn issue_apply(&self, batch: IssueBatch) -> Result<IssueApplied, StoreError> {
        self.writer.write("write issues", |txn| issues::apply(txn, batch)).await
    }

    async fn issue_deliver(&self, issue: Issue, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write("write an issue", move |txn| issues::deliver(txn, &issue, now)).await
    }

    async fn issue_remove(&self, issue: IssueRef) -> Result<(), StoreError> {
        self.writer.write("remove an issue", |txn| issues::remove(txn, issue)).await
    }

    async fn issue_list(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError> {
        self.readers.read("list issues", move |connection| issues::list(connection, &filter)).await
    }

    async fn issue_get(&self, issue: IssueRef) -> Result<Option<Issue>, StoreError> {
        self.readers.read("get an issue", move |connection| issues::get(connection, &issue)).await
    }

    async fn dependency_due_list(&self, limit: usize) -> Result<Vec<DependencyDue>, StoreError> {
        self.readers.read("list blocked issues", move |connection| blockers::due_list(connection, limit)).await
    }

    async fn dependency_set(&self, reading: DependencyReading) -> Result<(), StoreError> {
        self.writer.write("write an issue's dependencies", |txn| blockers::reading_set(txn, reading)).await
    }

    async fn dependency_change(&self, change: DependencyChange) -> Result<(), StoreError> {
        self.writer.write("write a dependency", |txn| blockers::dependency_change(txn, change)).await
    }

    async fn approval_set(&self, wish: ApprovalWish) -> Result<ApprovalOutcome, StoreError> {
        self.writer.write("write an approval", |txn| approvals::set(txn, wish)).await
    }

    async fn approval_withdraw(&self, issue: IssueRef, by: String, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write("withdraw an approval", move |txn| approvals::withdraw(txn, &issue, &by, now)).await
    }

    async fn label_due_list(&self, labelled: Vec<IssueRef>) -> Result<Vec<LabelDue>, StoreError> {
        self.readers.read("list labelled issues", move |connection| approvals::label_due(connection, &labelled)).await
    }

    async fn label_read(&self, read: LabelDue) -> Result<(), StoreError> {
        self.writer.write("note who labelled an issue", move |txn| approvals::label_read(txn, &read)).await
    }

    async fn cursor_list(&self) -> Result<Vec<(RepoName, SyncCursor)>, StoreError> {
        self.readers.read("list sync cursors", repos::cursor_list).await
    }

    async fn issue_number_list(&self, repo: RepoName) -> Result<Vec<IssueNumber>, StoreError> {
        self.readers.read("list open issues", move |connection| issues::open_numbers(connection, &repo)).await
    }

    async fn list_cursor_get(&self, list: ListName) -> Result<SyncCursor, StoreError> {
        self.readers.read("get a list's cursor", move |connection| lists::cursor_get(connection, &list)).await
    }

    async fn list_cursor_set(&self, reached: Vec<(ListName, SyncCursor)>) -> Result<(), StoreError> {
        self.writer.write("set lists' cursors", move |txn| lists::cursor_set(txn.connection, &reached)).await
    }

    async fn repo_mark_list(&self) -> Result<Vec<(RepoName, RepoMark)>, StoreError> {
        self.readers.read("list marks of repositories", lists::mark_list).await
    }

    async fn repo_mark_set(&self, marks: Vec<(RepoName, RepoMark)>) -> Result<(), StoreError> {
        self.writer.write("mark repositories", move |txn| lists::mark_set(txn.connection, &marks)).await
    }

    async fn event_append(&self, drafts: Vec<EventDraft>) -> Result<(), StoreError> {
        let append =
            |txn: &mut writer::WriteTxn<'_>| drafts.into_iter().try_for_each(|draft| events::append(txn, draft));
        self.writer.write("append events", append).await
    }

    async fn event_list_after(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.readers.read("list events", move |connection| events::list_after(connection, after, limit)).await
    }

    async fn decision_insert(&self, decision: Decision) -> Result<(), StoreError> {
        let decision = decisions::Prepared::of(&decision)?;
        self.writer.write("insert a decision", move |txn| decisions::insert(txn, &decision, None)).await
    }

    async fn decision_get(&self, decision_id: DecisionId) -> Result<Option<Decision>, StoreError> {
        self.readers.read("get a decision", move |connection| decisions::get(connection, decision_id)).await
    }

    async fn decision_list(&self, filter: DecisionFilter, limit: usize) -> Result<Vec<Decision>, StoreError> {
        self.readers.read("list decisions", move |connection| decisions::list(connection, &filter, limit)).await
    }

    async fn policy_set_insert(&self, record: PolicySetRecord, why: String, now: Timestamp) -> Result<u64, StoreError> {
        self.writer.write("note a set of policies", move |txn| policies::set_insert(txn, &record, &why, now)).await
    }

    async fn policy_set_list(&self) -> Result<Vec<PolicySetKept>, StoreError> {
        self.readers.read("list sets of policies", policies::set_list).await
    }

    async fn policy_audit(&self, audit: PolicyAudit) -> Result<(), StoreError> {
        self.writer.write("note who changed a policy", |txn| policies::audit(txn, audit)).await
    }

    async fn policy_component_keep(&self, digest: String, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.policy_component_piece_count(digest.clone()).await?.is_some() {
            return Ok(());
        }
        // A write for each piece: claims get their turn in between.
        let mut count = 0;
        for (piece, bytes) in (0..).zip(bytes.chunks(COMPONENT_PIECE_BYTES)) {
            let (digest, bytes) = (digest.clone(), bytes.to_vec());
            let put = move |txn: &mut writer::WriteTxn<'_>| {
                policies::component_piece_put(txn.connection, &digest, piece, &bytes)
            };
            self.writer.write("keep a piece of a component", put).await?;
            count = piece + 1;
        }
        let complete =
            move |txn: &mut writer::WriteTxn<'_>| policies::component_complete(txn.connection, &digest, count);
        self.writer.write("keep a component", complete).await
    }

    async fn policy_component_piece_count(&self, digest: String) -> Result<Option<u32>, StoreError> {
        let find = move |connection: &Connection| policies::component_piece_count(connection, &digest);
        self.readers.read("look a component up", find).await
    }

    async fn policy_component_piece(&self, digest: String, piece: u32) -> Result<Option<Vec<u8>>, StoreError> {
        let find = move |connection: &Connection| policies::component_piece_get(connection, &digest, piece);
        self.readers.read("read a component", find).await
    }

    async fn trial_add(&self, batch: TrialBatch) -> Result<(), StoreError> {
        self.writer.write("note a trial", move |txn| policies::trial_add(txn, &batch)).await
    }

    async fn trial_get(&self, candidate: String, limit: usize) -> Result<Trial, StoreError> {
        let read = move |connection: &Connection| policies::trial_get(connection, &candidate, limit);
        self.readers.read("read a trial", read).await
    }

    async fn agent_last_calls(&self) -> Result<Vec<(AgentId, Timestamp)>, StoreError> {
        self.readers.read("list agents' calls", events::last_calls).await
    }

    async fn agent_heard(&self, calls: Vec<(AgentId, Timestamp)>) -> Result<(), StoreError> {
        self.writer.write("note agents' calls", move |txn| events::agents_heard(txn.connection, &calls)).await
    }
}
