//! One session with a PostgreSQL server.

use std::collections::HashMap;

use fallible_iterator::FallibleIterator;
use postgres::types::ToSql;
use postgres::{Client, Row, Statement};

use super::super::sql::value::{Result, Value};

/// A client, the statements it prepared, and whether it is inside a transaction.
pub(in crate::store) struct Session {
    // There until it is dropped.
    client: Option<Client>,
    statements: HashMap<String, Statement>,
    in_transaction: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("in_transaction", &self.in_transaction).finish_non_exhaustive()
    }
}

impl Session {
    pub(super) fn new(client: Client) -> Self {
        Self { client: Some(client), statements: HashMap::new(), in_transaction: false }
    }

    fn client(&mut self) -> &mut Client {
        self.client.as_mut().expect("a session has a client for as long as it lives")
    }

    /// A statement, prepared when it is first asked for. There are some two hundred texts.
    pub(in crate::store) fn prepare(&mut self, sql: &str) -> Result<Statement> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let statement = self.client().prepare(&sql.replace('?', "$"))?;
        self.statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(in crate::store) fn execute(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<usize> {
        let changed = self.client().execute(statement, &borrowed(values))?;
        Ok(usize::try_from(changed).unwrap_or(usize::MAX))
    }

    pub(in crate::store) fn query(&mut self, statement: &Statement, values: &[Value<'_>]) -> Result<Vec<Row>> {
        Ok(self.client().query(statement, &borrowed(values))?)
    }

    /// Shows `read` the rows of an answer as they come.
    pub(in crate::store) fn each_row(&mut self, sql: &str, mut read: impl FnMut(&Row) -> Result<()>) -> Result<()> {
        let statement = self.prepare(sql)?;
        let mut rows = self.client().query_raw(&statement, std::iter::empty::<i64>())?;
        while let Some(row) = rows.next()? {
            read(&row)?;
        }
        Ok(())
    }

    /// Runs statements that take and answer nothing, in one message.
    pub(in crate::store) fn run(&mut self, sql: &str) -> Result<()> {
        if sql.starts_with("BEGIN") {
            self.in_transaction = true;
        }
        let done = self.client().batch_execute(sql);
        if sql.ends_with("COMMIT") && done.is_ok() || sql == "ROLLBACK" {
            self.in_transaction = false;
        }
        Ok(done?)
    }

    /// Whether a transaction is open, be it only to be rolled back.
    pub(in crate::store) fn is_in_transaction(&self) -> bool {
        self.in_transaction && !self.is_lost()
    }

    /// Whether the server went away.
    pub(in crate::store) fn is_lost(&self) -> bool {
        self.client.as_ref().is_none_or(Client::is_closed)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The client says goodbye, and waits for that: nothing that an async thread may do.
        let client = self.client.take();
        if tokio::runtime::Handle::try_current().is_ok() {
            std::thread::spawn(move || drop(client));
        }
    }
}

fn borrowed<'v>(values: &'v [Value<'v>]) -> Vec<&'v (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
