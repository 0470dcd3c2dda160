//! What is left for another store. Two databases commit, one after the other, and at no time may both be used: not when
//! this process ends in between, and not when the answer to a COMMIT is lost, which says nothing of what became of it.

use super::connection::{Connection, OptionalRow};
use super::copy::{Progress, Writable, begin, copy_rows, in_transaction, undo};
use super::lineage::{self, Moved};
use super::value::{Error, Result};

/// What a move leaves in either store, once that committed.
struct Traces {
    /// The mark in the store that is left.
    mark: Moved,
    /// Where the other one counts from.
    counted_from: i64,
}

/// Copies every row while nobody writes to `from`, and leaves its mark there: both, or neither.
pub(super) fn hand_over(from: &Writable, to: &Writable, progress: Progress<'_>) -> Result<u64> {
    let mut traces = None;
    // The mark comes first: a process that ends in between leaves a store that has to be reopened, not two in use.
    let marked = in_transaction(&from.connection, || {
        refuse_if_in_use(&from.connection)?;
        begin(&to.connection)?;
        let count = copy_rows(&from.connection, &to.connection, progress)?;
        let counted_from = lineage::counted_from(&to.connection)?;
        traces = Some((Traces { mark: lineage::mark(&from.connection, &to.name)?, counted_from }, count));
        Ok(count)
    });
    let moved = marked.and_then(|count| to.connection.run("COMMIT").map(|()| count));
    moved.or_else(|error| {
        undo(&to.connection);
        match traces {
            Some((traces, count)) if is_there(from, to, &traces)? => Ok(count),
            _ => Err(error),
        }
    })
}

/// Whether all is in `to`, though somebody failed to say so. Where it is not, `from` is left without the mark.
fn is_there(from: &Writable, to: &Writable, traces: &Traces) -> Result<bool> {
    let counted_from = to.anew(lineage::counted_from).map_err(|error| is_unknown(from, to, &error))?;
    if counted_from == traces.counted_from {
        return Ok(true);
    }
    let unmarked = from.anew(|connection| match lineage::moved(connection)? {
        Some(mark) if mark == traces.mark => lineage::unmark(connection),
        _ => Ok(()),
    });
    unmarked.map(|()| false).map_err(|error| {
        Error::Unavailable(format!(
            "nothing was moved, but whether {from} is marked as moved cannot be seen ({error}): if a server is refused \
             there, go on with it after `issuecommand store reopen`",
            from = from.name
        ))
    })
}

fn is_unknown(from: &Writable, to: &Writable, error: &Error) -> Error {
    Error::Unavailable(format!(
        "{to} did not say whether all is there, and cannot be asked ({error}). So that not both are used, {from} may stay \
         marked as moved. Once {to} answers, look there (`issuecommand claims`, `issuecommand history`): if all is there, \
         go on with it; if nothing is, go on with {from} after `issuecommand store reopen`",
        from = from.name,
        to = to.name
    ))
}

/// What is moved is moved from where it is, and not from under a server: that would only be refused from then on. One
/// that ended in peace has no address any more.
pub(super) fn refuse_if_in_use(connection: &Connection) -> Result<()> {
    lineage::refuse_if_moved(connection)?;
    let Connection::Postgres(_) = connection else { return Ok(()) };
    let sql = "SELECT url FROM servers WHERE url <> '' \
         AND seen_at_ms > extract(epoch FROM clock_timestamp()) * 1000 - 15000 LIMIT 1";
    match connection.query_row(sql, (), |row| row.get::<String>(0)).optional()? {
        Some(url) => Err(Error::Unavailable(format!(
            "the server at {url} uses it, or did 15 seconds ago: end it first, and any other"
        ))),
        None => Ok(()),
    }
}
