//! Whether a database holds together.

mod records;

use std::collections::BTreeMap;
use std::error::Error as _;

use super::connection::Connection;
use super::copy::source;
use super::value::{Error, Result};
use super::{events, snapshot};
use crate::config::StoreConfig;
use crate::store::StoreError;

/// What must hold, and how to find where it does not: each statement answers the places, as text.
const RULES: [(&str, &str); 5] = [
    (
        "an issue with two active claims",
        "SELECT repo || '#' || number FROM claims WHERE active = 1 GROUP BY repo, number HAVING count(*) > 1",
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
const NEWEST_EVENT: &str = "SELECT coalesce(max(seq), 0) FROM events";
/// Places that are named of each kind of fault.
const NAMED_COUNT_MAX: usize = 10;

/// Looks for what does not hold together in the store of `config`, and changes nothing there: damage to the file, rows
/// that break a rule, records that cannot be read, or that say another thing than the columns they are found by. Answers
/// what it found, one line each. Memory holds one row at a time, but for what servers hold of a store all the while.
///
/// # Errors
/// When the store is not there, of another version or moved elsewhere, or so damaged that this cannot be told.
pub fn check(config: &StoreConfig) -> std::result::Result<Vec<String>, StoreError> {
    let faults = source(config).and_then(|connection| connection.as_of_one_commit(|| Ok(faults(&connection))));
    faults.map_err(|source| StoreError::failed("check the database", source))
}

/// What was found: of each kind of fault the first places, and how many there are.
#[derive(Default)]
struct Found(BTreeMap<String, (Vec<String>, usize)>);

impl Found {
    fn add(&mut self, what: &str, place: &str) {
        let (named, count) = self.0.entry(what.to_owned()).or_default();
        *count += 1;
        if named.len() < NAMED_COUNT_MAX {
            named.push(format!("{what}: {place}"));
        }
    }

    /// Notes that looking at something ended in a failure.
    fn add_end(&mut self, what: &str, looked: Result<()>) {
        if let Err(error) = looked {
            self.add("what cannot be read to its end", &format!("{what} ({})", why(&error)));
        }
    }

    fn lines(self) -> Vec<String> {
        let kind = |(what, (mut named, count)): (String, (Vec<String>, usize))| {
            if count > named.len() {
                named.push(format!("{what}: {} more", count - named.len()));
            }
            named
        };
        self.0.into_iter().flat_map(kind).collect()
    }
}

fn faults(connection: &Connection) -> Vec<String> {
    let mut found = Found::default();
    if let Connection::Sqlite(_) = connection {
        let read = each_text(connection, "PRAGMA integrity_check", |line| {
            if line != "ok" {
                found.add("the file is damaged", line);
            }
        });
        found.add_end("all tables", read);
    }
    for (what, sql) in RULES {
        let read = each_text(connection, sql, |place| found.add(what, place));
        found.add_end(what, read);
    }
    records::look(connection, &mut found);
    let read = look_at_newest_event(connection, &mut found);
    found.add_end("the newest event", read);
    if let Err(error) = snapshot::read(connection) {
        found.add("what servers read at their start cannot be read", &why(&error));
    }
    found.lines()
}

fn look_at_newest_event(connection: &Connection, found: &mut Found) -> Result<()> {
    let newest: i64 = connection.query_row(NEWEST_EVENT, (), |row| row.get(0))?;
    let counted = events::last(connection)?;
    if newest > counted {
        found.add("an event behind the last that was counted", &format!("{newest}, counted were {counted}"));
    }
    Ok(())
}

fn each_text(connection: &Connection, sql: &str, mut see: impl FnMut(&str)) -> Result<()> {
    connection.each_row(sql, |row| {
        see(row.text(0)?);
        Ok(())
    })
}

/// An error and what caused it.
fn why(error: &Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}
