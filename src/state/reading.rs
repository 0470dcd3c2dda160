//! What can be read: our own exports, and the state of the first edition, in JSON or in SQLite.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::envelope::check_version;
use crate::domain::{ClaimId, ClaimRecord, FollowUp, FollowUpRecord, IssueRef, RestoredClaim, Timestamp, WorkItemId};
use crate::store::{FirstEditionError, first_edition_rows};

/// Largest JSON file that is read: ten thousand claims take about ten megabytes.
const STATE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// What every SQLite database begins with.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// A claim that can be taken in.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it stood: `claims[3]`.
    pub place: String,
    /// The record as it was read.
    pub record: Value,
    /// The claim it makes.
    pub claim: RestoredClaim,
}

/// A record that cannot be taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Where it stood.
    pub place: String,
    /// Why.
    pub why: String,
}

/// What a file or a request holds.
#[derive(Debug, Default)]
pub struct Reading {
    /// Claims, in the order in which they must be taken: past ones as they were granted, then active ones.
    pub claims: Vec<Found>,
    /// Follow-ups, each with its place, in the order in which they were made.
    pub followups: Vec<(String, FollowUp)>,
    /// Records that cannot be taken.
    pub refused: Vec<Refusal>,
}

/// The lists of an export. Which of the two lists of its kind a record stands in decides nothing: its
/// status does.
#[derive(Debug, Default)]
pub struct Parts {
    /// Active claims.
    pub claims: Vec<Value>,
    /// Claims that ended.
    pub history: Vec<Value>,
    /// Active follow-ups.
    pub followups: Vec<Value>,
    /// Follow-ups that ended.
    pub followup_history: Vec<Value>,
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("failed to read the state in {path}: {why}")]
pub struct StateError {
    path: PathBuf,
    why: String,
}

impl Reading {
    /// Reads the file at `path`, whichever of the known forms it has. Blocks.
    ///
    /// # Errors
    /// When the file cannot be read, or has none of the known forms. A wrong record is no error: it
    /// is among those refused.
    pub fn of_file(path: &Path, now: Timestamp) -> Result<Self, StateError> {
        let error = |why: String| StateError { path: path.to_owned(), why };
        let file = std::fs::File::open(path).map_err(|source| error(source.to_string()))?;
        let mut bytes = Vec::new();
        let length = file.take(STATE_BYTES_MAX + 1).read_to_end(&mut bytes);
        length.map_err(|source| error(source.to_string()))?;
        if bytes.starts_with(SQLITE_MAGIC) {
            return of_first_edition(path, now).map_err(|source| error(source.to_string()));
        }
        if bytes.len() as u64 > STATE_BYTES_MAX {
            return Err(error(format!("it is larger than {STATE_BYTES_MAX} bytes")));
        }
        let value: Value =
            serde_json::from_slice(&bytes).map_err(|source| error(format!("it is no JSON: {source}")))?;
        let mut gathered = Gathered::default();
        gathered.state(value, "").map_err(error)?;
        Ok(gathered.sort_out(now))
    }

    /// Reads the parts of an export.
    pub fn of_parts(parts: Parts, now: Timestamp) -> Self {
        let mut gathered = Gathered::default();
        gathered.claims("claims", parts.claims);
        gathered.claims("history", parts.history);
        gathered.followups("followups", parts.followups);
        gathered.followups("followup_history", parts.followup_history);
        gathered.sort_out(now)
    }
}

fn of_first_edition(path: &Path, now: Timestamp) -> Result<Reading, FirstEditionError> {
    let mut gathered = Gathered::default();
    for row in first_edition_rows(path)? {
        match serde_json::from_str::<Value>(&row.payload) {
            Err(error) => gathered.refuse(row.place, format!("its payload_json is no JSON: {error}")),
            Ok(record) if row.holds == "claims" => gathered.claims.push((row.place, record)),
            Ok(record) if row.holds == "followups" => gathered.followups.push((row.place, record)),
            Ok(state) => {
                if let Err(why) = gathered.state(state, &format!("{}: ", row.place)) {
                    gathered.refuse(row.place, why);
                }
            }
        }
    }
    Ok(gathered.sort_out(now))
}

/// Records, before anything is known of them.
#[derive(Default)]
struct Gathered {
    claims: Vec<(String, Value)>,
    followups: Vec<(String, Value)>,
    refused: Vec<Refusal>,
}

impl Gathered {
    fn refuse(&mut self, place: String, why: impl Into<String>) {
        self.refused.push(Refusal { place, why: why.into() });
    }

    fn claims(&mut self, list: &str, records: Vec<Value>) {
        self.claims.extend(records.into_iter().enumerate().map(|(index, record)| (format!("{list}[{index}]"), record)));
    }

    fn followups(&mut self, list: &str, records: Vec<Value>) {
        let placed = records.into_iter().enumerate().map(|(index, record)| (format!("{list}[{index}]"), record));
        self.followups.extend(placed);
    }

    /// Takes a whole state apart: ours, or one of the first edition's two files.
    fn state(&mut self, state: Value, place: &str) -> Result<(), String> {
        let Value::Object(mut state) = state else { return Err("it is no JSON object".into()) };
        if let Some(format) = state.get("format").and_then(Value::as_str) {
            check_version(format, state.get("version").and_then(Value::as_u64).unwrap_or(u64::MAX))?;
        }
        let known = ["claims", "active_claims", "followups", "active_followups"];
        if !known.iter().any(|name| state.contains_key(*name)) {
            let names: Vec<_> = state.keys().take(10).map(String::as_str).collect();
            return Err(format!("it has none of {} (it has: {})", known.join(", "), names.join(", ")));
        }
        // The first edition keeps the history of follow-ups in a file of theirs, under the same name.
        let is_of_followups = !state.contains_key("claims") && !state.contains_key("active_claims");
        for name in ["claims", "active_claims"] {
            self.claims(&format!("{place}{name}"), list(&mut state, name)?);
        }
        for name in ["followups", "active_followups", "followup_history"] {
            self.followups(&format!("{place}{name}"), list(&mut state, name)?);
        }
        let history = list(&mut state, "history")?;
        let name = format!("{place}history");
        if is_of_followups {
            self.followups(&name, history)
        } else {
            self.claims(&name, history)
        }
        Ok(())
    }

    /// Parses every record, refuses what cannot be, and puts the rest in the order of taking.
    fn sort_out(mut self, now: Timestamp) -> Reading {
        let mut claims = Vec::new();
        for (place, record) in std::mem::take(&mut self.claims) {
            match restore(&record, now) {
                Ok(claim) => claims.push(Found { place, record, claim }),
                Err(why) => self.refuse(place, why),
            }
        }
        let mut followups = Vec::new();
        for (place, record) in std::mem::take(&mut self.followups) {
            match restore_follow_up(record, now) {
                Ok(followup) => followups.push((place, followup)),
                Err(why) => self.refuse(place, why),
            }
        }
        followups.sort_by_key(|(_, followup)| followup.created_at);
        let followups = self.newest_of_each(followups);
        let is_past = |found: &Found| found.claim.claim().status().is_terminal();
        claims.sort_by_key(|found| (!is_past(found), found.claim.claim().claimed_at));
        let claims = self.only_first(claims);
        Reading { claims, followups, refused: self.refused }
    }

    /// Of two records of one follow-up the later word holds.
    fn newest_of_each(&mut self, followups: Vec<(String, FollowUp)>) -> Vec<(String, FollowUp)> {
        let mut newest: HashMap<WorkItemId, (Timestamp, String)> = HashMap::new();
        for (place, followup) in &followups {
            let known = newest.entry(followup.work_item_id).or_insert((followup.last_updated(), place.clone()));
            if followup.last_updated() > known.0 {
                *known = (followup.last_updated(), place.clone());
            }
        }
        let mut kept = Vec::with_capacity(followups.len());
        for (place, followup) in followups {
            match newest.get(&followup.work_item_id) {
                Some((_, best)) if *best != place => {
                    self.refuse(place, format!("the same follow-up stands at {best} too"));
                }
                _ => kept.push((place, followup)),
            }
        }
        kept
    }

    /// Of two records of one claim the later word holds; of two active claims on one issue, which the
    /// first edition could grant, the earlier.
    fn only_first(&mut self, claims: Vec<Found>) -> Vec<Found> {
        let mut newest: HashMap<ClaimId, (Timestamp, String)> = HashMap::new();
        for found in &claims {
            let claim = found.claim.claim();
            let known = newest.entry(claim.claim_id).or_insert((claim.last_updated(), found.place.clone()));
            if claim.last_updated() > known.0 {
                *known = (claim.last_updated(), found.place.clone());
            }
        }
        let mut held: HashMap<IssueRef, String> = HashMap::new();
        let mut kept = Vec::with_capacity(claims.len());
        for found in claims {
            let claim = found.claim.claim();
            let of_claim = newest.get(&claim.claim_id).map(|(_, place)| place.as_str());
            if of_claim != Some(found.place.as_str()) {
                self.refuse(
                    found.place,
                    format!("the same claim stands at {} too", of_claim.unwrap_or("another place")),
                );
                continue;
            }
            if !claim.status().is_terminal() {
                let issue = found.claim.issue_ref();
                if let Some(place) = held.get(&issue) {
                    self.refuse(found.place, format!("{issue} is held by the earlier claim at {place}"));
                    continue;
                }
                held.insert(issue, found.place.clone());
            }
            kept.push(found);
        }
        kept
    }
}

fn list(state: &mut Map<String, Value>, name: &str) -> Result<Vec<Value>, String> {
    match state.remove(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(records)) => Ok(records),
        Some(_) => Err(format!("{name} is no list")),
    }
}

fn restore(record: &Value, now: Timestamp) -> Result<RestoredClaim, String> {
    if !record.is_object() {
        return Err("it is no JSON object".into());
    }
    let record: ClaimRecord =
        serde_path_to_error::deserialize(without_nulls(record.clone())).map_err(|error| error.to_string())?;
    record.restore(now).map_err(|error| error.to_string())
}

fn restore_follow_up(record: Value, now: Timestamp) -> Result<FollowUp, String> {
    if !record.is_object() {
        return Err("it is no JSON object".into());
    }
    let record: FollowUpRecord =
        serde_path_to_error::deserialize(without_nulls(record)).map_err(|error| error.to_string())?;
    record.restore(now).map_err(|error| error.to_string())
}

/// A null says the same as an absent field.
fn without_nulls(mut record: Value) -> Value {
    if let Value::Object(fields) = &mut record {
        fields.retain(|_, value| !value.is_null());
    }
    record
}
