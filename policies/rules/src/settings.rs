//! The table as it stands in issuecommand.toml. `settings.schema.json` describes the same to people
//! and editors.

use std::num::NonZeroU32;

use serde::Deserialize;
use serde_json::Value;

use crate::words::{Field, Op};

/// The labels of the default tiers: what existing users of IssueCommand rely on.
const DEFAULT_TIERS: [&[&str]; 2] = [
    &["p0", "priority:critical", "priority/critical", "priority/high", "high", "severity:critical", "sev:1"],
    &["p1", "priority:high", "priority/medium", "medium", "sev:2"],
];

/// When an agent that is sent back to the reviews is to ask again, in minutes, unless the table says.
const DEFAULT_REVIEW_RETRY_MINUTES: NonZeroU32 = NonZeroU32::new(15).expect("15 is not 0");

/// `[policies.ranker.settings]`. Without any: the default tiers, then the oldest.
///
/// The first part is about issues alone: it makes scores, ahead of any request. The second is about who
/// asks and what else is going on: it is looked at while an agent waits.
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
    /// What waiting is worth.
    pub aging: Option<Aging>,
    /// Whether issues wait for the open issues that block them.
    pub skip_blocked: bool,
    /// Which issues wait for a maintainer's approval.
    pub require_approval: Approval,

    /// What an agent must be able to do, or belong to.
    pub needs: Vec<Need>,
    /// Whether repositories with more than their share of live claims come later.
    pub fair_share: bool,
    /// Most active claims of one agent.
    pub max_claims_per_agent: Option<NonZeroU32>,
    /// Most active claims within one repository.
    pub max_claims_per_repo: Option<NonZeroU32>,
    /// Most pull requests of one agent that wait for a review.
    pub max_reviews_per_agent: Option<NonZeroU32>,
    /// Most pull requests that wait for a review within one repository.
    pub max_reviews_per_repo: Option<NonZeroU32>,
    /// Most pull requests that wait for one reviewer.
    pub max_reviews_per_reviewer: Option<NonZeroU32>,
    /// When an agent that is sent back to the reviews is to ask again, in minutes.
    pub review_retry_minutes: NonZeroU32,
    /// When review feedback comes.
    pub follow_ups: Turn,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tiers: DEFAULT_TIERS.iter().map(|tier| tier.iter().map(|label| (*label).to_owned()).collect()).collect(),
            default_tier: None,
            rules: Vec::new(),
            skip: Vec::new(),
            aging: None,
            skip_blocked: false,
            require_approval: Approval::None,
            needs: Vec::new(),
            fair_share: false,
            max_claims_per_agent: None,
            max_claims_per_repo: None,
            max_reviews_per_agent: None,
            max_reviews_per_repo: None,
            max_reviews_per_reviewer: None,
            review_retry_minutes: DEFAULT_REVIEW_RETRY_MINUTES,
            follow_ups: Turn::default(),
        }
    }
}

/// Which issues wait for a maintainer's approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Approval {
    /// None do.
    None,
    /// Those whose author does not belong to the repository.
    Outsiders,
    /// All do.
    All,
}

impl TryFrom<Value> for Approval {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        match &value {
            Value::Bool(false) => Ok(Self::None),
            Value::Bool(true) => Ok(Self::All),
            Value::String(word) if word == "outsiders" => Ok(Self::Outsiders),
            _ => Err(format!("{value} is none of true, false and \"outsiders\"")),
        }
    }
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

/// One line of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The fact to look at.
    pub field: Option<Field>,
    /// How to look at it.
    pub op: Option<Op>,
    /// What to look for.
    pub value: Option<Value>,
    /// Further conditions; all must hold.
    #[serde(default)]
    pub and: Vec<Condition>,
    /// A further condition, in CEL.
    pub when: Option<String>,
    /// Points, negative ones too.
    pub weight: Option<f64>,
    /// Points, in CEL.
    pub points: Option<String>,
    /// With `each` and `points`: the most points it may add, or take.
    pub max_points: Option<f64>,
    /// With `decay`: after how many days half is left.
    pub half_life_days: Option<f64>,
    /// What explanations call it.
    pub name: Option<String>,
}

/// One reason not to give an issue out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The fact to look at.
    pub field: Option<Field>,
    /// How to look at it.
    pub op: Option<Op>,
    /// What to look for.
    pub value: Option<Value>,
    /// Further conditions; all must hold.
    #[serde(default)]
    pub and: Vec<Condition>,
    /// A further condition, in CEL.
    pub when: Option<String>,
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

/// What waiting is worth.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Aging {
    /// Points for each whole day since the issue was opened.
    pub points_per_day: Option<f64>,
    /// The most points that waiting may add.
    pub max_points: Option<f64>,
    /// After each so many days an issue counts as one tier better.
    pub days_per_tier: Option<NonZeroU32>,
}

/// What an agent must be able to do, or belong to, to get certain issues.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// Issues with a label that fits this pattern.
    pub label: Option<String>,
    /// Issues of a repository with a topic that fits this pattern.
    pub topic: Option<String>,
    /// Issues of a repository that fits this pattern.
    pub repo: Option<String>,
    /// Issues that are likely to touch a path that fits this pattern.
    pub area: Option<String>,
    /// Skills of which the agent must state one; `*` stands for what `*` in the pattern stands for.
    pub skill: Option<OneOrMore>,
    /// Groups of which the agent must belong to one; `*` as in `skill`.
    pub group: Option<OneOrMore>,
}

/// A text, or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, expecting = "expected a text, or a list of texts")]
pub enum OneOrMore {
    /// One.
    One(String),
    /// Several.
    More(Vec<String>),
}

impl OneOrMore {
    /// All of them.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::More(texts) => texts,
        }
    }
}
