//! Everything that a database holds, into another one: for backups, and for the way from SQLite to PostgreSQL and
//! back. A backup is read as of one commit, beside servers that run; what is left for another store is read while
//! nobody writes to it, and marked ([`hand_over`]). All is written in one transaction.

use std::fs;
use std::path::Path;

use super::connection::Connection;
use super::hand_over::{hand_over, refuse_if_in_use};
use super::lineage::{self, Moved};
use super::value::{Error, Result, Value};
use crate::config::StoreConfig;
use crate::store::{StoreError, postgres, sqlite};

/// The tables that hold what is kept, each behind those that it refers to. Left out is what is of a running fleet:
/// servers, their roles, word of their commits, and words of theirs to each other; and a store's own lineage.
const TABLES: [&str; 35] = [
    "repos",
    "cursors",
    "issues",
    "issue_bodies",
    "lease_epochs",
    "claims",
    "claim_signals",
    "decisions",
    "issue_versions",
    "events",
    "agents",
    "follow_ups",
    "follow_up_sources",
    "deliveries",
    "pulls",
    "list_cursors",
    "repo_marks",
    "tokens",
    "blockers",
    "dependency_readings",
    "approvals",
    "label_readings",
    "issue_places",
    "past_pulls",
    "place_sources",
    "notices",
    "policy_sets",
    "policy_component_pieces",
    "policy_components",
    "trial_hours",
    "disagreements",
    "runs",
    "run_usage",
    "run_log",
    "dispatch_pause",
];

/// The numbers that PostgreSQL counts by itself, and goes on to count behind what is copied.
const COUNTED: [(&str, &str); 6] = [
    ("decisions", "seq"),
    ("follow_up_sources", "seq"),
    ("deliveries", "seq"),
    ("notices", "notice_id"),
    ("policy_sets", "set_id"),
    ("disagreements", "disagreement_id"),
];

const COLUMNS_OF_SQLITE: &str = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
const COLUMNS_OF_POSTGRES: &str = "SELECT column_name::text FROM information_schema.columns \
     WHERE table_schema = current_schema() AND table_name = ?1 ORDER BY ordinal_position";

/// Told how many rows of how many are done.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// Writes everything that the store of `config` holds into a new SQLite file, while servers go on. The file is there
/// whole, or not at all; it is its owner's alone. Answers how many rows it holds.
///
/// # Errors
/// When there is such a file, or the store or the file fails.
pub fn backup(config: &StoreConfig, file: &Path, progress: Progress<'_>) -> std::result::Result<u64, StoreError> {
    let failed = |source| StoreError::failed("write the backup", source);
    if file.exists() {
        return Err(failed(Error::Unavailable(format!("{} is there already: name a new file", file.display()))));
    }
    let from = source(config).map_err(failed)?;
    let mut draft = file.as_os_str().to_owned();
    draft.push(".part");
    let draft = Path::new(&draft);
    let done = into_file(&from, draft, progress).and_then(|count| {
        fs::rename(draft, file).map_err(|source| StoreError::failed("name the backup", source)).map(|()| count)
    });
    let _ = fs::remove_file(sqlite::lock_file(draft));
    if done.is_err() {
        let _ = fs::remove_file(draft);
    }
    done
}

/// Takes a backup into the store of `config`, which must hold nothing, or nothing that counts: all that it held was
/// moved elsewhere. Answers how many rows it holds then.
///
/// # Errors
/// When the store holds something or a server has its SQLite file, or the store or the file fails.
pub fn restore(config: &StoreConfig, file: &Path, progress: Progress<'_>) -> std::result::Result<u64, StoreError> {
    let from = StoreConfig { path: file.to_owned(), ..StoreConfig::default() };
    let from = source(&from).map_err(|source| StoreError::failed("read the backup", source))?;
    let to = Writable::made(config)?;
    copy(&from, &to.connection, progress).map_err(|source| StoreError::failed("copy the store", source))
}

/// Moves the contents of the SQLite file of `config` into its PostgreSQL database, or back, into one that holds
/// nothing, or nothing that counts. Nobody writes to the store that is left, from before the first row is read: its
/// servers are refused for ever after, and so is who opens it.
///
/// # Errors
/// As for [`restore`], and when no PostgreSQL database is configured, or a server uses the store that is to be left.
pub fn migrate(
    config: &StoreConfig,
    to_postgres: bool,
    progress: Progress<'_>,
) -> std::result::Result<u64, StoreError> {
    let failed = |source| StoreError::failed("migrate the store", source);
    if config.url.is_empty() {
        return Err(failed(Error::Unavailable("no PostgreSQL database is configured: set store.url".into())));
    }
    let on_file = StoreConfig { url: Default::default(), ..config.clone() };
    let (from, to) = if to_postgres { (&on_file, config) } else { (config, &on_file) };
    let from = Writable::there(from)?;
    // Before anything is made; and once more when nobody else can write.
    refuse_if_in_use(&from.connection).map_err(failed)?;
    hand_over(&from, &Writable::made(to)?, progress).map_err(failed)
}

/// Goes on with a store whose contents were moved elsewhere, or that was put back by other means than [`restore`]:
/// takes the mark off, and has it count behind all that was given out meanwhile. Answers where its contents were moved.
///
/// # Errors
/// When a server has the SQLite file, or the store fails or is not there.
pub fn reopen(config: &StoreConfig) -> std::result::Result<Option<Moved>, StoreError> {
    let failed = |source| StoreError::failed("reopen the store", source);
    let Writable { connection, .. } = &Writable::there(config)?;
    let reopened = in_transaction(connection, || {
        let moved = lineage::moved(connection)?;
        lineage::unmark(connection)?;
        lineage::leap(connection, connection)?;
        Ok(moved)
    });
    reopened.map_err(failed)
}

/// A store that is up to date, to write. A SQLite file is nobody else's meanwhile.
pub(super) struct Writable {
    pub(super) connection: Connection,
    /// What it is called, without a password.
    pub(super) name: String,
    /// Where PostgreSQL is.
    address: Option<postgres::Address>,
    _lock: Option<fs::File>,
}

impl Writable {
    /// One that is there.
    fn there(config: &StoreConfig) -> std::result::Result<Self, StoreError> {
        if config.url.is_empty() && !config.path.exists() {
            return Err(StoreError::failed("open the database", no_file(&config.path)));
        }
        Self::open(config)
    }

    /// One that is made where there is none.
    fn made(config: &StoreConfig) -> std::result::Result<Self, StoreError> {
        if !config.url.is_empty() {
            postgres::Address::new(config.url.clone(), config.ca_file.clone()).migrate()?;
        }
        Self::open(config)
    }

    fn open(config: &StoreConfig) -> std::result::Result<Self, StoreError> {
        if config.url.is_empty() {
            let sqlite::Opened { connection, lock, path, .. } = sqlite::open(config)?;
            let name = format!("the SQLite file {}", path.display());
            return Ok(Self { connection: Connection::Sqlite(connection), name, address: None, _lock: Some(lock) });
        }
        let address = postgres::Address::new(config.url.clone(), config.ca_file.clone());
        let connection = address.copying_connection().and_then(|connection| address.up_to_date(connection));
        let connection = connection.map_err(|source| StoreError::failed("open the database", source))?;
        Ok(Self { connection, name: address.shown(), address: Some(address), _lock: None })
    }

    /// Works on it once more, whatever became of the connection. What was under way there has ended by then, one way or
    /// the other: until it has, it holds the lock of writers.
    pub(super) fn anew<T>(&self, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        match &self.address {
            None => in_transaction(&self.connection, || work(&self.connection)),
            Some(address) => {
                let connection = address.copying_connection()?;
                in_transaction(&connection, || work(&connection))
            }
        }
    }
}

fn no_file(path: &Path) -> Error {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    Error::Unavailable(format!("there is no database at {}", path.display()))
}

/// A connection to a store that is there and up to date, to read.
pub(super) fn source(config: &StoreConfig) -> Result<Connection> {
    if !config.url.is_empty() {
        let address = postgres::Address::new(config.url.clone(), config.ca_file.clone());
        let connection = address.up_to_date(address.copying_connection()?)?;
        return lineage::refuse_if_moved(&connection).map(|()| connection);
    }
    if !config.path.exists() {
        return Err(no_file(&config.path));
    }
    let busy_timeout = std::time::Duration::from_millis(config.busy_timeout_ms);
    let connection = Connection::Sqlite(sqlite::reading_connection(&config.path, busy_timeout)?);
    let known = sqlite::newest_version();
    let sql = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    match connection.query_row(sql, (), |row| row.get::<i64>(0)) {
        Ok(version) if version == i64::from(known) => lineage::refuse_if_moved(&connection).map(|()| connection),
        Ok(version) => Err(Error::Unavailable(format!(
            "{} is of another version (schema {version}, this one knows {known}): start a server of this version on it \
             first",
            config.path.display()
        ))),
        Err(error) => Err(Error::Unavailable(format!(
            "{} is no database of issuecommand, or damaged: {error}",
            config.path.display()
        ))),
    }
}

fn into_file(from: &Connection, file: &Path, progress: Progress<'_>) -> std::result::Result<u64, StoreError> {
    let _ = fs::remove_file(file);
    // One file, not three.
    let config = StoreConfig { path: file.to_owned(), journal_mode: "DELETE".into(), ..StoreConfig::default() };
    let opened = sqlite::open(&config)?;
    copy(from, &Connection::Sqlite(opened.connection), progress)
        .map_err(|source| StoreError::failed("write the backup", source))
}

/// Copies every row, as of one commit; all of them, or none.
fn copy(from: &Connection, to: &Connection, progress: Progress<'_>) -> Result<u64> {
    from.as_of_one_commit(|| in_transaction(to, || copy_rows(from, to, progress)))
}

/// Runs `work` in a transaction that nobody else writes beside; keeps what it did, or nothing of it.
pub(super) fn in_transaction<T>(connection: &Connection, work: impl FnOnce() -> Result<T>) -> Result<T> {
    begin(connection)?;
    let done = work().and_then(|done| connection.run("COMMIT").map(|()| done));
    done.inspect_err(|_| undo(connection))
}

/// Servers that begin meanwhile wait with their writes, and read everything anew.
pub(super) fn begin(connection: &Connection) -> Result<()> {
    connection.run(match connection {
        Connection::Sqlite(_) => "BEGIN IMMEDIATE",
        Connection::Postgres(_) => postgres::BEGIN,
    })
}

pub(super) fn undo(connection: &Connection) {
    if connection.is_in_transaction() {
        // One that cannot be said ends with the connection.
        let _ = connection.run("ROLLBACK");
    }
}

pub(super) fn copy_rows(from: &Connection, to: &Connection, progress: Progress<'_>) -> Result<u64> {
    let count = |connection: &Connection, table: &str| -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, (), |row| row.get::<i64>(0)).map(|count| count.unsigned_abs())
    };
    let total = TABLES.iter().map(|table| count(from, table)).sum::<Result<u64>>()?;
    if let Some(moved) = lineage::moved(to)? {
        refuse_if_never_moved(from, total, &moved)?;
        empty(to)?;
    }
    for table in TABLES {
        if count(to, table)? > 0 {
            return Err(Error::Unavailable(format!("the store holds something already (in {table})")));
        }
    }
    let mut done = 0;
    for table in TABLES {
        copy_table(from, to, table, &mut || {
            done += 1;
            progress(done, total);
        })?;
    }
    count_on(to)?;
    lineage::leap(from, to)?;
    // With where epochs begin on issues that nobody had, so that a backup of them is restored as as many.
    TABLES.iter().map(|table| count(to, table)).sum()
}

/// Refuses to put the `total` rows of `from` in the place of what it never received. A backup is a copy as well; an empty
/// store is one only if somebody reopened it.
fn refuse_if_never_moved(from: &Connection, total: u64, moved: &Moved) -> Result<()> {
    if total > 0 && lineage::counted_from(from)? > 0 {
        return Ok(());
    }
    Err(Error::Unavailable(format!(
        "the store that would be replaced is marked as moved to {}, and nothing ever arrived here: a move was broken off, \
         and all is there still. Go on there after `issuecommand store reopen`, with a configuration that names it \
         (store.url and store.path say which is used)",
        moved.to
    )))
}

/// Forgets what was moved elsewhere, and that it was.
fn empty(store: &Connection) -> Result<()> {
    let of_sqlite: &[&str] = if let Connection::Sqlite(_) = store { &["texts_unread"] } else { &[] };
    for table in TABLES.iter().rev().chain(&["run_words"]).chain(of_sqlite) {
        store.execute(&format!("DELETE FROM {table}"), ())?;
    }
    lineage::unmark(store)
}

fn copy_table(from: &Connection, to: &Connection, table: &str, one_more: &mut dyn FnMut()) -> Result<()> {
    let sql = match from {
        Connection::Sqlite(_) => COLUMNS_OF_SQLITE,
        Connection::Postgres(_) => COLUMNS_OF_POSTGRES,
    };
    let mut statement = from.prepare_cached(sql)?;
    let columns = statement.query_map([table], |row| row.get::<String>(0))?.collect::<Result<Vec<_>>>()?;
    let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
    let names = columns.join(", ");
    let mut insert = to.prepare_cached(&format!("INSERT INTO {table} ({names}) VALUES ({})", places.join(", ")))?;
    from.each_row(&format!("SELECT {names} FROM {table}"), |row| {
        let row: Vec<Value<'static>> = (0..columns.len()).map(|column| row.value(column)).collect::<Result<_>>()?;
        insert.execute(row)?;
        one_more();
        Ok(())
    })
}

/// Has PostgreSQL count on behind the numbers that were copied; SQLite does so by itself.
fn count_on(to: &Connection) -> Result<()> {
    let Connection::Postgres(_) = to else { return Ok(()) };
    for (table, column) in COUNTED {
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false) \
             FROM {table}"
        );
        to.query_row(&sql, (), |row| row.get::<i64>(0))?;
    }
    Ok(())
}
