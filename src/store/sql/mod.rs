//! The store on a database that speaks SQL: SQLite for one server, PostgreSQL for several.
//!
//! One thread writes ([`writer`]): it takes whatever waits, runs it in one transaction, commits with the
//! disk's word for it, shows the changes to the observer and only then answers. Reads run beside it on
//! connections of their own ([`readers`]) and see every answered write. The statements are the same for both
//! databases ([`connection`]); what differs between them is small ([`engine`]).

mod approvals;
mod blockers;
mod check;
mod claims;
mod columns;
pub(in crate::store) mod connection;
mod copy;
mod decisions;
pub(in crate::store) mod engine;
mod events;
mod follow_up_import;
mod follow_ups;
mod hand_over;
mod history;
mod import;
mod issues;
pub(in crate::store) mod lineage;
mod lists;
mod operator;
mod past;
mod places;
mod policies;
mod port;
mod pulls;
mod readers;
mod repos;
mod roles;
mod run_log;
mod run_words;
mod runs;
mod signals;
mod snapshot;
#[cfg(test)]
mod tests;
mod tokens;
pub(in crate::store) mod value;
mod writer;

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::connection::Connection;
use self::engine::{Engine, News, Source};
use super::postgres;
use super::sqlite::{self, Opened};
use super::{CommitObserver, StoreError};
use crate::config::StoreConfig;

pub use check::check;
pub use copy::{Progress, backup, migrate, reopen, restore};
pub use lineage::Moved;
pub(in crate::store) use writer::Looker;

/// An open database.
#[derive(Debug)]
pub struct SqlStore {
    readers: readers::Readers,
    writer: writer::Writer,
    /// Its name among the servers of the database.
    server: String,
    /// Holds the note of where it is reached, where no SQLite file does.
    noted: parking_lot::Mutex<Option<File>>,
}

/// The name of the one server that a SQLite file has: one that was killed leaves its roles to the next at once.
const ONLY_SERVER: &str = "only";

/// How long a server waits for a command that has the SQLite file.
const COMMAND_PATIENCE: Duration = Duration::from_secs(3);
const COMMAND_PAUSE: Duration = Duration::from_millis(20);

impl SqlStore {
    /// Opens the database, or makes it (a SQLite file is readable by its owner only), and brings its schema up to
    /// date. `observer` learns of every commit. A command that has the SQLite file for a moment is waited for.
    /// Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another server has the SQLite file; [`StoreError::Failed`] when it cannot be opened,
    /// belongs to a newer version or another program, or does not take the settings that durability needs.
    pub fn open(config: &StoreConfig, observer: Arc<dyn CommitObserver>) -> Result<Self, StoreError> {
        if config.url.is_empty() {
            let begun = Instant::now();
            loop {
                match Self::on_sqlite(config, Arc::clone(&observer)) {
                    // Only a server notes where it is reached.
                    Err(StoreError::InUse { .. })
                        if Self::noted_address(config).is_none() && begun.elapsed() < COMMAND_PATIENCE =>
                    {
                        std::thread::sleep(COMMAND_PAUSE);
                    }
                    opened => return opened,
                }
            }
        }
        postgres::Address::new(config.url.clone(), config.ca_file.clone()).migrate()?;
        Self::on_postgres(config, observer)
    }

    /// As [`SqlStore::open`], for a command. What is kept is measured by the configuration of servers, not by the
    /// command's; and a PostgreSQL database is theirs, and not brought up to date for a command.
    ///
    /// # Errors
    /// As for [`SqlStore::open`], and when a PostgreSQL database is of another version.
    pub fn open_for_command(config: &StoreConfig, observer: Arc<dyn CommitObserver>) -> Result<Self, StoreError> {
        let all_stays = StoreConfig {
            history_max_entries: usize::MAX,
            event_max_entries: usize::MAX,
            decision_max_entries: usize::MAX,
            follow_up_max_entries: usize::MAX,
            delivery_max_entries: usize::MAX,
            ..config.clone()
        };
        if config.url.is_empty() {
            return Self::on_sqlite(&all_stays, observer);
        }
        Self::on_postgres(&all_stays, observer)
    }

    fn on_sqlite(config: &StoreConfig, observer: Arc<dyn CommitObserver>) -> Result<Self, StoreError> {
        let Opened { connection, lock, path, busy_timeout } = sqlite::open(config)?;
        let (connection, source) = (Connection::Sqlite(connection), Source::Sqlite { path, busy_timeout });
        Self::start(config, connection, Engine::Sqlite(lock), source, observer, ONLY_SERVER.to_owned())
    }

    fn on_postgres(config: &StoreConfig, observer: Arc<dyn CommitObserver>) -> Result<Self, StoreError> {
        let failed = |source| StoreError::failed("open the database", source);
        let address = postgres::Address::new(config.url.clone(), config.ca_file.clone());
        let connection = address.writing_connection().and_then(|it| address.up_to_date(it)).map_err(failed)?;
        let commits = postgres::Commits::from_now(address.clone(), &connection).map_err(failed)?;
        let (source, server) = (Source::Postgres(address.clone()), uuid::Uuid::now_v7().to_string());
        let store = Self::start(config, connection, Engine::Postgres(commits), source, observer, server)?;
        if let Some(looker) = store.writer.looker() {
            postgres::listen(address, looker).map_err(|source| StoreError::failed("listen to the database", source))?;
        }
        Ok(store)
    }

    fn start(
        config: &StoreConfig,
        connection: Connection,
        engine: Engine,
        source: Source,
        observer: Arc<dyn CommitObserver>,
        server: String,
    ) -> Result<Self, StoreError> {
        lineage::refuse_if_moved(&connection).map_err(|source| StoreError::failed("open the database", source))?;
        let mut engine = engine;
        let trim = history::Trim::new(config);
        let prepared = engine.begin(&connection).and_then(|news| {
            if let News::Changes(news) = news {
                news.into_iter().for_each(|(seq, changes)| observer.committed_as(seq, changes));
            }
            if let Connection::Sqlite(_) = connection {
                blockers::read_unread_texts(&connection)?;
            }
            trim.all(&connection, events::last(&connection)?)?;
            engine.commit(&connection, &[])
        });
        prepared.map_err(|source| StoreError::failed("trim the database's history", source))?;
        let writer = writer::Writer::start(connection, engine, trim, observer)
            .map_err(|source| StoreError::failed("start the store's writer", source))?;
        Ok(Self { readers: readers::Readers::new(source), writer, server, noted: Default::default() })
    }

    /// Notes where this server can be reached, for commands on this machine: beside the database, or where a SQLite
    /// file would be. Where several servers share a PostgreSQL database and a folder, the first one is found.
    ///
    /// # Errors
    /// When the note cannot be written.
    pub fn note_address(&self, config: &StoreConfig, address: &str) -> std::io::Result<()> {
        let file = sqlite::lock_file(&config.path);
        if !config.url.is_empty() {
            match sqlite::hold(&file) {
                Ok(lock) => *self.noted.lock() = Some(lock),
                Err(TryLockError::WouldBlock) => return Ok(()),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        std::fs::write(file, address)
    }

    /// Where the server that has this database in use said it can be reached.
    pub fn noted_address(config: &StoreConfig) -> Option<String> {
        let note = std::fs::read_to_string(sqlite::lock_file(&config.path)).ok()?;
        Some(note.trim().to_owned()).filter(|note| !note.is_empty())
    }

    /// The same, where a server has it open now. Makes no file.
    pub fn address_in_use(config: &StoreConfig) -> Option<String> {
        if Self::is_in_use(config) { Self::noted_address(config) } else { None }
    }

    /// Whether a server of this machine has it open now, or a command for a moment. Makes no file.
    pub fn is_in_use(config: &StoreConfig) -> bool {
        sqlite::is_in_use(&config.path)
    }

    /// Finishes what is queued, closes the database and gives up its lock. Later calls answer
    /// [`StoreError::Closed`]. Dropping the store does the same. Blocks.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for SqlStore {
    fn drop(&mut self) {
        self.close();
    }
}
