//! Webhook deliveries: GitHub's payloads read into values of the domain. Pure; what a delivery means is
//! for others to say.

use serde::Deserialize;
use serde_json::Value;

use super::models::{self, RawIssue};
use crate::domain::{
    Feedback, FeedbackKind, Issue, IssueNumber, IssueRef, Merged, PullRequest, PullState, RepoName, Timestamp,
};

/// GitHub's own stand-in for a deleted account.
const GHOST: &str = "ghost";

/// What a delivery tells.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// Somebody gave feedback on a pull request.
    Feedback {
        /// The feedback.
        feedback: Feedback,
        /// Who opened the pull request.
        pull_author: Option<String>,
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
        /// What happened to it.
        action: PullAction,
    },
    /// An issue was opened, changed or closed.
    Issue(Issue),
    /// An issue was deleted or moved away.
    IssueGone(IssueRef),
    /// Repositories came, went or changed: the list of them is to be read again.
    Repositories,
    /// Nothing that matters here, and why.
    Nothing(&'static str),
}

/// What happened to a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullAction {
    /// Commits were pushed to it.
    Pushed,
    /// Anything else.
    Changed,
}

/// Why a delivery cannot be read. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DeliveryError(String);

/// What every payload holds that is read here.
#[derive(Deserialize)]
struct Payload {
    #[serde(default)]
    action: Option<String>,
    repository: Option<RawRepository>,
    issue: Option<Value>,
    pull_request: Option<RawPull>,
    review: Option<RawReview>,
    comment: Option<RawFeedback>,
    thread: Option<RawThread>,
}

#[derive(Deserialize)]
struct RawRepository {
    full_name: RepoName,
}

#[derive(Deserialize)]
struct RawUser {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct RawBranch {
    #[serde(rename = "ref")]
    name: Option<String>,
    sha: Option<String>,
}

#[derive(Deserialize)]
struct RawPull {
    number: u64,
    html_url: Option<String>,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    merged: Option<bool>,
    merged_at: Option<Timestamp>,
    head: Option<RawBranch>,
    user: Option<RawUser>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct RawReview {
    id: u64,
    user: Option<RawUser>,
    body: Option<String>,
    state: Option<String>,
    submitted_at: Option<Timestamp>,
    commit_id: Option<String>,
}

#[derive(Deserialize)]
struct RawFeedback {
    id: u64,
    user: Option<RawUser>,
    body: Option<String>,
    path: Option<String>,
    line: Option<u64>,
    original_line: Option<u64>,
    commit_id: Option<String>,
    created_at: Option<Timestamp>,
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

/// A comment below a pull request comes with the pull request dressed as an issue.
#[derive(Deserialize)]
struct RawDressed {
    number: u64,
    title: Option<String>,
    user: Option<RawUser>,
    pull_request: Option<RawLink>,
}

#[derive(Deserialize)]
struct RawLink {
    html_url: Option<String>,
}

/// Reads the payload of an event of this type. `now` stands in for times that GitHub left out.
///
/// # Errors
/// [`DeliveryError`] when an event that matters lacks what it must hold.
pub fn read_delivery(event: &str, body: &[u8], now: Timestamp) -> Result<Delivery, DeliveryError> {
    match event {
        "ping" => return json(body).map(|_| Delivery::Nothing("ping")),
        "repository" | "installation" | "installation_repositories" => {
            return json(body).map(|_| Delivery::Repositories);
        }
        "issues"
        | "issue_comment"
        | "pull_request"
        | "pull_request_review"
        | "pull_request_review_comment"
        | "pull_request_review_thread" => {}
        _ => return json(body).map(|_| Delivery::Nothing("event_not_used")),
    }
    let payload: Payload = models::single(body).map_err(DeliveryError)?;
    let repo = payload.repository.as_ref().ok_or_else(|| missing("repository"))?.full_name.clone();
    let action = payload.action.clone().unwrap_or_default();
    match event {
        "issues" => issue(payload, &repo, &action),
        "issue_comment" => issue_comment(payload, repo, &action, now),
        "pull_request" => pull_request(payload, repo, &action),
        "pull_request_review" => review(payload, repo, &action, now),
        "pull_request_review_comment" => review_comment(payload, repo, &action, now),
        _ => review_thread(payload, repo, &action),
    }
}

fn json(body: &[u8]) -> Result<serde_json::Map<String, Value>, DeliveryError> {
    models::single(body).map_err(DeliveryError)
}

fn missing(field: &str) -> DeliveryError {
    DeliveryError(format!("the payload holds no {field}"))
}

fn issue(payload: Payload, repo: &RepoName, action: &str) -> Result<Delivery, DeliveryError> {
    let raw: RawIssue = models::row(payload.issue.ok_or_else(|| missing("issue"))?).map_err(DeliveryError)?;
    if raw.is_pull_request() {
        return Ok(Delivery::Nothing("a_pull_request"));
    }
    let issue = raw.into_issue(repo).map_err(|field| DeliveryError(format!("the issue is out of form at {field}")))?;
    Ok(match action {
        "deleted" | "transferred" => Delivery::IssueGone(issue.issue_ref()),
        _ => Delivery::Issue(issue),
    })
}

fn issue_comment(payload: Payload, repo: RepoName, action: &str, now: Timestamp) -> Result<Delivery, DeliveryError> {
    let dressed: RawDressed = models::row(payload.issue.ok_or_else(|| missing("issue"))?).map_err(DeliveryError)?;
    let Some(link) = dressed.pull_request else { return Ok(Delivery::Nothing("not_a_pull_request")) };
    let comment = payload.comment.ok_or_else(|| missing("comment"))?;
    let pull = pull_ref(repo, dressed.number)?;
    let url = link.html_url.unwrap_or_else(|| page_of(&pull));
    let about = About { pull, url, title: dressed.title, author: dressed.user };
    on_comment(FeedbackKind::PrComment, about, comment, action, now)
}

fn review_comment(payload: Payload, repo: RepoName, action: &str, now: Timestamp) -> Result<Delivery, DeliveryError> {
    let comment = payload.comment.ok_or_else(|| missing("comment"))?;
    let about = About::of(payload.pull_request.ok_or_else(|| missing("pull_request"))?, repo)?;
    on_comment(FeedbackKind::ReviewComment, about, comment, action, now)
}

/// The pull request that feedback is about.
struct About {
    pull: IssueRef,
    url: String,
    title: Option<String>,
    author: Option<RawUser>,
}

impl About {
    fn of(raw: RawPull, repo: RepoName) -> Result<Self, DeliveryError> {
        let pull = pull_ref(repo, raw.number)?;
        let url = raw.html_url.unwrap_or_else(|| page_of(&pull));
        Ok(Self { pull, url, title: raw.title, author: raw.user })
    }

    fn pull_author(&self) -> Option<String> {
        self.author.as_ref().and_then(|user| user.login.clone())
    }
}

fn on_comment(
    kind: FeedbackKind,
    about: About,
    comment: RawFeedback,
    action: &str,
    now: Timestamp,
) -> Result<Delivery, DeliveryError> {
    match action {
        "created" => {}
        "deleted" => {
            let sources = vec![kind.source_key(comment.id)];
            return Ok(Delivery::FeedbackSettled { pull: about.pull, sources, answered: false });
        }
        _ => return Ok(Delivery::Nothing("action_not_used")),
    }
    let pull_author = about.pull_author();
    let line = comment.line.or(comment.original_line);
    let feedback = Feedback {
        kind,
        id: comment.id,
        pull: about.pull,
        pull_url: about.url,
        pull_title: about.title.unwrap_or_default(),
        by_bot: is_bot(comment.user.as_ref()),
        author: login(comment.user),
        body: comment.body.unwrap_or_default(),
        place: comment.path.map(|path| (path, line)),
        commit: comment.commit_id,
        created_at: comment.created_at.unwrap_or(now),
    };
    Ok(Delivery::Feedback { feedback, pull_author })
}

fn review(payload: Payload, repo: RepoName, action: &str, now: Timestamp) -> Result<Delivery, DeliveryError> {
    let review = payload.review.ok_or_else(|| missing("review"))?;
    let about = About::of(payload.pull_request.ok_or_else(|| missing("pull_request"))?, repo)?;
    let kind = FeedbackKind::ReviewChangesRequested;
    if action == "dismissed" {
        let sources = vec![kind.source_key(review.id)];
        return Ok(Delivery::FeedbackSettled { pull: about.pull, sources, answered: false });
    }
    let asks = review.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("changes_requested"));
    if action != "submitted" || !asks {
        return Ok(Delivery::Nothing("no_changes_requested"));
    }
    let pull_author = about.pull_author();
    let feedback = Feedback {
        kind,
        id: review.id,
        pull: about.pull,
        pull_url: about.url,
        pull_title: about.title.unwrap_or_default(),
        by_bot: is_bot(review.user.as_ref()),
        author: login(review.user),
        body: review.body.unwrap_or_default(),
        place: None,
        commit: review.commit_id,
        created_at: review.submitted_at.unwrap_or(now),
    };
    Ok(Delivery::Feedback { feedback, pull_author })
}

fn review_thread(payload: Payload, repo: RepoName, action: &str) -> Result<Delivery, DeliveryError> {
    let pull = About::of(payload.pull_request.ok_or_else(|| missing("pull_request"))?, repo)?.pull;
    if action != "resolved" {
        return Ok(Delivery::Nothing("action_not_used"));
    }
    let comments = payload.thread.ok_or_else(|| missing("thread"))?.comments;
    let sources = comments.iter().map(|comment| FeedbackKind::ReviewComment.source_key(comment.id)).collect();
    Ok(Delivery::FeedbackSettled { pull, sources, answered: true })
}

fn pull_request(payload: Payload, repo: RepoName, action: &str) -> Result<Delivery, DeliveryError> {
    let raw = payload.pull_request.ok_or_else(|| missing("pull_request"))?;
    let pull = pull_ref(repo, raw.number)?;
    let state = match raw.state.as_deref() {
        Some("closed") => PullState::Closed,
        _ => PullState::Open,
    };
    let merged = match (raw.merged, raw.merged_at) {
        (Some(true), _) | (_, Some(_)) => Merged::Yes,
        (Some(false), None) => Merged::No,
        (None, None) => Merged::Unknown,
    };
    let head = raw.head.unwrap_or(RawBranch { name: None, sha: None });
    let pull = PullRequest {
        url: raw.html_url.unwrap_or_else(|| page_of(&pull)),
        repo: pull.repo,
        number: pull.number,
        title: raw.title.unwrap_or_default(),
        body: raw.body.unwrap_or_default(),
        state,
        merged,
        head_branch: head.name.unwrap_or_default(),
        head_sha: head.sha.unwrap_or_default(),
        author: login(raw.user),
        opened_at: raw.created_at,
        updated_at: raw.updated_at.unwrap_or(raw.created_at),
    };
    let action = if action == "synchronize" { PullAction::Pushed } else { PullAction::Changed };
    Ok(Delivery::Pull { pull, action })
}

fn pull_ref(repo: RepoName, number: u64) -> Result<IssueRef, DeliveryError> {
    let number = IssueNumber::new(number).map_err(|_| DeliveryError("the number is no number of GitHub's".into()))?;
    Ok(IssueRef::new(repo, number))
}

fn page_of(pull: &IssueRef) -> String {
    format!("https://github.com/{}/pull/{}", pull.repo, pull.number)
}

fn login(user: Option<RawUser>) -> String {
    user.and_then(|user| user.login).filter(|login| !login.is_empty()).unwrap_or_else(|| GHOST.to_owned())
}

fn is_bot(user: Option<&RawUser>) -> bool {
    let Some(user) = user else { return false };
    user.kind.as_deref() == Some("Bot") || user.login.as_deref().is_some_and(|login| login.ends_with("[bot]"))
}
