//! What the tests of this binary share: a server's configuration around the faulty guest, and rows.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use chrono::TimeDelta;
use issuecommand::config::{PoliciesConfig, PolicyConfig};
use issuecommand::domain::{
    Claim, Feedback, FeedbackKind, FollowUp, Issue, IssueFacts, IssueNumber, IssueRef, IssueState, LEASE_EPOCH_FIRST,
    Lease, Repo, Reservation, Timestamp, from_unix_ms,
};
use issuecommand::policy::{ChooseRequest, PolicyHost, PolicyRejected, PolicySet, Shortlisted};
use serde_json::{Value, json};

use crate::workshop::{self, PLAIN, Variant};

/// Later than the present of the trial that a policy passes at load: faults `from` here pass it.
pub const LATER_MS: u64 = 1_767_225_600_000;

/// One host for all tests, with compiled components kept between runs.
static HOST: LazyLock<PolicyHost> =
    LazyLock::new(|| PolicyHost::new(Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"))).unwrap());

pub fn host() -> &'static PolicyHost {
    &HOST
}

pub fn later() -> Timestamp {
    from_unix_ms(LATER_MS)
}

/// The component of a variant as a file.
pub fn file_of(variant: &Variant) -> PathBuf {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.component.wasm", variant.name));
    let bytes = workshop::component(variant);
    // Tests run side by side: none may see a file half written.
    if fs::read(&file).ok().as_ref() != Some(&bytes) {
        let part = tempfile::NamedTempFile::new_in(file.parent().unwrap()).unwrap();
        fs::write(part.path(), bytes).unwrap();
        part.persist(&file).unwrap();
    }
    file
}

/// A configuration in which all three policies are this variant, behaving.
pub fn config(variant: &Variant) -> PoliciesConfig {
    let source = file_of(variant).display().to_string();
    let policy = PolicyConfig { source, sha256: None, signed_by: None, settings: serde_json::Map::new() };
    PoliciesConfig {
        ranker: policy.clone().into(),
        stale_rule: policy.clone(),
        repo_filter: policy,
        // A machine that is busy with other tests is slow, and an honest call must not fail for it.
        call_ms_max: 500,
        choose_ms_max: 100,
        memory_bytes_max: 16 << 20,
        ..PoliciesConfig::default()
    }
}

/// The settings that make the guest do `what` in the function `at`, from `from_ms` on.
pub fn fault(at: &str, what: &str, from_ms: u64) -> serde_json::Map<String, Value> {
    let Value::Object(settings) = json!({"at": at, "do": what, "from": from_ms}) else { unreachable!() };
    settings
}

/// Loads a configuration.
pub fn load(config: &PoliciesConfig) -> Result<PolicySet, PolicyRejected> {
    HOST.load(config, Path::new("/"))
}

/// Loads the guest as all three policies, which misbehave so once the server is at work.
pub fn misbehaving(at: &str, what: &str) -> PolicySet {
    load(&config_of(at, what, LATER_MS)).unwrap()
}

/// Why a guest is refused that misbehaves so from the beginning.
pub fn refusal(at: &str, what: &str) -> String {
    load(&config_of(at, what, 0)).unwrap_err().to_string()
}

fn config_of(at: &str, what: &str, from_ms: u64) -> PoliciesConfig {
    let mut config = config(&PLAIN);
    for policy in [&mut config.ranker.base, &mut config.stale_rule, &mut config.repo_filter] {
        policy.settings = fault(at, what, from_ms);
    }
    config
}

/// An issue with this many comments, and a title to tell it by.
pub fn issue(number: u64, comment_count: u32) -> Issue {
    Issue {
        repo: "acme/app".parse().unwrap(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("Issue {number}"),
        body: String::new(),
        state: IssueState::Open,
        labels: vec!["bug".into(), "p1".into()],
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: later() - TimeDelta::days(2),
        updated_at: later() - TimeDelta::days(1),
        url: String::new(),
        author: "ann".into(),
        author_association: "OWNER".into(),
        comment_count,
        reaction_count: 5,
        open_blocker_count: None,
    }
}

/// Facts of `count` issues; the row's index is its count of comments.
pub fn rows(count: u32) -> Vec<Arc<IssueFacts>> {
    (0..count).map(|row| Arc::new(issue(u64::from(row) + 1, row).facts(|text| text.into()))).collect()
}

/// A short list of `count` issues.
pub fn shortlist(count: u32) -> Vec<Shortlisted> {
    let entry = |facts: Arc<IssueFacts>| {
        let score = f64::from(facts.comment_count);
        Shortlisted { facts, score, repo_claim_count: 7, repo_review_count: 5, reviewer_load: 3 }
    };
    rows(count).into_iter().map(entry).collect()
}

pub fn request() -> ChooseRequest {
    ChooseRequest { claim_repos: vec!["acme/app".parse().unwrap()], ..ChooseRequest::of("a1".parse().unwrap()) }
}

pub fn claim(agent: &str) -> Claim {
    let lease = Lease { epoch: LEASE_EPOCH_FIRST, expires_at: later() };
    Claim::grant(&issue(1, 0), &agent.parse().unwrap(), lease, None, later())
}

/// Review feedback on `count` pull requests, from 1: the first is on one of the asking agent's own claims.
pub fn follow_ups(count: u64) -> Vec<Arc<FollowUp>> {
    let row = |number| {
        let feedback = Feedback {
            kind: FeedbackKind::ReviewComment,
            id: number,
            pull: IssueRef::new("acme/app".parse().unwrap(), IssueNumber::new(number).unwrap()),
            pull_url: String::new(),
            pull_title: String::new(),
            author: "ann".into(),
            by_bot: false,
            author_association: "MEMBER".into(),
            body: "Why?".into(),
            place: None,
            commit: None,
            created_at: later(),
        };
        let mut item = FollowUp::of(&feedback, later() - TimeDelta::hours(1));
        if number == 1 {
            item.reserved = Some(Reservation { agent_id: request().agent, until: later() });
            item.pushed_at = Some(later());
        }
        Arc::new(item)
    };
    (1..=count).map(row).collect()
}

pub fn repo(name: &str) -> Repo {
    Repo::named(name.parse().unwrap())
}
