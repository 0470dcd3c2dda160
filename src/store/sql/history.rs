//! How much past is kept: claims that ended, events that were read, agents that went away.

use super::connection::Connection;
use super::decisions::ERA_COUNT;
use super::value::Result;
use crate::config::StoreConfig;

/// Most agents whose last call is remembered over a restart.
const AGENT_COUNT_MAX: i64 = 10_000;
/// Past claims and events are trimmed once so many have come, or an eighth of what is kept if that is
/// less: deleting a few rows in every transaction would cost more than keeping some too long.
const TRIM_EVERY_COUNT_MAX: usize = 64;

pub(super) const CLAIMS_TRIM: &str = "DELETE FROM claims WHERE claim_id IN \
     (SELECT claim_id FROM claims WHERE active = 0 ORDER BY ended_at_ms DESC, claim_id DESC LIMIT 9223372036854775807 OFFSET ?1)";
// A copy counts on far behind what it holds: those stay until as many as may be kept have come since.
pub(super) const EVENTS_TRIM: &str =
    "DELETE FROM events WHERE seq <= ?1 AND ?1 >= (SELECT counted_from FROM lineage WHERE one = 1)";
// Those of live claims stay, however old: somebody may want to know why they were given out.
pub(super) const DECISIONS_TRIM: &str = "DELETE FROM decisions WHERE seq <= (SELECT max(seq) FROM decisions) - ?1 AND NOT EXISTS \
     (SELECT 1 FROM claims WHERE claims.claim_id = decisions.claim_id AND active = 1)";
pub(super) const VERSIONS_TRIM: &str =
    "DELETE FROM issue_versions WHERE last_seq <= (SELECT max(seq) FROM decisions) - ?1";
pub(super) const FOLLOW_UPS_TRIM: &str = "DELETE FROM follow_ups WHERE work_item_id IN (SELECT work_item_id \
     FROM follow_ups WHERE active = 0 ORDER BY ended_at_ms DESC, work_item_id DESC LIMIT 9223372036854775807 OFFSET ?1)";
pub(super) const SOURCES_TRIM: &str = "DELETE FROM follow_up_sources WHERE seq <= (SELECT max(seq) FROM follow_up_sources) - ?1 AND NOT EXISTS \
     (SELECT 1 FROM follow_ups WHERE follow_ups.work_item_id = follow_up_sources.work_item_id AND active = 1)";
pub(super) const DELIVERIES_TRIM: &str = "DELETE FROM deliveries WHERE seq <= (SELECT max(seq) FROM deliveries) - ?1";
pub(super) const PULLS_TRIM: &str = "DELETE FROM pulls WHERE (repo, number) IN \
     (SELECT repo, number FROM pulls ORDER BY updated_at_ms DESC LIMIT 9223372036854775807 OFFSET ?1)";
/// Most pull requests kept. One is needed while its claim or follow-up lives.
const PULL_COUNT_MAX: usize = 10_000;
const AGENTS_TRIM: &str = "DELETE FROM agents WHERE agent_id IN \
     (SELECT agent_id FROM agents ORDER BY last_call_ms DESC LIMIT 9223372036854775807 OFFSET ?1)";

/// One kind of past: how to trim it, how much to keep, and how much came since it was last seen to.
#[derive(Debug)]
struct Kept {
    sql: &'static str,
    count_max: usize,
    since: usize,
}

impl Kept {
    fn new(sql: &'static str, count_max: usize) -> Self {
        Self { sql, count_max, since: 0 }
    }

    /// Counts one more; trims when it is time.
    fn one_more(&mut self, connection: &Connection) -> Result<()> {
        self.since += 1;
        if self.since >= every(self.count_max) {
            self.trim(connection)?;
            self.since = 0;
        }
        Ok(())
    }

    fn trim(&self, connection: &Connection) -> Result<()> {
        connection.prepare_cached(self.sql)?.execute([limit(self.count_max)]).map(|_| ())
    }
}

/// How much to keep of everything.
#[derive(Debug)]
pub(super) struct Trim {
    claims: Kept,
    decisions: Kept,
    versions: Kept,
    follow_ups: Kept,
    sources: Kept,
    deliveries: Kept,
    pulls: Kept,
    event_count_max: usize,
    events_since: usize,
}

impl Trim {
    /// What `config` says; nothing counted yet.
    pub(super) fn new(config: &StoreConfig) -> Self {
        Self {
            claims: Kept::new(CLAIMS_TRIM, config.history_max_entries),
            decisions: Kept::new(DECISIONS_TRIM, config.decision_max_entries),
            versions: Kept::new(VERSIONS_TRIM, config.decision_max_entries.saturating_add(ERA_COUNT)),
            follow_ups: Kept::new(FOLLOW_UPS_TRIM, config.follow_up_max_entries),
            sources: Kept::new(SOURCES_TRIM, config.delivery_max_entries),
            deliveries: Kept::new(DELIVERIES_TRIM, config.delivery_max_entries),
            pulls: Kept::new(PULLS_TRIM, PULL_COUNT_MAX),
            event_count_max: config.event_max_entries,
            events_since: 0,
        }
    }

    /// How many past claims are kept.
    pub(super) fn claim_count_max(&self) -> usize {
        self.claims.count_max
    }

    /// Trims everything: at start-up, because the settings may have changed.
    pub(super) fn all(&self, connection: &Connection, last_seq: i64) -> Result<()> {
        let all = [
            &self.claims,
            &self.decisions,
            &self.versions,
            &self.follow_ups,
            &self.sources,
            &self.deliveries,
            &self.pulls,
        ];
        for kept in all {
            kept.trim(connection)?;
        }
        self.events(connection, last_seq)?;
        connection.execute(AGENTS_TRIM, [AGENT_COUNT_MAX]).map(|_| ())
    }

    /// Counts a claim that ended; trims when it is time.
    pub(super) fn claim_ended(&mut self, connection: &Connection) -> Result<()> {
        self.claims.one_more(connection)
    }

    /// Counts a decision; trims when it is time, with the states of issues that only older ones refer to.
    pub(super) fn decision_made(&mut self, connection: &Connection) -> Result<()> {
        self.decisions.one_more(connection)?;
        self.versions.one_more(connection)
    }

    /// Most follow-ups that may be active at once, and most past ones kept.
    pub(super) fn follow_up_count_max(&self) -> usize {
        self.follow_ups.count_max
    }

    /// Counts a follow-up that ended.
    pub(super) fn follow_up_ended(&mut self, connection: &Connection) -> Result<()> {
        self.follow_ups.one_more(connection)
    }

    /// Counts a piece of feedback that is remembered.
    pub(super) fn source_noted(&mut self, connection: &Connection) -> Result<()> {
        self.sources.one_more(connection)
    }

    /// Counts a delivery that is remembered.
    pub(super) fn delivery_noted(&mut self, connection: &Connection) -> Result<()> {
        self.deliveries.one_more(connection)
    }

    /// Counts a pull request that was written.
    pub(super) fn pull_noted(&mut self, connection: &Connection) -> Result<()> {
        self.pulls.one_more(connection)
    }

    /// Counts the event `seq`; trims when it is time.
    pub(super) fn event_appended(&mut self, connection: &Connection, seq: i64) -> Result<()> {
        self.events_since += 1;
        if self.events_since >= every(self.event_count_max) {
            self.events(connection, seq)?;
            self.events_since = 0;
        }
        Ok(())
    }

    fn events(&self, connection: &Connection, last_seq: i64) -> Result<()> {
        connection.execute(EVENTS_TRIM, [last_seq.saturating_sub(limit(self.event_count_max))]).map(drop)
    }
}

fn every(count_max: usize) -> usize {
    (count_max / 8).clamp(1, TRIM_EVERY_COUNT_MAX)
}

/// A count as databases take it.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
