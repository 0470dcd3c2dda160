//! The schema of a PostgreSQL database, brought up to date by one server at a time.

use super::super::StoreError;
use super::super::sql::connection::Connection;
use super::super::sql::value::{Error, Result};
use super::Address;

mod embedded {
    refinery::embed_migrations!("src/store/postgres/migrations");
}

/// Held while one server migrates: others wait for it.
const LOCK: &str = "SET lock_timeout = '60s'; SET statement_timeout = 0; SELECT pg_advisory_lock(1229213777)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(1229213777)";
const VERSION: &str = "SELECT coalesce(max(version), 0) FROM refinery_schema_history";
const FOREIGN: &str = "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()";

fn newest_version() -> i32 {
    let migrations = embedded::migrations::runner();
    migrations.get_migrations().iter().map(refinery::Migration::version).max().unwrap_or(0)
}

impl Address {
    /// Brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached, is another program's, or was written by a newer version.
    pub(in crate::store) fn migrate(&self) -> std::result::Result<(), StoreError> {
        self.bring_up_to_date().map_err(|source| StoreError::failed("open the database", source))
    }

    /// The connection, if it is to a database of this version's schema: nothing of another is read or left out unseen.
    pub(in crate::store) fn up_to_date(&self, connection: Connection) -> Result<Connection> {
        let known = newest_version();
        match connection.query_row(VERSION, (), |row| row.get::<i32>(0)) {
            Ok(found) if found == known => Ok(connection),
            Ok(found) => Err(Error::Unavailable(format!(
                "{} is of another version (schema {found}, this one knows {known}): use the issuecommand of its servers",
                self.shown()
            ))),
            Err(_) => Err(Error::Unavailable(format!("{} is no database of issuecommand", self.shown()))),
        }
    }

    fn bring_up_to_date(&self) -> Result<()> {
        let mut client = self.client()?;
        client.batch_execute(LOCK)?;
        let runner = embedded::migrations::runner().set_abort_missing(false);
        let known = newest_version();
        let ours: Option<String> =
            client.query_one("SELECT to_regclass('refinery_schema_history')::text", &[])?.try_get(0)?;
        if ours.is_some() {
            let found: i32 = client.query_one(VERSION, &[])?.try_get(0)?;
            if found > known {
                return Err(Error::Unavailable(format!(
                    "{} was written by a newer issuecommand (schema {found}, this one knows {known}): upgrade \
                     issuecommand",
                    self.shown()
                )));
            }
        } else if client.query_one(FOREIGN, &[])?.try_get::<_, i64>(0)? > 0 {
            return Err(Error::Unavailable(format!(
                "{} holds another program's tables: give store.url a database of its own",
                self.shown()
            )));
        }
        runner.run(&mut client).map_err(|error| Error::Unavailable(format!("its schema stays as it is: {error}")))?;
        client.batch_execute(UNLOCK)?;
        Ok(())
    }
}
