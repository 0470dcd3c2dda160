//! The periodic lease check: marks lapsed claims and takes them back, as the stale rule says.

use std::sync::Arc;

use chrono::TimeDelta;
use tracing::{debug, info, warn};

use super::ClaimManager;
use crate::domain::{Actor, Claim, ClaimStatus, Step, Timestamp};
use crate::policy::{LiveClaim, Verdict};
use crate::store::{AdvanceOutcome, ClaimChange, StoreError};

/// The stale rules, in faults and events.
const STALE_RULE: &str = "stale_rule";

/// What one sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SweepReport {
    /// Claims marked as stale.
    pub stale_marked: usize,
    /// Claims taken back.
    pub auto_released: usize,
}

impl ClaimManager {
    /// Checks every live claim once; none while the server itself was unwell lately.
    ///
    /// # Errors
    /// When the store fails. A failing stale rule is no error: it touches no claim.
    pub async fn sweep(&self) -> Result<SweepReport, StoreError> {
        let now = self.clock.now();
        self.write_down_calls().await?;
        // Owners call whichever server they like.
        self.presence.learn(self.store.agent_last_calls().await?);
        if let Some(why) = self.wellness.unwell(&*self.clock) {
            debug!("{why}");
            return Ok(SweepReport::default());
        }
        self.sweep_follow_ups(now).await?;
        let claims: Vec<Arc<Claim>> = self.index.board.read().claims().cloned().collect();
        let mut report = SweepReport::default();
        if claims.is_empty() {
            return Ok(report);
        }
        let signals = self.signals().await?;
        let policies = self.desk.current();
        let rows: Vec<LiveClaim<'_>> = claims
            .iter()
            .map(|claim| LiveClaim {
                claim,
                last_call_at: self.last_call(claim),
                signals: signals.get(&claim.claim_id).copied().unwrap_or_default(),
            })
            .collect();
        let (verdicts, fault) = policies.set.stale_rule.assess(&rows, now);
        match fault {
            Some(fault) => self.desk.note_failure(&policies, STALE_RULE, &fault, "none of its claims is touched"),
            None => policies.clear_fault(STALE_RULE),
        }
        for (row, verdict) in rows.iter().zip(verdicts) {
            let to = match verdict {
                Verdict::Healthy | Verdict::Waiting => continue,
                Verdict::Stale => ClaimStatus::Stale,
                Verdict::Release => ClaimStatus::Released,
            };
            // Its owner may have called since the rule looked.
            if row.claim.status() == to || self.last_call(row.claim) > row.last_call_at {
                continue;
            }
            if self.reclaim(row, to, now).await? {
                report.stale_marked += usize::from(to == ClaimStatus::Stale);
                report.auto_released += usize::from(to == ClaimStatus::Released);
            }
        }
        if report != SweepReport::default() {
            info!(stale = report.stale_marked, released = report.auto_released, "sweep moved claims");
            let mut swept = self.swept.lock();
            swept.stale_marked += report.stale_marked;
            swept.stale_auto_released += report.auto_released;
        }
        Ok(report)
    }

    async fn reclaim(&self, row: &LiveClaim<'_>, to: ClaimStatus, now: Timestamp) -> Result<bool, StoreError> {
        let claim = row.claim;
        let note = match to {
            ClaimStatus::Stale => "no word from its owner within the lease".into(),
            _ => format!("taken back by the stale rule, {}", last_signs(row)),
        };
        let change = ClaimChange {
            claim_id: claim.claim_id,
            owner: None,
            epoch: Some(claim.lease.epoch),
            last_updated: Some(claim.last_updated()),
            step: Step::to(to, Actor::Sweep).with_note(note),
            lease: TimeDelta::zero(),
            now,
        };
        match self.store.claim_advance(change).await? {
            AdvanceOutcome::Moved(..) => Ok(true),
            // Its owner was faster: that is what the guards are for.
            AdvanceOutcome::NotFound | AdvanceOutcome::NotOwner(_) | AdvanceOutcome::Superseded(_) => Ok(false),
            AdvanceOutcome::Refused(claim, error) => {
                warn!(claim.id = %claim.claim_id, "the stale rule asked for what a claim cannot do: {error}");
                Ok(false)
            }
        }
    }

    /// Notes that something of the server's own failed, by which calls of agents may have been lost: no claim
    /// is marked or taken back until agents had a chance to call again.
    pub fn note_unwell(&self, what: &str) {
        self.wellness.note_trouble(what, &*self.clock);
    }

    /// Why no claim is marked or taken back now, where that is more than a start.
    pub(super) fn why_nothing_is_reclaimed(&self) -> Option<String> {
        self.wellness.unwell(&*self.clock).filter(|_| self.wellness.is_more_than_a_start())
    }

    /// When the claim's owner was last heard of.
    fn last_call(&self, claim: &Claim) -> Timestamp {
        let updated = claim.status_history().iter().rev().find(|entry| entry.status != ClaimStatus::Stale);
        let updated = updated.map_or(claim.claimed_at, |entry| entry.timestamp);
        let updated = if claim.status() == ClaimStatus::Stale { updated } else { claim.last_updated() };
        self.presence.last_call(&claim.agent_id).map_or(updated, |heard| heard.max(updated))
    }

    /// Writes down when owners were last heard of.
    pub(super) async fn write_down_calls(&self) -> Result<(), StoreError> {
        let calls = {
            let board = self.index.board.read();
            self.presence.take_unwritten(|agent| board.is_holder(agent))
        };
        if calls.is_empty() {
            return Ok(());
        }
        let written = self.store.agent_heard(calls.clone()).await;
        if written.is_err() {
            self.presence.put_back(calls);
        }
        written
    }
}

/// When a claim last gave a sign of life, for its history and its owner.
fn last_signs(row: &LiveClaim<'_>) -> String {
    let at = |at: Timestamp| at.format("%Y-%m-%d %H:%M UTC");
    let pushed = row.signals.last_push_at.max(row.signals.last_commit_at);
    let pushed = pushed.map(|pushed| format!(", last commit or push {}", at(pushed))).unwrap_or_default();
    format!("last call {}{pushed}", at(row.last_call_at))
}
