//! Access tokens: made, revoked, listed.

use super::columns::{ms, parsed, time};
use super::connection::{Connection, OptionalRow};
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use crate::domain::{AccessToken, Timestamp, TokenHash, TokenId};
use crate::store::{Change, KeptToken, TokenInsertOutcome, TokenRevokeOutcome};

/// Most tokens that are live at once. Ours: far more than any fleet, and a bound on what one may fill.
const LIVE_COUNT_MAX: usize = 10_000;
/// Ended tokens that are kept, so that it can be told what became of them.
const ENDED_COUNT_MAX: i64 = 1_000;

pub(super) const INSERT: &str = "INSERT INTO tokens (token_id, hash, agent_id, scope, label, created_at_ms, expires_at_ms) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
pub(super) const REVOKE: &str = "UPDATE tokens SET revoked_at_ms = ?2 WHERE token_id = ?1";
const COLUMNS: &str = "token_id, hash, agent_id, scope, label, created_at_ms, expires_at_ms, revoked_at_ms";
const ENDED_TRIM: &str = "DELETE FROM tokens WHERE token_id IN (SELECT token_id FROM tokens \
     WHERE revoked_at_ms IS NOT NULL OR expires_at_ms <= ?1 ORDER BY created_at_ms DESC LIMIT 9223372036854775807 OFFSET ?2)";

/// Keeps what is known of a new token.
pub(super) fn insert(txn: &mut WriteTxn<'_>, kept: KeptToken, now: Timestamp) -> Result<TokenInsertOutcome> {
    let live = list(txn.connection)?.iter().filter(|kept| kept.token.end_at(now).is_none()).count();
    if live >= LIVE_COUNT_MAX {
        return Ok(TokenInsertOutcome::TooMany { count_max: LIVE_COUNT_MAX });
    }
    let KeptToken { token, hash } = &kept;
    let row = params![
        token.token_id.to_string(),
        hash.as_str(),
        token.agent_id.as_ref().map(|agent| agent.as_str()),
        token.scope.as_str(),
        token.label,
        ms(token.created_at),
        token.expires_at.map(ms),
    ];
    txn.connection.prepare_cached(INSERT)?.execute(row)?;
    txn.connection.execute(ENDED_TRIM, params![ms(now), ENDED_COUNT_MAX])?;
    txn.changes.push(Change::TokenSet(Box::new(kept)));
    Ok(TokenInsertOutcome::Inserted)
}

/// Ends a token; one that was revoked before stays as it was.
pub(super) fn revoke(txn: &mut WriteTxn<'_>, token_id: TokenId, now: Timestamp) -> Result<TokenRevokeOutcome> {
    let Some(mut kept) = get(txn.connection, token_id)? else { return Ok(TokenRevokeOutcome::NotFound) };
    if kept.token.revoked_at.is_some() {
        return Ok(TokenRevokeOutcome::AlreadyRevoked(kept.token));
    }
    txn.connection.prepare_cached(REVOKE)?.execute(params![token_id.to_string(), ms(now)])?;
    kept.token.revoked_at = Some(now);
    txn.changes.push(Change::TokenSet(Box::new(kept.clone())));
    Ok(TokenRevokeOutcome::Revoked(kept.token))
}

/// Every token that is kept, oldest first.
pub(super) fn list(connection: &Connection) -> Result<Vec<KeptToken>> {
    let sql = format!("SELECT {COLUMNS} FROM tokens ORDER BY created_at_ms, token_id");
    connection.prepare_cached(&sql)?.query_map((), kept)?.collect()
}

fn get(connection: &Connection, token_id: TokenId) -> Result<Option<KeptToken>> {
    let sql = format!("SELECT {COLUMNS} FROM tokens WHERE token_id = ?1");
    connection.prepare_cached(&sql)?.query_row([token_id.to_string()], kept).optional()
}

fn kept(row: &Row<'_>) -> Result<KeptToken> {
    let has = |index| row.is_null(index).map(|is_null| !is_null);
    let token = AccessToken {
        token_id: parsed(row, 0)?,
        agent_id: if has(2)? { Some(parsed(row, 2)?) } else { None },
        scope: parsed(row, 3)?,
        label: row.get(4)?,
        created_at: time(row, 5)?,
        expires_at: if has(6)? { Some(time(row, 6)?) } else { None },
        revoked_at: if has(7)? { Some(time(row, 7)?) } else { None },
    };
    Ok(KeptToken { token, hash: TokenHash::kept(row.get(1)?) })
}
