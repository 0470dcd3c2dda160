//! What differs between the databases: how a transaction begins and ends, and where connections come from.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::super::{Change, postgres, sqlite};
use super::connection::Connection;
use super::value::Result;

/// What other servers committed since this one last looked.
#[derive(Debug)]
pub(crate) enum News {
    /// These changes, in order, each commit's under its number.
    Changes(Vec<(u64, Vec<Change>)>),
    /// More than is kept: this server was away for too long.
    TooMuch,
}

/// How the one writing connection goes about a transaction.
#[derive(Debug)]
pub(crate) enum Engine {
    /// Its lock file keeps a second server out.
    Sqlite(#[allow(dead_code, reason = "held for as long as this lives")] File),
    /// The servers of one database write one after the other.
    Postgres(postgres::Commits),
}

impl Engine {
    /// A connection that can be used, in the place of one that was lost.
    pub(super) fn mend(&mut self, connection: &mut Connection) -> Result<()> {
        match self {
            Self::Postgres(commits) if connection.is_lost() => {
                *connection = commits.connect()?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Begins a transaction; answers what other servers committed since this one last looked.
    pub(super) fn begin(&mut self, connection: &Connection) -> Result<News> {
        match self {
            Self::Sqlite(_) => connection.run("BEGIN IMMEDIATE").map(|()| News::Changes(Vec::new())),
            Self::Postgres(commits) => commits.begin(connection),
        }
    }

    /// What other servers committed since this one last looked.
    pub(super) fn catch_up(&mut self, connection: &mut Connection) -> Result<News> {
        self.mend(connection)?;
        match self {
            Self::Sqlite(_) => Ok(News::Changes(Vec::new())),
            Self::Postgres(commits) => commits.catch_up(connection),
        }
    }

    /// Goes on from this place in the order of commits.
    pub(super) fn is_told(&mut self, connection: &Connection, seq: u64) -> Result<()> {
        match self {
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(commits) => commits.is_told(connection, seq),
        }
    }

    /// Keeps what the last write of a transaction did, and begins the next. With PostgreSQL in one question.
    pub(super) fn keep_write(&self, connection: &Connection) -> Result<()> {
        match self {
            Self::Sqlite(_) => connection.run("RELEASE one_write").and_then(|()| connection.run("SAVEPOINT one_write")),
            Self::Postgres(_) => connection.run("RELEASE one_write; SAVEPOINT one_write"),
        }
    }

    /// Commits, and tells other servers what changed; answers the commit's number, 0 where they have none.
    pub(super) fn commit(&mut self, connection: &Connection, changes: &[Change]) -> Result<u64> {
        match self {
            Self::Sqlite(_) => connection.run("COMMIT").map(|()| 0),
            Self::Postgres(commits) => commits.commit(connection, changes),
        }
    }

    /// Ends a transaction that failed. A refused COMMIT leaves it open, some errors end it by themselves.
    pub(super) fn undo(&self, connection: &Connection) -> Result<()> {
        if connection.is_in_transaction() { connection.run("ROLLBACK") } else { Ok(()) }
    }
}

/// Where connections that read come from.
#[derive(Debug)]
pub(crate) enum Source {
    Sqlite { path: PathBuf, busy_timeout: Duration },
    Postgres(postgres::Address),
}

impl Source {
    /// A connection that sees the last commit, and cannot write.
    pub(super) fn reading_connection(&self) -> Result<Connection> {
        match self {
            Self::Sqlite { path, busy_timeout } => {
                Ok(Connection::Sqlite(sqlite::reading_connection(path, *busy_timeout)?))
            }
            Self::Postgres(address) => address.reading_connection(),
        }
    }
}
