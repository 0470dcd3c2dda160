//! A made-up backlog, always the same, on which a policy is tried and measured: many kinds of issues in a few
//! repositories, with every fact that there is. So with live claims, and repositories.

use std::sync::Arc;

use chrono::TimeDelta;

use super::live;
use crate::domain::{
    AgentId, Approval, CiSignal, Claim, ClaimSignals, ClaimStatus, IssueFacts, IssueNumber, IssueRef, PullSignal, Repo,
    RepoName, ReviewSignal, Timestamp, from_unix_ms,
};
use crate::policy::{ChooseRequest, LiveWork, Scored, Shortlisted};

/// 2026-01-01T12:00:00Z, the present of the backlog and of golden cases that name none.
const NOW_MS: u64 = 1_767_268_800_000;
/// Rows of a short list, as the server makes them.
pub(super) const SHORTLIST_COUNT: usize = 32;

const REPOS: [&str; 8] =
    ["acme/app", "acme/api", "acme/web", "acme/docs", "acme/cli", "acme/pay", "acme/ops", "acme/lab"];
const LABELS: [&str; 16] = [
    "bug",
    "p0",
    "p1",
    "priority: high",
    "enhancement",
    "documentation",
    "good first issue",
    "area: api",
    "area: ui",
    "security",
    "performance",
    "blocked",
    "help wanted",
    "regression",
    "needs triage",
    "wontfix",
];
const WORDS: [&str; 12] = [
    "Crash",
    "when",
    "the",
    "wallet",
    "list",
    "is empty after",
    "sync",
    "on a slow",
    "connection",
    "with many",
    "concurrent",
    "sessions",
];
const AREAS: [&str; 6] = ["src/api/", "src/ui/list.rs", "docs/", "src/store/", "tests/", "src/pay/card.rs"];
const ASSOCIATIONS: [&str; 4] = ["MEMBER", "NONE", "CONTRIBUTOR", "OWNER"];

/// The present of the backlog.
pub(super) fn now() -> Timestamp {
    from_unix_ms(NOW_MS)
}

/// `count` issues.
pub(super) fn issues(count: u32) -> Vec<Arc<IssueFacts>> {
    (0..count).map(|row| Arc::new(issue(row))).collect()
}

fn issue(row: u32) -> IssueFacts {
    // Neighbouring rows differ in most facts, and the same row never does.
    let draw = |salt: u32, below: u32| row.wrapping_add(salt).wrapping_mul(2_654_435_761) % 1_000_003 % below;
    let pick = |salt: u32, from: &[&str]| -> Arc<str> { from[draw(salt, from.len() as u32) as usize].into() };
    let opened = now() - TimeDelta::minutes(i64::from(draw(1, 700_000)));
    IssueFacts {
        issue: issue_ref(REPOS[draw(2, 8) as usize], u64::from(row) + 1),
        title: (0..6).map(|word| WORDS[draw(word + 3, 12) as usize]).collect::<Vec<_>>().join(" ").into(),
        labels: (0..draw(10, 4)).map(|salt| pick(salt + 11, &LABELS)).collect(),
        assignees: if draw(20, 5) == 0 { Box::new(["ann".into()]) } else { Box::default() },
        milestone: (draw(21, 3) == 0).then(|| "v1".into()),
        author: pick(22, &["ann", "ben", "cho", "dee"]),
        author_association: pick(23, &ASSOCIATIONS),
        comment_count: draw(24, 30),
        reaction_count: draw(25, 20),
        created_at: opened,
        updated_at: opened + (now() - opened) / 2,
        topics: Arc::new(["rust".into(), "agents".into()]),
        open_blockers: if draw(26, 20) == 0 { Box::new(["acme/app#1".into()]) } else { Box::default() },
        approval: [Approval::None, Approval::Approved, Approval::Edited][draw(27, 3) as usize],
        areas: (0..draw(28, 3)).map(|salt| pick(salt + 29, &AREAS)).collect(),
        reviewers: Box::new([pick(40, &["ann", "ben"])]),
    }
}

fn issue_ref(repo: &str, number: u64) -> IssueRef {
    let repo: RepoName = repo.parse().expect("the backlog's names are well-formed");
    IssueRef::new(repo, IssueNumber::new(number).expect("the backlog's numbers are from 1"))
}

/// `count` live claims, each with what is known of it.
pub(super) fn claims(count: u32) -> Vec<(Claim, ClaimSignals)> {
    (0..count).map(claim).collect()
}

fn claim(row: u32) -> (Claim, ClaimSignals) {
    let pick = row as usize;
    let minutes = |count: u32| now() - TimeDelta::minutes(i64::from(count));
    let agent = format!("agent-{}", row % 100).parse().expect("the backlog's names are well-formed");
    let statuses = [ClaimStatus::Claimed, ClaimStatus::InProgress, ClaimStatus::PrSubmitted, ClaimStatus::Stale];
    let issue = issue_ref(REPOS[pick % 8], u64::from(row) + 1);
    let times = [minutes(row % 10_000 + 60), minutes(row % 300)];
    let claim = live::claim(&agent, &issue, statuses[pick % 4], times, now()).expect("its times are in order");
    let is_pushed = row.is_multiple_of(3);
    let signals = ClaimSignals {
        last_commit_at: is_pushed.then(|| minutes(row % 200)),
        last_push_at: is_pushed.then(|| minutes(row % 100)),
        pull: [PullSignal::None, PullSignal::Open, PullSignal::Draft][pick % 3],
        review: [ReviewSignal::None, ReviewSignal::Requested, ReviewSignal::ChangesRequested][pick / 3 % 3],
        ci: [CiSignal::Unknown, CiSignal::Success, CiSignal::Failure][pick / 9 % 3],
        ..ClaimSignals::default()
    };
    (claim, signals)
}

/// `count` repositories.
pub(super) fn repos(count: u32) -> Vec<Repo> {
    let repo = |row: u32| Repo {
        topics: [vec![], vec!["rust".to_owned()], vec!["agents".to_owned(), "docs".to_owned()]][row as usize % 3]
            .clone(),
        archived: row.is_multiple_of(5),
        fork: row.is_multiple_of(7),
        private: row.is_multiple_of(2),
        ..Repo::named(format!("acme/repo-{row}").parse().expect("the backlog's names are well-formed"))
    };
    (0..count).map(repo).collect()
}

/// The best of the issues that are not skipped, as the server would put them on a short list: the higher score
/// first, among equals the older issue, then the lower number.
pub(super) fn best(issues: &[Arc<IssueFacts>], scored: &[Scored], count: usize) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..issues.len()).filter(|row| scored[*row].skip.is_none()).collect();
    rows.sort_by(|a, b| {
        let age = |row: usize| (issues[row].created_at.timestamp(), issues[row].issue.number);
        // Adding zero makes of -0.0 what it is equal to.
        (scored[*b].value + 0.0).total_cmp(&(scored[*a].value + 0.0)).then_with(|| age(*a).cmp(&age(*b)))
    });
    rows.truncate(count);
    rows
}

/// A short list of the best issues.
pub(super) fn shortlist(issues: &[Arc<IssueFacts>], scored: &[Scored]) -> Vec<Shortlisted> {
    let entry = |row: usize| Shortlisted {
        facts: Arc::clone(&issues[row]),
        score: scored[row].value,
        repo_claim_count: row as u32 % 3,
        repo_review_count: row as u32 % 2,
        reviewer_load: row as u32 % 4,
    };
    best(issues, scored, SHORTLIST_COUNT).into_iter().map(entry).collect()
}

/// An agent that asks while others are at work.
pub(super) fn request() -> ChooseRequest {
    let agent: AgentId = "bench".parse().expect("the backlog's names are well-formed");
    let live = |row: u32| LiveWork {
        agent: format!("agent-{row}").parse().expect("the backlog's names are well-formed"),
        issue: issue_ref(REPOS[row as usize % 8], 900_000 + u64::from(row)),
        status: ClaimStatus::InProgress,
        areas: Box::new([AREAS[row as usize % 6].into()]),
        claimed_at: now() - TimeDelta::hours(i64::from(row)),
    };
    ChooseRequest {
        claim_repos: vec![REPOS[0].parse().expect("the backlog's names are well-formed")],
        skills: vec!["rust".into(), "frontend".into()],
        groups: vec!["nightly".into()],
        review_count: 1,
        budget_spent: 0,
        live_claims: (0..16).map(live).collect(),
        ..ChooseRequest::of(agent)
    }
}
