//! Tables that may be given in part: what is left out keeps the default of its own place.

use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::{PoliciesConfig, PolicyConfig, RankerConfig, RateLimit, RateLimitConfig, Signer, StageConfig, StageRole};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RateLimitPart {
    per_minute: Option<u32>,
    burst: Option<u32>,
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D, default: RateLimit) -> Result<RateLimit, D::Error> {
    let part = RateLimitPart::deserialize(deserializer)?;
    Ok(RateLimit {
        per_minute: part.per_minute.unwrap_or(default.per_minute),
        burst: part.burst.unwrap_or(default.burst),
    })
}

pub(super) fn ip_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
    limit(deserializer, RateLimitConfig::default().ip)
}

pub(super) fn principal_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
    limit(deserializer, RateLimitConfig::default().principal)
}

pub(super) fn agent_mutations_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
    limit(deserializer, RateLimitConfig::default().agent_mutations)
}

pub(super) fn sse_connect_limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RateLimit, D::Error> {
    limit(deserializer, RateLimitConfig::default().sse_connect)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyPart {
    source: Option<String>,
    sha256: Option<String>,
    signed_by: Option<Signer>,
    #[serde(default)]
    settings: Map<String, Value>,
}

fn policy<'de, D: Deserializer<'de>>(deserializer: D, default: PolicyConfig) -> Result<PolicyConfig, D::Error> {
    let part = PolicyPart::deserialize(deserializer)?;
    Ok(part.over(default))
}

impl PolicyPart {
    fn over(self, default: PolicyConfig) -> PolicyConfig {
        let Self { source, sha256, signed_by, settings } = self;
        PolicyConfig { source: source.unwrap_or(default.source), sha256, signed_by, settings }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankerPart {
    source: Option<String>,
    sha256: Option<String>,
    signed_by: Option<Signer>,
    #[serde(default)]
    settings: Map<String, Value>,
    #[serde(default)]
    stage: Vec<StageConfig>,
}

pub(super) fn ranker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RankerConfig, D::Error> {
    let RankerPart { source, sha256, signed_by, settings, stage } = RankerPart::deserialize(deserializer)?;
    let source = source.unwrap_or_else(|| RankerConfig::default().base.source);
    Ok(RankerConfig { base: PolicyConfig { source, sha256, signed_by, settings }, stage })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StagePart {
    name: Option<String>,
    role: StageRole,
    weight: Option<f64>,
    source: String,
    sha256: Option<String>,
    signed_by: Option<Signer>,
    #[serde(default)]
    settings: Map<String, Value>,
}

pub(super) fn stage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StageConfig, D::Error> {
    let StagePart { name, role, weight, source, sha256, signed_by, settings } = StagePart::deserialize(deserializer)?;
    let policy = PolicyConfig { source, sha256, signed_by, settings };
    Ok(StageConfig {
        name: name.unwrap_or_else(|| policy.stem().to_owned()),
        role,
        weight: weight.unwrap_or(1.0),
        policy,
    })
}

pub(super) fn stale_rule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PolicyConfig, D::Error> {
    policy(deserializer, PoliciesConfig::default().stale_rule)
}

pub(super) fn repo_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PolicyConfig, D::Error> {
    policy(deserializer, PoliciesConfig::default().repo_filter)
}

pub(super) fn some_stale_rule<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PolicyConfig>, D::Error> {
    Option::<PolicyPart>::deserialize(deserializer).map(|part| {
        let default = PoliciesConfig::default().stale_rule;
        part.map(|part| part.over(default))
    })
}
