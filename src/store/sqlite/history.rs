//! How much past is kept: claims that ended, events that were read, agents that went away.

use rusqlite::{Connection, Result};

use crate::config::StoreConfig;

/// Most agents whose last call is remembered over a restart.
const AGENT_COUNT_MAX: i64 = 10_000;
/// Past claims and events are trimmed once so many have come, or an eighth of what is kept if that is
/// less: deleting a few rows in every transaction would cost more than keeping some too long.
const TRIM_EVERY_COUNT_MAX: usize = 64;

pub(super) const CLAIMS_TRIM: &str = "DELETE FROM claims WHERE claim_id IN \
     (SELECT claim_id FROM claims WHERE active = 0 ORDER BY ended_at_ms DESC, claim_id DESC LIMIT -1 OFFSET ?1)";
pub(super) const EVENTS_TRIM: &str = "DELETE FROM events WHERE seq <= ?1 - ?2";
const AGENTS_TRIM: &str = "DELETE FROM agents WHERE agent_id IN \
     (SELECT agent_id FROM agents ORDER BY last_call_ms DESC LIMIT -1 OFFSET ?1)";

/// How much to keep, and when it was last seen to.
#[derive(Debug)]
pub(super) struct Trim {
    claim_count_max: usize,
    event_count_max: usize,
    claims_since: usize,
    events_since: usize,
}

impl Trim {
    /// What `config` says; nothing counted yet.
    pub(super) fn new(config: &StoreConfig) -> Self {
        Self {
            claim_count_max: config.history_max_entries,
            event_count_max: config.event_max_entries,
            claims_since: 0,
            events_since: 0,
        }
    }

    /// How many past claims are kept.
    pub(super) fn claim_count_max(&self) -> usize {
        self.claim_count_max
    }

    /// Trims everything: at start-up, because the settings may have changed.
    pub(super) fn all(&self, connection: &Connection, last_seq: i64) -> Result<()> {
        self.claims(connection)?;
        self.events(connection, last_seq)?;
        connection.execute(AGENTS_TRIM, [AGENT_COUNT_MAX]).map(|_| ())
    }

    /// Counts a claim that ended; trims when it is time. Decisions go with their claims.
    pub(super) fn claim_ended(&mut self, connection: &Connection) -> Result<()> {
        self.claims_since += 1;
        if self.claims_since >= every(self.claim_count_max) {
            self.claims(connection)?;
            self.claims_since = 0;
        }
        Ok(())
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

    fn claims(&self, connection: &Connection) -> Result<()> {
        connection.prepare_cached(CLAIMS_TRIM)?.execute([limit(self.claim_count_max)]).map(|_| ())
    }

    fn events(&self, connection: &Connection, last_seq: i64) -> Result<()> {
        connection.prepare_cached(EVENTS_TRIM)?.execute([last_seq, limit(self.event_count_max)]).map(|_| ())
    }
}

fn every(count_max: usize) -> usize {
    (count_max / 8).clamp(1, TRIM_EVERY_COUNT_MAX)
}

/// A count as SQLite takes it.
pub(super) fn limit(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
