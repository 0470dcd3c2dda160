//! Whether a database holds together.

use super::connection::Connection;
use super::value::Result;
use super::{SqlStore, snapshot};
use crate::store::StoreError;

/// What must hold, and how to find where it does not: each statement answers the places, as text.
const RULES: [(&str, &str); 6] = [
    (
        "an issue with two active claims",
        "SELECT repo || '#' || number FROM claims WHERE active = 1 GROUP BY repo, number HAVING count(*) > 1",
    ),
    (
        "a claim whose issue never had such an epoch",
        "SELECT claims.claim_id FROM claims LEFT JOIN lease_epochs ON lease_epochs.repo = claims.repo \
         AND lease_epochs.number = claims.number WHERE claims.active = 1 AND lease_epochs.epoch IS NULL",
    ),
    (
        "an ended claim without the time of its end",
        "SELECT claim_id FROM claims WHERE active = 0 AND ended_at_ms IS NULL",
    ),
    (
        "an issue with two active runs",
        "SELECT repo || '#' || number FROM runs WHERE active = 1 GROUP BY repo, number HAVING count(*) > 1",
    ),
    (
        "a text of no issue",
        "SELECT issue_bodies.repo || '#' || issue_bodies.number FROM issue_bodies LEFT JOIN issues \
         ON issues.repo = issue_bodies.repo AND issues.number = issue_bodies.number WHERE issues.repo IS NULL",
    ),
    ("a decision for no agent", "SELECT decision_id FROM decisions WHERE agent_id = ''"),
];
/// Places that are named of each rule.
const NAMED_COUNT_MAX: usize = 10;

impl SqlStore {
    /// Looks for what does not hold together: damage to the file, rows that break a rule, records that cannot be
    /// read. Answers what it found, one line each.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn check(&self) -> std::result::Result<Vec<String>, StoreError> {
        self.readers.read("check the database", faults).await
    }
}

fn faults(connection: &Connection) -> Result<Vec<String>> {
    let mut found = Vec::new();
    if let Connection::Sqlite(_) = connection {
        let lines = texts(connection, "PRAGMA integrity_check")?;
        found.extend(lines.into_iter().filter(|line| line != "ok").map(|line| format!("the file is damaged: {line}")));
    }
    for (what, sql) in RULES {
        let places = texts(connection, sql)?;
        found.extend(places.iter().take(NAMED_COUNT_MAX).map(|place| format!("{what}: {place}")));
        if places.len() > NAMED_COUNT_MAX {
            found.push(format!("{what}: {} more", places.len() - NAMED_COUNT_MAX));
        }
    }
    if let Err(error) = snapshot::load(connection) {
        found.push(format!("what servers read at their start cannot be read: {error}"));
    }
    Ok(found)
}

fn texts(connection: &Connection, sql: &str) -> Result<Vec<String>> {
    connection.prepare_cached(sql)?.query_map((), |row| row.get(0))?.collect()
}
