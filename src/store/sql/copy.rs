//! Everything that a database holds, into another one: for backups, and for the way from SQLite to PostgreSQL and
//! back. Read as of one commit, beside servers that run; written in one transaction.

use std::fs;
use std::path::Path;

use super::connection::{Connection, OptionalRow};
use super::value::{Error, Result, Value};
use crate::config::StoreConfig;
use crate::store::{StoreError, postgres, sqlite};

/// The tables that hold what is kept, each behind those that it refers to. Left out is what is of a running fleet:
/// servers, their roles, word of their commits, and words of theirs to each other.
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

/// Takes a backup into the store of `config`, which must hold nothing. Answers how many rows it took.
///
/// # Errors
/// When the store holds something or a server has its SQLite file, or the store or the file fails.
pub fn restore(config: &StoreConfig, file: &Path, progress: Progress<'_>) -> std::result::Result<u64, StoreError> {
    let from = StoreConfig { path: file.to_owned(), ..StoreConfig::default() };
    copy_into(&source(&from).map_err(|source| StoreError::failed("read the backup", source))?, config, progress)
}

/// Copies the SQLite file of `config` into its PostgreSQL database, or back, into one that holds nothing.
///
/// # Errors
/// As for [`restore`], and when no PostgreSQL database is configured.
pub fn migrate(
    config: &StoreConfig,
    to_postgres: bool,
    progress: Progress<'_>,
) -> std::result::Result<u64, StoreError> {
    let on_file = StoreConfig { url: Default::default(), ..config.clone() };
    let (from, to) = if to_postgres { (&on_file, config) } else { (config, &on_file) };
    let failed = |source| StoreError::failed("migrate the store", source);
    if config.url.is_empty() {
        return Err(failed(Error::Unavailable("no PostgreSQL database is configured: set store.url".into())));
    }
    // Nobody writes to what is copied: what came after would be lost.
    let _alone = if to_postgres { Some(sqlite::open(&on_file)?.lock) } else { None };
    let from = source(from).map_err(failed)?;
    if !to_postgres {
        refuse_if_served(&from).map_err(failed)?;
    }
    copy_into(&from, to, progress)
}

/// A server that is there writes on.
fn refuse_if_served(connection: &Connection) -> Result<()> {
    let sql = "SELECT url FROM servers WHERE seen_at_ms > extract(epoch FROM now()) * 1000 - 15000 LIMIT 1";
    match connection.query_row(sql, (), |row| row.get::<String>(0)).optional()? {
        Some(url) => Err(Error::Unavailable(format!("the server at {url} uses it: end it first, and any other"))),
        None => Ok(()),
    }
}

/// A connection to a store that is there and up to date, to read.
fn source(config: &StoreConfig) -> Result<Connection> {
    if !config.url.is_empty() {
        let address = postgres::Address::new(config.url.clone(), config.ca_file.clone());
        return address.up_to_date(address.copying_connection()?);
    }
    if !config.path.exists() {
        return Err(Error::Unavailable(format!("there is no database at {}", config.path.display())));
    }
    let busy_timeout = std::time::Duration::from_millis(config.busy_timeout_ms);
    let connection = Connection::Sqlite(sqlite::reading_connection(&config.path, busy_timeout)?);
    let known = sqlite::newest_version();
    let sql = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
    match connection.query_row(sql, (), |row| row.get::<i64>(0)) {
        Ok(version) if version == i64::from(known) => Ok(connection),
        Ok(version) => Err(Error::Unavailable(format!(
            "{} is of another version (schema {version}, this one knows {known}): start a server of this version on it \
             first",
            config.path.display()
        ))),
        Err(_) => Err(Error::Unavailable(format!("{} is no database of issuecommand", config.path.display()))),
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

fn copy_into(from: &Connection, config: &StoreConfig, progress: Progress<'_>) -> std::result::Result<u64, StoreError> {
    let failed = |source| StoreError::failed("copy the store", source);
    if config.url.is_empty() {
        let opened = sqlite::open(config)?;
        return copy(from, &Connection::Sqlite(opened.connection), progress).map_err(failed);
    }
    let address = postgres::Address::new(config.url.clone(), config.ca_file.clone());
    address.migrate()?;
    copy(from, &address.copying_connection().map_err(failed)?, progress).map_err(failed)
}

/// Copies every row, as of one commit; all of them, or none.
fn copy(from: &Connection, to: &Connection, progress: Progress<'_>) -> Result<u64> {
    from.as_of_one_commit(|| {
        // Servers that begin meanwhile wait with their writes, and read everything anew.
        to.run(match to {
            Connection::Sqlite(_) => "BEGIN IMMEDIATE",
            Connection::Postgres(_) => postgres::BEGIN,
        })?;
        let copied = copy_rows(from, to, progress);
        match copied {
            Ok(count) => to.run("COMMIT").map(|()| count),
            Err(error) => {
                to.run("ROLLBACK")?;
                Err(error)
            }
        }
    })
}

fn copy_rows(from: &Connection, to: &Connection, progress: Progress<'_>) -> Result<u64> {
    let count = |connection: &Connection, table: &str| -> Result<u64> {
        let sql = format!("SELECT count(*) FROM {table}");
        connection.query_row(&sql, (), |row| row.get::<i64>(0)).map(|count| count.unsigned_abs())
    };
    for table in TABLES {
        if count(to, table)? > 0 {
            return Err(Error::Unavailable(format!("the store holds something already (in {table})")));
        }
    }
    let total = TABLES.iter().map(|table| count(from, table)).sum::<Result<u64>>()?;
    let mut done = 0;
    for table in TABLES {
        copy_table(from, to, table, &mut || {
            done += 1;
            progress(done, total);
        })?;
    }
    count_on(from, to)?;
    Ok(total)
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
    let mut select = from.prepare_cached(&format!("SELECT {names} FROM {table}"))?;
    let rows = select.query_map((), |row| (0..columns.len()).map(|column| row.value(column)).collect())?;
    for row in rows {
        let row: Vec<Value<'static>> = row?;
        insert.execute(row)?;
        one_more();
    }
    Ok(())
}

/// Has the numbers that are counted go on behind those that were ever given.
fn count_on(from: &Connection, to: &Connection) -> Result<()> {
    let newest_event = super::events::last(from)?;
    match to {
        Connection::Sqlite(_) => {
            to.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", ())?;
            to.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)", [newest_event])?;
        }
        Connection::Postgres(_) => {
            to.execute(postgres::LEAP, ())?;
            to.execute("UPDATE event_count SET newest = ?1", [newest_event])?;
            for (table, column) in COUNTED {
                let sql = format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', '{column}'), coalesce(max({column}), 0) + 1, false) \
                     FROM {table}"
                );
                to.query_row(&sql, (), |row| row.get::<i64>(0))?;
            }
        }
    }
    Ok(())
}
