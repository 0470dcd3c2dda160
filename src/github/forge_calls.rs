//! The dispatcher's calls on GitHub. What changes something is sent once; when its answer is lost, or GitHub says
//! that it cannot be done, what is there is read before anything is said.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use super::forge_models::{Own, RawAccount, RawChangedFile, RawForgePull, RawLabel, RawRemote, RawReply, RawTopics};
use super::octocrab::issue_path;
use super::transport::{Ask, Transport};
use super::{CommentId, Forge, ForgePull, GithubSource, Label, PullWish, Remote, Reply, SourceError, models};
use crate::config::Secret;
use crate::domain::{IssueRef, RepoName};

/// Most pages of comments read below one issue: 1,000.
const COMMENT_PAGE_COUNT_MAX: usize = 10;
/// Most pages of a repository's labels: 1,000.
const LABEL_PAGE_COUNT_MAX: usize = 10;
/// Most pages of the files of one pull request: 300.
const FILE_PAGE_COUNT_MAX: usize = 3;
/// Most pages of the pull requests of one branch.
const PULL_PAGE_COUNT_MAX: usize = 1;
/// A pull request as a diff.
const DIFF: &str = "application/vnd.github.diff";
/// GitHub's answer to a wrong token.
const UNAUTHORIZED: u16 = 401;
/// GitHub's answer to what is well-formed, but cannot be: it is there already, or makes no sense.
const INVALID: u16 = 422;
/// GitHub's answer to a form that it cannot give: a diff that is too large.
const NOT_ACCEPTABLE: u16 = 406;

/// What was found out once.
#[derive(Debug, Default)]
pub(super) struct ForgeMemory {
    own: OnceCell<Own>,
    /// Names of labels that are there, in lower case: GitHub compares them so.
    labels: Mutex<HashMap<RepoName, HashSet<String>>>,
}

impl GithubSource {
    /// Whom GitHub takes us for. A token that belongs to no account is told so once; failures are asked again.
    async fn own(&self, transport: &Transport) -> Result<&Own, SourceError> {
        if let Some(id) = self.ways.app_id() {
            return Ok(self.forge.own.get_or_init(|| async move { Own::App(id) }).await);
        }
        let ask = Ask::to("ask for", "the account of the token");
        let read = || async {
            match transport.get(&ask, "/user", None).await {
                Ok(answer) => {
                    let account: RawAccount = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
                    Ok(account.login.map_or(Own::Unknown, Own::Login))
                }
                Err(SourceError::Denied { status, .. }) if status != UNAUTHORIZED => Ok(Own::Unknown),
                Err(SourceError::NotFound { .. }) => Ok(Own::Unknown),
                Err(error) => Err(error),
            }
        };
        self.forge.own.get_or_try_init(read).await
    }

    async fn pulls_of(&self, repo: &RepoName, branch: &str, state: &str) -> Result<Vec<ForgePull>, SourceError> {
        let ask = Ask::to("list the pull requests of a branch of", repo);
        let head = encoded(&format!("{}:{branch}", repo.owner()));
        let first = format!("/repos/{repo}/pulls?state={state}&head={head}&sort=created&direction=desc&per_page=100");
        let transport = self.way_to(repo).await?;
        let rows: Vec<RawForgePull> = Self::rows(&transport, &ask, &first, PULL_PAGE_COUNT_MAX).await?;
        let of_branch = rows.into_iter().filter(|row| row.is_from(repo, branch));
        Ok(of_branch.map(|row| row.into_pull(repo)).collect())
    }

    async fn open_pull_of(&self, wish: &PullWish) -> Result<Option<ForgePull>, SourceError> {
        Ok(self.pulls_of(&wish.repo, &wish.branch, "open").await?.into_iter().find(|pull| pull.is_open))
    }

    /// The comments that stand after `after`, from the first page that may hold one.
    async fn comments_after(&self, issue: &IssueRef, after: CommentId) -> Result<Vec<RawReply>, SourceError> {
        let ask = Ask::to("list the comments of", issue);
        let transport = self.way_to(&issue.repo).await?;
        let first = format!("{}/comments?per_page=100", issue_path(issue));
        let answer = transport.get(&ask, &first, None).await?;
        if answer.next.is_none() {
            return models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why));
        }
        // A long conversation: it is read from the time of that comment on, if that still stands.
        let path = format!("/repos/{}/issues/comments/{}", issue.repo, after.0);
        let since = match transport.get(&ask, &path, None).await {
            Ok(answer) => {
                let row: RawReply = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
                format!("&since={}", row.created_at.format("%Y-%m-%dT%H:%M:%SZ"))
            }
            Err(SourceError::NotFound { .. }) => String::new(),
            Err(error) => return Err(error),
        };
        Self::rows(&transport, &ask, &format!("{first}{since}"), COMMENT_PAGE_COUNT_MAX).await
    }

    /// The diff of a pull request put together from the list of its files: of those that are too large, or where
    /// GitHub gives no diff.
    async fn diff_of_files(&self, pull: &IssueRef) -> Result<String, SourceError> {
        let ask = Ask::to("list the changed files of", pull);
        let first = format!("{}/files?per_page=100", pull_path(pull));
        let transport = self.way_to(&pull.repo).await?;
        let rows: Vec<RawChangedFile> = Self::rows(&transport, &ask, &first, FILE_PAGE_COUNT_MAX).await?;
        Ok(rows.iter().map(RawChangedFile::as_diff).collect())
    }
}

#[async_trait]
impl Forge for GithubSource {
    async fn remote(&self, repo: &RepoName) -> Result<Remote, SourceError> {
        let ask = Ask::to("read the repository", repo);
        let transport = self.way_to(repo).await?;
        let answer = transport.get(&ask, &format!("/repos/{repo}"), None).await?;
        let raw: RawRemote = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        let authorization = transport.token().await?.map(|token| basic(&token));
        Ok(Remote { url: raw.clone_url, default_branch: raw.default_branch, authorization })
    }

    async fn topic_set(&self, repo: &RepoName, topic: &str, present: bool) -> Result<(), SourceError> {
        let ask = Ask::to("change the topics of", repo);
        let transport = self.way_to(repo).await?;
        let path = format!("/repos/{repo}/topics");
        let answer = transport.get(&ask, &path, None).await?;
        let RawTopics { mut names } = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        if names.iter().any(|name| name == topic) == present {
            return Ok(());
        }
        names.retain(|name| name != topic);
        names.extend(present.then(|| topic.to_owned()));
        transport.put(&ask, &path, &json!({ "names": names })).await.map(drop)
    }

    async fn pull_of_branch(&self, repo: &RepoName, branch: &str) -> Result<Option<ForgePull>, SourceError> {
        let pulls = self.pulls_of(repo, branch, "all").await?;
        Ok(pulls.into_iter().max_by_key(|pull| pull.number))
    }

    async fn pull_open(&self, wish: &PullWish) -> Result<ForgePull, SourceError> {
        if let Some(pull) = self.open_pull_of(wish).await? {
            return Ok(pull);
        }
        let ask = Ask::to("open a pull request in", &wish.repo);
        let PullWish { title, body, branch, base, draft, .. } = wish;
        let body = json!({ "title": title, "body": body, "head": branch, "base": base, "draft": draft });
        let transport = self.way_to(&wish.repo).await?;
        let refusal = match transport.create(&ask, &format!("/repos/{}/pulls", wish.repo), &body).await {
            Ok(answer) => {
                let raw: RawForgePull = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
                return Ok(raw.into_pull(&wish.repo));
            }
            Err(SourceError::Denied { status: INVALID, .. }) => SourceError::Unsupported {
                what: ask.to_string(),
                why: format!("GitHub takes none from {branch} into {base}: is there a commit between them?"),
            },
            Err(error @ SourceError::Unavailable { .. }) => error,
            Err(error) => return Err(error),
        };
        // A doubled run was first, or the answer was lost after it was opened.
        self.open_pull_of(wish).await?.ok_or(refusal)
    }

    async fn pull_diff(&self, pull: &IssueRef, bytes_max: usize) -> Result<String, SourceError> {
        let ask = Ask::to("read the changes of", pull);
        let transport = self.way_to(&pull.repo).await?;
        let diff = match transport.get_as(&ask, &pull_path(pull), DIFF).await {
            // A server that knows no diffs answers with the pull request itself.
            Ok(answer) if !answer.body.starts_with(b"{") => String::from_utf8_lossy(&answer.body).into_owned(),
            Ok(_) | Err(SourceError::Denied { status: NOT_ACCEPTABLE, .. }) => self.diff_of_files(pull).await?,
            Err(error) => return Err(error),
        };
        Ok(cut(diff, bytes_max))
    }

    async fn label_ensure(&self, repo: &RepoName, labels: &[Label]) -> Result<(), SourceError> {
        let transport = self.way_to(repo).await?;
        let mut known = self.forge.labels.lock().await;
        if !known.contains_key(repo) {
            let ask = Ask::to("list the labels of", repo);
            let first = format!("/repos/{repo}/labels?per_page=100");
            let rows: Vec<RawLabel> = Self::rows(&transport, &ask, &first, LABEL_PAGE_COUNT_MAX).await?;
            known.insert(repo.clone(), rows.into_iter().map(|label| label.name.to_lowercase()).collect());
        }
        let known = known.entry(repo.clone()).or_default();
        for label in labels.iter().filter(|label| !known.contains(&label.name.to_lowercase())).collect::<Vec<_>>() {
            let ask = Ask::to("make a label in", repo);
            let body = json!({ "name": label.name, "color": label.color, "description": label.description });
            match transport.create(&ask, &format!("/repos/{repo}/labels"), &body).await {
                // Somebody else was first.
                Ok(_) | Err(SourceError::Denied { status: INVALID, .. }) => _ = known.insert(label.name.to_lowercase()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn label_change(&self, issue: &IssueRef, add: &[&str], remove: &[&str]) -> Result<(), SourceError> {
        let ask = Ask::to("label", issue);
        let path = format!("{}/labels", issue_path(issue));
        let transport = self.way_to(&issue.repo).await?;
        let rows: Vec<RawLabel> = Self::rows(&transport, &ask, &format!("{path}?per_page=100"), 1).await?;
        let has = |name: &&&str| rows.iter().any(|row| row.name.to_lowercase() == name.to_lowercase());
        let missing: Vec<_> = add.iter().filter(|name| !has(name)).collect();
        if !missing.is_empty() {
            transport.post(&ask, &path, &json!({ "labels": missing })).await?;
        }
        for name in remove.iter().filter(has) {
            match transport.delete(&ask, &format!("{path}/{}", encoded(name))).await {
                Ok(_) | Err(SourceError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn comment_create(&self, issue: &IssueRef, body: &str) -> Result<CommentId, SourceError> {
        let ask = Ask::to("comment on", issue);
        let path = format!("{}/comments", issue_path(issue));
        let answer = self.way_to(&issue.repo).await?.create(&ask, &path, &json!({ "body": body })).await?;
        let row: RawReply = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        Ok(CommentId(row.id))
    }

    async fn comment_edit(&self, issue: &IssueRef, comment: CommentId, body: &str) -> Result<(), SourceError> {
        let ask = Ask::to("edit a comment on", issue);
        let path = format!("/repos/{}/issues/comments/{}", issue.repo, comment.0);
        self.way_to(&issue.repo).await?.patch(&ask, &path, &json!({ "body": body })).await.map(drop)
    }

    async fn comment_find(&self, issue: &IssueRef, marker: &str) -> Result<Option<CommentId>, SourceError> {
        let ask = Ask::to("list the comments of", issue);
        let transport = self.way_to(&issue.repo).await?;
        let own = self.own(&transport).await?;
        let first = format!("{}/comments?per_page=100", issue_path(issue));
        let rows: Vec<RawReply> = Self::rows(&transport, &ask, &first, COMMENT_PAGE_COUNT_MAX).await?;
        Ok(rows.iter().find(|row| row.holds(marker) && row.is_by(own)).map(|row| CommentId(row.id)))
    }

    async fn reply_list(&self, issue: &IssueRef, after: CommentId) -> Result<Vec<Reply>, SourceError> {
        let transport = self.way_to(&issue.repo).await?;
        let own = self.own(&transport).await?;
        let rows = self.comments_after(issue, after).await?.into_iter();
        let of_others = rows.filter(|row| row.id > after.0 && !row.is_dispatchers(own));
        let mut replies: Vec<_> = of_others.map(RawReply::into_reply).collect();
        replies.sort_by_key(|reply| reply.id);
        Ok(replies)
    }
}

fn pull_path(pull: &IssueRef) -> String {
    format!("/repos/{}/pulls/{}", pull.repo, pull.number)
}

/// What git sends for a token: a person's and an installation's alike.
fn basic(token: &Secret) -> Secret {
    Secret::new(format!("Basic {}", STANDARD.encode(format!("x-access-token:{}", token.expose()))))
}

/// A text as one segment of a path, or one value of a query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// At most `bytes_max` of a text, whole characters, with a word where it was cut.
fn cut(mut text: String, bytes_max: usize) -> String {
    const WORD: &str = "\n(cut here)\n";
    if text.len() > bytes_max {
        let end = text.floor_char_boundary(bytes_max.saturating_sub(WORD.len()));
        text.truncate(end);
        text.push_str(&WORD[..WORD.len().min(bytes_max)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_part_of_an_address_cannot_change_it() {
        assert_eq!(encoded("agent/running"), "agent%2Frunning");
        assert_eq!(encoded("a&state=all ü~"), "a%26state%3Dall%20%C3%BC~");
    }

    #[test]
    fn a_long_diff_is_cut_between_characters() {
        assert_eq!(cut("short".into(), 5), "short");
        let long = cut("ü".repeat(50), 33);
        assert!(long.len() <= 33 && long.ends_with("(cut here)\n") && long.starts_with("üü"), "{long}");
        assert!(cut("x".repeat(50), 3).len() <= 3);
    }

    #[test]
    fn git_gets_the_token_in_the_form_that_github_takes() {
        assert_eq!(basic(&Secret::new("t")).expose(), "Basic eC1hY2Nlc3MtdG9rZW46dA==");
    }
}
