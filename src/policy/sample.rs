//! A small synthetic sample that every policy is tried on before it is taken into service: rows with
//! everything, and rows with nothing.

use std::sync::Arc;

use super::error::PolicyError;
use super::facts::ClaimRow;
use super::ranker::{ChooseRequest, LiveWork, Shortlisted};
use crate::domain::{
    Approval, CiSignal, Claim, ClaimSignals, ClaimStatus, Feedback, FeedbackKind, FollowUp, Issue, IssueFacts,
    IssueNumber, IssueRef, IssueState, LEASE_EPOCH_FIRST, Lease, PullSignal, Repo, RepoName, Reservation, ReviewSignal,
    Timestamp, from_unix_ms,
};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 2025-01-01T00:00:00Z. A trial must not depend on the day it runs.
const EPOCH_MS: u64 = 1_735_689_600_000;

/// A trial of calls that have only some milliseconds, which an unlucky moment of a busy machine takes from them: who is
/// too slow is so each time.
pub(super) fn patiently(trial: impl Fn() -> Result<(), PolicyError>) -> Result<(), PolicyError> {
    const TRY_COUNT: usize = 3;
    for _ in 1..TRY_COUNT {
        match trial() {
            Err(PolicyError::DeadlineExceeded { .. }) => {}
            done => return done,
        }
    }
    trial()
}

/// The present of the sample.
pub(super) fn now() -> Timestamp {
    from_unix_ms(EPOCH_MS)
}

fn days_ago(days: u64) -> Timestamp {
    from_unix_ms(EPOCH_MS - days * DAY_MS)
}

fn repo(name: &str) -> RepoName {
    name.parse().expect("the sample's names are well-formed")
}

fn issue(number: u64, title: &str, labels: &[&str], days: u64) -> Issue {
    let rich = !labels.is_empty();
    Issue {
        repo: repo(if rich { "acme/app" } else { "acme/docs" }),
        number: IssueNumber::new(number).expect("the sample's numbers are from 1"),
        title: title.into(),
        body: String::new(),
        state: IssueState::Open,
        labels: labels.iter().map(ToString::to_string).collect(),
        assignees: if rich { vec!["ann".into()] } else { Vec::new() },
        milestone: rich.then(|| "v1".into()),
        comments: Vec::new(),
        created_at: days_ago(days),
        updated_at: days_ago(days / 2),
        url: String::new(),
        author: if rich { "ann".into() } else { "ghost".into() },
        author_association: if rich { "MEMBER".into() } else { "NONE".into() },
        comment_count: u32::from(rich) * 12,
        reaction_count: u32::from(rich) * 3,
        open_blocker_count: None,
    }
}

fn plain_issues() -> [Issue; 4] {
    [
        issue(1, "Crash when the list is empty", &["bug", "priority: high"], 400),
        issue(2, "", &[], 0),
        issue(3, "Übersetzung fehlt 🚀", &["Docs", "good first issue", "blocked"], 30),
        issue(4, "Add a dark theme", &[], 7),
    ]
}

/// Issues to score.
pub(super) fn issues() -> Vec<Arc<IssueFacts>> {
    let facts = |issue: &Issue| {
        let mut facts = issue.facts(|text| text.into());
        if !issue.labels.is_empty() {
            facts.topics = ["rust".into(), "agents".into()].into();
            facts.open_blockers = Box::new(["acme/docs#2".into()]);
            facts.approval = Approval::Edited;
            facts.areas = Box::new(["src/list.rs".into(), "src/".into()]);
            facts.reviewers = Box::new(["ann".into()]);
        }
        Arc::new(facts)
    };
    plain_issues().iter().map(facts).collect()
}

/// A short list to choose from.
pub(super) fn shortlist() -> Vec<Shortlisted> {
    let entry = |(row, facts): (u32, Arc<IssueFacts>)| Shortlisted {
        facts,
        score: 10.0 - f64::from(row),
        repo_claim_count: row % 2,
        repo_review_count: row % 3,
        reviewer_load: row % 2,
    };
    (0..).zip(issues()).map(entry).collect()
}

/// Review feedback: one piece with everything, on the asking agent's own pull request, and one with nothing.
pub(super) fn follow_ups() -> Vec<Arc<FollowUp>> {
    let feedback = |kind, id| Feedback {
        kind,
        id,
        pull: IssueRef::new(repo("acme/app"), IssueNumber::new(id).expect("the sample's numbers are from 1")),
        pull_url: String::new(),
        pull_title: "Handle the empty list".into(),
        author: "ann".into(),
        by_bot: false,
        author_association: "MEMBER".into(),
        body: "Please add a test.".into(),
        place: None,
        commit: None,
        created_at: days_ago(3),
    };
    let mut rich = FollowUp::of(&feedback(FeedbackKind::ReviewChangesRequested, 5), days_ago(3));
    rich.reserved = Some(Reservation { agent_id: request().agent, until: now() });
    rich.pushed_at = Some(days_ago(1));
    let mut poor = FollowUp::of(&feedback(FeedbackKind::PrComment, 6), now());
    poor.requested_by = None;
    vec![Arc::new(rich), Arc::new(poor)]
}

/// An agent that asks, and holds a claim already.
pub(super) fn request() -> ChooseRequest {
    let agent = "sample-agent".parse().expect("the sample's names are well-formed");
    let live = LiveWork {
        agent: "other-agent".parse().expect("the sample's names are well-formed"),
        issue: IssueRef::new(repo("acme/app"), IssueNumber::new(9).expect("the sample's numbers are from 1")),
        status: ClaimStatus::InProgress,
        areas: Box::new(["src/list.rs".into()]),
        claimed_at: days_ago(1),
    };
    ChooseRequest {
        claim_repos: vec![repo("acme/app")],
        skills: vec!["rust".into()],
        groups: vec!["sample".into()],
        review_count: 1,
        budget_spent: 0,
        live_claims: vec![live],
        ..ChooseRequest::of(agent)
    }
}

/// Live claims: one of an owner just heard of, one of an owner long silent.
pub(super) fn claims() -> Vec<ClaimRow> {
    let agent = request().agent;
    let grant = |issue: &Issue, days| {
        let lease = Lease { epoch: LEASE_EPOCH_FIRST, expires_at: days_ago(days) };
        let signals = ClaimSignals {
            last_commit_at: (days > 0).then(|| days_ago(days)),
            last_push_at: (days > 0).then(|| days_ago(days)),
            pull: if days > 0 { PullSignal::Open } else { PullSignal::None },
            review: if days > 0 { ReviewSignal::ChangesRequested } else { ReviewSignal::None },
            ci: if days > 0 { CiSignal::Failure } else { CiSignal::Unknown },
            ..ClaimSignals::default()
        };
        ClaimRow::new(&Claim::grant(issue, &agent, lease, None, days_ago(days)), days_ago(days), signals)
    };
    plain_issues().iter().zip([0, 90]).map(|(issue, days)| grant(issue, days)).collect()
}

/// Repositories: one with everything, one with nothing.
pub(super) fn repos() -> Vec<Repo> {
    let rich = Repo {
        private: true,
        fork: true,
        archived: true,
        topics: vec!["rust".into(), "agents".into()],
        ..Repo::named(repo("acme/app"))
    };
    vec![rich, Repo::named(repo("acme/docs"))]
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn one_slow_moment_is_forgiven_and_a_slow_policy_is_not() {
        let slow = || PolicyError::DeadlineExceeded { call: "explain", ms: 20, setting: "choose_ms_max" };
        let tries = Cell::new(0);
        let trial = |slow_count: usize| {
            tries.set(0);
            patiently(|| {
                tries.set(tries.get() + 1);
                if tries.get() <= slow_count { Err(slow()) } else { Ok(()) }
            })
        };
        assert!(trial(2).is_ok() && tries.get() == 3);
        assert!(matches!(trial(3), Err(PolicyError::DeadlineExceeded { .. })));
        let broken = patiently(|| {
            tries.set(tries.get() + 1);
            Err(PolicyError::Engine { why: "x".into() })
        });
        assert!(broken.is_err() && tries.get() == 4, "what fails otherwise is not tried again");
    }
}
