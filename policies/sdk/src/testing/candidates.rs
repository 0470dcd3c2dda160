//! Issues made by hand.

use super::NOW;
use crate::column::{TextLists, Texts};
use crate::{Candidates, Instant};

/// The facts of one issue: `acme/app#1`, opened and last changed [`NOW`], and nothing else.
#[derive(Debug, Clone)]
#[must_use]
pub struct CandidateFacts {
    repo: String,
    number: u64,
    title: String,
    author: String,
    author_association: String,
    labels: Vec<String>,
    assignees: Vec<String>,
    milestone: String,
    comment_count: u32,
    reaction_count: u32,
    created_at: Instant,
    updated_at: Instant,
    score: f64,
    repo_claim_count: u32,
    body: String,
    topics: Vec<String>,
    open_blockers: Vec<String>,
    approval: String,
    areas: Vec<String>,
    reviewers: Vec<String>,
    repo_review_count: u32,
    reviewer_load: u32,
}

/// An issue to add facts to.
pub fn candidate() -> CandidateFacts {
    CandidateFacts {
        repo: "acme/app".into(),
        number: 1,
        title: String::new(),
        author: String::new(),
        author_association: "NONE".into(),
        labels: Vec::new(),
        assignees: Vec::new(),
        milestone: String::new(),
        comment_count: 0,
        reaction_count: 0,
        created_at: NOW,
        updated_at: NOW,
        score: 0.0,
        repo_claim_count: 0,
        body: String::new(),
        topics: Vec::new(),
        open_blockers: Vec::new(),
        approval: "none".into(),
        areas: Vec::new(),
        reviewers: Vec::new(),
        repo_review_count: 0,
        reviewer_load: 0,
    }
}

impl CandidateFacts {
    /// In this repository (`owner/name`).
    pub fn repo(self, repo: &str) -> Self {
        Self { repo: repo.into(), ..self }
    }

    /// With this number.
    pub fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// With this title.
    pub fn title(self, title: &str) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Opened by this login.
    pub fn author(self, author: &str) -> Self {
        Self { author: author.into(), ..self }
    }

    /// Opened by somebody of this association (`MEMBER`, ...).
    pub fn author_association(self, word: &str) -> Self {
        Self { author_association: word.into(), ..self }
    }

    /// With one label more.
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Assigned to one login more.
    pub fn assignee(mut self, login: &str) -> Self {
        self.assignees.push(login.into());
        self
    }

    /// In this milestone.
    pub fn milestone(self, title: &str) -> Self {
        Self { milestone: title.into(), ..self }
    }

    /// With so many comments.
    pub fn comments(self, comment_count: u32) -> Self {
        Self { comment_count, ..self }
    }

    /// With so many reactions.
    pub fn reactions(self, reaction_count: u32) -> Self {
        Self { reaction_count, ..self }
    }

    /// Opened so many days before [`NOW`].
    pub fn opened_days_ago(self, days: u64) -> Self {
        self.opened_at(NOW.minus_days(days))
    }

    /// Opened at this instant.
    pub fn opened_at(self, created_at: Instant) -> Self {
        Self { created_at, ..self }
    }

    /// Last changed so many days before [`NOW`].
    pub fn changed_days_ago(self, days: u64) -> Self {
        Self { updated_at: NOW.minus_days(days), ..self }
    }

    /// With this score in force, for `choose`.
    pub fn scored(self, score: f64) -> Self {
        Self { score, ..self }
    }

    /// With so many active claims in its repository, for `choose`.
    pub fn repo_claims(self, repo_claim_count: u32) -> Self {
        Self { repo_claim_count, ..self }
    }

    /// With this text below the title.
    pub fn body(self, body: &str) -> Self {
        Self { body: body.into(), ..self }
    }

    /// With one topic more of its repository.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Blocked by one open issue more (`owner/name#number`).
    pub fn blocked_by(mut self, issue: &str) -> Self {
        self.open_blockers.push(issue.into());
        self
    }

    /// Approved by a maintainer as it stands.
    pub fn approved(self) -> Self {
        Self { approval: "approved".into(), ..self }
    }

    /// Approved by a maintainer, and edited since.
    pub fn edited_after_approval(self) -> Self {
        Self { approval: "edited".into(), ..self }
    }

    /// Likely to touch one file or folder (`src/net/`) more.
    pub fn area(mut self, path: &str) -> Self {
        self.areas.push(path.into());
        self
    }

    /// With one login more whose review it needs.
    pub fn reviewer(mut self, login: &str) -> Self {
        self.reviewers.push(login.into());
        self
    }

    /// With so many pull requests waiting for a review in its repository, for `choose`.
    pub fn repo_reviews(self, repo_review_count: u32) -> Self {
        Self { repo_review_count, ..self }
    }

    /// With so many pull requests waiting for the least busy of its reviewers, for `choose`.
    pub fn reviewer_load(self, reviewer_load: u32) -> Self {
        Self { reviewer_load, ..self }
    }
}

/// The candidates of one call.
pub fn candidates(rows: impl IntoIterator<Item = CandidateFacts>) -> Candidates {
    let rows: Vec<_> = rows.into_iter().collect();
    Candidates {
        count: rows.len(),
        repos: Texts::of(rows.iter().map(|row| &row.repo)),
        numbers: rows.iter().map(|row| row.number).collect::<Vec<_>>().into(),
        titles: rows.iter().map(|row| row.title.clone()).collect::<Vec<_>>().into(),
        authors: Texts::of(rows.iter().map(|row| &row.author)),
        author_associations: Texts::of(rows.iter().map(|row| &row.author_association)),
        labels: TextLists::of(rows.iter().map(|row| row.labels.as_slice())),
        assignees: TextLists::of(rows.iter().map(|row| row.assignees.as_slice())),
        milestones: Texts::of(rows.iter().map(|row| &row.milestone)),
        comment_counts: rows.iter().map(|row| row.comment_count).collect::<Vec<_>>().into(),
        reaction_counts: rows.iter().map(|row| row.reaction_count).collect::<Vec<_>>().into(),
        created_at: rows.iter().map(|row| row.created_at.ms()).collect::<Vec<_>>().into(),
        updated_at: rows.iter().map(|row| row.updated_at.ms()).collect::<Vec<_>>().into(),
        scores: rows.iter().map(|row| row.score).collect::<Vec<_>>().into(),
        repo_claim_counts: rows.iter().map(|row| row.repo_claim_count).collect::<Vec<_>>().into(),
        bodies: rows.iter().map(|row| row.body.clone()).collect::<Vec<_>>().into(),
        topics: TextLists::of(rows.iter().map(|row| row.topics.as_slice())),
        open_blockers: TextLists::of(rows.iter().map(|row| row.open_blockers.as_slice())),
        approvals: Texts::of(rows.iter().map(|row| &row.approval)),
        areas: TextLists::of(rows.iter().map(|row| row.areas.as_slice())),
        reviewers: TextLists::of(rows.iter().map(|row| row.reviewers.as_slice())),
        repo_review_counts: rows.iter().map(|row| row.repo_review_count).collect::<Vec<_>>().into(),
        reviewer_loads: rows.iter().map(|row| row.reviewer_load).collect::<Vec<_>>().into(),
    }
}
