//! The order of commits over all servers of a database, and what each changed.
//!
//! A transaction that writes first takes one lock of the whole database, so writing transactions follow one another
//! exactly as they do in SQLite: each sees all that went before it, none fails because of another, and numbers grow
//! in the order of commits. The lock is held for a batch of writes: a millisecond for one claim, up to a sixth of a
//! second for the 256 that a batch may have, by `cargo bench --bench store`. Each that changed something
//! notes what under the next number; with the lock in hand a server first reads what the others noted since it last
//! looked, so every index is told of the same changes in the same order. A notification only says that it is time to
//! look: one that is lost delays, and loses nothing.

use super::super::Change;
use super::super::sql::connection::{Connection, OptionalRow};
use super::super::sql::engine::News;
use super::super::sql::lineage::Moved;
use super::super::sql::value::{Error, Result, params};
use super::Address;

/// What the servers of a database call each other by.
pub(super) const CHANNEL: &str = "issuecommand_commits";

/// The lock, by the schema: two fleets in one database do not wait for each other. The isolation is said, since a
/// role may have another: what is read after the lock is taken must be what was committed by then.
pub(in crate::store) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
     SELECT pg_advisory_xact_lock(1229213776, hashtext(current_schema()))";
pub(in crate::store) const NEWEST: &str = "SELECT coalesce(max(seq), 0) FROM commits";
// With the last one that was told, without its changes: where that is missing, too much is.
// And, in the same question, whether all that is here was moved elsewhere.
const SINCE: &str = "SELECT moved_to, moved_at_ms, seq, mark, CASE WHEN seq = ?1 THEN '[]' ELSE changes END \
     FROM lineage LEFT JOIN commits ON seq >= ?1 ORDER BY seq";
const MARK: &str = "SELECT mark FROM commits WHERE seq = ?1";
const INSERT: &str =
    "INSERT INTO commits (seq, changes) SELECT coalesce(max(seq), 0) + 1, ?1 FROM commits RETURNING seq, mark";
/// Has every server read everything anew: after what nobody noted.
pub(in crate::store) const LEAP: &str =
    "INSERT INTO commits (seq, changes) SELECT coalesce(max(seq), 0) + 1000000, '[]' FROM commits";
// PostgreSQL answers COMMIT with success where a failed statement ended the transaction: one that is refused comes first.
const COMMIT: &str = "SELECT 1; COMMIT";
const TELL_AND_COMMIT: &str = "NOTIFY issuecommand_commits; COMMIT";
/// How long a server may be away and go on where it was. The newest stays: the next number comes from it.
const TRIM: &str =
    "DELETE FROM commits WHERE at < now() - interval '15 minutes' AND seq < (SELECT max(seq) FROM commits)";
/// Commits between two trims.
const TRIM_EVERY_COUNT: i64 = 1_000;

/// What one server knows of the order of commits.
#[derive(Debug)]
pub(in crate::store) struct Commits {
    address: Address,
    /// The last one that this server's observer was told of.
    told: i64,
    /// Its mark: a database that was put back gives its number again, to another.
    mark: i64,
}

impl Commits {
    /// From now on. Changes that are there already are in what the server loads first.
    pub(in crate::store) fn from_now(address: Address, connection: &Connection) -> Result<Self> {
        let told = connection.query_row(NEWEST, (), |row| row.get(0))?;
        Ok(Self { address, told, mark: mark_of(connection, told)? })
    }

    /// A new connection, after one was lost.
    pub(in crate::store) fn connect(&self) -> Result<Connection> {
        self.address.writing_connection()
    }

    /// Begins a transaction that nobody else writes beside; answers what others committed meanwhile.
    ///
    /// # Errors
    /// Where all that is here was moved, too: nobody writes here any more.
    pub(in crate::store) fn begin(&mut self, connection: &Connection) -> Result<News> {
        connection.run(BEGIN)?;
        self.catch_up(connection)
    }

    /// What others committed since this server last looked.
    pub(in crate::store) fn catch_up(&mut self, connection: &Connection) -> Result<News> {
        let mut statement = connection.prepare_cached(SINCE)?;
        let noted = statement.query_map([self.told], |row| {
            Moved::read(row, 0)?.map_or(Ok(()), |moved| Err(moved.refusal()))?;
            Ok((row.get::<Option<i64>>(2)?, row.get::<Option<i64>>(3)?, row.get::<Option<String>>(4)?))
        })?;
        let (mut next, mut newest, mut news) = (self.told, self.mark, Vec::new());
        for noted in noted {
            let (Some(seq), Some(mark), Some(noted)) = noted? else { break };
            // Before the first commit there is none to begin with.
            let is_next = seq == next || (self.told == 0 && next == 0 && seq == 1);
            let is_next = is_next && (seq != self.told || mark == self.mark);
            // One that a newer version wrote may tell of what this one does not know.
            let changes = serde_json::from_str(&noted).ok().filter(|_| is_next);
            let Some(changes) = changes else { return Ok(News::TooMuch) };
            if seq > self.told {
                news.push((seq.unsigned_abs(), changes));
            }
            (next, newest) = (seq + 1, mark);
        }
        if next == self.told && self.told != 0 {
            // The last that was told is not there: the database is not where it was.
            return Ok(News::TooMuch);
        }
        if let Some((seq, _)) = news.last() {
            (self.told, self.mark) = (seq.cast_signed(), newest);
        }
        Ok(News::Changes(news))
    }

    /// The place in the order of commits that this server was brought to.
    pub(in crate::store) fn is_told(&mut self, connection: &Connection, seq: u64) -> Result<()> {
        let mark = mark_of(connection, seq.cast_signed())?;
        (self.told, self.mark) = (seq.cast_signed(), mark);
        Ok(())
    }

    /// Notes what changed, tells the others, and commits; answers the place of that in the order, 0 for nothing.
    pub(in crate::store) fn commit(&mut self, connection: &Connection, changes: &[Change]) -> Result<u64> {
        if changes.is_empty() {
            return connection.run(COMMIT).map(|()| 0);
        }
        let noted = serde_json::to_string(changes).map_err(Error::Unwritable)?;
        let (seq, mark): (i64, i64) =
            connection.query_row(INSERT, params![noted], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if seq % TRIM_EVERY_COUNT == 0 {
            connection.execute(TRIM, ())?;
        }
        connection.run(TELL_AND_COMMIT)?;
        (self.told, self.mark) = (seq, mark);
        Ok(seq.unsigned_abs())
    }
}

/// The mark of a commit; of one that is not there, one that none has.
fn mark_of(connection: &Connection, seq: i64) -> Result<i64> {
    Ok(connection.query_row(MARK, [seq], |row| row.get(0)).optional()?.unwrap_or(-1))
}
