//! Decisions: kept in their order, with every state of an issue that they refer to.

use std::collections::HashSet;
use std::sync::Arc;

use super::columns::{issue_ref, json, number, to_json};
use super::connection::{Connection, OptionalRow};
use super::history::limit;
use super::value::{Result, Row, Value, params};
use super::writer::WriteTxn;
use crate::domain::{AgentId, ClaimId, Decision, DecisionId, FactsVersion, IssueRef, IssueSnapshot};
use crate::store::{DecisionFilter, StoreError};

pub(super) const INSERT: &str = "INSERT INTO decisions (decision_id, claim_id, agent_id, repo, number, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING seq";
pub(super) const GET: &str = "SELECT record, repo, number FROM decisions WHERE decision_id = ?1";
pub(super) const VERSION_KEEP: &str = "INSERT INTO issue_versions (version, last_seq, record, body) \
     VALUES (?1, ?2, ?3, coalesce((SELECT body FROM issue_bodies WHERE repo = ?4 AND number = ?5), '')) \
     ON CONFLICT (version) DO UPDATE SET last_seq = excluded.last_seq";
pub(super) const VERSION_GET: &str = "SELECT record, body FROM issue_versions WHERE version = ?1";

/// Decisions after which each state of an issue is written anew, so that `last_seq` is never further behind than
/// this. Less would write more, more would keep what nobody refers to for longer.
pub(super) const ERA_COUNT: usize = 256;
/// Decisions that are read to find those on an issue which was merely considered: each is parsed for it.
const SEARCH_COUNT_MAX: usize = 512;

/// The states of issues that the table holds for certain: those need not be written again.
#[derive(Debug, Default)]
pub(super) struct Versions {
    known: HashSet<FactsVersion>,
    /// The decision since which they are known.
    since: i64,
}

impl Versions {
    /// Forgets what it knows: an undone write may have kept a state that is not there.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Keeps every state that the decision `seq` refers to.
    fn keep(&mut self, connection: &Connection, seen: &[(FactsVersion, Arc<IssueSnapshot>)], seq: i64) -> Result<()> {
        // By the number, not by how many were made here: other servers make decisions too.
        if seq - self.since > ERA_COUNT as i64 {
            *self = Self { known: HashSet::new(), since: seq };
        }
        for (version, snapshot) in seen {
            if self.known.contains(version) {
                continue;
            }
            let issue = &snapshot.facts.issue;
            let record = to_json(&*snapshot.facts)?;
            let row = params![version.as_str(), seq, record, issue.repo.as_str(), number(issue.number)];
            connection.prepare_cached(VERSION_KEEP)?.execute(row)?;
            self.known.insert(version.clone());
        }
        Ok(())
    }
}

/// A decision in the form in which it is written, made before it comes to the writer: there everybody waits.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) decision_id: DecisionId,
    agent_id: AgentId,
    record: String,
    seen: Vec<(FactsVersion, Arc<IssueSnapshot>)>,
}

impl Prepared {
    pub(super) fn of(decision: &Decision) -> std::result::Result<Self, StoreError> {
        let record = to_json(decision).map_err(|source| StoreError::failed("write a decision", source))?;
        let seen = decision.considered.iter().filter_map(|row| row.seen.as_ref());
        let seen = seen.filter_map(|seen| Some((seen.facts.clone(), Arc::clone(seen.snapshot.as_ref()?)))).collect();
        Ok(Self { decision_id: decision.decision_id, agent_id: decision.agent_id.clone(), record, seen })
    }
}

/// Keeps the decision that gave out `issue` as `claim_id`; or, without them, that there was nothing.
pub(super) fn insert(txn: &mut WriteTxn<'_>, decision: &Prepared, granted: Option<(ClaimId, &IssueRef)>) -> Result<()> {
    let row = params![
        decision.decision_id.to_string(),
        granted.map(|(claim_id, _)| claim_id.to_string()),
        decision.agent_id.as_str(),
        granted.map(|(_, issue)| issue.repo.as_str()),
        granted.map(|(_, issue)| number(issue.number)),
        decision.record,
    ];
    let seq = txn.connection.query_row(INSERT, row, |row| row.get(0))?;
    txn.versions.keep(txn.connection, &decision.seen, seq)?;
    txn.trim.decision_made(txn.connection)
}

/// A decision from the columns `record, repo, number`. What was given out was known only to the writer.
fn read(row: &Row<'_>) -> Result<Decision> {
    let mut decision: Decision = json(row, 0)?;
    if !row.is_null(1)? {
        decision.chose(&issue_ref(row, 1)?);
    }
    Ok(decision)
}

/// One decision, with the issues as they were where those are still kept.
pub(super) fn get(connection: &Connection, decision_id: DecisionId) -> Result<Option<Decision>> {
    let mut statement = connection.prepare_cached(GET)?;
    let found = statement.query_row([decision_id.to_string()], read).optional()?;
    let Some(mut decision) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(VERSION_GET)?;
    for seen in decision.considered.iter_mut().filter_map(|row| row.seen.as_mut()) {
        let snapshot = statement.query_row([seen.facts.as_str()], |row| {
            Ok(IssueSnapshot { facts: Arc::new(json(row, 0)?), body: row.get(1)? })
        });
        seen.snapshot = snapshot.optional()?.map(Arc::new);
    }
    Ok(Some(decision))
}

/// Decisions, newest first, without the issues as they were.
pub(super) fn list(connection: &Connection, filter: &DecisionFilter, count_max: usize) -> Result<Vec<Decision>> {
    let mut values = Vec::new();
    let sql = select(filter, &mut values);
    values.push(limit(if filter.considered.is_some() { SEARCH_COUNT_MAX } else { count_max }).into());
    let mut statement = connection.prepare_cached(&sql)?;
    let decisions = statement.query_map(values, read)?;
    let admitted =
        |decision: &Decision| filter.considered.as_ref().is_none_or(|issue| decision.row_on(issue).is_some());
    decisions.filter(|decision| decision.as_ref().map_or(true, admitted)).take(count_max).collect()
}

pub(super) fn select(filter: &DecisionFilter, values: &mut Vec<Value<'static>>) -> String {
    let mut sql = "SELECT record, repo, number FROM decisions WHERE 1 = 1".to_owned();
    let mut and = |condition: &str, value: Value<'static>| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(agent) = &filter.agent {
        and(" AND agent_id = ?", agent.as_str().to_owned().into());
    }
    if let Some(repo) = &filter.repo {
        and(" AND repo = ?", repo.as_str().to_owned().into());
    }
    if let Some(issue) = &filter.chosen {
        and(" AND repo = ?", issue.repo.as_str().to_owned().into());
        and(" AND number = ?", number(issue.number).into());
    }
    sql.push_str(&format!(" ORDER BY seq DESC LIMIT ?{}", values.len() + 1));
    sql
}
