//! The facts of a case, as the server would have them.

use std::collections::HashSet;
use std::sync::Arc;

use super::case::{AgentFacts, Case, DEFAULT_REPO, IssueCase, IssueName, LiveClaimCase};
use crate::domain::{IssueFacts, IssueNumber, IssueRef, RepoName, Timestamp};
use crate::policy::{ChooseRequest, LiveWork};

/// What a ranker is asked about.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) now: Timestamp,
    pub(super) issues: Vec<Arc<IssueFacts>>,
    /// Texts below the titles, in the order of `issues`.
    pub(super) bodies: Vec<String>,
    pub(super) request: ChooseRequest,
    /// Claims in the repository, reviews in it, load of the reviewers: in the order of `issues`.
    pub(super) loads: Vec<[u32; 3]>,
}

impl Scene {
    /// The row of an issue.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub(super) fn row(&self, name: &IssueName) -> Result<usize, String> {
        name.row_in(self.issues.iter().map(|facts| &facts.issue), "issues")
    }
}

/// Sets the scene of a case.
///
/// # Errors
/// What in the case cannot be.
pub(super) fn scene(case: &Case, now: Timestamp) -> Result<Scene, String> {
    let issues = case.issues.iter().map(|issue| facts(issue, now)).collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    if let Some(twice) = issues.iter().find(|facts| !seen.insert(facts.issue.clone())) {
        return Err(format!("issue {} is there twice", twice.issue));
    }
    Ok(Scene {
        now,
        issues,
        bodies: case.issues.iter().map(|issue| issue.body.clone()).collect(),
        request: request(&case.agent, &case.live_claims, now)?,
        loads: case.issues.iter().map(|it| [it.repo_claims, it.repo_reviews, it.reviewer_load]).collect(),
    })
}

fn facts(issue: &IssueCase, now: Timestamp) -> Result<Arc<IssueFacts>, String> {
    let opened = issue.opened.at(now)?;
    Ok(Arc::new(IssueFacts {
        issue: issue_ref(&issue.repo, issue.number)?,
        title: issue.title.as_str().into(),
        labels: shared(&issue.labels),
        assignees: shared(&issue.assignees),
        milestone: issue.milestone.as_deref().map(Arc::from),
        author: issue.author.as_str().into(),
        author_association: issue.author_association.as_str().into(),
        comment_count: issue.comments,
        reaction_count: issue.reactions,
        created_at: opened,
        updated_at: issue.changed.as_ref().map_or(Ok(opened), |changed| changed.at(now))?,
        topics: issue.topics.iter().map(|topic| Arc::from(topic.as_str())).collect(),
        open_blockers: shared(&issue.blocked_by),
        approval: issue.approval,
        areas: shared(&issue.areas),
        reviewers: shared(&issue.reviewers),
    }))
}

fn request(agent: &AgentFacts, live_claims: &[LiveClaimCase], now: Timestamp) -> Result<ChooseRequest, String> {
    Ok(ChooseRequest {
        agent: agent.name.parse().map_err(|error| format!("agent {:?}: {error}", agent.name))?,
        claim_repos: agent.claims.iter().map(|name| repo(name)).collect::<Result<_, _>>()?,
        skills: agent.skills.iter().map(|skill| skill.to_lowercase()).collect(),
        groups: agent.groups.clone(),
        review_count: agent.reviews,
        budget_spent: 0,
        live_claims: live_claims.iter().map(|claim| live_work(claim, now)).collect::<Result<_, _>>()?,
    })
}

fn live_work(claim: &LiveClaimCase, now: Timestamp) -> Result<LiveWork, String> {
    let issue = match &claim.issue {
        IssueName::Number(number) => issue_ref(DEFAULT_REPO, *number)?,
        IssueName::Full(name) => name.parse().map_err(|error| format!("live claim on {name:?}: {error}"))?,
    };
    Ok(LiveWork {
        agent: claim.agent.parse().map_err(|error| format!("agent {:?}: {error}", claim.agent))?,
        issue,
        status: claim.status,
        areas: shared(&claim.areas),
        claimed_at: claim.claimed.at(now)?,
    })
}

pub(super) fn issue_ref(name: &str, number: u64) -> Result<IssueRef, String> {
    let number = IssueNumber::new(number).map_err(|error| format!("issue {number}: {error}"))?;
    Ok(IssueRef::new(repo(name)?, number))
}

pub(super) fn repo(name: &str) -> Result<RepoName, String> {
    name.parse().map_err(|error| format!("repository {name:?}: {error}"))
}

fn shared(texts: &[String]) -> Box<[Arc<str>]> {
    texts.iter().map(|text| Arc::from(text.as_str())).collect()
}
