//! What GitHub and issue files really send: every field that can be missing, null or of another
//! shape is taken as it comes. One row out of form costs that row, never its page.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tracing::warn;

use crate::domain::{Comment, Issue, IssueNumber, IssueState, Repo, RepoName, Timestamp};

/// GitHub's own stand-in for a deleted account.
const GHOST: &str = "ghost";

/// A name that comes as plain text or as an object: a label, an account, a milestone.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Named {
    Text(String),
    Object { login: Option<String>, title: Option<String>, name: Option<String> },
    Other(IgnoredAny),
}

impl Named {
    pub(super) fn text(self) -> Option<String> {
        let text = match self {
            Self::Text(text) => Some(text),
            // An account may carry a display name besides its login: the login is the name.
            Self::Object { login, title, name } => login.or(title).or(name),
            Self::Other(_) => None,
        };
        text.filter(|text| !text.trim().is_empty())
    }
}

pub(super) fn author(user: Option<Named>) -> String {
    user.and_then(Named::text).unwrap_or_else(|| GHOST.to_owned())
}

pub(super) fn texts(names: Option<Vec<Named>>) -> Vec<String> {
    names.unwrap_or_default().into_iter().filter_map(Named::text).collect()
}

/// Comments: GitHub counts them, our own file form may list them.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawComments {
    Count(u32),
    List(Vec<RawComment>),
    Other(IgnoredAny),
}

/// Reactions: an object with a sum, or the sum itself.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawReactions {
    Count(u32),
    Sum { total_count: u32 },
    Other(IgnoredAny),
}

/// How many issues block this one.
#[derive(Debug, Deserialize)]
struct RawDependencies {
    /// Open ones only; `total_blocked_by`, which is not read, counts closed ones too.
    blocked_by: Option<u32>,
}

/// An issue, or a pull request dressed as one.
#[derive(Debug, Deserialize)]
pub(super) struct RawIssue {
    number: u64,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    labels: Option<Vec<Named>>,
    assignees: Option<Vec<Named>>,
    milestone: Option<Named>,
    #[serde(alias = "author")]
    user: Option<Named>,
    author_association: Option<String>,
    comments: Option<RawComments>,
    reactions: Option<RawReactions>,
    issue_dependencies_summary: Option<RawDependencies>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    html_url: Option<String>,
    /// GitHub's is the API address, a file's is the page.
    url: Option<String>,
    /// The API address of the repository the answer is about; another one after a transfer.
    repository_url: Option<String>,
    pull_request: Option<IgnoredAny>,
    /// Only in files: which repository the line is about.
    pub(super) repo: Option<String>,
}

impl RawIssue {
    /// Whether this is a pull request: GitHub lists those among the issues.
    pub(super) fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }

    /// When it last changed.
    pub(super) fn changed_at(&self) -> Timestamp {
        self.updated_at.unwrap_or(self.created_at)
    }

    /// Whether the answer is about `number` of `repo`, and not about where that issue was moved.
    pub(super) fn is(&self, repo: &RepoName, number: IssueNumber) -> bool {
        let named = self.repository_url.as_deref().map(|url| url.to_ascii_lowercase());
        self.number == number.get() && named.is_none_or(|url| url.ends_with(&format!("/repos/{repo}")))
    }

    /// The repository that the answer says it belongs to.
    pub(super) fn named_repo(&self) -> Option<RepoName> {
        self.repository_url.as_deref()?.rsplit_once("/repos/")?.1.parse().ok()
    }

    /// The issue of `repo` that this describes.
    ///
    /// # Errors
    /// Which field is out of form; never what it holds.
    pub(super) fn into_issue(self, repo: &RepoName) -> Result<Issue, &'static str> {
        let number = IssueNumber::new(self.number).map_err(|_| "number")?;
        let state = match self.state.as_deref() {
            None | Some("open") => IssueState::Open,
            Some("closed") => IssueState::Closed,
            // Neither guess is safe: the one hands out work, the other closes claims.
            Some(_) => return Err("state"),
        };
        let updated_at = self.changed_at();
        let (comment_count, comments) = match self.comments {
            Some(RawComments::Count(count)) => (count, Vec::new()),
            Some(RawComments::List(list)) => (
                u32::try_from(list.len()).unwrap_or(u32::MAX),
                list.into_iter().map(RawComment::into_comment).collect(),
            ),
            Some(RawComments::Other(_)) | None => (0, Vec::new()),
        };
        let reaction_count = match self.reactions {
            Some(RawReactions::Count(count) | RawReactions::Sum { total_count: count }) => count,
            Some(RawReactions::Other(_)) | None => 0,
        };
        let page = self.html_url.or(self.url.filter(|_| self.repo.is_some()));
        Ok(Issue {
            url: page.unwrap_or_else(|| format!("https://github.com/{repo}/issues/{number}")),
            repo: repo.clone(),
            number,
            title: self.title.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            state,
            labels: texts(self.labels),
            assignees: texts(self.assignees),
            milestone: self.milestone.and_then(Named::text),
            comments,
            created_at: self.created_at,
            updated_at,
            author: author(self.user),
            author_association: self.author_association.unwrap_or_default(),
            comment_count,
            reaction_count,
            open_blocker_count: self.issue_dependencies_summary.and_then(|summary| summary.blocked_by),
        })
    }
}

/// A comment below an issue.
#[derive(Debug, Deserialize)]
pub(super) struct RawComment {
    #[serde(alias = "author")]
    user: Option<Named>,
    body: Option<String>,
    created_at: Timestamp,
    html_url: Option<String>,
}

impl RawComment {
    /// The comment that this describes.
    pub(super) fn into_comment(self) -> Comment {
        Comment {
            author: author(self.user),
            body: self.body.unwrap_or_default(),
            created_at: self.created_at,
            url: self.html_url,
        }
    }
}

/// A repository.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct RawRepo {
    full_name: RepoName,
    html_url: Option<String>,
    description: Option<String>,
    private: Option<bool>,
    fork: Option<bool>,
    archived: Option<bool>,
    topics: Option<Vec<String>>,
    has_issues: Option<bool>,
}

impl RawRepo {
    /// The repository that this describes; `None` when its issues are switched off.
    pub(super) fn into_repo(self) -> Option<Repo> {
        let named = Repo::named(self.full_name);
        (self.has_issues != Some(false)).then(|| Repo {
            url: self.html_url.unwrap_or(named.url),
            description: self.description.filter(|text| !text.is_empty()),
            private: self.private.unwrap_or(false),
            fork: self.fork.unwrap_or(false),
            archived: self.archived.unwrap_or(false),
            topics: self.topics.unwrap_or_default(),
            full_name: named.full_name,
        })
    }
}

/// One value of an answer or of a line.
///
/// # Errors
/// Where it is out of form (a path of field names); never what stands there.
pub(super) fn row<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| format!("out of form at {}", error.path()))
}

/// A whole body as one row.
///
/// # Errors
/// Where it is out of form; never what stands there.
pub(super) fn single<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    row(serde_json::from_slice(body).map_err(|error| not_json(&error))?)
}

/// A body that is a list: its rows, without those out of form, which are counted in a warning.
///
/// # Errors
/// When the body is no list, or none of its rows is in form.
pub(super) fn rows<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<Vec<T>, String> {
    good_rows(serde_json::from_slice(body).map_err(|error| not_json(&error))?, what)
}

fn good_rows<T: DeserializeOwned>(values: Vec<Value>, what: &str) -> Result<Vec<T>, String> {
    let total = values.len();
    let mut first_wrong = None;
    let good: Vec<T> = values
        .into_iter()
        .filter_map(|value| row(value).map_err(|why| first_wrong.get_or_insert(why).clone()).ok())
        .collect();
    match first_wrong {
        Some(why) if good.is_empty() => Err(format!("every row is out of form; the first is {why}")),
        Some(why) => {
            warn!("{what}: left out {} of {total} rows; the first is {why}", total - good.len());
            Ok(good)
        }
        None => Ok(good),
    }
}

/// The rows of a list that stands in an object, under `field`.
///
/// # Errors
/// As [`rows`], and when there is no such field.
pub(super) fn rows_in<T: DeserializeOwned>(body: &[u8], field: &str, what: &str) -> Result<Vec<T>, String> {
    let mut whole: serde_json::Map<String, Value> = serde_json::from_slice(body).map_err(|error| not_json(&error))?;
    match whole.remove(field) {
        Some(Value::Array(values)) => good_rows(values, what),
        _ => Err(format!("out of form at {field}")),
    }
}

/// serde_json's own words may quote the text, so only the place is told.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    format!("not the JSON expected, at line {} column {}", error.line(), error.column())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repo() -> RepoName {
        "acme/small".parse().unwrap()
    }

    fn issue(value: Value) -> Issue {
        row::<RawIssue>(value).unwrap().into_issue(&repo()).unwrap()
    }

    #[test]
    fn an_issue_with_nothing_but_number_and_time_is_an_open_issue_of_ghost() {
        let bare = issue(json!({ "number": 3, "created_at": "2020-01-01T00:00:00Z" }));
        assert_eq!(
            (bare.author.as_str(), bare.state, bare.url.as_str()),
            ("ghost", IssueState::Open, "https://github.com/acme/small/issues/3")
        );
        assert_eq!(bare.updated_at, bare.created_at);
    }

    #[test]
    fn labels_accounts_and_milestones_come_as_texts_or_objects() {
        let full = issue(json!({
            "number": 3, "title": "T", "body": null, "state": "closed", "state_reason": "a_new_word",
            "user": { "login": "ann", "name": "Ann B.", "gravatar_id": null }, "assignees": [{ "login": "bob" }, null],
            "labels": ["p0", { "name": "bug", "color": "f00" }, { "name": null }, 7], "milestone": { "title": "v1" },
            "comments": 4, "reactions": { "total_count": 2, "+1": 2 }, "created_at": "2020-01-01T00:00:00Z",
            "updated_at": "2020-01-02T00:00:00Z", "html_url": "https://ghe.example/acme/small/issues/3", "pinned": {}
        }));
        assert_eq!(full.labels, ["p0", "bug"]);
        assert_eq!(
            (full.author.as_str(), full.assignees, full.milestone.as_deref()),
            ("ann", vec!["bob".into()], Some("v1"))
        );
        assert_eq!((full.comment_count, full.reaction_count, full.state), (4, 2, IssueState::Closed));
        assert_eq!(full.url, "https://ghe.example/acme/small/issues/3");
    }

    #[test]
    fn a_state_nobody_knows_is_not_guessed() {
        let raw: RawIssue =
            row(json!({ "number": 3, "state": "frozen", "created_at": "2020-01-01T00:00:00Z" })).unwrap();
        assert_eq!(raw.into_issue(&repo()).unwrap_err(), "state");
    }

    #[test]
    fn a_moved_issue_is_not_the_one_asked_for() {
        let raw = |number: u64, url: Value| -> RawIssue {
            row(json!({ "number": number, "created_at": "2020-01-01T00:00:00Z", "repository_url": url })).unwrap()
        };
        let three = IssueNumber::new(3).unwrap();
        assert!(raw(3, json!("https://api.github.com/repos/Acme/Small")).is(&repo(), three));
        assert!(raw(3, Value::Null).is(&repo(), three));
        assert!(!raw(3, json!("https://api.github.com/repos/acme/other")).is(&repo(), three));
        assert!(!raw(9, json!("https://api.github.com/repos/acme/small")).is(&repo(), three));
    }

    #[test]
    fn one_row_out_of_form_costs_that_row_only() {
        let body = br#"[{"number":1,"created_at":"2020-01-01T00:00:00Z"},{"number":"two"},null]"#;
        assert_eq!(rows::<RawIssue>(body, "test").unwrap().len(), 1);
        assert!(rows::<RawIssue>(b"[]", "test").unwrap().is_empty());
    }

    #[test]
    fn errors_tell_the_place_and_never_the_text() {
        for body in
            [&br#"[{"number":"s3cret"}]"#[..], br#"{"message":"s3cret"}"#, b"s3cret", br#""s3cret""#, br#"["s3cret"]"#]
        {
            let why = rows::<RawIssue>(body, "test").unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
}
