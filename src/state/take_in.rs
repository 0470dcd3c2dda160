//! Bringing what was read into a store.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::reading::{Found, Reading, Refusal};
use crate::claims::Operations;
use crate::domain::{ClaimId, FollowUp, WorkItemId};
use crate::store::{FollowUpImportOutcome, ImportOutcome, StoreError};

/// Records taken in by one transaction: others get their turn in between.
const BATCH_COUNT_MAX: usize = 200;

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordId {
    /// A claim.
    #[serde(rename = "claim_id")]
    Claim(ClaimId),
    /// A follow-up.
    #[serde(rename = "work_item_id")]
    FollowUp(WorkItemId),
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim(id) => id.fmt(f),
            Self::FollowUp(id) => id.fmt(f),
        }
    }
}

/// A record that was not taken in, and stays what it is here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// Where it stood.
    pub place: String,
    /// Which it is.
    #[serde(flatten)]
    pub record: RecordId,
    /// Why it was not taken.
    pub why: String,
}

/// What an import did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImportReport {
    /// Claims and follow-ups that are here now and were not before.
    pub taken: usize,
    /// Those that were here before; they stand as they stood.
    pub already_here: usize,
    /// Those that could be taken, but not here.
    pub skipped: Vec<Skipped>,
    /// Records that are neither.
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
        batch.iter().zip(outcomes).for_each(|(found, outcome)| report.note_claim(found, outcome));
    }
    for batch in followups.chunks(BATCH_COUNT_MAX) {
        let items = batch.iter().map(|(_, item)| item.clone()).collect();
        let outcomes = operations.import_follow_ups(items, dry_run).await?;
        batch.iter().zip(outcomes).for_each(|((place, item), outcome)| report.note_follow_up(place, item, outcome));
    }
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

    fn note_claim(&mut self, found: &Found, outcome: ImportOutcome) {
        let claim = found.claim.claim();
        let why = match outcome {
            ImportOutcome::Taken => return self.taken += 1,
            ImportOutcome::AlreadyHere(status) if status == claim.status() => return self.already_here += 1,
            ImportOutcome::AlreadyHere(status) => format!("this claim is here already, and {status}"),
            ImportOutcome::HeldBy(holder) => format!("{} is held here by {}", holder.issue_ref(), holder.agent_id),
            ImportOutcome::Passed => "it ended before the oldest claim that the history has room for".into(),
        };
        self.skip(&found.place, RecordId::Claim(claim.claim_id), why);
    }

    fn note_follow_up(&mut self, place: &str, item: &FollowUp, outcome: FollowUpImportOutcome) {
        let why = match outcome {
            FollowUpImportOutcome::Taken => return self.taken += 1,
            FollowUpImportOutcome::AlreadyHere(status) if status == item.status() => return self.already_here += 1,
            FollowUpImportOutcome::AlreadyHere(status) => format!("this follow-up is here already, and {status}"),
            FollowUpImportOutcome::FeedbackKnown(other) => {
                format!("{} of {} made follow-up {other} here", item.source_event_id, item.repo)
            }
            FollowUpImportOutcome::Passed => "it ended before the oldest follow-up that there is room for".into(),
            FollowUpImportOutcome::NoRoom => {
                "as many follow-ups are active here as store.follow_up_max_entries (FOLLOWUP_MAX_ENTRIES) allows".into()
            }
        };
        self.skip(place, RecordId::FollowUp(item.work_item_id), why);
    }

    fn skip(&mut self, place: &str, record: RecordId, why: String) {
        self.skipped.push(Skipped { place: place.to_owned(), record, why });
    }
}
