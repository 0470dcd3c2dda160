//! Servers and their roles. Times are those of the database's clock: servers' own clocks differ.

use async_trait::async_trait;
use chrono::TimeDelta;

use super::SqlStore;
use super::columns::time;
use super::connection::Connection;
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::store::{BeatAnswer, Role, RoleStore, ServerBeat, ServerSeen, StoreError};

const NOW_OF_SQLITE: &str = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
const NOW_OF_POSTGRES: &str = "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
const BEAT: &str = "INSERT INTO servers (server, url, dispatches, begun_at_ms, seen_at_ms, slots_free) \
     VALUES (?1, ?2, ?3, ?4, ?4, ?5) ON CONFLICT (server) DO UPDATE SET url = excluded.url, \
     dispatches = excluded.dispatches, seen_at_ms = excluded.seen_at_ms, slots_free = excluded.slots_free";
const BETTER: &str = "SELECT EXISTS (SELECT 1 FROM servers WHERE server <> ?1 AND dispatches = 1 AND seen_at_ms >= ?2)";
const GIVE_UP: &str = "DELETE FROM roles WHERE server = ?1 AND role = ?2";
const TAKE: &str = "INSERT INTO roles (role, server, until_ms) VALUES (?1, ?2, ?3) \
     ON CONFLICT (role) DO UPDATE SET server = excluded.server, until_ms = excluded.until_ms \
     WHERE roles.server = excluded.server OR roles.until_ms < ?4";
/// It stays known for a while: what it was working on waits for its next start.
const LEAVE: [&str; 2] = [
    "DELETE FROM roles WHERE server = ?1",
    "UPDATE servers SET dispatches = 0, slots_free = NULL, url = '' WHERE server = ?1",
];
const LIST: &str =
    "SELECT server, url, seen_at_ms, slots_free FROM servers WHERE seen_at_ms >= ?1 ORDER BY begun_at_ms, server";
const ROLES: &str = "SELECT server, role FROM roles WHERE until_ms >= ?1 ORDER BY role";
const FORGET: &str = "DELETE FROM servers WHERE seen_at_ms < ?1";
/// A server that was silent for so long is forgotten.
const FORGOTTEN_AFTER_MS: i64 = 24 * 3_600_000;

#[async_trait]
impl RoleStore for SqlStore {
    fn server_name(&self) -> &str {
        &self.server
    }

    async fn server_beat(&self, beat: ServerBeat) -> std::result::Result<BeatAnswer, StoreError> {
        let server = self.server.clone();
        self.writer.write("say that this server is there", move |txn| take(txn, &server, &beat)).await
    }

    async fn server_leave(&self) -> std::result::Result<(), StoreError> {
        let server = self.server.clone();
        let leave = move |txn: &mut WriteTxn<'_>| {
            LEAVE.iter().try_for_each(|sql| txn.connection.execute(sql, [&server]).map(drop))
        };
        self.writer.write("say that this server ends", leave).await
    }

    async fn server_list(&self, within: TimeDelta) -> std::result::Result<Vec<ServerSeen>, StoreError> {
        self.readers.read("list servers", move |connection| list(connection, within)).await
    }
}

fn take(txn: &mut WriteTxn<'_>, server: &str, beat: &ServerBeat) -> Result<BeatAnswer> {
    let now_ms = now(txn.connection)?;
    txn.connection.execute(BEAT, params![server, beat.url, beat.dispatches, now_ms, beat.slots_free])?;
    txn.connection.execute(FORGET, [now_ms - FORGOTTEN_AFTER_MS])?;
    let until = now_ms.saturating_add(i64::try_from(beat.lease.as_millis()).unwrap_or(i64::MAX));
    let lease_ms = until - now_ms;
    let has_better =
        !beat.dispatches && txn.connection.query_row(BETTER, params![server, now_ms - lease_ms], |row| row.get(0))?;
    let mut held = Vec::new();
    for role in Role::ALL {
        // Who works on issues asks for a sync when it looks for news: it must be the one that syncs.
        let is_for_others = beat.is_worker
            || match role {
                Role::Sync => has_better,
                Role::Dispatch => !held.contains(&Role::Sync),
                Role::Sweep => false,
            };
        if is_for_others {
            txn.connection.execute(GIVE_UP, params![server, role.as_str()])?;
        } else if txn.connection.execute(TAKE, params![role.as_str(), server, until, now_ms])? > 0 {
            held.push(role);
        }
    }
    Ok(BeatAnswer { held, now: time_of(now_ms) })
}

fn list(connection: &Connection, within: TimeDelta) -> Result<Vec<ServerSeen>> {
    let now_ms = now(connection)?;
    let mut statement = connection.prepare_cached(LIST)?;
    let seen = statement.query_map([now_ms - within.num_milliseconds()], |row| {
        let seen = time(row, 2)?.timestamp_millis();
        let silent_ms = u64::try_from(now_ms - seen).unwrap_or(0);
        let slots_free = row.get::<Option<i64>>(3)?.and_then(|free| u32::try_from(free).ok());
        Ok(ServerSeen { server: row.get(0)?, url: row.get(1)?, roles: Vec::new(), slots_free, silent_ms })
    })?;
    let mut servers = seen.collect::<Result<Vec<_>>>()?;
    let mut statement = connection.prepare_cached(ROLES)?;
    let held = statement.query_map([now_ms], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?;
    for (holder, name) in held.collect::<Result<Vec<_>>>()? {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == name);
        if let Some(server) = servers.iter_mut().find(|server| server.server == holder) {
            server.roles.extend(role);
        }
    }
    servers.iter_mut().for_each(|server| server.roles.sort());
    Ok(servers)
}

/// The present by the database's clock, in milliseconds since the Unix epoch.
pub(super) fn now(connection: &Connection) -> Result<i64> {
    let sql = match connection {
        Connection::Sqlite(_) => NOW_OF_SQLITE,
        Connection::Postgres(_) => NOW_OF_POSTGRES,
    };
    connection.query_row(sql, (), |row| row.get(0))
}

fn time_of(ms: i64) -> crate::domain::Timestamp {
    crate::domain::from_unix_ms(u64::try_from(ms).unwrap_or(0))
}
