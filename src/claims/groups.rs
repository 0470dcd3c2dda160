//! Which groups an agent belongs to.

use std::sync::Arc;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tracing::error;

use crate::config::AgentGroupsConfig;
use crate::domain::AgentId;

/// The groups of `[agent_groups]`, ready to be asked: one walk over a name finds all of them.
#[derive(Debug, Default)]
pub struct Groups {
    patterns: GlobSet,
    /// For each pattern, the group that it belongs to; in the order of the groups' names.
    group_of: Vec<Arc<str>>,
}

impl Groups {
    /// Prepares the groups that `config` names. A pattern that is none is left out, and the log says so: the
    /// configuration was checked before, so there is none.
    pub fn new(config: &AgentGroupsConfig) -> Self {
        let (mut builder, mut group_of) = (GlobSetBuilder::new(), Vec::new());
        for (name, patterns) in &config.0 {
            let name: Arc<str> = name.as_str().into();
            for pattern in patterns {
                match GlobBuilder::new(pattern).build() {
                    Ok(glob) => {
                        builder.add(glob);
                        group_of.push(Arc::clone(&name));
                    }
                    Err(error) => error!("left a pattern of agent_groups.{name} out: {error}"),
                }
            }
        }
        match builder.build() {
            Ok(patterns) => Self { patterns, group_of },
            Err(error) => {
                error!("agent_groups are not in force: {error}");
                Self::default()
            }
        }
    }

    /// The groups that `agent` belongs to, by name; each once.
    pub fn of(&self, agent: &AgentId) -> Vec<Arc<str>> {
        let mut matched = self.patterns.matches(agent.as_str());
        matched.sort_unstable();
        let mut groups: Vec<Arc<str>> = matched.into_iter().map(|place| Arc::clone(&self.group_of[place])).collect();
        groups.dedup();
        groups
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn groups_of(agent: &str) -> Vec<String> {
        let config = "night = [\"nightly-*\", \"*-night\"]\nall = [\"*\"]\nnobody = []\nweb = [\"{ui,css}-?\"]";
        let groups = Groups::new(&toml::from_str(config).unwrap());
        groups.of(&agent.parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_agent_is_in_every_group_with_a_pattern_of_its_name_and_in_each_once() {
        assert_eq!(groups_of("nightly-night"), ["all", "night"]);
        assert_eq!(groups_of("css-1"), ["all", "web"]);
        assert_eq!(groups_of("a/b c"), ["all"]);
        assert!(Groups::default().of(&"a".parse().unwrap()).is_empty());
    }
}
