//! Webhook deliveries: GitHub's payloads read into values of the domain. Pure; what a delivery means is
//! for others to say.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::models::{self, Named, RawIssue};
use super::pull_models::{RawFeedback, RawPull};
use super::readings::{ci_signal, review_state, status_signal};
use crate::domain::{
    Blocker, CiSignal, Feedback, FeedbackKind, Issue, IssueRef, PullRequest, PullState, RepoName, ReviewSignal,
    Timestamp,
};

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Somebody gave feedback on a pull request.
    Feedback {
        /// The feedback.
        feedback: Feedback,
        /// Who opened the pull request.
        pull_author: String,
        /// Whether the pull request is still open.
        pull_is_open: bool,
    },
    /// Feedback was answered, or taken back.
    FeedbackSettled {
        /// The pull request.
        pull: IssueRef,
        /// The keys of the feedback.
        sources: Vec<String>,
        /// Answered, rather than taken back.
        answered: bool,
    },
    /// A pull request was opened, changed, pushed to or closed.
    Pull {
        /// As it is now.
        pull: PullRequest,
        /// Whether commits were pushed to it.
        pushed: bool,
    },
    /// A reviewer gave a verdict on a pull request, took it back, or was asked for one.
    Review {
        /// The pull request.
        pull: PullRequest,
        /// What was said.
        review: ReviewSignal,
    },
    /// Commits were pushed to a branch.
    Pushed {
        /// The repository.
        repo: RepoName,
        /// The branch.
        branch: String,
        /// Its newest commit.
        head_sha: String,
        /// When that was made.
        committed_at: Option<Timestamp>,
    },
    /// A check of a commit has something to say.
    Check {
        /// The repository.
        repo: RepoName,
        /// The commit.
        sha: String,
        /// What it says.
        signal: CiSignal,
    },
    /// An issue was opened, changed or closed.
    Issue(Issue),
    /// Somebody put a label on an issue.
    Labelled {
        /// The issue, as it is with it.
        issue: Issue,
        /// The label.
        label: String,
        /// Who did: a login.
        by: String,
    },
    /// An issue was deleted or moved away.
    IssueGone(IssueRef),
    /// GitHub's dependencies changed: one issue blocks another now, or no more.
    Dependency {
        /// The issue that is blocked.
        issue: IssueRef,
        /// What blocks it.
        blocker: Blocker,
        /// Whether it does now.
        added: bool,
    },
    /// Repositories came, went or changed: the list of them is to be read again.
    Repositories,
    /// Nothing that matters here, and why.
    Nothing(&'static str),
}

/// Why a delivery cannot be read. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryError(String);

/// What the payloads that matter hold.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    action: String,
    repository: Option<RawRepository>,
    issue: Option<Value>,
    pull_request: Option<RawPull>,
    review: Option<RawFeedback>,
    comment: Option<RawFeedback>,
    thread: Option<RawThread>,
    label: Option<Named>,
    sender: Option<Named>,
    blocked_issue: Option<Value>,
    blocking_issue: Option<Value>,
    blocked_issue_repo: Option<RawRepository>,
    blocking_issue_repo: Option<RawRepository>,
    check_suite: Option<RawCheck>,
    check_run: Option<RawCheck>,
    /// Of a push: `refs/heads/BRANCH`.
    #[serde(rename = "ref")]
    reference: Option<String>,
    /// Of a push: the newest commit.
    after: Option<String>,
    head_commit: Option<RawHeadCommit>,
    /// Of a status: the commit, and GitHub's word for it.
    sha: Option<String>,
    state: Option<String>,
}

#[derive(Deserialize)]
struct RawCheck {
    head_sha: Option<String>,
    status: Option<String>,
    conclusion: Option<String>,
}

#[derive(Deserialize)]
struct RawHeadCommit {
    timestamp: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RawRepository {
    full_name: RepoName,
}

#[derive(Deserialize)]
struct RawThread {
    #[serde(default)]
    comments: Vec<RawId>,
}

#[derive(Deserialize)]
struct RawId {
    id: u64,
}

/// Reads the payload of an event of this type.
///
/// # Errors
/// [`DeliveryError`] when it is no JSON object, or an event that matters lacks what it must hold.
pub fn read_delivery(event: &str, body: &[u8]) -> Result<Delivery, DeliveryError> {
    let read: fn(Payload, &RepoName) -> Result<Delivery, DeliveryError> = match event {
        "issues" => issue,
        "issue_dependencies" => dependency,
        "issue_comment" => issue_comment,
        "pull_request" => pull_request,
        "pull_request_review" => review,
        "pull_request_review_comment" => review_comment,
        "pull_request_review_thread" => review_thread,
        "push" => push,
        "check_suite" | "check_run" => check,
        "status" => status,
        _ => {
            models::single::<Map<String, Value>>(body).map_err(DeliveryError)?;
            return Ok(match event {
                "repository" | "installation" | "installation_repositories" => Delivery::Repositories,
                "ping" => Delivery::Nothing("ping"),
                _ => Delivery::Nothing("event_not_used"),
            });
        }
    };
    let payload: Payload = models::single(body).map_err(DeliveryError)?;
    let repo = payload.repository.as_ref().ok_or_else(|| missing("repository"))?.full_name.clone();
    read(payload, &repo)
}

fn missing(field: &str) -> DeliveryError {
    DeliveryError(format!("the payload holds no {field}"))
}

fn out_of_form(what: &str, field: &str) -> DeliveryError {
    DeliveryError(format!("the {what} is out of form at {field}"))
}

fn issue(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let raw: RawIssue = models::row(payload.issue.ok_or_else(|| missing("issue"))?).map_err(DeliveryError)?;
    if raw.is_pull_request() {
        return Ok(Delivery::Nothing("a_pull_request"));
    }
    let issue = raw.into_issue(repo).map_err(|field| out_of_form("issue", field))?;
    Ok(match payload.action.as_str() {
        "deleted" | "transferred" => Delivery::IssueGone(issue.issue_ref()),
        "labeled" => match payload.label.and_then(Named::text) {
            Some(label) => Delivery::Labelled { issue, label, by: models::author(payload.sender) },
            None => Delivery::Issue(issue),
        },
        _ => Delivery::Issue(issue),
    })
}

/// Told once for each end; each issue says by itself where it is, and the payload says it where that is not
/// the repository of the event.
fn dependency(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let added = match payload.action.as_str() {
        "blocked_by_added" | "blocking_added" => true,
        "blocked_by_removed" | "blocking_removed" => false,
        _ => return Ok(Delivery::Nothing("action_not_used")),
    };
    let read = |issue: Option<Value>, elsewhere: Option<RawRepository>, what: &'static str| {
        let raw: RawIssue = models::row(issue.ok_or_else(|| missing(what))?).map_err(DeliveryError)?;
        let named = raw.named_repo().or_else(|| elsewhere.map(|repo| repo.full_name));
        raw.into_issue(&named.unwrap_or_else(|| repo.clone())).map_err(|field| out_of_form("issue", field))
    };
    let issue = read(payload.blocked_issue, payload.blocked_issue_repo, "blocked_issue")?.issue_ref();
    let blocker = read(payload.blocking_issue, payload.blocking_issue_repo, "blocking_issue")?.as_blocker();
    Ok(Delivery::Dependency { issue, blocker, added })
}

/// A comment below a pull request comes with the pull request dressed as an issue.
fn issue_comment(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let dressed = payload.issue.ok_or_else(|| missing("issue"))?;
    let Some(link) = dressed.get("pull_request").filter(|link| !link.is_null()) else {
        return Ok(Delivery::Nothing("not_a_pull_request"));
    };
    let page = link["html_url"].as_str().map(str::to_owned);
    let raw: RawPull = models::row(dressed).map_err(DeliveryError)?;
    let pull = raw.into_pull(repo).map_err(|field| out_of_form("pull request", field))?;
    // The page of an issue of this number leads to the pull request as well, but is not its name.
    let url = page.unwrap_or_else(|| pull.url.replace("/issues/", "/pull/"));
    let pull = PullRequest { url, ..pull };
    on_comment(FeedbackKind::PrComment, &pull, &payload.action, payload.comment)
}

fn review_comment(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let pull = pull_of(payload.pull_request, repo)?;
    on_comment(FeedbackKind::ReviewComment, &pull, &payload.action, payload.comment)
}

fn on_comment(
    kind: FeedbackKind,
    pull: &PullRequest,
    action: &str,
    comment: Option<RawFeedback>,
) -> Result<Delivery, DeliveryError> {
    let comment = comment.ok_or_else(|| missing("comment"))?;
    Ok(match action {
        "created" => feedback(kind, pull, comment),
        "deleted" => taken_back(kind, pull, &comment),
        _ => Delivery::Nothing("action_not_used"),
    })
}

fn review(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let pull = pull_of(payload.pull_request, repo)?;
    let review = payload.review.ok_or_else(|| missing("review"))?;
    let kind = FeedbackKind::ReviewChangesRequested;
    Ok(match payload.action.as_str() {
        "submitted" if review.requests_changes() => feedback(kind, &pull, review),
        "dismissed" => taken_back(kind, &pull, &review),
        "submitted" => match review.state().and_then(review_state) {
            Some(review) => Delivery::Review { pull, review },
            None => Delivery::Nothing("not_sent_yet"),
        },
        _ => Delivery::Nothing("no_changes_requested"),
    })
}

fn push(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let reference = payload.reference.ok_or_else(|| missing("ref"))?;
    let head_sha = payload.after.ok_or_else(|| missing("after"))?;
    // A branch that was deleted has a commit of zeros.
    let Some(branch) = reference.strip_prefix("refs/heads/").filter(|_| head_sha.bytes().any(|b| b != b'0')) else {
        return Ok(Delivery::Nothing("no_branch"));
    };
    let committed_at = payload.head_commit.and_then(|commit| commit.timestamp);
    Ok(Delivery::Pushed { repo: repo.clone(), branch: branch.to_owned(), head_sha, committed_at })
}

fn check(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let check = payload.check_suite.or(payload.check_run).ok_or_else(|| missing("check_suite"))?;
    let signal = ci_signal(check.status.as_deref(), check.conclusion.as_deref());
    let sha = check.head_sha.ok_or_else(|| missing("head_sha"))?;
    Ok(Delivery::Check { repo: repo.clone(), sha, signal })
}

fn status(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let signal = status_signal(payload.state.as_deref().unwrap_or_default());
    let sha = payload.sha.ok_or_else(|| missing("sha"))?;
    Ok(Delivery::Check { repo: repo.clone(), sha, signal })
}

fn review_thread(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let pull = pull_of(payload.pull_request, repo)?.pull_ref();
    if payload.action != "resolved" {
        return Ok(Delivery::Nothing("action_not_used"));
    }
    let comments = payload.thread.ok_or_else(|| missing("thread"))?.comments;
    let sources = comments.iter().map(|comment| FeedbackKind::ReviewComment.source_key(comment.id)).collect();
    Ok(Delivery::FeedbackSettled { pull, sources, answered: true })
}

fn pull_request(payload: Payload, repo: &RepoName) -> Result<Delivery, DeliveryError> {
    let pull = pull_of(payload.pull_request, repo)?;
    if payload.action == "review_requested" {
        return Ok(Delivery::Review { pull, review: ReviewSignal::Requested });
    }
    Ok(Delivery::Pull { pull, pushed: payload.action == "synchronize" })
}

fn pull_of(raw: Option<RawPull>, repo: &RepoName) -> Result<PullRequest, DeliveryError> {
    let raw = raw.ok_or_else(|| missing("pull_request"))?;
    raw.into_pull(repo).map_err(|field| out_of_form("pull request", field))
}

fn feedback(kind: FeedbackKind, pull: &PullRequest, raw: RawFeedback) -> Delivery {
    match raw.into_feedback(kind, pull) {
        Some(feedback) => {
            let pull_is_open = pull.state == PullState::Open;
            Delivery::Feedback { feedback, pull_author: pull.author.clone(), pull_is_open }
        }
        None => Delivery::Nothing("not_sent_yet"),
    }
}

fn taken_back(kind: FeedbackKind, pull: &PullRequest, raw: &RawFeedback) -> Delivery {
    Delivery::FeedbackSettled { pull: pull.pull_ref(), sources: vec![kind.source_key(raw.id())], answered: false }
}
