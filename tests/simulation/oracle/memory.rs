//! What holds over many steps: the grace, epochs, and what requests got.

use std::collections::BTreeMap;

use issuecommand::domain::ClaimStatus;

use super::{AUTO_RELEASE_MINUTES, Evidence, LEASE_MINUTES, Oracle};
use crate::calls::{Answer, Call, Called};

/// For how long nothing is marked or taken back after a start, a jump or a failure: the design's promise.
const GRACE_MS: u64 = 120_000;

impl Oracle {
    pub(super) fn sweeps_kept_the_grace(&mut self, step: &Evidence) -> Result<(), String> {
        for it in step.announced.iter().filter(|it| matches!(it.kind, "claim.stale" | "claim.auto_released")) {
            let id = it.claim.clone().unwrap_or_default();
            // An owner may say of itself that it lapsed.
            let is_owners = |called: &Called| match &called.call {
                Call::Update { claim, to: ClaimStatus::Stale, .. } => called.may_be_done() && claim.to_string() == id,
                _ => false,
            };
            if it.kind == "claim.stale" && step.called.iter().any(is_owners) {
                self.stale_at.insert(id, it.at.wall_ms);
                continue;
            }
            if it.at.steady_ms < self.trouble_ms + GRACE_MS {
                let since = it.at.steady_ms.saturating_sub(self.trouble_ms) / 1_000;
                return Err(format!("{} of {id} only {since} s after a start, a jump or a failure", it.kind));
            }
            let Some(row) = self.ledger.claims.get(&id) else { continue };
            if it.kind == "claim.stale" {
                self.stale_at.insert(id.clone(), it.at.wall_ms);
                let heard = self.heard.get(&row.agent).map_or(0, |heard| heard.wall_ms);
                if it.at.wall_ms < heard + LEASE_MINUTES * 60_000 {
                    let at = (it.at.wall_ms / 1_000, heard / 1_000);
                    return Err(format!("{id} went stale at {} s, and its owner called at {} s", at.0, at.1));
                }
            } else if let Some(stale_at) = self.stale_at.get(&id)
                && it.at.wall_ms < stale_at + AUTO_RELEASE_MINUTES * 60_000
            {
                return Err(format!("{id} was taken back too soon after it went stale"));
            }
        }
        Ok(())
    }

    pub(super) fn epochs_only_grow(&self, step: &Evidence) -> Result<(), String> {
        for (place, before) in &self.ledger.epochs {
            let now = step.after.epochs.get(place).copied().unwrap_or(0);
            if now < *before {
                return Err(format!("the epoch of {place:?} went from {before} back to {now}"));
            }
        }
        Ok(())
    }

    pub(super) fn requests_are_remembered(&mut self, step: &Evidence) -> Result<(), String> {
        // A request's id does not go to another agent with its claim.
        for called in &step.called {
            if let Call::Overrule { claim, to: Some(_) } = &called.call {
                self.requests.retain(|_, got| *got != claim.to_string());
            }
        }
        let mut got_now: BTreeMap<(String, String), String> = BTreeMap::new();
        for called in &step.called {
            let (Call::Next { agent, request_id: Some(request), .. }
            | Call::Claim { agent, request_id: Some(request), .. }) = &called.call
            else {
                continue;
            };
            let Some(Answer::Granted { claim, idempotent }) = &called.answer else { continue };
            let (key, id) = ((agent.to_string(), request.as_str().to_owned()), claim.claim_id.to_string());
            if let Some(got) = self.requests.get(&key).filter(|got| **got != id) {
                return Err(format!("{called}, but the same request got {got} before"));
            }
            // What an agent holds already is answered for any request, and is not kept for it.
            if !idempotent && let Some(got) = got_now.insert(key, id) {
                return Err(format!("{called}, but the same request got {got} in the same step"));
            }
        }
        self.requests.extend(got_now);
        Ok(())
    }
}
