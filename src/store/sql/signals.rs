//! Signs of life of claims, and notices to agents.

use async_trait::async_trait;

use super::columns::{json, parsed, to_json};
use super::connection::{Connection, OptionalRow};
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use super::{SqlStore, claims};
use crate::domain::{AgentId, Claim, ClaimId, Timestamp};
use crate::store::signals::claim_lost;
use crate::store::{Change, KeptSignals, NOTICE_COUNT_MAX, Notice, NoticeId, SignalNews, SignalStore, StoreError};

pub(super) const SIGNALS_GET: &str = "SELECT record FROM claim_signals WHERE claim_id = ?1";
pub(super) const SIGNALS_SET: &str = "INSERT INTO claim_signals (claim_id, record) VALUES (?1, ?2) \
     ON CONFLICT (claim_id) DO UPDATE SET record = excluded.record";
pub(super) const SIGNALS_LIST: &str = "SELECT claim_signals.claim_id, claim_signals.record FROM claims \
     JOIN claim_signals ON claim_signals.claim_id = claims.claim_id WHERE claims.active = 1";
pub(super) const NOTICE_INSERT: &str = "INSERT INTO notices (agent_id, told) VALUES (?1, ?2) RETURNING notice_id";
pub(super) const NOTICE_DELETE: &str = "DELETE FROM notices WHERE notice_id = ?1";
pub(super) const NOTICES_TRIM: &str = "DELETE FROM notices WHERE notice_id <= ?1";
const NOTICES: &str = "SELECT notice_id, agent_id, told FROM notices ORDER BY notice_id";

#[async_trait]
impl SignalStore for SqlStore {
    async fn claim_signal_note(&self, claim_id: ClaimId, news: SignalNews) -> std::result::Result<(), StoreError> {
        self.writer.write("note a claim's signs of life", move |txn| note(txn.connection, claim_id, &news)).await
    }

    async fn claim_signal_list(&self) -> std::result::Result<Vec<(ClaimId, KeptSignals)>, StoreError> {
        self.readers.read("list claims' signs of life", list).await
    }

    async fn notice_told(&self, told: Vec<NoticeId>) -> std::result::Result<(), StoreError> {
        let forget = move |txn: &mut WriteTxn<'_>| {
            let mut delete = txn.connection.prepare_cached(NOTICE_DELETE)?;
            told.iter().try_for_each(|notice| delete.execute([notice]).map(|_| ()))?;
            txn.changes.push(Change::NoticesTold(told));
            Ok(())
        };
        self.writer.write("forget what agents were told", forget).await
    }
}

fn note(connection: &Connection, claim_id: ClaimId, news: &SignalNews) -> Result<()> {
    if claims::active(connection, claim_id)?.is_none() {
        return Ok(());
    }
    let key = claim_id.to_string();
    let known = connection.prepare_cached(SIGNALS_GET)?.query_row([&key], |row| json(row, 0)).optional()?;
    let known: KeptSignals = known.unwrap_or_default();
    let noted = known.clone().with(news);
    if noted == known {
        return Ok(());
    }
    connection.prepare_cached(SIGNALS_SET)?.execute(params![key, to_json(&noted)?]).map(|_| ())
}

fn list(connection: &Connection) -> Result<Vec<(ClaimId, KeptSignals)>> {
    let mut statement = connection.prepare_cached(SIGNALS_LIST)?;
    statement.query_map((), |row| Ok((parsed(row, 0)?, json(row, 1)?)))?.collect()
}

/// The owner of a claim is to be told that it was taken back.
pub(super) fn notify_lost(txn: &mut WriteTxn<'_>, claim: &Claim, why: &str, now: Timestamp) -> Result<()> {
    notify(txn, &claim.agent_id, claim_lost(claim, why, now))
}

/// The line for an agent whose claim an operator gave to another.
pub(super) fn claim_lost_to(claim: &Claim, note: Option<&str>, now: Timestamp) -> String {
    let given = format!("an operator gave it to {}", claim.agent_id);
    claim_lost(claim, &note.map_or(given.clone(), |note| format!("{given} ({note})")), now)
}

/// Keeps a line for an agent until it was told.
pub(super) fn notify(txn: &mut WriteTxn<'_>, agent_id: &AgentId, told: String) -> Result<()> {
    let notice_id: i64 = txn.connection.query_row(NOTICE_INSERT, params![agent_id.as_str(), told], |row| row.get(0))?;
    txn.connection.prepare_cached(NOTICES_TRIM)?.execute([notice_id - NOTICE_COUNT_MAX])?;
    txn.changes.push(Change::Notice(Box::new(Notice { notice_id, agent_id: agent_id.clone(), told })));
    Ok(())
}

/// What agents are still to be told, in its order.
pub(super) fn notices(connection: &Connection) -> Result<Vec<Notice>> {
    let read = |row: &Row<'_>| Ok(Notice { notice_id: row.get(0)?, agent_id: parsed(row, 1)?, told: row.get(2)? });
    connection.prepare_cached(NOTICES)?.query_map((), read)?.collect()
}
