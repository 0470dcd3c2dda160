//! Bringing what was read into a store.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{Reading, Refusal};
use crate::claims::Operations;
use crate::domain::ClaimId;
use crate::store::{ImportOutcome, StoreError};

/// Claims taken in by one transaction: others get their turn in between.
const BATCH_COUNT_MAX: usize = 200;

/// A claim that was not taken in, and stays what it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Where it stood.
    pub place: String,
    /// Which claim.
    pub claim_id: ClaimId,
    /// Why it was not taken.
    pub why: String,
}

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportReport {
    /// Claims that are here now and were not before.
    pub taken: usize,
    /// Claims that were here before; they stand as they stood.
    pub already_here: usize,
    /// Claims that could be taken, but not here.
    pub skipped: Vec<Skipped>,
    /// Records that are no claims.
    pub refused: Vec<Refusal>,
}

/// Takes in what it can, batch by batch; a trial run changes nothing and reports the same.
///
/// # Errors
/// When the store fails. What was taken before stays, and another run goes on from there.
pub async fn take_in(operations: &Operations, reading: Reading, dry_run: bool) -> Result<ImportReport, StoreError> {
    let Reading { claims, followups, refused } = reading;
    let mut report = ImportReport { refused, ..ImportReport::default() };
    for batch in claims.chunks(BATCH_COUNT_MAX) {
        let outcomes = operations.import(batch.iter().map(|found| found.claim.clone()).collect(), dry_run).await?;
        for (found, outcome) in batch.iter().zip(outcomes) {
            let claim = found.claim.claim();
            let mut skip = |why: String| {
                report.skipped.push(Skipped { place: found.place.clone(), claim_id: claim.claim_id, why });
            };
            match outcome {
                ImportOutcome::Taken => report.taken += 1,
                ImportOutcome::AlreadyHere(status) if status == claim.status() => report.already_here += 1,
                ImportOutcome::AlreadyHere(status) => skip(format!("this claim is here already, and {status}")),
                ImportOutcome::HeldBy(holder) => {
                    skip(format!("{} is held here by {}", holder.issue_ref(), holder.agent_id));
                }
                ImportOutcome::Passed => skip("it ended before the oldest claim that the history has room for".into()),
            }
        }
    }
    // The place for follow-ups: they are read and checked, and wait for a store that keeps them.
    let kept_nowhere = |(place, _)| Refusal { place, why: "follow-ups cannot be imported yet".into() };
    report.refused.extend(followups.into_iter().map(kept_nowhere));
    Ok(report)
}

impl ImportReport {
    /// Adds what a further part of the same import did.
    pub fn add(&mut self, part: Self) {
        self.taken += part.taken;
        self.already_here += part.already_here;
        self.skipped.extend(part.skipped);
        self.refused.extend(part.refused);
    }
}
