//! Pull requests and feedback as GitHub sends them, read leniently.

use serde::{Deserialize, Deserializer};

use super::models::{Named, author, texts};
use crate::domain::{Feedback, FeedbackKind, IssueNumber, Merged, PullRequest, PullState, RepoName, Timestamp};

/// The end of the login of an app's account.
const BOT_ENDING: &str = "[bot]";

/// A pull request, from a list or by itself.
#[derive(Debug, Deserialize)]
pub(super) struct RawPull {
    number: u64,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    /// Only when it was read by itself.
    merged: Option<bool>,
    /// Lists tell when, or null; an answer without the field tells nothing.
    #[serde(default, deserialize_with = "told")]
    merged_at: Option<Option<Timestamp>>,
    draft: Option<bool>,
    labels: Option<Vec<Named>>,
    requested_reviewers: Option<Vec<Named>>,
    requested_teams: Option<Vec<Named>>,
    head: Option<RawHead>,
    user: Option<Named>,
    author_association: Option<String>,
    html_url: Option<String>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
}

#[derive(Debug, Deserialize)]
struct RawHead {
    #[serde(rename = "ref")]
    branch: Option<String>,
    sha: Option<String>,
    /// Null when the fork is gone.
    repo: Option<RawHeadRepo>,
}

#[derive(Debug, Deserialize)]
struct RawHeadRepo {
    full_name: Option<RepoName>,
}

/// GitHub's words for those who may push to a repository, or were let in by those who may.
const TRUSTED_ASSOCIATIONS: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];

/// Keeps null apart from nothing at all.
fn told<'de, D: Deserializer<'de>, T: Deserialize<'de>>(value: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(value).map(Some)
}

impl RawPull {
    /// When it last changed.
    pub(super) fn changed_at(&self) -> Timestamp {
        self.updated_at.unwrap_or(self.created_at)
    }

    /// The pull request of `repo` that this describes.
    ///
    /// # Errors
    /// Which field is out of form; never what it holds.
    pub(super) fn into_pull(self, repo: &RepoName) -> Result<PullRequest, &'static str> {
        let number = IssueNumber::new(self.number).map_err(|_| "number")?;
        let state = match self.state.as_deref() {
            Some("open") => PullState::Open,
            Some("closed") => PullState::Closed,
            _ => return Err("state"),
        };
        let merged = match (self.merged, self.merged_at) {
            (Some(true), _) | (None, Some(Some(_))) => Merged::Yes,
            (Some(false), _) | (None, Some(None)) => Merged::No,
            (None, None) => Merged::Unknown,
        };
        let merged_at = self.merged_at.flatten();
        let mut awaits = texts(self.requested_reviewers);
        awaits.extend(texts(self.requested_teams));
        let updated_at = self.updated_at.unwrap_or(self.created_at);
        let is_member = self.author_association.as_deref().is_some_and(|word| TRUSTED_ASSOCIATIONS.contains(&word));
        let head_repo = |head: &RawHead| head.repo.as_ref().and_then(|repo| repo.full_name.clone());
        let is_from_here = self.head.as_ref().and_then(head_repo).is_some_and(|from| from == *repo);
        let (head_branch, head_sha) = self.head.map(|head| (head.branch, head.sha)).unwrap_or_default();
        Ok(PullRequest {
            repo: repo.clone(),
            number,
            url: self.html_url.unwrap_or_else(|| format!("https://github.com/{repo}/pull/{number}")),
            title: self.title.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            state,
            merged,
            merged_at,
            draft: self.draft.unwrap_or(false),
            labels: texts(self.labels),
            awaits,
            head_branch: head_branch.unwrap_or_default(),
            head_sha: head_sha.unwrap_or_default(),
            author: author(self.user),
            trusted: is_member || is_from_here,
            from_here: is_from_here,
            opened_at: self.created_at,
            updated_at,
        })
    }
}

/// Who said something.
#[derive(Debug, Deserialize)]
struct RawAuthor {
    login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A review, a comment on a line, or a comment below: what they have in common, and what only some have.
#[derive(Debug, Deserialize)]
pub(super) struct RawFeedback {
    id: u64,
    user: Option<RawAuthor>,
    author_association: Option<String>,
    body: Option<String>,
    /// Of a review: `CHANGES_REQUESTED`, `APPROVED`, ...
    state: Option<String>,
    /// Of a review that was sent.
    submitted_at: Option<Timestamp>,
    created_at: Option<Timestamp>,
    path: Option<String>,
    line: Option<u64>,
    original_line: Option<u64>,
    commit_id: Option<String>,
}

impl RawFeedback {
    /// GitHub's id of it.
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Of a review: GitHub's word for its state.
    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Whether this is a review that asks for changes.
    pub(super) fn requests_changes(&self) -> bool {
        self.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("changes_requested"))
    }

    /// The feedback of `kind` on `pull`; `None` for what was not sent yet.
    pub(super) fn into_feedback(self, kind: FeedbackKind, pull: &PullRequest) -> Option<Feedback> {
        let (login, is_bot) = match self.user {
            Some(user) => (user.login, user.kind.as_deref() == Some("Bot")),
            None => (None, false),
        };
        let author = login.unwrap_or_else(|| author(None));
        Some(Feedback {
            kind,
            id: self.id,
            pull: pull.pull_ref(),
            pull_url: pull.url.clone(),
            pull_title: pull.title.clone(),
            by_bot: is_bot || author.ends_with(BOT_ENDING),
            author,
            author_association: self.author_association.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            place: self.path.map(|path| (path, self.line.or(self.original_line))),
            commit: self.commit_id,
            created_at: self.submitted_at.or(self.created_at)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::models::row;
    use super::*;

    fn pull(more: Value) -> Result<PullRequest, &'static str> {
        let mut raw = json!({ "number": 7, "state": "closed", "created_at": "2020-01-01T00:00:00Z" });
        raw.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row::<RawPull>(raw).unwrap().into_pull(&"acme/small".parse().unwrap())
    }

    #[test]
    fn merged_is_unknown_unless_github_says_yes_or_no() {
        for (told, expected) in [
            (json!({}), Merged::Unknown),
            (json!({ "merged_at": null }), Merged::No),
            (json!({ "merged_at": "2020-01-02T00:00:00Z" }), Merged::Yes),
            (json!({ "merged": true }), Merged::Yes),
            (json!({ "merged": false, "merged_at": null }), Merged::No),
            (json!({ "merged": null }), Merged::Unknown),
        ] {
            assert_eq!(pull(told.clone()).unwrap().merged, expected, "{told}");
        }
    }

    #[test]
    fn a_pull_request_of_a_deleted_branch_and_account_is_read() {
        let pull = pull(json!({ "head": { "ref": "agent/7", "sha": null, "repo": null }, "user": null })).unwrap();
        assert_eq!((pull.head_branch.as_str(), pull.head_sha.as_str(), pull.author.as_str()), ("agent/7", "", "ghost"));
        assert_eq!(pull.url, "https://github.com/acme/small/pull/7");
    }

    #[test]
    fn a_state_nobody_knows_is_not_guessed() {
        assert_eq!(pull(json!({ "state": "draft" })).unwrap_err(), "state");
    }

    fn feedback(raw: Value) -> RawFeedback {
        row(raw).unwrap()
    }

    #[test]
    fn programs_are_told_from_people_by_type_or_name() {
        let pull = pull(json!({})).unwrap();
        let by = |user: Value| {
            let raw = json!({ "id": 1, "user": user, "created_at": "2020-01-01T00:00:00Z" });
            feedback(raw).into_feedback(FeedbackKind::PrComment, &pull).unwrap().by_bot
        };
        assert!(by(json!({ "login": "ci", "type": "Bot" })) && by(json!({ "login": "renovate[bot]" })));
        assert!(!by(json!({ "login": "ann", "type": "User" })) && !by(Value::Null));
    }

    #[test]
    fn what_an_author_is_to_the_repository_is_kept_and_is_nothing_where_github_does_not_say() {
        let pull = pull(json!({})).unwrap();
        let association = |more: Value| {
            let mut raw = json!({ "id": 1, "user": { "login": "eve" }, "created_at": "2020-01-01T00:00:00Z" });
            raw.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            feedback(raw).into_feedback(FeedbackKind::ReviewComment, &pull).unwrap().author_association
        };
        assert_eq!(association(json!({ "author_association": "CONTRIBUTOR" })), "CONTRIBUTOR");
        assert_eq!(association(json!({ "author_association": null })), "");
        assert_eq!(association(json!({})), "");
    }

    #[test]
    fn changes_are_requested_in_any_case_and_a_review_not_sent_is_none() {
        for (state, expected) in [("CHANGES_REQUESTED", true), ("changes_requested", true), ("APPROVED", false)] {
            assert_eq!(feedback(json!({ "id": 1, "state": state })).requests_changes(), expected);
        }
        let pending = feedback(json!({ "id": 1, "state": "PENDING" }));
        assert_eq!(pending.into_feedback(FeedbackKind::ReviewChangesRequested, &pull(json!({})).unwrap()), None);
    }
}
