//! What a replay found: numbers for programs, and the source of the table and the page.

use serde::Serialize;

use super::cast::SimulatedAgent;
use crate::domain::{PolicyStamp, Timestamp};

/// What a replay found. The same inputs give the same report, byte for byte.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was replayed.
    pub history: HistorySummary,
    /// How.
    pub setting: SettingSummary,
    /// What came of it under each policy: the one in question, then the one it was held against.
    pub outcomes: Vec<Outcome>,
    /// Where the two would have picked differently from the same state, if there are two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed: Option<Changed>,
}

/// The history of a replay.
#[derive(Debug, Clone, Serialize)]
pub struct HistorySummary {
    /// Its repositories.
    pub repos: Vec<String>,
    /// How many issues.
    pub issues: usize,
    /// How many pull requests.
    pub pulls: usize,
    /// Its first moment.
    pub from: Timestamp,
    /// Its last moment, where the replay ends.
    pub to: Timestamp,
    /// How many durations of work it shows; 0 where stand-ins were used.
    pub work_samples: usize,
    /// Half of the work took less than so many hours.
    pub work_hours_p50: f64,
    /// How many durations of review it shows; 0 where stand-ins were used.
    pub review_samples: usize,
    /// Half of the reviews took less than so many hours.
    pub review_hours_p50: f64,
}

/// How a replay was set up.
#[derive(Debug, Clone, Serialize)]
pub struct SettingSummary {
    /// How many agents.
    pub agents: usize,
    /// Who they were, and what they could do, where they had names of their own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<SimulatedAgent>,
    /// What the draws began with.
    pub seed: u64,
    /// How much faster than in the history work is done.
    pub speed: f64,
    /// An issue that waited for longer and was never picked starved, where others overtook it, or agents asked
    /// meanwhile and got nothing. Days.
    pub starved_after_days: f64,
    /// The tiers of labels by which waiting is told.
    pub priorities: Vec<Vec<String>>,
}

/// What came of a replay under one policy.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What the policy was called.
    pub name: String,
    /// Which component, with which settings.
    pub ranker: PolicyStamp,
    /// Issues picked, each once.
    pub picked: usize,
    /// Issues merged.
    pub merged: usize,
    /// Merged issues a week, over the whole history.
    pub merged_per_week: f64,
    /// Issues that people closed before anyone picked them.
    pub closed_unpicked: usize,
    /// Work that was under way when people closed the issue.
    pub work_lost: usize,
    /// Share of the agents' time that they were at work.
    pub busy_share: f64,
    /// Share of the agents' time that they had nothing to do although unclaimed issues were open.
    pub held_back_share: f64,
    /// Asks that got nothing.
    pub empty_asks: usize,
    /// From open to picked, of all issues.
    pub waiting: Waits,
    /// The same by priority, the highest first, those of none last.
    pub by_priority: Vec<NamedWaits>,
    /// The same by the most frequent labels.
    pub by_label: Vec<NamedWaits>,
    /// The same by the year in which they were opened.
    pub by_year: Vec<NamedWaits>,
    /// Issues that starved, the longest first.
    pub starved: Vec<Starved>,
    /// Most issues, opened later and picked earlier, that one issue was overtaken by.
    pub overtaken_max: usize,
    /// The furthest that an issue which might have been picked instead was overtaken, if any was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub furthest_overtaken: Option<Overtaken>,
    /// Work on the same area at the same time.
    pub overlap: Overlap,
    /// How evenly waiting is spread.
    pub fairness: Fairness,
    /// Issues that were not given out, by reason, the most frequent first.
    pub skipped: Vec<Skipped>,
    /// Every pick, in order.
    pub picks: Vec<PickRow>,
}

/// Waiting from open to picked, in days. Those that still wait at the end count with the time so far;
/// those that people closed before do not count.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Waits {
    /// How many were picked.
    pub picked: usize,
    /// How many still wait at the end.
    pub still_waiting: usize,
    /// Half waited no longer.
    pub p50_days: f64,
    /// 95 in 100 waited no longer.
    pub p95_days: f64,
    /// The longest.
    pub max_days: f64,
    /// The mean.
    pub mean_days: f64,
}

/// Waiting within a group.
#[derive(Debug, Clone, Serialize)]
pub struct NamedWaits {
    /// The group.
    pub name: String,
    /// Its waiting.
    #[serde(flatten)]
    pub waits: Waits,
}

/// An issue that was never picked, although others that were opened later were, or agents got nothing meanwhile.
#[derive(Debug, Clone, Serialize)]
pub struct Starved {
    /// Which: `owner/name#number`.
    pub issue: String,
    /// Its title.
    pub title: String,
    /// How long it waited, in days.
    pub days: f64,
    /// How many issues that were opened later were picked while it waited.
    pub overtaken: usize,
    /// How often an agent asked while it waited, and got nothing.
    pub withheld: usize,
    /// Why the policy did not give it out, if it said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// An issue that stayed behind although the same agent might have got it, while one was picked that was opened
/// later: both open and unclaimed, neither skipped nor passed over.
#[derive(Debug, Clone, Serialize)]
pub struct Overtaken {
    /// Which stayed behind: `owner/name#number`.
    pub issue: String,
    /// Which was picked.
    pub by: String,
    /// How much later that one was opened, in days.
    pub younger_days: f64,
}

/// Work on the same area at the same time as another agent.
#[derive(Debug, Clone, Serialize)]
pub struct Overlap {
    /// Picks while another agent held a claim.
    pub picks_beside_others: usize,
    /// Of these: where a predicted area is one of another's.
    pub picks_overlapping: usize,
    /// Their share.
    pub share: f64,
    /// Issues for which an area was predicted.
    pub issues_with_areas: usize,
    /// Picks where the files of the fix, and those of a live claim's, are known.
    pub picks_with_known_files: usize,
    /// Of these: where they share a file.
    pub picks_sharing_files: usize,
}

/// How evenly waiting is spread. Jain's index of the mean waits of groups, `(sum x)^2 / (n sum x^2)`: 1 when
/// all wait the same, `1 / n` when one waits and the others do not. It is bounded and has no unit, so that
/// it can be compared between histories. Groups of at least three issues count.
#[derive(Debug, Clone, Serialize)]
pub struct Fairness {
    /// Between those who opened issues.
    pub between_authors: Option<f64>,
    /// Between labels.
    pub between_labels: Option<f64>,
    /// Between repositories.
    pub between_repos: Option<f64>,
}

/// Issues that were not given out for one reason.
#[derive(Debug, Clone, Serialize)]
pub struct Skipped {
    /// The policy's words.
    pub reason: String,
    /// How many issues, each once.
    pub issues: usize,
    /// Of these, how many nobody ever picked.
    pub never_picked: usize,
}

/// One pick.
#[derive(Debug, Clone, Serialize)]
pub struct PickRow {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub agent: String,
    /// What: `owner/name#number`.
    pub issue: String,
    /// Its score.
    pub score: f64,
    /// How long it had waited, in days.
    pub waited_days: f64,
    /// Its priority, 0 the highest; as many as there are tiers for none.
    pub priority: usize,
    /// Whether it overlapped with another agent's work, by predicted areas.
    pub overlaps: bool,
}

/// Where two policies differ.
#[derive(Debug, Clone, Serialize)]
pub struct Changed {
    /// Picks of the first policy.
    pub picks: usize,
    /// Of these: where the other would have picked something else from the same state.
    pub differing: usize,
    /// Their share.
    pub share: f64,
    /// Issues that exactly one of the two picks in its own replay.
    pub picked_by_one_only: usize,
    /// The first of the differing picks.
    pub first: Vec<ChangedPick>,
}

/// One pick that would have been another.
#[derive(Debug, Clone, Serialize)]
pub struct ChangedPick {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub agent: String,
    /// What it got.
    pub picked: String,
    /// Why, in one line.
    pub why: String,
    /// What the other policy would have given it, if anything.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Why, in one line.
    pub why_other: String,
}
