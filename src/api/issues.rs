//! What can be read: repositories, issues, decisions, health.

use serde_json::{Value, json};

use super::fields::read;
use super::requests::{IssueFields, IssueFilterFields, NoFields, RepoListFields};
use super::{Answer, Caller, Failure, Fields};
use crate::claims::{ClaimManager, RepoEntry};

/// Admitted repositories, by name.
pub(super) async fn repos(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let include_counts = read::<RepoListFields>(fields)?.include_counts();
    let repos: Vec<Value> = manager.repos().iter().map(|entry| repo_record(entry, include_counts)).collect();
    Ok(Answer::found(json!({ "repos": repos })))
}

fn repo_record(entry: &RepoEntry, include_counts: bool) -> Value {
    let repo = &entry.repo;
    let mut record = json!({
        "full_name": repo.full_name,
        "owner": repo.full_name.owner(),
        "name": repo.full_name.name(),
        "url": repo.url,
        "private": repo.private,
    });
    if let Some(description) = &repo.description {
        record["description"] = description.as_str().into();
    }
    if include_counts {
        record["open_issue_count"] = entry.open_issue_count.into();
    }
    record
}

/// Open issues of a repository that nobody holds, by number; `more` says how many were left off.
pub(super) async fn open(manager: &ClaimManager, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
    let (filter, limit) = read::<IssueFilterFields>(fields)?.parse()?;
    let mut issues = manager.open_issues(filter).await?;
    let limit = limit.or(caller.list_count_default).unwrap_or(usize::MAX);
    let more = issues.len().saturating_sub(limit);
    issues.truncate(limit);
    let answer = Answer::found(json!({ "issues": issues }));
    Ok(if more > 0 { answer.with("more", more) } else { answer })
}

/// One issue with its comments; `stale_because` says why it is only the last synced state.
pub(super) async fn details(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let details = manager.issue_details(read::<IssueFields>(fields)?.parse()?).await?;
    let mut answer = Answer::found(json!({ "issue": details.issue }));
    if let Some(agent) = details.claimed_by {
        answer = answer.with("claimed_by", agent);
    }
    if let Some(why) = details.stale_because {
        answer = answer.with("stale_because", why.to_string());
    }
    Ok(answer)
}

/// How the server is doing.
pub(super) async fn health(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    read::<NoFields>(fields)?;
    Ok(Answer::found(json!({ "health": manager.health() })))
}
