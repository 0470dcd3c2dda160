//! Claims that ended: listed, newest end first.

use super::columns::{json, ms, parsed, time};
use super::connection::{Connection, OptionalRow};
use super::history::limit;
use super::value::{Result, Value, params};
use crate::domain::{AgentId, ClaimId, RepoName};
use crate::store::{ClaimHistoryFilter, ClaimHistoryPlace, PastClaims};

pub(super) const BY_SHORT_ID: &str = "SELECT claim_id FROM claims WHERE agent_id = ?1 AND active = 0 \
     AND substr(claim_id, length(claim_id) - length(?2) + 1) = lower(?2) ORDER BY ended_at_ms DESC LIMIT 1";

/// Up to `count_max` past claims from behind `after`. The place of a claim never changes, so pages
/// neither repeat nor skip one, whatever ends meanwhile.
pub(super) fn list(
    connection: &Connection,
    filter: &ClaimHistoryFilter,
    after: Option<ClaimHistoryPlace>,
    count_max: usize,
) -> Result<PastClaims> {
    let mut values: Vec<Value<'static>> = Vec::new();
    let sql = select(filter, after, &mut values);
    values.push(limit(count_max.saturating_add(1)).into());
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(values, |row| Ok((json(row, 0)?, time(row, 1)?)))?;
    let mut claims: Vec<(crate::domain::Claim, _)> = rows.collect::<Result<_>>()?;
    let more = claims.len() > count_max;
    claims.truncate(count_max);
    let last = claims.last().filter(|_| more);
    let next = last.map(|(claim, ended_at)| ClaimHistoryPlace { ended_at: *ended_at, claim_id: claim.claim_id });
    Ok(PastClaims { claims: claims.into_iter().map(|(claim, _)| claim).collect(), next })
}

/// The newest past claim of an agent whose id ends so.
pub(super) fn by_short_id(connection: &Connection, agent: &AgentId, short: &str) -> Result<Option<ClaimId>> {
    // Short ids are digits of a UUID: nothing in them means more than itself in a pattern.
    let row = params![agent.as_str(), short];
    connection.prepare_cached(BY_SHORT_ID)?.query_row(row, |row| parsed(row, 0)).optional()
}

pub(super) fn select(
    filter: &ClaimHistoryFilter,
    after: Option<ClaimHistoryPlace>,
    values: &mut Vec<Value<'static>>,
) -> String {
    let mut sql = "SELECT record, ended_at_ms FROM claims WHERE active = 0".to_owned();
    let mut and = |condition: &str, value: Value<'static>| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(agent) = filter.agent.as_ref().map(AgentId::as_str) {
        and(" AND agent_id = ?", agent.to_owned().into());
    }
    if let Some(repo) = filter.repo.as_ref().map(RepoName::as_str) {
        and(" AND repo = ?", repo.to_owned().into());
    }
    if let Some(place) = after {
        and(" AND (ended_at_ms, claim_id) < (?", ms(place.ended_at).into());
        and(", ?)", place.claim_id.to_string().into());
    }
    sql.push_str(&format!(" ORDER BY ended_at_ms DESC, claim_id DESC LIMIT ?{}", values.len() + 1));
    sql
}
