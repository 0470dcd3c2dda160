//! The table as it stands in issuecommand.toml. `settings.schema.json` describes the same to people
//! and editors.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::Value;

/// The labels of the default tiers: what existing users of IssueCommand rely on.
const DEFAULT_TIERS: [&[&str]; 2] = [
    &["p0", "priority:critical", "priority/critical", "priority/high", "high", "severity:critical", "sev:1"],
    &["p1", "priority:high", "priority/medium", "medium", "sev:2"],
];

/// `[policies.ranker.settings]`. Without any: the default tiers, then the oldest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Groups of labels, the most urgent first.
    pub tiers: Vec<Vec<String>>,
    /// The tier of issues without a label of any, from 0; without it they come after all tiers.
    pub default_tier: Option<usize>,
    /// What adds to a score, or takes from it.
    pub rules: Vec<Rule>,
    /// What must not be given out.
    pub skip: Vec<Skip>,
    /// Points for waiting.
    pub aging: Option<Aging>,
    /// Most active claims of one agent.
    pub max_claims_per_agent: Option<NonZeroU32>,
    /// Most active claims within one repository.
    pub max_claims_per_repo: Option<NonZeroU32>,
    /// When review feedback comes.
    pub follow_ups: Turn,
}

/// When review feedback comes, for an agent that takes feedback or an issue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// All of it before issues.
    #[default]
    First,
    /// Requested changes before issues, the rest after them.
    UrgentFirst,
    /// When there is no issue.
    Last,
    /// Not at all.
    Never,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tiers: DEFAULT_TIERS.iter().map(|tier| tier.iter().map(|label| (*label).to_owned()).collect()).collect(),
            default_tier: None,
            rules: Vec::new(),
            skip: Vec::new(),
            aging: None,
            max_claims_per_agent: None,
            max_claims_per_repo: None,
            follow_ups: Turn::default(),
        }
    }
}

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The fact to look at.
    pub field: Field,
    /// How to look at it.
    pub op: Op,
    /// What to look for.
    pub value: Option<Value>,
    /// Further conditions; all must hold.
    #[serde(default)]
    pub and: Vec<Condition>,
    /// Points, negative ones too.
    pub weight: f64,
    /// With `each`: the most points it may add, or take.
    pub max_points: Option<f64>,
    /// What explanations call it.
    pub name: Option<String>,
}

/// One reason not to give an issue out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The fact to look at.
    pub field: Field,
    /// How to look at it.
    pub op: Op,
    /// What to look for.
    pub value: Option<Value>,
    /// Further conditions; all must hold.
    #[serde(default)]
    pub and: Vec<Condition>,
    /// What agents and people read.
    pub reason: Option<String>,
}

/// A condition on one fact.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The fact to look at.
    pub field: Field,
    /// How to look at it.
    pub op: Op,
    /// What to look for.
    pub value: Option<Value>,
}

/// Points for waiting.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aging {
    /// Points for each whole day since the issue was opened.
    pub points_per_day: f64,
    /// The most points that waiting may add.
    pub max_points: f64,
}

/// A fact of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Label names: any of them.
    Label,
    /// The title.
    Title,
    /// The login of who opened it.
    Author,
    /// The author's relation to the repository, in GitHub's words.
    AuthorAssociation,
    /// Logins it is assigned to: any of them.
    Assignee,
    /// The milestone's title.
    Milestone,
    /// The repository, `owner/name`.
    Repo,
    /// How many comments.
    Comments,
    /// How many reactions.
    Reactions,
    /// Days since it was opened.
    AgeDays,
    /// Days since GitHub last saw a change.
    IdleDays,
}

impl Field {
    /// Its word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Title => "title",
            Self::Author => "author",
            Self::AuthorAssociation => "author_association",
            Self::Assignee => "assignee",
            Self::Milestone => "milestone",
            Self::Repo => "repo",
            Self::Comments => "comments",
            Self::Reactions => "reactions",
            Self::AgeDays => "age_days",
            Self::IdleDays => "idle_days",
        }
    }
}

/// How to look at a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// It is one of the texts.
    Is,
    /// It is none of the texts.
    IsNot,
    /// One of the texts is part of it.
    Contains,
    /// It fits one of the patterns, with `*` and `?`.
    Glob,
    /// There is one.
    Present,
    /// There is none.
    Absent,
    /// It is this number or more.
    AtLeast,
    /// It is this number or less.
    AtMost,
    /// For each one, up to `max_points`.
    Each,
}

impl Op {
    /// Its word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is_not",
            Self::Contains => "contains",
            Self::Glob => "glob",
            Self::Present => "present",
            Self::Absent => "absent",
            Self::AtLeast => "at_least",
            Self::AtMost => "at_most",
            Self::Each => "each",
        }
    }
}
