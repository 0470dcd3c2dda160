//! What GitHub sends of pull requests and comments, as far as the dispatcher asks.

use serde::Deserialize;

use super::{CommentId, ForgePull, OWN_COMMENT_HEAD, Reply};
use crate::domain::{IssueNumber, RepoName, Timestamp};

/// The end of the login of an app's account.
const BOT_ENDING: &str = "[bot]";
/// GitHub's word for an account that a program uses.
const BOT_KIND: &str = "Bot";
/// GitHub's own stand-in for a deleted account.
const GHOST: &str = "ghost";

/// How git reaches a repository.
/// The topics of a repository.
#[derive(Debug, Deserialize)]
pub(super) struct RawTopics {
    #[serde(default)]
    pub(super) names: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawRemote {
    pub(super) clone_url: String,
    pub(super) default_branch: String,
}

/// A label of a repository, or of an issue.
#[derive(Debug, Deserialize)]
pub(super) struct RawLabel {
    pub(super) name: String,
}

/// An account.
#[derive(Debug, Deserialize)]
pub(super) struct RawAccount {
    pub(super) login: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// A pull request.
#[derive(Debug, Deserialize)]
pub(super) struct RawForgePull {
    number: IssueNumber,
    html_url: Option<String>,
    body: Option<String>,
    state: Option<String>,
    head: Option<RawHead>,
}

#[derive(Debug, Deserialize)]
struct RawHead {
    #[serde(rename = "ref")]
    branch: Option<String>,
    /// Null when the fork is gone.
    repo: Option<RawHeadRepo>,
}

#[derive(Debug, Deserialize)]
struct RawHeadRepo {
    full_name: Option<RepoName>,
}

impl RawForgePull {
    /// Whether it comes from `branch` of `repo` itself: a fork may have a branch of the same name.
    pub(super) fn is_from(&self, repo: &RepoName, branch: &str) -> bool {
        let Some(head) = &self.head else { return false };
        let from = head.repo.as_ref().and_then(|repo| repo.full_name.as_ref());
        head.branch.as_deref() == Some(branch) && from == Some(repo)
    }

    /// The pull request of `repo` that this describes.
    pub(super) fn into_pull(self, repo: &RepoName) -> ForgePull {
        let url = self.html_url.unwrap_or_else(|| format!("https://github.com/{repo}/pull/{}", self.number));
        let is_open = self.state.as_deref() == Some("open");
        ForgePull { number: self.number, url, body: self.body.unwrap_or_default(), is_open }
    }
}

/// A comment below an issue.
#[derive(Debug, Deserialize)]
pub(super) struct RawReply {
    pub(super) id: u64,
    pub(super) created_at: Timestamp,
    user: Option<RawAccount>,
    author_association: Option<String>,
    body: Option<String>,
    performed_via_github_app: Option<RawApp>,
}

#[derive(Debug, Deserialize)]
struct RawApp {
    id: u64,
}

/// Whom GitHub takes us for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
    /// The app of this id.
    App(u64),
    /// The account of this login.
    Login(String),
    /// That cannot be known.
    Unknown,
}

impl RawReply {
    /// Whether `own` wrote it, as far as that can be known.
    pub(super) fn is_by(&self, own: &Own) -> bool {
        match own {
            Own::App(id) => self.performed_via_github_app.as_ref().is_some_and(|app| app.id == *id),
            Own::Login(login) => self.login().eq_ignore_ascii_case(login),
            Own::Unknown => true,
        }
    }

    /// Whether it holds `text`.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.body.as_deref().is_some_and(|body| body.contains(text))
    }

    /// Whether the dispatcher wrote it. Its account alone does not say so: the token may be that of a person who
    /// answers below too.
    pub(super) fn is_dispatchers(&self, own: &Own) -> bool {
        let has_head = self.body.as_deref().is_some_and(|body| body.starts_with(OWN_COMMENT_HEAD));
        self.is_by(own) && (has_head || matches!(own, Own::App(_)))
    }

    fn login(&self) -> &str {
        self.user.as_ref().and_then(|user| user.login.as_deref()).unwrap_or(GHOST)
    }

    /// The reply that this describes.
    pub(super) fn into_reply(self) -> Reply {
        let author = self.login().to_owned();
        let is_account_of_program = self.user.as_ref().is_some_and(|user| user.kind.as_deref() == Some(BOT_KIND));
        Reply {
            id: CommentId(self.id),
            is_bot: is_account_of_program || author.ends_with(BOT_ENDING),
            author,
            association: self.author_association.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            created_at: self.created_at,
        }
    }
}

/// A file that a pull request changes.
#[derive(Debug, Deserialize)]
pub(super) struct RawChangedFile {
    filename: String,
    status: Option<String>,
    /// None for what is no text, or too large.
    patch: Option<String>,
}

impl RawChangedFile {
    /// The file's part of a diff.
    pub(super) fn as_diff(&self) -> String {
        let (name, status) = (&self.filename, self.status.as_deref().unwrap_or("changed"));
        let patch = self.patch.as_deref().unwrap_or("(no text is shown of this file)");
        format!("diff --git a/{name} b/{name}\n# {status}\n{patch}\n")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::super::models::row;
    use super::*;

    fn reply(more: Value) -> RawReply {
        let mut raw = json!({ "id": 7, "created_at": "2020-01-01T00:00:00Z", "body": "Hm" });
        raw.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        row(raw).unwrap()
    }

    #[test]
    fn a_person_whose_token_the_dispatcher_uses_may_still_answer() {
        let own = Own::Login("alice".into());
        let by_alice = |body: &str| reply(json!({ "user": { "login": "Alice" }, "body": body }));
        assert!(!by_alice("the second one, please").is_dispatchers(&own));
        assert!(by_alice("<!-- issuecommand:run 7 -->\nWorking").is_dispatchers(&own));
        let forged = reply(json!({ "user": { "login": "mallory" }, "body": "<!-- issuecommand:run 7 -->" }));
        assert!(!forged.is_dispatchers(&own));
    }

    #[test]
    fn an_app_knows_its_own_comments_by_its_id() {
        let by_app = |id: u64| reply(json!({ "performed_via_github_app": { "id": id } }));
        assert!(by_app(4242).is_dispatchers(&Own::App(4242)) && !by_app(1).is_dispatchers(&Own::App(4242)));
        assert!(!reply(json!({})).is_by(&Own::App(4242)));
    }

    #[test]
    fn a_branch_of_a_fork_is_another_branch() {
        let repo: RepoName = "acme/small".parse().unwrap();
        let pull = |from: Value| -> RawForgePull {
            row(json!({ "number": 7, "head": { "ref": "agent/1", "repo": from } })).unwrap()
        };
        assert!(pull(json!({ "full_name": "Acme/Small" })).is_from(&repo, "agent/1"));
        assert!(!pull(json!({ "full_name": "Acme/Small" })).is_from(&repo, "agent/2"));
        assert!(!pull(json!({ "full_name": "mallory/small" })).is_from(&repo, "agent/1"));
        assert!(!pull(Value::Null).is_from(&repo, "agent/1"));
    }
}
