//! What MCP clients are shown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// `[mcp]`: what MCP clients are shown. A change needs a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct McpConfig {
    /// Which tools are listed to a client that does not say it itself.
    pub profile: ToolProfile,
}

/// Which tools a client is shown. A tool that is not listed still answers when it is called by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ToolProfile {
    /// The five that an agent at work needs.
    Minimal,
    /// The fifteen of the contract.
    #[default]
    Standard,
    /// Those of operators too.
    Full,
}

impl ToolProfile {
    /// Every profile, the smallest first.
    pub const ALL: [Self; 3] = [Self::Minimal, Self::Standard, Self::Full];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Standard => "standard",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for ToolProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ToolProfile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |profile: &Self| profile.as_str().eq_ignore_ascii_case(text.trim());
        let found = Self::ALL.into_iter().find(named);
        found.ok_or_else(|| format!("{text:?} is no profile; expected minimal, standard or full"))
    }
}
