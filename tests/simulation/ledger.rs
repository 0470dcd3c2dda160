//! What the database says, read past the server by a connection of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row as Sql};

/// A repository and a number.
pub type Place = (String, u64);

/// A claim as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub place: Place,
    pub agent: String,
    pub status: String,
    pub active: bool,
    pub epoch: u64,
}

/// An event as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    pub seq: u64,
    pub kind: String,
    pub claim: Option<String>,
}

/// Everything the oracle looks at.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub claims: BTreeMap<String, Row>,
    pub epochs: BTreeMap<Place, u64>,
    /// Whether each issue is open.
    pub issues: BTreeMap<Place, bool>,
    /// Open issues with the label that the rules may keep back.
    pub on_hold: BTreeSet<Place>,
    /// Events after those of the ledger before.
    pub events: Vec<EventRow>,
}

const CLAIMS: &str =
    "SELECT claim_id, repo, number, agent_id, status, active, json_extract(record, '$.lease.epoch') FROM claims";
const EPOCHS: &str = "SELECT repo, number, epoch FROM lease_epochs";
const ISSUES: &str = "SELECT repo, number, open, labels LIKE '%\"hold\"%' FROM issues";
const FREE: &str = "SELECT repo, number FROM issues WHERE open = 1 AND NOT EXISTS (SELECT 1 FROM claims \
     WHERE claims.repo = issues.repo AND claims.number = issues.number AND active = 1) AND NOT EXISTS (SELECT 1 \
     FROM lease_epochs WHERE lease_epochs.repo = issues.repo AND lease_epochs.number = issues.number AND finished = 1)";
const EVENTS: &str = "SELECT seq, json_extract(record, '$.type'), json_extract(record, '$.claim_id') FROM events \
     WHERE seq > ?1 ORDER BY seq";

/// The connection.
#[derive(Debug)]
pub struct Book(Connection);

impl Book {
    pub fn open(path: &Path) -> Self {
        let book = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        book.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        Self(book)
    }

    /// What is there now, with the events after `seq`.
    pub fn read(&self, seq: u64) -> Ledger {
        let place = |row: &Sql<'_>, at: usize| Ok::<_, rusqlite::Error>((row.get(at)?, natural(row, at + 1)?));
        let mut ledger = Ledger::default();
        self.each(CLAIMS, [], |row| {
            let claim = Row {
                place: place(row, 1)?,
                agent: row.get(3)?,
                status: row.get(4)?,
                active: row.get(5)?,
                epoch: natural(row, 6)?,
            };
            ledger.claims.insert(row.get(0)?, claim);
            Ok(())
        });
        self.each(EPOCHS, [], |row| Ok(_ = ledger.epochs.insert(place(row, 0)?, natural(row, 2)?)));
        self.each(ISSUES, [], |row| {
            ledger.issues.insert(place(row, 0)?, row.get(2)?);
            if row.get(3)? {
                ledger.on_hold.insert(place(row, 0)?);
            }
            Ok(())
        });
        self.each(EVENTS, [i64::try_from(seq).unwrap()], |row| {
            ledger.events.push(EventRow { seq: natural(row, 0)?, kind: row.get(1)?, claim: row.get(2)? });
            Ok(())
        });
        ledger
    }

    /// Open issues that nobody holds and whose work is not done.
    pub fn free(&self) -> Vec<Place> {
        let mut free = Vec::new();
        self.each(FREE, [], |row| {
            free.push((row.get(0)?, natural(row, 1)?));
            Ok(())
        });
        free
    }

    /// Runs statements on the file: how faults of the disk are made, and bugs are planted.
    pub fn run(&self, sql: &str) {
        self.0.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    fn each(&self, sql: &str, params: impl rusqlite::Params, mut read: impl FnMut(&Sql<'_>) -> rusqlite::Result<()>) {
        let mut statement = self.0.prepare_cached(sql).unwrap();
        let mut rows = statement.query(params).unwrap();
        while let Some(row) = rows.next().unwrap() {
            read(row).unwrap();
        }
    }
}

fn natural(row: &Sql<'_>, at: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(at)?).unwrap())
}
