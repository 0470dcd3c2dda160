//! One connection to a database: SQLite's file or a PostgreSQL server. The statements are the same for both.
//!
//! They are written in what the two have in common: `ON CONFLICT`, partial indexes, `RETURNING`,
//! `IS DISTINCT FROM`; a value is `?1`, `?2`, …; truth is 0 or 1.

use std::cell::RefCell;
use std::vec;

use super::super::postgres::Session;
use super::value::{Error, Params, Result, Row, Value};

/// A connection of whichever database it is.
#[derive(Debug)]
pub(crate) enum Connection {
    Sqlite(rusqlite::Connection),
    // A query needs it alone; each connection is used by one thread at a time.
    Postgres(Box<RefCell<Session>>),
}

impl Connection {
    /// A statement, prepared once for each connection.
    pub(crate) fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>> {
        match self {
            Self::Sqlite(connection) => Ok(Statement::Sqlite(connection.prepare_cached(sql)?)),
            Self::Postgres(session) => {
                let statement = session.borrow_mut().prepare(sql)?;
                Ok(Statement::Postgres(session, statement))
            }
        }
    }

    /// Runs a statement; answers how many rows it changed.
    pub(crate) fn execute(&self, sql: &str, params: impl Params) -> Result<usize> {
        self.prepare_cached(sql)?.execute(params)
    }

    /// The one row of an answer.
    pub(crate) fn query_row<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        self.prepare_cached(sql)?.query_row(params, read)
    }

    /// Shows `read` every row of an answer, one after the other: memory holds few of them, however many there are.
    /// Nothing else is asked of this connection meanwhile.
    pub(crate) fn each_row(&self, sql: &str, mut read: impl FnMut(&Row<'_>) -> Result<()>) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection.prepare_cached(sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    read(&Row::Sqlite(row))?;
                }
                Ok(())
            }
            Self::Postgres(session) => session.borrow_mut().each_row(sql, |row| read(&Row::Postgres(row))),
        }
    }

    /// Runs statements that take and answer nothing.
    pub(crate) fn run(&self, sql: &'static str) -> Result<()> {
        match self {
            Self::Sqlite(connection) => Ok(connection.prepare_cached(sql)?.execute([]).map(|_| ())?),
            Self::Postgres(session) => session.borrow_mut().run(sql),
        }
    }

    /// Reads with `work` as of one commit.
    pub(crate) fn as_of_one_commit<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        self.run(match self {
            Self::Sqlite(_) => "BEGIN",
            Self::Postgres(_) => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        })?;
        let done = work();
        self.run("ROLLBACK").and(done)
    }

    /// Whether a transaction is open.
    pub(crate) fn is_in_transaction(&self) -> bool {
        match self {
            Self::Sqlite(connection) => !connection.is_autocommit(),
            Self::Postgres(session) => session.borrow().is_in_transaction(),
        }
    }

    /// Whether it can be used no more.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Postgres(session) if session.borrow().is_lost())
    }
}

/// A prepared statement.
pub(crate) enum Statement<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    Postgres(&'c RefCell<Session>, postgres::Statement),
}

impl Statement<'_> {
    /// Runs it; answers how many rows it changed.
    pub(crate) fn execute(&mut self, params: impl Params) -> Result<usize> {
        let values = params.values();
        match self {
            Self::Sqlite(statement) => Ok(statement.execute(rusqlite::params_from_iter(values))?),
            Self::Postgres(session, statement) => session.borrow_mut().execute(statement, &values),
        }
    }

    /// The first row of its answer; [`Error::NoRow`] when there is none.
    pub(crate) fn query_row<T>(&mut self, params: impl Params, read: impl FnOnce(&Row<'_>) -> Result<T>) -> Result<T> {
        let values = params.values();
        match self {
            Self::Sqlite(statement) => {
                let mut rows = statement.query(rusqlite::params_from_iter(values))?;
                let row = rows.next()?.ok_or(Error::NoRow)?;
                read(&Row::Sqlite(row))
            }
            Self::Postgres(session, statement) => {
                let rows = session.borrow_mut().query(statement, &values)?;
                read(&Row::Postgres(rows.first().ok_or(Error::NoRow)?))
            }
        }
    }

    /// Every row of its answer, read by `read` as it is asked for.
    pub(crate) fn query_map<T, F>(&mut self, params: impl Params, read: F) -> Result<Mapped<'_, F>>
    where
        F: FnMut(&Row<'_>) -> Result<T>,
    {
        let values: Vec<Value<'_>> = params.values();
        match self {
            Self::Sqlite(statement) => Ok(Mapped::Sqlite(statement.query(rusqlite::params_from_iter(values))?, read)),
            Self::Postgres(session, statement) => {
                let rows = session.borrow_mut().query(statement, &values)?;
                Ok(Mapped::Postgres(rows.into_iter(), read))
            }
        }
    }
}

/// The rows of an answer.
pub(crate) enum Mapped<'s, F> {
    Sqlite(rusqlite::Rows<'s>, F),
    Postgres(vec::IntoIter<postgres::Row>, F),
}

impl<T, F: FnMut(&Row<'_>) -> Result<T>> Iterator for Mapped<'_, F> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        match self {
            Self::Sqlite(rows, read) => {
                let row = rows.next().map_err(Error::from).transpose()?;
                Some(row.and_then(|row| read(&Row::Sqlite(row))))
            }
            Self::Postgres(rows, read) => rows.next().map(|row| read(&Row::Postgres(&row))),
        }
    }
}

/// A row that may not be there.
pub(crate) trait OptionalRow<T> {
    fn optional(self) -> Result<Option<T>>;
}

impl<T> OptionalRow<T> for Result<T> {
    fn optional(self) -> Result<Option<T>> {
        match self {
            Ok(found) => Ok(Some(found)),
            Err(Error::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
