//! Issues that GitHub was asked for and did not have, remembered for a while: a client that asks for the
//! same wrong number again costs nothing.

use std::collections::HashMap;

use chrono::TimeDelta;
use parking_lot::Mutex;

use crate::domain::{IssueRef, Timestamp};

/// How long GitHub's "there is none" is believed.
const BELIEVED: TimeDelta = TimeDelta::minutes(1);
/// Most of them remembered.
const COUNT_MAX: usize = 1_024;

/// When GitHub last said that there is no such open issue.
#[derive(Debug, Default)]
pub(super) struct Absent(Mutex<HashMap<IssueRef, Timestamp>>);

impl Absent {
    /// Whether GitHub may be asked about `issue`.
    pub(super) fn may_ask(&self, issue: &IssueRef, now: Timestamp) -> bool {
        self.0.lock().get(issue).is_none_or(|said_at| now - *said_at >= BELIEVED)
    }

    /// Notes GitHub's "there is none".
    pub(super) fn note(&self, issue: &IssueRef, now: Timestamp) {
        let mut absent = self.0.lock();
        if absent.len() >= COUNT_MAX {
            absent.retain(|_, said_at| now - *said_at < BELIEVED);
        }
        if absent.len() < COUNT_MAX {
            absent.insert(issue.clone(), now);
        }
    }
}
