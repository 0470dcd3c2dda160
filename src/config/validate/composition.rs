//! What types cannot say of stages, overrides, groups and the candidate.

use std::collections::HashSet;

use globset::Glob;

use super::Check;
use crate::config::{CandidateMode, Config, OverrideConfig, RankerConfig};

/// Most stages of one ranker. Each costs its share of the time that an agent waits.
pub const STAGE_COUNT_MAX: usize = 8;
/// Most overrides. Those for groups of agents keep an order of all work each.
pub const OVERRIDE_COUNT_MAX: usize = 16;
/// Farthest weight from zero: beyond it a sum of scores loses the small ones.
pub const WEIGHT_MAX: f64 = 1e9;

impl Check {
    pub(super) fn composition(&mut self, config: &Config) {
        let policies = &config.policies;
        self.stages("policies.ranker", &policies.ranker);
        if policies.overrides.len() > OVERRIDE_COUNT_MAX {
            let message = format!("there are {} overrides, at most {OVERRIDE_COUNT_MAX}", policies.overrides.len());
            self.found("policies.override", message, Some("one pattern may name many repositories"));
        }
        for it in &policies.overrides {
            self.one_override(it, config);
        }
        if let Some(candidate) = &policies.candidate {
            self.stages("policies.candidate", &candidate.ranker);
            let fits = candidate.share > 0.0 && candidate.share <= 1.0;
            if candidate.mode == CandidateMode::Canary && !fits {
                let message = format!("a share of {} is none: above 0, and 1 at most", candidate.share);
                self.found("policies.candidate", message, Some("0.1 is one agent in ten"));
            }
        }
    }

    fn one_override(&mut self, it: &OverrideConfig, config: &Config) {
        const KEY: &str = "policies.override";
        if it.repos.is_empty() && it.groups.is_empty() {
            let hint = Some("name repos or groups; what holds for all is [policies.ranker]");
            self.found(KEY, "an override for everything overrides nothing", hint);
        }
        if it.ranker.is_none() && it.stale_rule.is_none() {
            self.found(
                KEY,
                "an override that names no policy changes nothing",
                Some("give it a ranker or a stale_rule"),
            );
        }
        self.patterns(KEY, &it.repos);
        for group in it.groups.iter().filter(|group| !config.agent_groups.0.contains_key(*group)) {
            let known: Vec<_> = config.agent_groups.0.keys().map(String::as_str).collect();
            let hint = match known.as_slice() {
                [] => "define it in [agent_groups]".to_owned(),
                known => format!("the groups are {}", known.join(", ")),
            };
            self.found(KEY, format!("there is no group {group:?}"), Some(&hint));
        }
        if let Some(ranker) = &it.ranker {
            self.stages(KEY, ranker);
        }
    }

    pub(super) fn stages(&mut self, key: &str, ranker: &RankerConfig) {
        if ranker.stage.len() > STAGE_COUNT_MAX {
            let message = format!("there are {} stages, at most {STAGE_COUNT_MAX}", ranker.stage.len());
            self.found(&format!("{key}.stage"), message, Some("each takes its share of choose_ms_max"));
        }
        let mut names = HashSet::from(["base"]);
        for stage in &ranker.stage {
            let key = format!("{key}.stage");
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
            if stage.name.is_empty() || stage.name.len() > 64 || !stage.name.bytes().all(plain) {
                let hint = Some("up to 64 letters, digits, hyphens and underscores");
                self.found(&key, format!("{:?} is no name of a stage", stage.name), hint);
            } else if !names.insert(&stage.name) {
                let hint = Some("give each a name of its own; \"base\" is the first component");
                self.found(&key, format!("there are two stages {:?}", stage.name), hint);
            }
            if !(stage.weight.is_finite() && stage.weight.abs() <= WEIGHT_MAX) {
                self.found(&key, format!("a weight of {} is out of range", stage.weight), Some("from -1e9 to 1e9"));
            }
            if stage.policy.source.trim().is_empty() {
                self.found(&key, "the source is empty", Some("the path of a component, or a built-in one"));
            }
            self.pin(&key, stage.policy.sha256.as_deref());
        }
    }

    fn patterns(&mut self, key: &str, patterns: &[String]) {
        for pattern in patterns {
            if let Err(error) = Glob::new(pattern) {
                self.found(key, format!("{pattern:?} is no pattern: {}", error.kind()), None);
            }
        }
    }
}
