//! Records: each can be read, and says what the columns say that it is found by.

use super::super::columns::{json, ms, number};
use super::super::connection::Connection;
use super::super::value::{Result, Row, Value};
use super::{Found, why};
use crate::domain::{
    Claim, Decision, Disagreement, EventDraft, FollowUp, IssueFacts, IssueNumber, LogLine, PullRequest, Repo, Run,
    Timestamp,
};
use crate::store::{KeptSignals, PastPull, PlaceSource, PolicySetRecord};

/// A column of a table that holds JSON.
struct Kept {
    table: &'static str,
    /// What a row is named by.
    key: &'static str,
    /// The column.
    record: &'static str,
    /// The columns that say again what the record says.
    columns: &'static [&'static str],
    /// What those columns should hold, by the record, which is column 1.
    read: fn(&Row<'_>) -> Result<Vec<Value<'static>>>,
}

const ISSUE: &str = "repo || '#' || number";
const KEPT: [Kept; 18] = [
    Kept { table: "repos", key: "repo", record: "record", columns: &["repo"], read: repo },
    list("issues", "labels"),
    list("issues", "assignees"),
    list("issue_places", "areas"),
    list("issue_places", "reviewers"),
    Kept {
        table: "claims",
        key: "claim_id",
        record: "record",
        columns: &["claim_id", "repo", "number", "agent_id", "status", "active", "claimed_at_ms", "ended_at_ms"],
        read: claim,
    },
    Kept { table: "claim_signals", key: "claim_id", record: "record", columns: &[], read: alone::<KeptSignals> },
    // Whom it was for is not compared: schema 5 took it from the claim, which may have been another's by then.
    Kept { table: "decisions", key: "decision_id", record: "record", columns: &["decision_id"], read: decision },
    Kept { table: "issue_versions", key: "version", record: "record", columns: &[], read: alone::<IssueFacts> },
    Kept { table: "events", key: "CAST(seq AS TEXT)", record: "record", columns: &[], read: alone::<EventDraft> },
    Kept {
        table: "follow_ups",
        key: "work_item_id",
        record: "record",
        columns: &[
            "work_item_id",
            "repo",
            "pr_number",
            "source",
            "urgency",
            "active",
            "agent_id",
            "created_at_ms",
            "ended_at_ms",
        ],
        read: follow_up,
    },
    Kept { table: "pulls", key: ISSUE, record: "record", columns: &["repo", "number", "updated_at_ms"], read: pull },
    Kept {
        table: "past_pulls",
        key: ISSUE,
        record: "record",
        columns: &["number", "merged_at_ms", "has_files"],
        read: past_pull,
    },
    Kept { table: "place_sources", key: "repo", record: "record", columns: &["repo"], read: place_source },
    Kept {
        table: "policy_sets",
        key: "CAST(set_id AS TEXT)",
        record: "record",
        columns: &[],
        read: alone::<PolicySetRecord>,
    },
    Kept {
        table: "disagreements",
        key: "CAST(disagreement_id AS TEXT)",
        record: "record",
        columns: &[],
        read: alone::<Disagreement>,
    },
    Kept {
        table: "runs",
        key: "run_id",
        record: "record",
        columns: &["run_id", "repo", "number", "active", "status", "pr_url", "version"],
        read: run,
    },
    Kept { table: "run_log", key: "run_id || ' ' || seq", record: "record", columns: &["seq"], read: log_line },
];
/// Claims, and the newest epoch of their issues.
const EPOCHS: &str = "SELECT claims.claim_id, claims.record, lease_epochs.epoch FROM claims LEFT JOIN lease_epochs \
     ON lease_epochs.repo = claims.repo AND lease_epochs.number = claims.number";

/// Looks at every record there is.
pub(super) fn look(connection: &Connection, found: &mut Found) {
    for kept in &KEPT {
        let columns: String = kept.columns.iter().map(|column| format!(", {column}")).collect();
        let sql = format!("SELECT {}, {}{columns} FROM {}", kept.key, kept.record, kept.table);
        let read = connection.each_row(&sql, |row| look_at(kept, row, found));
        found.add_end(kept.table, read);
    }
    let read = connection.each_row(EPOCHS, |row| {
        let newest: i64 = row.get::<Option<i64>>(2)?.unwrap_or(0);
        // One that cannot be read was told above.
        if json::<Claim>(row, 1).is_ok_and(|claim| claim.lease.epoch > u64::try_from(newest).unwrap_or(0)) {
            found.add("a claim whose issue never had such an epoch", row.text(0)?);
        }
        Ok(())
    });
    found.add_end("claims", read);
}

fn look_at(kept: &Kept, row: &Row<'_>, found: &mut Found) -> Result<()> {
    let key = row.text(0)?;
    match (kept.read)(row) {
        Ok(said) => {
            for (at, (column, said)) in kept.columns.iter().zip(said).enumerate() {
                if row.value(2 + at)? != said {
                    found.add(&format!("a row of {} whose {column} is not what its record says", kept.table), key);
                }
            }
        }
        Err(error) => {
            let what = format!("a row of {} whose {} cannot be read", kept.table, kept.record);
            found.add(&what, &format!("{key} ({})", why(&error)));
        }
    }
    Ok(())
}

/// A list of texts of an issue.
const fn list(table: &'static str, column: &'static str) -> Kept {
    Kept { table, key: ISSUE, record: column, columns: &[], read: alone::<Vec<String>> }
}

/// A record that no column says anything of.
fn alone<T: serde::de::DeserializeOwned>(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    json::<T>(row, 1).map(|_| Vec::new())
}

fn repo(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let repo: Repo = json(row, 1)?;
    Ok(vec![text(repo.full_name)])
}

fn claim(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let claim: Claim = json(row, 1)?;
    let ended = claim.status().is_terminal();
    Ok(vec![
        text(claim.claim_id),
        text(&claim.repo),
        count(claim.issue_number),
        text(&claim.agent_id),
        text(claim.status()),
        Value::from(i64::from(!ended)),
        at(claim.claimed_at),
        if ended { at(claim.last_updated()) } else { Value::Null },
    ])
}

fn decision(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let decision: Decision = json(row, 1)?;
    Ok(vec![text(decision.decision_id)])
}

fn follow_up(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let item: FollowUp = json(row, 1)?;
    let ended = item.status().is_terminal();
    Ok(vec![
        text(item.work_item_id),
        text(&item.repo),
        count(item.pr_number),
        text(&item.source_event_id),
        Value::from(i64::from(item.source_event_type as u8)),
        Value::from(i64::from(!ended)),
        item.holder().map_or(Value::Null, text),
        at(item.created_at),
        if ended { at(item.last_updated()) } else { Value::Null },
    ])
}

fn pull(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let pull: PullRequest = json(row, 1)?;
    Ok(vec![text(&pull.repo), count(pull.number), at(pull.updated_at)])
}

fn past_pull(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let pull: PastPull = json(row, 1)?;
    Ok(vec![count(pull.number), at(pull.merged_at), Value::from(i64::from(pull.files.is_some()))])
}

fn place_source(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let source: PlaceSource = json(row, 1)?;
    Ok(vec![text(source.repo)])
}

fn run(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let run: Run = json(row, 1)?;
    Ok(vec![
        text(run.run_id),
        text(&run.repo),
        count(run.issue_number),
        Value::from(i64::from(!run.status().is_terminal())),
        text(run.status()),
        run.pr_url.as_ref().map_or(Value::Null, text),
        Value::from(i64::try_from(run.version).unwrap_or(i64::MAX)),
    ])
}

fn log_line(row: &Row<'_>) -> Result<Vec<Value<'static>>> {
    let line: LogLine = json(row, 1)?;
    Ok(vec![Value::from(i64::try_from(line.seq).unwrap_or(i64::MAX))])
}

fn text(said: impl ToString) -> Value<'static> {
    said.to_string().into()
}

fn count(said: IssueNumber) -> Value<'static> {
    number(said).into()
}

fn at(said: Timestamp) -> Value<'static> {
    ms(said).into()
}
