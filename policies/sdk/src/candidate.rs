//! The issues one call is about, and the view of one of them.

use crate::Instant;
use crate::column::{Column, TextLists, Texts};
use crate::per_name::{NameWeights, PerName};
use crate::rows::rows;
use crate::wit::{candidates as facts, request};

/// The issues that one call is about. Reads from the host only the columns that a policy asks for.
#[derive(Debug, Default)]
pub struct Candidates {
    pub(crate) count: usize,
    pub(crate) repos: Texts,
    pub(crate) numbers: Column<u64>,
    pub(crate) titles: Column<String>,
    pub(crate) authors: Texts,
    pub(crate) author_associations: Texts,
    pub(crate) labels: TextLists,
    pub(crate) assignees: TextLists,
    pub(crate) milestones: Texts,
    pub(crate) comment_counts: Column<u32>,
    pub(crate) reaction_counts: Column<u32>,
    pub(crate) created_at: Column<u64>,
    pub(crate) updated_at: Column<u64>,
    pub(crate) scores: Column<f64>,
    pub(crate) repo_claim_counts: Column<u32>,
    pub(crate) bodies: Column<String>,
    pub(crate) topics: TextLists,
    pub(crate) open_blockers: TextLists,
    pub(crate) approvals: Texts,
    pub(crate) areas: TextLists,
    pub(crate) reviewers: TextLists,
    pub(crate) repo_review_counts: Column<u32>,
    pub(crate) reviewer_loads: Column<u32>,
}

rows!(Candidates of Candidate);

/// An open, unclaimed, admitted issue. A view: cheap to copy, and a fact costs nothing until it is
/// read. Texts come as GitHub spells them, and compare without case in every question asked here.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    facts: &'a Candidates,
    row: usize,
}

impl<'a> Candidate<'a> {
    /// Its place in this call, from 0.
    pub fn row(&self) -> u32 {
        self.row as u32
    }

    /// The repository, as `owner/name` in lower case.
    pub fn repo(&self) -> &'a str {
        self.facts.repos.row(self.row, facts::repos)
    }

    /// The issue's number.
    pub fn number(&self) -> u64 {
        self.facts.numbers.get_or_init(facts::numbers)[self.row]
    }

    /// The title, as written on GitHub.
    pub fn title(&self) -> &'a str {
        &self.facts.titles.get_or_init(facts::titles)[self.row]
    }

    /// The text below the title, as written on GitHub; empty in `choose`. Texts are long: a ranker that reads
    /// them has them fetched from the store for every issue it scores.
    pub fn body(&self) -> &'a str {
        &self.facts.bodies.get_or_init(facts::bodies)[self.row]
    }

    /// The login of who opened it, with `[bot]` at the end of a program's; `ghost` where the account is gone.
    pub fn author(&self) -> &'a str {
        self.facts.authors.row(self.row, facts::authors)
    }

    /// GitHub's word for the author's relation to the repository: `OWNER`, `MEMBER`, `COLLABORATOR`, `CONTRIBUTOR`,
    /// `FIRST_TIME_CONTRIBUTOR`, `FIRST_TIMER`, `MANNEQUIN` or `NONE`; empty where that is not known.
    pub fn author_association(&self) -> &'a str {
        self.facts.author_associations.row(self.row, facts::author_associations)
    }

    /// The milestone's title; empty where there is none.
    pub fn milestone(&self) -> &'a str {
        self.facts.milestones.row(self.row, facts::milestones)
    }

    /// The label names, in GitHub's order. GitHub takes `Bug` and `bug` for the same label: compare with
    /// [`name_key`](crate::name_key), or ask with a [`PerName`].
    pub fn labels(&self) -> impl Iterator<Item = &'a str> {
        self.facts.labels.row(self.row, facts::labels)
    }

    /// The logins of those GitHub says it is assigned to. A claim assigns nobody.
    pub fn assignees(&self) -> impl Iterator<Item = &'a str> {
        self.facts.assignees.row(self.row, facts::assignees)
    }

    /// Topics of its repository, as set on GitHub.
    pub fn topics(&self) -> impl Iterator<Item = &'a str> {
        self.facts.topics.row(self.row, facts::topics)
    }

    /// The issues that must be closed first and are still open, as `owner/name#number` in lower case: by GitHub's
    /// dependencies, and by what title and text say (`blocked by #12`).
    pub fn open_blockers(&self) -> impl Iterator<Item = &'a str> {
        self.facts.open_blockers.row(self.row, facts::open_blockers)
    }

    /// What became of a maintainer's approval: `none`, `approved`, or `edited` where title or text changed
    /// since.
    pub fn approval(&self) -> &'a str {
        self.facts.approvals.row(self.row, facts::approvals)
    }

    /// What it is likely to touch, the most likely first, at most 16; a guess. A file (`src/net/tcp.rs`), a folder
    /// with its slash (`src/net/`, which holds whatever begins with it), or, where no file of it is known, the word by
    /// which titles name a part (`word:gui`). Nothing where nothing is known.
    pub fn areas(&self) -> impl Iterator<Item = &'a str> {
        self.facts.areas.row(self.row, facts::areas)
    }

    /// Logins, and teams as `org/team`, whose review a change in those areas needs, by CODEOWNERS; nothing where that
    /// is not known.
    pub fn reviewers(&self) -> impl Iterator<Item = &'a str> {
        self.facts.reviewers.row(self.row, facts::reviewers)
    }

    /// How many comments it has, as of the last sync.
    pub fn comment_count(&self) -> u32 {
        self.facts.comment_counts.get_or_init(facts::comment_counts)[self.row]
    }

    /// How many reactions of any kind it has, as of the last sync; those to comments do not count.
    pub fn reaction_count(&self) -> u32 {
        self.facts.reaction_counts.get_or_init(facts::reaction_counts)[self.row]
    }

    /// When it was opened.
    pub fn created_at(&self) -> Instant {
        Instant::from_ms(self.facts.created_at.get_or_init(facts::created_at)[self.row])
    }

    /// When GitHub last saw a change: of a text, a label, a comment, ...
    pub fn updated_at(&self) -> Instant {
        Instant::from_ms(self.facts.updated_at.get_or_init(facts::updated_at)[self.row])
    }

    /// The score now in force: in `choose` and while a score is explained; 0 elsewhere.
    pub fn current_score(&self) -> f64 {
        self.facts.scores.get_or_init(facts::scores).get(self.row).copied().unwrap_or(0.0)
    }

    /// How many active claims there are in its repository: in `choose`; 0 elsewhere.
    pub fn repo_claim_count(&self) -> u32 {
        self.facts.repo_claim_counts.get_or_init(request::repo_claim_counts).get(self.row).copied().unwrap_or(0)
    }

    /// How many pull requests of claims wait for a review in its repository: in `choose`; 0 elsewhere.
    pub fn repo_review_count(&self) -> u32 {
        self.facts.repo_review_counts.get_or_init(request::repo_review_counts).get(self.row).copied().unwrap_or(0)
    }

    /// How many pull requests of claims wait for the least busy of its reviewers: in `choose`; 0 elsewhere and
    /// where the reviewers are not known.
    pub fn reviewer_load(&self) -> u32 {
        self.facts.reviewer_loads.get_or_init(request::reviewer_loads).get(self.row).copied().unwrap_or(0)
    }

    /// Whether any label means something to `labels`.
    pub fn has_label_in<T: Copy>(&self, labels: &PerName<T>) -> bool {
        self.fold_labels(labels, false, |_, _| true)
    }

    /// The sum of what its labels weigh.
    pub fn label_sum(&self, weights: &NameWeights) -> f64 {
        self.fold_labels(weights, 0.0, |sum, weight| sum + weight)
    }

    /// The most that one of its labels weighs, if any weighs anything.
    pub fn label_max(&self, weights: &NameWeights) -> Option<f64> {
        self.fold_labels(weights, None, |most, weight| Some(most.map_or(weight, |most: f64| most.max(weight))))
    }

    /// Folds what its labels mean, those that mean anything.
    pub fn fold_labels<T: Copy, A>(&self, labels: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.labels.fold(self.row, facts::labels, labels, start, fold)
    }

    /// Folds what its assignees mean, those that mean anything.
    pub fn fold_assignees<T: Copy, A>(&self, logins: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.assignees.fold(self.row, facts::assignees, logins, start, fold)
    }

    /// Whether any assignee means something to `logins`.
    pub fn has_assignee_in<T: Copy>(&self, logins: &PerName<T>) -> bool {
        self.fold_assignees(logins, false, |_, _| true)
    }

    /// Folds what its topics mean, those that mean anything.
    pub fn fold_topics<T: Copy, A>(&self, topics: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.topics.fold(self.row, facts::topics, topics, start, fold)
    }

    /// Folds what its open blockers mean, those that mean anything.
    pub fn fold_open_blockers<T: Copy, A>(&self, issues: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.open_blockers.fold(self.row, facts::open_blockers, issues, start, fold)
    }

    /// Folds what its areas mean, those that mean anything.
    pub fn fold_areas<T: Copy, A>(&self, paths: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.areas.fold(self.row, facts::areas, paths, start, fold)
    }

    /// Folds what its reviewers mean, those that mean anything.
    pub fn fold_reviewers<T: Copy, A>(&self, logins: &PerName<T>, start: A, fold: impl FnMut(A, T) -> A) -> A {
        self.facts.reviewers.fold(self.row, facts::reviewers, logins, start, fold)
    }

    /// What became of its approval, as `words` has it.
    pub fn approval_as<T: Copy>(&self, words: &PerName<T>) -> Option<T> {
        self.facts.approvals.lookup(self.row, facts::approvals, words)
    }

    /// Whether it was opened by one of `logins`.
    pub fn has_author_in<T: Copy>(&self, logins: &PerName<T>) -> bool {
        self.author_as(logins).is_some()
    }

    /// What its author means to `logins`.
    pub fn author_as<T: Copy>(&self, logins: &PerName<T>) -> Option<T> {
        self.facts.authors.lookup(self.row, facts::authors, logins)
    }

    /// What its author's association means to `words`.
    pub fn author_association_as<T: Copy>(&self, words: &PerName<T>) -> Option<T> {
        self.facts.author_associations.lookup(self.row, facts::author_associations, words)
    }

    /// What its milestone means to `titles`; they are asked about the empty title too.
    pub fn milestone_as<T: Copy>(&self, titles: &PerName<T>) -> Option<T> {
        self.facts.milestones.lookup(self.row, facts::milestones, titles)
    }

    /// What its repository means to `repos`.
    pub fn repo_as<T: Copy>(&self, repos: &PerName<T>) -> Option<T> {
        self.facts.repos.lookup(self.row, facts::repos, repos)
    }
}
