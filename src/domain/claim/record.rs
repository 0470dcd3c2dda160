//! Claims from elsewhere: the contract's record, as another server, an older version or a hand wrote
//! it, and what must hold of it before it is believed.

use chrono::TimeDelta;
use serde::Deserialize;

use super::{Claim, ClaimStatus, LEASE_EPOCH_FIRST, Lease, StatusEntry};
use crate::domain::elsewhere::{self, ENTRY_COUNT_MAX, TEXT_BYTES_MAX};
use crate::domain::{AgentId, ClaimId, IssueNumber, IssueRef, RepoName, Timestamp};

/// How far ahead of the clock's microseconds, which a copy of a store counts from (`store/sql/lineage.rs`), an epoch is
/// believed: a year, for a clock that was wrong. The bound goes on with the clock, and faster than anybody grants, so
/// what is granted behind an epoch that was believed is believed as well.
const EPOCH_AHEAD_MAX: TimeDelta = TimeDelta::days(365);

/// The contract's record of a claim, before anything is known of it. What it does not name is ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct ClaimRecord {
    claim_id: ClaimId,
    agent_id: AgentId,
    repo: RepoName,
    issue_number: IssueNumber,
    #[serde(default)]
    issue_title: String,
    #[serde(default)]
    issue_labels: Vec<String>,
    #[serde(default)]
    issue_assignees: Vec<String>,
    status: ClaimStatus,
    claimed_at: Timestamp,
    last_updated: Timestamp,
    #[serde(default)]
    status_history: Vec<StatusEntry>,
    #[serde(default)]
    pr_url: Option<String>,
    /// The first edition has none.
    #[serde(default)]
    lease: Option<Lease>,
}

/// Why a record cannot be a claim.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRecordError {
    /// A text or a list is longer than any real one.
    #[error("{0} is longer than any real one")]
    TooLong(&'static str),
    /// A time lies in the future, or before another that must come first.
    #[error("{0}")]
    Time(String),
    /// The status and the end of its history differ.
    #[error("its status is {status}, but its history ends with {last}")]
    History {
        /// What the record says.
        status: ClaimStatus,
        /// What its history says.
        last: ClaimStatus,
    },
    /// The address of the pull request is none that people may follow.
    #[error("pr_url is no http or https address")]
    PrUrl,
    /// An epoch no server ever granted.
    #[error("lease.epoch is out of range: from 1 to {0}")]
    Epoch(
        /// The highest that is believed now.
        u64,
    ),
}

/// A record that can be a claim. Its epoch is the store's to settle.
#[derive(Debug, Clone)]
pub struct RestoredClaim {
    claim: Claim,
    has_lease: bool,
}

impl ClaimRecord {
    /// The claim of this record, if all that must hold of it does.
    ///
    /// # Errors
    /// [`ClaimRecordError`] says what does not.
    pub fn restore(self, now: Timestamp) -> Result<RestoredClaim, ClaimRecordError> {
        self.check_lengths()?;
        elsewhere::check_times((self.claimed_at, "claimed_at"), self.last_updated, now)
            .map_err(ClaimRecordError::Time)?;
        if let Some(last) = self.status_history.last()
            && last.status != self.status
        {
            return Err(ClaimRecordError::History { status: self.status, last: last.status });
        }
        let pr_url = self.pr_url.filter(|url| !url.trim().is_empty());
        if pr_url.as_deref().is_some_and(|url| !elsewhere::is_web_page(url)) {
            return Err(ClaimRecordError::PrUrl);
        }
        let epoch_max = (now + EPOCH_AHEAD_MAX).timestamp_micros().unsigned_abs();
        if self.lease.is_some_and(|lease| !(LEASE_EPOCH_FIRST..=epoch_max).contains(&lease.epoch)) {
            return Err(ClaimRecordError::Epoch(epoch_max));
        }
        let mut status_history = self.status_history;
        if status_history.is_empty() {
            status_history.push(StatusEntry { status: self.status, timestamp: self.last_updated, note: None });
        }
        let claim = Claim {
            claim_id: self.claim_id,
            agent_id: self.agent_id,
            repo: self.repo,
            issue_number: self.issue_number,
            issue_title: self.issue_title,
            issue_labels: self.issue_labels,
            issue_assignees: self.issue_assignees,
            status: self.status,
            claimed_at: self.claimed_at,
            last_updated: self.last_updated,
            status_history,
            pr_url,
            pr_found: false,
            lease: self.lease.unwrap_or(Lease { epoch: LEASE_EPOCH_FIRST, expires_at: self.last_updated }),
            // The reasons of the pick stay where they were recorded.
            decision_id: None,
        };
        Ok(RestoredClaim { claim, has_lease: self.lease.is_some() })
    }

    fn check_lengths(&self) -> Result<(), ClaimRecordError> {
        let too_long = |what| Err(ClaimRecordError::TooLong(what));
        let lists = [(&self.issue_labels, "issue_labels"), (&self.issue_assignees, "issue_assignees")];
        if let Some((_, what)) = lists.into_iter().find(|(list, _)| !elsewhere::is_list(list)) {
            return too_long(what);
        }
        let note_len = |entry: &StatusEntry| entry.note.as_ref().map_or(0, String::len);
        if self.status_history.len() > ENTRY_COUNT_MAX
            || self.status_history.iter().any(|entry| note_len(entry) > TEXT_BYTES_MAX)
        {
            return too_long("status_history");
        }
        if self.issue_title.len() > TEXT_BYTES_MAX {
            return too_long("issue_title");
        }
        if self.pr_url.as_ref().is_some_and(|url| url.len() > TEXT_BYTES_MAX) {
            return too_long("pr_url");
        }
        Ok(())
    }
}

impl RestoredClaim {
    /// The claim as recorded.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// The issue it holds or held.
    pub fn issue_ref(&self) -> IssueRef {
        self.claim.issue_ref()
    }

    /// The claim among those of a server whose newest epoch on the issue is `last_epoch`. An active one
    /// must be the newest of all; a past one without an epoch follows what is known. `lease` is how long
    /// it holds where the record does not say.
    pub fn after_epoch(self, last_epoch: u64, lease: TimeDelta) -> Claim {
        let Self { mut claim, has_lease } = self;
        if !has_lease {
            claim.lease = Lease { epoch: last_epoch + 1, expires_at: claim.last_updated + lease };
        } else if !claim.status.is_terminal() {
            claim.lease.epoch = claim.lease.epoch.max(last_epoch + 1);
        }
        claim
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::from_unix_ms;

    fn now() -> Timestamp {
        "2026-11-01T00:00:00Z".parse().unwrap()
    }

    fn record(changes: Value) -> Value {
        let mut record = json!({
            "claim_id": "6a1b7c5e-1f7f-4a65-9f0e-3a3b1f6f2c11", "agent_id": "a1", "repo": "Acme/Small", "issue_number": 7,
            "issue_title": "Fix it", "issue_labels": ["bug"], "issue_assignees": [], "status": "in_progress",
            "claimed_at": "2026-10-01T00:00:00.000Z", "last_updated": "2026-10-01T01:00:00.000Z",
            "status_history": [
                { "status": "claimed", "timestamp": "2026-10-01T00:00:00.000Z" },
                { "status": "in_progress", "timestamp": "2026-10-01T01:00:00.000Z", "note": "on it" },
            ],
        });
        for (field, value) in changes.as_object().unwrap() {
            record[field] = value.clone();
        }
        record
    }

    fn restored(changes: Value) -> Result<RestoredClaim, String> {
        let record: ClaimRecord = serde_json::from_value(record(changes)).map_err(|error| error.to_string())?;
        record.restore(now()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_of_the_first_edition_becomes_a_claim_with_the_next_epoch() {
        let claim = restored(json!({})).unwrap().after_epoch(4, TimeDelta::minutes(120));
        assert_eq!(
            (claim.repo.as_str(), claim.status(), claim.lease.epoch),
            ("acme/small", ClaimStatus::InProgress, 5)
        );
        assert_eq!(claim.lease.expires_at, "2026-10-01T03:00:00Z".parse::<Timestamp>().unwrap());
        assert_eq!(claim.status_history()[1].note.as_deref(), Some("on it"));
    }

    #[test]
    fn a_claim_of_our_own_keeps_its_lease_unless_it_was_overtaken() {
        let lease = json!({ "lease": { "epoch": 3, "expires_at": "2026-10-02T00:00:00Z" } });
        let epoch = |changes: Value, last| restored(changes).unwrap().after_epoch(last, TimeDelta::zero()).lease.epoch;
        assert_eq!(epoch(lease.clone(), 0), 3);
        let of_a_copy =
            json!({ "lease": { "epoch": 1_795_000_000_000_001_u64, "expires_at": "2026-10-02T00:00:00Z" } });
        assert_eq!(epoch(of_a_copy, 0), 1_795_000_000_000_001, "a restored store's");
        assert_eq!(epoch(lease.clone(), 3), 4);
        let mut past = lease;
        past["status"] = json!("released");
        past["status_history"] = json!([]);
        assert_eq!(epoch(past, 9), 3, "what is past keeps its epoch");
    }

    #[test]
    fn what_is_granted_behind_an_epoch_that_was_believed_is_believed_too() {
        let believed = |epoch: u64, now: Timestamp| {
            let lease = json!({ "lease": { "epoch": epoch, "expires_at": "2026-10-02T00:00:00Z" } });
            let record: ClaimRecord = serde_json::from_value(record(lease)).unwrap();
            record.restore(now).map(|restored| restored.after_epoch(0, TimeDelta::zero()).lease.epoch)
        };
        let Err(ClaimRecordError::Epoch(highest)) = believed(u64::MAX, now()) else {
            panic!("every epoch is believed")
        };
        assert_eq!(believed(highest, now()), Ok(highest));
        assert_eq!(believed(highest + 1, now()), Err(ClaimRecordError::Epoch(highest)));
        // A record of the next grant is read a moment later at the earliest.
        assert_eq!(believed(highest + 1, now() + TimeDelta::microseconds(1)), Ok(highest + 1));
        assert!(highest < 1 << 52, "every reader of JSON can tell twice as high epochs from their neighbours");
    }

    #[test]
    fn what_no_server_wrote_is_refused_with_its_reason() {
        let future = from_unix_ms(now().timestamp_millis().unsigned_abs() + 48 * 3_600_000);
        let refused = [
            (json!({ "agent_id": "" }), "agent id"),
            (json!({ "repo": "../etc" }), "repository"),
            (json!({ "issue_number": 0 }), "issue number"),
            (json!({ "status": "done" }), "unknown variant"),
            (json!({ "claim_id": "1" }), "UUID"),
            (json!({ "claim_id": null }), "null"),
            (json!({ "status": "closed" }), "its history ends with in_progress"),
            (json!({ "pr_url": "javascript:alert(1)" }), "pr_url"),
            (json!({ "last_updated": future }), "from the future"),
            (json!({ "last_updated": "2026-09-01T00:00:00Z" }), "before claimed_at"),
            (json!({ "claimed_at": "yesterday" }), "invalid"),
            (json!({ "issue_title": "x".repeat(TEXT_BYTES_MAX + 1) }), "issue_title"),
            (json!({ "issue_labels": vec!["x"; ENTRY_COUNT_MAX + 1] }), "issue_labels"),
            (json!({ "lease": { "epoch": u64::MAX, "expires_at": "2026-10-02T00:00:00Z" } }), "lease.epoch"),
            (json!({ "lease": { "epoch": 0, "expires_at": "2026-10-02T00:00:00Z" } }), "lease.epoch"),
        ];
        for (changes, why) in refused {
            let error = restored(changes.clone()).expect_err(&changes.to_string());
            assert!(error.contains(why), "{changes}: {error}");
        }
    }
}
