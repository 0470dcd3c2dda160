//! How policies are put together: the stages of a ranker, overrides for some repositories and agents, and
//! a ranker on trial.

use std::ops::{Deref, DerefMut};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::policies::{BUILTIN_RANKER, PolicyConfig};
use crate::config::partial;

/// `[policies.ranker]`: its first component, and the stages that come on top of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankerConfig {
    /// The component that scores, chooses and explains; alone unless there are stages.
    #[serde(flatten)]
    pub base: PolicyConfig,
    /// `[[policies.ranker.stage]]`, in their order.
    pub stage: Vec<StageConfig>,
}

impl Default for RankerConfig {
    fn default() -> Self {
        PolicyConfig::builtin(BUILTIN_RANKER).into()
    }
}

impl From<PolicyConfig> for RankerConfig {
    fn from(base: PolicyConfig) -> Self {
        Self { base, stage: Vec::new() }
    }
}

impl Deref for RankerConfig {
    type Target = PolicyConfig;

    fn deref(&self) -> &PolicyConfig {
        &self.base
    }
}

impl DerefMut for RankerConfig {
    fn deref_mut(&mut self) -> &mut PolicyConfig {
        &mut self.base
    }
}

impl RankerConfig {
    /// All its components: the base, then the stages in their order.
    pub fn parts(&self) -> impl Iterator<Item = &PolicyConfig> {
        [&self.base].into_iter().chain(self.stage.iter().map(|stage| &stage.policy))
    }

    /// Whether a stage may keep issues back whatever the other ones say.
    pub fn has_filter(&self) -> bool {
        self.stage.iter().any(|stage| stage.role == StageRole::Filter)
    }
}

impl<'de> Deserialize<'de> for RankerConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        partial::ranker(deserializer)
    }
}

/// What a stage of a ranker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StageRole {
    /// Keeps issues back: only what it skips counts.
    Filter,
    /// Adds its score, times its weight; what it skips counts too.
    Score,
    /// Reorders the short list of each request.
    Choose,
}

/// `[[policies.ranker.stage]]`: one more component of a ranker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageConfig {
    /// What reasons call it; one of its kind within the ranker.
    pub name: String,
    /// What it is there for.
    pub role: StageRole,
    /// What its score is multiplied by; only where it scores.
    pub weight: f64,
    /// Its component.
    #[serde(flatten)]
    pub policy: PolicyConfig,
}

impl<'de> Deserialize<'de> for StageConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        partial::stage(deserializer)
    }
}

/// `[[policies.override]]`: other policies for some repositories, some agents, or some agents there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OverrideConfig {
    /// Patterns of repositories, as in `acme/*`; every repository if empty.
    pub repos: Vec<String>,
    /// Names of `[agent_groups]`; every agent if empty.
    pub groups: Vec<String>,
    /// Orders work there instead.
    pub ranker: Option<RankerConfig>,
    /// Says there instead when a claim has lapsed.
    #[serde(deserialize_with = "partial::some_stale_rule")]
    pub stale_rule: Option<PolicyConfig>,
}

/// `[policies.candidate]`: a ranker on trial, beside the one in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateConfig {
    /// How it is tried.
    pub mode: CandidateMode,
    /// For a canary: the share of agents that get it, above 0 and up to 1.
    #[serde(default = "tenth")]
    pub share: f64,
    /// The ranker.
    pub ranker: RankerConfig,
}

impl CandidateConfig {
    /// A ranker that is asked behind every answer, and serves nobody.
    pub fn in_shadow(ranker: RankerConfig) -> Self {
        Self { mode: CandidateMode::Shadow, share: tenth(), ranker }
    }
}

/// How a ranker is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CandidateMode {
    /// It is asked after every pick what it would have picked, and nothing else comes of it.
    Shadow,
    /// A share of agents gets its picks.
    Canary,
}

impl CandidateMode {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shadow => "shadow",
            Self::Canary => "canary",
        }
    }
}

fn tenth() -> f64 {
    0.1
}
