//! A look into the database of a server, whether it runs or not.

use std::path::Path;

use issuecommand::domain::RunId;
use rusqlite::{Connection, OpenFlags};

/// The runs there ever were, by their short ids; none where there is no database yet.
pub fn runs(database: &Path) -> Vec<String> {
    let ids = texts(database, "SELECT run_id FROM runs ORDER BY run_id");
    ids.into_iter().map(|id| id.parse::<RunId>().unwrap().short()).collect()
}

/// What the runs' logs say, a line of JSON each.
pub fn logs(database: &Path) -> String {
    texts(database, "SELECT record FROM run_log ORDER BY run_id, seq").join("\n")
}

fn texts(database: &Path, sql: &str) -> Vec<String> {
    let Ok(connection) = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return Vec::new();
    };
    // Before its first start is done a server's database has no such table.
    let Ok(mut statement) = connection.prepare(sql) else { return Vec::new() };
    let texts = statement.query_map((), |row| row.get(0)).unwrap();
    texts.collect::<Result<_, _>>().unwrap()
}
