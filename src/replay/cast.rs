//! Who works in a replay.

use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ReplayOptions;
use crate::domain::{AgentId, NameError, Skills};

/// A simulated agent. As text: its name, and what it can do behind `=`, with blanks between: `css-1=frontend css`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimulatedAgent {
    /// Its name, by which it belongs to groups.
    pub name: AgentId,
    /// What it says it can do.
    pub skills: Skills,
}

impl FromStr for SimulatedAgent {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (name, skills) = text.split_once('=').unwrap_or((text, ""));
        let skills = skills.split_whitespace().collect::<Vec<_>>().join(",");
        Ok(Self { name: name.parse()?, skills: skills.parse()? })
    }
}

impl Serialize for SimulatedAgent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let skills: Vec<&str> = self.skills.iter().collect();
        match skills.as_slice() {
            [] => serializer.serialize_str(self.name.as_str()),
            skills => serializer.serialize_str(&format!("{}={}", self.name.as_str(), skills.join(" "))),
        }
    }
}

/// Everybody who works: those with names of their own, or `agent-1` and so on.
pub(super) fn cast_of(options: &ReplayOptions) -> Vec<SimulatedAgent> {
    if !options.named.is_empty() {
        return options.named.clone();
    }
    let agent = |number: usize| format!("agent-{number}").parse().expect("the name is well-formed");
    (1..=options.agents).map(|number| SimulatedAgent { name: agent(number), skills: Skills::default() }).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_named_with_what_it_can_do_and_told_in_the_same_form() {
        let told = |text: &str| serde_json::to_value(text.parse::<SimulatedAgent>().unwrap()).unwrap();
        assert_eq!(told(" night-1 "), "night-1");
        assert_eq!(told("css-1 = frontend  CSS"), "css-1=css frontend");
        assert!("=rust".parse::<SimulatedAgent>().is_err());
    }
}
