//! Groups of agents.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `[agent_groups]`: for each group the patterns of the names of its agents (`*` stands for any part). Hot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentGroupsConfig(pub BTreeMap<String, Vec<String>>);
