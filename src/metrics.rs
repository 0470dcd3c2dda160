//! What is counted and timed, for Prometheus: noted where it happens, told at `/metrics`. One set for the process.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::api::Call;
use crate::domain::RunStatus;

/// What every name begins with.
pub const PREFIX: &str = "issuecommand";

static METRICS: LazyLock<Metrics> = LazyLock::new(Metrics::new);

/// The numbers of this process.
pub fn metrics() -> &'static Metrics {
    &METRICS
}

/// What was noted so far.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    calls: Family<OfCall, Counter>,
    call_seconds: Family<CallName, Histogram>,
    store_writes: Counter,
    store_commit_seconds: Histogram,
    store_failures: Counter,
    policy_seconds: Family<OfPolicy, Histogram>,
    policy_faults: Family<OfPolicy, Counter>,
    github_requests: Family<OfGithub, Counter>,
    github_requests_left: Family<Resource, Gauge>,
    /// What every token was told, by resource and token.
    budgets: Mutex<BTreeMap<(String, u64), BudgetLeft>>,
    syncs: Family<OfSync, Counter>,
    dispatch_attempts: Family<OfAttempt, Counter>,
    webhooks: Family<OfWebhook, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCall {
    call: Call,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallName {
    call: Call,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPolicy {
    policy: &'static str,
    function: &'static str,
    purpose: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfWebhook {
    outcome: &'static str,
}

/// What an answer of GitHub says of the budget of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestsLeft {
    /// Of what kind: `core`, `search`.
    pub resource: String,
    /// Requests.
    pub left: i64,
    /// How long until all of them are there again.
    pub until_reset: Duration,
}

/// What is left to the token that has the fewest, by resource. What was told in an hour that is over is forgotten.
fn fewest(budgets: &mut BTreeMap<(String, u64), BudgetLeft>) -> BTreeMap<String, i64> {
    let (now, mut fewest) = (Instant::now(), BTreeMap::new());
    budgets.retain(|_, told| told.until > now);
    for ((resource, _), told) in budgets.iter() {
        let least = fewest.entry(resource.clone()).or_insert(told.left);
        *least = told.left.min(*least);
    }
    fewest
}

/// What is left of the budget of one token, and when that is over.
#[derive(Debug, Clone, Copy)]
struct BudgetLeft {
    left: i64,
    until: Instant,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfGithub {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Resource {
    resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfSync {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfAttempt {
    outcome: &'static str,
}

/// How far a sync came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncOutcome {
    /// Nothing failed.
    Whole,
    /// Some repository failed.
    InPart,
    /// The list of repositories, or the store, failed.
    Failed,
}

impl SyncOutcome {
    const ALL: [Self; 3] = [Self::Whole, Self::InPart, Self::Failed];

    fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::InPart => "in_part",
            Self::Failed => "failed",
        }
    }
}

/// How an attempt at a run ended, by the status that the run has then; `None` while it goes on.
fn outcome_of_attempt(status: RunStatus) -> Option<&'static str> {
    match status {
        RunStatus::Completed => Some("completed"),
        RunStatus::Failed => Some("failed"),
        RunStatus::Queued => Some("queued_again"),
        RunStatus::Dispatched | RunStatus::Running | RunStatus::WaitingHuman => None,
    }
}

impl EncodeLabelValue for Call {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(&self.name())
    }
}

/// From a quarter of a millisecond to eight seconds: a claim is at the lower end, a disk in trouble at the upper.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 2.0, 16))
}

/// From ten microseconds, what a policy takes for a short list, to five seconds.
fn short_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_01, 2.5, 15))
}

impl Metrics {
    fn new() -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let calls = Family::default();
        registry.register("calls", "Calls answered, over MCP and HTTP", calls.clone());
        let call_seconds = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register("call_seconds", "Time from a call to its answer", call_seconds.clone());
        let store_writes = Counter::default();
        registry.register("store_writes", "Writes that were committed; several share a commit", store_writes.clone());
        let store_commit_seconds = seconds();
        let about = "Time of a commit, with all writes in it and the sync of the disk";
        registry.register("store_commit_seconds", about, store_commit_seconds.clone());
        let store_failures = Counter::default();
        registry.register(
            "store_failures",
            "Commits that failed; none of their writes happened",
            store_failures.clone(),
        );
        let policy_seconds = Family::new_with_constructor(short_seconds as fn() -> Histogram);
        registry.register("policy_call_seconds", "Time of a call into a policy", policy_seconds.clone());
        let policy_faults = Family::default();
        registry.register("policy_faults", "Calls into a policy that failed, refusals apart", policy_faults.clone());
        let github_requests = Family::default();
        let about = "Requests that GitHub answered, by status; 304 costs nothing";
        registry.register("github_requests", about, github_requests.clone());
        let github_requests_left = Family::default();
        let about = "Requests left in GitHub's hour to the token that has the fewest, by its last answers in that hour";
        registry.register("github_requests_left", about, github_requests_left.clone());
        // Outcomes that are known beforehand are there at 0: a rate needs a series from before the first event.
        let syncs = Family::<OfSync, Counter>::default();
        registry.register("syncs", "Syncs that ended, by outcome", syncs.clone());
        for outcome in SyncOutcome::ALL {
            syncs.get_or_create(&OfSync { outcome: outcome.as_str() }).inc_by(0);
        }
        let dispatch_attempts = Family::<OfAttempt, Counter>::default();
        registry.register(
            "dispatch_attempts",
            "Attempts at runs that ended here, by outcome",
            dispatch_attempts.clone(),
        );
        for outcome in RunStatus::ALL.into_iter().filter_map(outcome_of_attempt) {
            dispatch_attempts.get_or_create(&OfAttempt { outcome }).inc_by(0);
        }
        let webhooks = Family::<OfWebhook, Counter>::default();
        registry.register("webhooks", "Webhook deliveries, by what came of them", webhooks.clone());
        for outcome in ["taken_in", "failed", "refused"] {
            webhooks.get_or_create(&OfWebhook { outcome }).inc_by(0);
        }
        Self {
            registry,
            calls,
            call_seconds,
            store_writes,
            store_commit_seconds,
            store_failures,
            policy_seconds,
            policy_faults,
            github_requests,
            github_requests_left,
            budgets: Mutex::default(),
            syncs,
            dispatch_attempts,
            webhooks,
        }
    }

    /// All that was noted, in the text form of OpenMetrics, without its end.
    ///
    /// # Errors
    /// Never: text takes everything.
    pub fn encode(&self, text: &mut String) -> fmt::Result {
        // Held to the end: of two who ask at once, neither sees what the other has half made.
        let mut budgets = self.budgets.lock();
        self.github_requests_left.clear();
        for (resource, left) in fewest(&mut budgets) {
            self.github_requests_left.get_or_create(&Resource { resource }).set(left);
        }
        prometheus_client::encoding::text::encode_registry(text, &self.registry)
    }

    /// Notes a call that was answered.
    pub fn call_answered(&self, call: Call, status: u16, took: Duration) {
        self.calls.get_or_create(&OfCall { call, status }).inc();
        self.call_seconds.get_or_create(&CallName { call }).observe(took.as_secs_f64());
    }

    /// Notes a commit of so many writes.
    pub fn committed(&self, write_count: usize, took: Duration) {
        self.store_writes.inc_by(write_count as u64);
        self.store_commit_seconds.observe(took.as_secs_f64());
    }

    /// Notes a commit that failed.
    pub fn commit_failed(&self) {
        self.store_failures.inc();
    }

    /// Notes a webhook's delivery: `taken_in`, `failed`, or `refused` for want of a proof that it is GitHub's.
    pub fn webhook_answered(&self, outcome: &'static str) {
        self.webhooks.get_or_create(&OfWebhook { outcome }).inc();
    }

    /// Notes a call into a policy, begun at `begun`. `purpose`: whether agents are served by it (`serving`), it is a
    /// candidate (`trial`), or somebody tries or replays something (`trying`).
    pub fn policy_called(
        &self,
        (policy, function): (&'static str, &'static str),
        purpose: &'static str,
        begun: Instant,
        failed: bool,
    ) {
        let of = OfPolicy { policy, function, purpose };
        self.policy_seconds.get_or_create(&of).observe(begun.elapsed().as_secs_f64());
        // At 0 from the first call on: who counts faults over time would not see one that comes with its series.
        self.policy_faults.get_or_create(&of).inc_by(u64::from(failed));
    }

    /// Notes an answer of GitHub to the token of this number, and what it says of its budget.
    pub fn github_answered(&self, status: u16, token: u64, left: Option<RequestsLeft>) {
        self.github_requests.get_or_create(&OfGithub { status }).inc();
        if let Some(RequestsLeft { resource, left, until_reset }) = left {
            let told = BudgetLeft { left, until: Instant::now() + until_reset };
            self.budgets.lock().insert((resource, token), told);
        }
    }

    /// Requests left in GitHub's hour to the token that has the fewest, by resource. What was told in an hour that is
    /// over is forgotten.
    pub fn github_requests_left(&self) -> BTreeMap<String, i64> {
        fewest(&mut self.budgets.lock())
    }

    /// Forgets the token of this number: nobody asks with it any more.
    pub fn github_token_gone(&self, token: u64) {
        self.budgets.lock().retain(|(_, known), _| *known != token);
    }

    /// Notes a sync that ended.
    pub fn synced(&self, outcome: SyncOutcome) {
        self.syncs.get_or_create(&OfSync { outcome: outcome.as_str() }).inc();
    }

    /// Notes the status that a step of an attempt left its run in; counts those that end the attempt.
    pub fn run_stepped(&self, status: RunStatus) {
        if let Some(outcome) = outcome_of_attempt(status) {
            self.dispatch_attempts.get_or_create(&OfAttempt { outcome }).inc();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_noted_is_told_in_prometheus_words() {
        let metrics = Metrics::new();
        metrics.call_answered(Call::NextWork, 200, Duration::from_micros(800));
        metrics.committed(3, Duration::from_millis(2));
        metrics.policy_called(("ranker", "choose"), "serving", Instant::now(), true);
        metrics.policy_called(("ranker", "score"), "trial", Instant::now(), false);
        let told = |left, seconds| {
            let (resource, until_reset) = ("core".into(), Duration::from_secs(seconds));
            Some(RequestsLeft { resource, left, until_reset })
        };
        metrics.github_answered(304, 1, told(4_999, 3_600));
        metrics.github_answered(200, 2, told(5_000, 3_600));
        metrics.github_answered(200, 3, told(7, 0));
        metrics.github_answered(200, 4, told(8, 3_600));
        metrics.github_token_gone(4);
        metrics.synced(SyncOutcome::Whole);
        for status in [RunStatus::Dispatched, RunStatus::Running, RunStatus::Queued, RunStatus::Completed] {
            metrics.run_stepped(status);
        }
        let mut text = String::new();
        metrics.encode(&mut text).unwrap();
        for line in [
            "issuecommand_calls_total{call=\"next_work\",status=\"200\"} 1",
            "issuecommand_call_seconds_bucket{le=\"0.001\",call=\"next_work\"} 1",
            "issuecommand_store_writes_total 3",
            "issuecommand_store_commit_seconds_count 1",
            "issuecommand_policy_faults_total{policy=\"ranker\",function=\"choose\",purpose=\"serving\"} 1",
            "issuecommand_policy_faults_total{policy=\"ranker\",function=\"score\",purpose=\"trial\"} 0",
            "issuecommand_github_requests_left{resource=\"core\"} 4999",
            "issuecommand_syncs_total{outcome=\"whole\"} 1",
            "issuecommand_syncs_total{outcome=\"failed\"} 0",
            "issuecommand_dispatch_attempts_total{outcome=\"completed\"} 1",
            "issuecommand_dispatch_attempts_total{outcome=\"queued_again\"} 1",
            "issuecommand_dispatch_attempts_total{outcome=\"failed\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in\n{text}");
        }
    }
}
