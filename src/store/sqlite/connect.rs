//! Opening the database: the lock, the file, the settings that durability rests on, the migrations.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::StoreError;
use crate::config::StoreConfig;

mod embedded {
    refinery::embed_migrations!("src/store/sqlite/migrations");
}

/// The first SQLite without the WAL-reset bug, which could corrupt a database: 3.51.3
/// (<https://sqlite.org/wal.html>).
const SQLITE_VERSION_MIN: i32 = 3_051_003;
/// What `PRAGMA synchronous` answers for FULL: every commit is on the disk when it returns.
const SYNCHRONOUS_FULL: i64 = 2;
/// Journal modes with which a crash loses nothing. MEMORY and OFF are not among them.
const JOURNAL_MODES: [&str; 4] = ["wal", "delete", "truncate", "persist"];
/// Statements kept prepared on each connection; there are fewer.
const STATEMENT_CACHE_COUNT: usize = 64;
/// Where refinery notes which migrations ran (its own default name).
pub(super) const MIGRATION_TABLE: &str = "refinery_schema_history";

/// An opened database: nobody else has it.
#[derive(Debug)]
pub(in crate::store) struct Opened {
    /// The connection that writes.
    pub(in crate::store) connection: Connection,
    /// Held exclusively for as long as this lives.
    pub(in crate::store) lock: File,
    /// The database file.
    pub(in crate::store) path: PathBuf,
    /// How long to wait for a lock.
    pub(in crate::store) busy_timeout: Duration,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("{path} cannot be used; check that its directory exists and may be written to")]
    File { path: PathBuf, source: io::Error },
    #[error("{path} is a link that points to nothing; make what it points to ({target}), or set another store.path")]
    LinkToNothing { path: PathBuf, target: PathBuf },
    #[error("SQLite {found} may corrupt its write-ahead log; 3.51.3 or newer is needed")]
    SqliteTooOld { found: &'static str },
    #[error(
        "store.journal_mode {mode:?} cannot be used: a crash could lose claims; use WAL, DELETE, TRUNCATE or PERSIST"
    )]
    JournalMode { mode: String },
    #[error(
        "{path} does not take PRAGMA {pragma} = {wanted} (it answers {found}): is its file system a network share?"
    )]
    PragmaRefused { path: PathBuf, pragma: &'static str, wanted: String, found: String },
    #[error(
        "{path} was written by a newer issuecommand (schema {found}, this one knows {known}): upgrade issuecommand"
    )]
    Newer { path: PathBuf, found: i32, known: i32 },
    #[error(
        "{path} is the database of another program, or of IssueCommand's first edition: set store.path (SQLITE_PATH) to a new file; `issuecommand import {path}` takes a first edition's claims over"
    )]
    Foreign { path: PathBuf },
    #[error("failed to bring {path} up to date")]
    Migration { path: PathBuf, source: Box<refinery::Error> },
    #[error("failed to set {path} up")]
    Database { path: PathBuf, source: rusqlite::Error },
}

/// Opens the database for writing, alone, with its schema up to date. Blocks.
///
/// # Errors
/// [`StoreError::InUse`] when another server has it; [`StoreError::Failed`] with what to do otherwise.
pub(in crate::store) fn open(config: &StoreConfig) -> Result<Opened, StoreError> {
    if rusqlite::version_number() < SQLITE_VERSION_MIN {
        return Err(failed(OpenError::SqliteTooOld { found: rusqlite::version() }));
    }
    let path = database_file(&config.path).map_err(|source| match fs::read_link(&config.path) {
        Ok(target) if source.kind() == io::ErrorKind::NotFound => {
            failed(OpenError::LinkToNothing { path: config.path.clone(), target })
        }
        _ => file_error(&config.path, source),
    })?;
    let lock = lock(&path)?;
    let busy_timeout = Duration::from_millis(config.busy_timeout_ms);
    let connection = writing_connection(&path, config).map_err(failed)?;
    Ok(Opened { connection, lock, path, busy_timeout })
}

/// A connection that sees the last commit and cannot write.
pub(in crate::store) fn reading_connection(path: &Path, busy_timeout: Duration) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_COUNT);
    Ok(connection)
}

/// Makes the file if there is none, for its owner's eyes only, and follows links to it: one database
/// has one lock, whatever it is called by.
fn database_file(path: &Path) -> io::Result<PathBuf> {
    match private_file().create_new(true).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::canonicalize(path),
    }
}

fn private_file() -> fs::OpenOptions {
    let mut options = File::options();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// The lock beside a database, by whatever name that is called.
pub(in crate::store) fn lock_file(path: &Path) -> PathBuf {
    beside(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()))
}

/// Whether a server has the database open. Looks only, and leaves nothing behind.
pub(in crate::store) fn is_in_use(path: &Path) -> bool {
    let lock = File::open(lock_file(path));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn beside(path: &Path) -> PathBuf {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    lock_path.into()
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = beside(path);
    match hold(&lock_path) {
        Ok(file) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.display().to_string() }),
        Err(TryLockError::Error(source)) => Err(file_error(&lock_path, source)),
    }
}

/// Takes a lock file for as long as the process runs, or the file is held.
///
/// # Errors
/// `WouldBlock` when another process has it.
pub(in crate::store) fn hold(lock_path: &Path) -> Result<File, TryLockError> {
    let file = private_file().create(true).truncate(false).open(lock_path).map_err(TryLockError::Error)?;
    file.try_lock()?;
    // What a server before noted there holds no more.
    file.set_len(0).map_err(TryLockError::Error)?;
    Ok(file)
}

fn writing_connection(path: &Path, config: &StoreConfig) -> Result<Connection, OpenError> {
    let database = |source| OpenError::Database { path: path.to_owned(), source };
    let mode = config.journal_mode.trim().to_ascii_lowercase();
    if !JOURNAL_MODES.contains(&mode.as_str()) {
        return Err(OpenError::JournalMode { mode: config.journal_mode.clone() });
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(database)?;
    connection.busy_timeout(Duration::from_millis(config.busy_timeout_ms)).map_err(database)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_COUNT);
    // Before anything is set: even the journal mode would change somebody else's file.
    check_schema(&connection, path)?;

    let refused = |pragma, wanted: &str, found: String| {
        Err(OpenError::PragmaRefused { path: path.to_owned(), pragma, wanted: wanted.to_owned(), found })
    };
    let journal: String =
        connection.pragma_update_and_check(None, "journal_mode", &mode, |row| row.get(0)).map_err(database)?;
    if journal != mode {
        return refused("journal_mode", &mode, journal);
    }
    connection.pragma_update(None, "synchronous", "FULL").map_err(database)?;
    let synchronous: i64 = connection.pragma_query_value(None, "synchronous", |row| row.get(0)).map_err(database)?;
    if synchronous != SYNCHRONOUS_FULL {
        return refused("synchronous", "FULL", synchronous.to_string());
    }
    connection.pragma_update(None, "foreign_keys", true).map_err(database)?;
    let foreign_keys: bool = connection.pragma_query_value(None, "foreign_keys", |row| row.get(0)).map_err(database)?;
    if !foreign_keys {
        return refused("foreign_keys", "ON", "OFF".to_owned());
    }
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// The schema that this version makes.
pub(in crate::store) fn newest_version() -> i32 {
    let migrations = embedded::migrations::runner();
    migrations.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

/// Refuses a database that is not ours, or of a newer version.
fn check_schema(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let path = || path.to_owned();
    let known = newest_version();
    match schema_version(connection).map_err(|source| OpenError::Database { path: path(), source })? {
        Schema::Foreign => Err(OpenError::Foreign { path: path() }),
        Schema::Version(found) if found > known => Err(OpenError::Newer { path: path(), found, known }),
        Schema::Empty | Schema::Version(_) => Ok(()),
    }
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    // Numbers are given out before they are used, so one may be missing, or come later than a higher one.
    let done = embedded::migrations::runner().set_abort_missing(false).run(connection);
    done.map(|_| ()).map_err(|source| OpenError::Migration { path: path.to_owned(), source: Box::new(source) })
}

/// What a database holds before migration.
enum Schema {
    /// Nothing.
    Empty,
    /// Ours, of this version.
    Version(i32),
    /// Somebody else's tables.
    Foreign,
}

fn schema_version(connection: &Connection) -> rusqlite::Result<Schema> {
    let ours = connection.table_exists(None, MIGRATION_TABLE)?;
    if ours {
        let newest = format!("SELECT coalesce(max(version), 0) FROM {MIGRATION_TABLE}");
        return connection.query_row(&newest, [], |row| row.get(0)).map(Schema::Version);
    }
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if tables == 0 { Schema::Empty } else { Schema::Foreign })
}

fn file_error(path: &Path, source: io::Error) -> StoreError {
    failed(OpenError::File { path: path.to_owned(), source })
}

fn failed(source: OpenError) -> StoreError {
    StoreError::failed("open the database", source)
}
