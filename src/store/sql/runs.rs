//! Runs of the dispatcher.

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::json;

use super::columns::{json as from_json, number, to_json};
use super::connection::{Connection, OptionalRow};
use super::history::limit;
use super::value::{Params, Result, params};
use super::writer::WriteTxn;
use super::{SqlStore, claims, events, operator, run_log};
use crate::domain::{
    AgentId, Claim, ClaimId, EventDraft, EventKind, IssueRef, RepoName, Run, RunId, RunStatus, RunUsage, Timestamp,
};
use crate::store::{RunFilter, RunInserted, RunSaved, RunStore, StoreError};

/// Days for which it is kept what runs used.
const USAGE_DAY_COUNT_MAX: i64 = 400;

pub(super) const INSERT: &str = "INSERT INTO runs (run_id, repo, number, active, status, pr_url, version, record) \
     VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7) ON CONFLICT (repo, number) WHERE active = 1 DO NOTHING";
pub(super) const ACTIVE_OF_ISSUE: &str = "SELECT record FROM runs WHERE repo = ?1 AND number = ?2 AND active = 1";
pub(super) const GET: &str = "SELECT record FROM runs WHERE run_id = ?1";
pub(super) const SAVE: &str = "UPDATE runs SET active = ?3, status = ?4, pr_url = ?5, version = ?2 + 1, record = ?6 WHERE run_id = ?1 AND version = ?2";
pub(super) const LIST_ACTIVE: &str = "SELECT record FROM runs WHERE active = 1 ORDER BY run_id";
pub(super) const LIST_BEGUN: &str = "SELECT record FROM runs WHERE active = 1 AND status <> 'queued' ORDER BY run_id";
pub(super) const LIST_ENDED: &str =
    "SELECT record FROM runs WHERE active = 0 AND repo = coalesce(?2, repo) ORDER BY run_id DESC LIMIT ?1";
pub(super) const OF_ISSUE: &str =
    "SELECT record FROM runs WHERE repo = ?1 AND number = ?2 ORDER BY run_id DESC LIMIT ?3";
pub(super) const OF_PULL: &str = "SELECT record FROM runs WHERE pr_url = ?1 ORDER BY run_id DESC LIMIT 1";
pub(super) const TRIM: &str = "DELETE FROM runs WHERE active = 0 AND run_id IN \
     (SELECT run_id FROM runs WHERE active = 0 ORDER BY run_id DESC LIMIT 9223372036854775807 OFFSET ?1) AND EXISTS \
     (SELECT 1 FROM runs AS newer WHERE newer.repo = runs.repo AND newer.number = runs.number AND newer.run_id > runs.run_id)";
/// Runs under way; each has issues that no other may begin on.
pub(super) const LIST_UNDER_WAY: &str = "SELECT record FROM runs WHERE active = 1 AND status <> 'queued' AND repo = ?1";
pub(super) const USAGE_ADD: &str = "INSERT INTO run_usage (day, repo, input_tokens, output_tokens, cost_usd) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (day, repo) DO UPDATE SET \
     input_tokens = run_usage.input_tokens + excluded.input_tokens, output_tokens = run_usage.output_tokens + excluded.output_tokens, \
     cost_usd = run_usage.cost_usd + excluded.cost_usd";
pub(super) const USAGE_OF_DAY: &str = "SELECT CAST(coalesce(sum(input_tokens), 0) AS BIGINT), CAST(coalesce(sum(output_tokens), 0) AS BIGINT), \
     coalesce(sum(cost_usd), 0.0) FROM run_usage WHERE day = ?1 AND repo = coalesce(?2, repo)";
pub(super) const USAGE_TRIM: &str = "DELETE FROM run_usage WHERE day < ?1";
const PAUSED: &str = "SELECT why FROM dispatch_pause WHERE one = 1";
const PAUSE: &str =
    "INSERT INTO dispatch_pause (one, why) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET why = excluded.why";
const UNPAUSE: &str = "DELETE FROM dispatch_pause";

#[async_trait]
impl RunStore for SqlStore {
    async fn run_insert(&self, run: Run, keep_max: usize) -> std::result::Result<RunInserted, StoreError> {
        self.writer.write("queue a run", move |txn| insert(txn, &run, keep_max)).await
    }

    async fn run_save(&self, run: Run, now: Timestamp) -> std::result::Result<RunSaved, StoreError> {
        self.writer.write("write a run", move |txn| save(txn, run, now)).await
    }

    async fn run_get(&self, run_id: RunId) -> std::result::Result<Option<Run>, StoreError> {
        self.readers.read("read a run", move |connection| get(connection, run_id)).await
    }

    async fn run_by_short_id(&self, short: String) -> std::result::Result<Option<RunId>, StoreError> {
        let find = move |connection: &Connection| {
            let mut runs = active(connection)?;
            runs.extend(ended(connection, None, usize::MAX)?);
            Ok(runs.iter().map(|run| run.run_id).filter(|id| id.to_string().ends_with(&short)).max())
        };
        self.readers.read("find a run", find).await
    }

    async fn run_list(&self, filter: RunFilter, limit: usize) -> std::result::Result<Vec<Run>, StoreError> {
        let list = move |connection: &Connection| {
            let mut runs = if filter.with_ended { ended(connection, filter.repo.as_ref(), limit)? } else { Vec::new() };
            runs.extend(if filter.without_queued { all(connection, LIST_BEGUN)? } else { active(connection)? });
            runs.sort_by_key(|run| run.run_id);
            runs.retain(|run| filter.repo.as_ref().is_none_or(|repo| *repo == run.repo));
            Ok(runs)
        };
        self.readers.read("list runs", list).await
    }

    async fn run_list_of_issue(&self, issue: IssueRef, count_max: usize) -> std::result::Result<Vec<Run>, StoreError> {
        let list = move |connection: &Connection| of_issue(connection, &issue, count_max);
        self.readers.read("list runs of an issue", list).await
    }

    async fn run_latest(&self, issue: IssueRef) -> std::result::Result<Option<Run>, StoreError> {
        let latest = move |connection: &Connection| Ok(of_issue(connection, &issue, 1)?.pop());
        self.readers.read("find the newest run of an issue", latest).await
    }

    async fn run_of_pull(&self, pr_url: String) -> std::result::Result<Option<Run>, StoreError> {
        self.readers.read("find the run of a pull request", move |connection| one(connection, OF_PULL, [&pr_url])).await
    }

    async fn run_usage_on(&self, at: Timestamp, repo: Option<RepoName>) -> std::result::Result<RunUsage, StoreError> {
        let usage = move |connection: &Connection| {
            let repo = repo.as_ref().map(RepoName::as_str);
            connection.prepare_cached(USAGE_OF_DAY)?.query_row(params![day(at), repo], |row| {
                let count = |index| row.get::<i64>(index).map(|count| u64::try_from(count).unwrap_or(0));
                Ok(RunUsage { input_tokens: count(0)?, output_tokens: count(1)?, cost_usd: row.get(2)? })
            })
        };
        self.readers.read("add up what runs used", usage).await
    }

    async fn dispatch_paused(&self) -> std::result::Result<Option<String>, StoreError> {
        let paused = |connection: &Connection| connection.query_row(PAUSED, (), |row| row.get(0)).optional();
        self.readers.read("ask whether dispatch is paused", paused).await
    }

    async fn dispatch_pause(
        &self,
        why: Option<String>,
        by: String,
        now: Timestamp,
    ) -> std::result::Result<(), StoreError> {
        let pause = move |txn: &mut WriteTxn<'_>| {
            let kind = match &why {
                Some(why) => {
                    txn.connection.execute(PAUSE, [why])?;
                    EventKind::DispatchPaused
                }
                None if txn.connection.execute(UNPAUSE, ())? == 0 => return Ok(()),
                None => EventKind::DispatchResumed,
            };
            let mut details = json!({ "by": by });
            if let Some(why) = &why {
                details["reason"] = why.as_str().into();
            }
            events::append(txn, EventDraft::new(kind, now, details))
        };
        self.writer.write("pause or resume dispatch", pause).await
    }

    async fn claim_reissue(
        &self,
        claim_id: ClaimId,
        owner: AgentId,
        why: String,
        lease: TimeDelta,
        now: Timestamp,
    ) -> std::result::Result<Option<Claim>, StoreError> {
        let reissue = move |txn: &mut WriteTxn<'_>| {
            let Some(mut claim) = claims::active(txn.connection, claim_id)?.filter(|claim| claim.agent_id == owner)
            else {
                return Ok(None);
            };
            let lease = operator::next_lease(txn, &claim, lease, now)?;
            if claim.reassign(owner, why, lease, now).is_err() {
                return Ok(None);
            }
            operator::write_owner(txn, &claim)?;
            events::append(txn, EventDraft::about(EventKind::ClaimUpdated, &claim, now))?;
            Ok(Some(claim))
        };
        self.writer.write("give a claim another epoch", reissue).await
    }
}

fn insert(txn: &mut WriteTxn<'_>, run: &Run, keep_max: usize) -> Result<RunInserted> {
    let (id, number) = (run.run_id.to_string(), number(run.issue_number));
    let version = i64::try_from(run.version).unwrap_or(i64::MAX);
    let row = params![id, run.repo.as_str(), number, run.status().as_str(), run.pr_url, version, to_json(run)?];
    if txn.connection.prepare_cached(INSERT)?.execute(row)? == 0 {
        let holder = one(txn.connection, ACTIVE_OF_ISSUE, params![run.repo.as_str(), number])?;
        return Ok(RunInserted::ActiveAlready(holder.expect("the index names it").run_id));
    }
    run_log::trim(txn.connection, keep_max)?;
    txn.connection.prepare_cached(TRIM)?.execute([limit(keep_max)])?;
    events::append(txn, EventDraft::about_run(run, run.created_at))?;
    Ok(RunInserted::Inserted)
}

fn save(txn: &mut WriteTxn<'_>, mut run: Run, now: Timestamp) -> Result<RunSaved> {
    let Some(before) = get(txn.connection, run.run_id)?.filter(|before| before.version == run.version) else {
        return Ok(RunSaved::Superseded);
    };
    let begins = before.status() == RunStatus::Queued && run.status() == RunStatus::Dispatched;
    if begins && shares_an_issue(txn.connection, &run)? {
        return Ok(RunSaved::Superseded);
    }
    let version = i64::try_from(run.version).unwrap_or(i64::MAX);
    run.version += 1;
    let (active, status) = (!run.status().is_terminal(), run.status().as_str());
    let row = params![run.run_id.to_string(), version, active, status, run.pr_url, to_json(&run)?];
    txn.connection.prepare_cached(SAVE)?.execute(row)?;
    add_usage(txn.connection, &before, &run, now)?;
    if before.status() != run.status() {
        events::append(txn, EventDraft::about_run(&run, now))?;
    }
    Ok(RunSaved::Saved(run.version))
}

/// Whether another run under way works on an issue of `run`. Servers begin runs side by side: what each of them read of
/// the others may be old by now.
fn shares_an_issue(connection: &Connection, run: &Run) -> Result<bool> {
    let mut statement = connection.prepare_cached(LIST_UNDER_WAY)?;
    let others =
        statement.query_map([run.repo.as_str()], |row| from_json::<Run>(row, 0))?.collect::<Result<Vec<_>>>()?;
    let issues = run.issues();
    let is_shared = |other: &Run| other.issues().iter().any(|issue| issues.contains(issue));
    Ok(others.iter().any(|other| other.run_id != run.run_id && is_shared(other)))
}

/// What it used more than before counts for this day.
fn add_usage(connection: &Connection, before: &Run, run: &Run, now: Timestamp) -> Result<()> {
    let (was, is) = (before.usage, run.usage);
    if was == is {
        return Ok(());
    }
    let grown = |is: u64, was: u64| i64::try_from(is.saturating_sub(was)).unwrap_or(i64::MAX);
    let (input, output) = (grown(is.input_tokens, was.input_tokens), grown(is.output_tokens, was.output_tokens));
    let row = params![day(now), run.repo.as_str(), input, output, (is.cost_usd - was.cost_usd).max(0.0)];
    connection.prepare_cached(USAGE_ADD)?.execute(row)?;
    connection.prepare_cached(USAGE_TRIM)?.execute([day(now - TimeDelta::days(USAGE_DAY_COUNT_MAX))])?;
    Ok(())
}

fn day(at: Timestamp) -> String {
    at.format("%Y-%m-%d").to_string()
}

fn get(connection: &Connection, run_id: RunId) -> Result<Option<Run>> {
    one(connection, GET, [run_id.to_string()])
}

fn one(connection: &Connection, sql: &str, params: impl Params) -> Result<Option<Run>> {
    connection.prepare_cached(sql)?.query_row(params, |row| from_json(row, 0)).optional()
}

fn active(connection: &Connection) -> Result<Vec<Run>> {
    all(connection, LIST_ACTIVE)
}

fn all(connection: &Connection, sql: &'static str) -> Result<Vec<Run>> {
    connection.prepare_cached(sql)?.query_map((), |row| from_json(row, 0))?.collect()
}

fn of_issue(connection: &Connection, issue: &IssueRef, count_max: usize) -> Result<Vec<Run>> {
    let wanted = params![issue.repo.as_str(), number(issue.number), limit(count_max)];
    connection.prepare_cached(OF_ISSUE)?.query_map(wanted, |row| from_json(row, 0))?.collect()
}

fn ended(connection: &Connection, repo: Option<&RepoName>, count_max: usize) -> Result<Vec<Run>> {
    let wanted = params![limit(count_max), repo.map(RepoName::as_str)];
    connection.prepare_cached(LIST_ENDED)?.query_map(wanted, |row| from_json(row, 0))?.collect()
}
