//! The configurations that are swapped: good ones, others, and ones that must be refused.

use fastrand::Rng;
use issuecommand::config::{Config, PolicyConfig};
use serde_json::{Map, Value, json};

use crate::oracle::{AUTO_RELEASE_MINUTES, LEASE_MINUTES};

/// An issue with this label is kept back where the rules say so.
pub const HOLD: &str = "hold";

/// A configuration of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policies {
    /// Both repositories of acme take part.
    Both,
    /// Only the first does.
    OnlyOne,
    /// Both do, and issues with the label `hold` are kept back.
    Holding,
    /// Refused: settings that the rules do not know.
    WrongSettings,
    /// Refused: a component that is not there.
    NoComponent,
}

impl Policies {
    pub fn any(rng: &mut Rng) -> Self {
        use Policies::{Both, Holding, NoComponent, OnlyOne, WrongSettings};
        [Both, Both, OnlyOne, Holding, WrongSettings, NoComponent][rng.usize(..6)]
    }

    pub fn is_good(self) -> bool {
        matches!(self, Self::Both | Self::OnlyOne | Self::Holding)
    }

    /// The repositories that take part.
    pub fn admitted(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::OnlyOne => &["acme/one"],
            _ => &["acme/one", "acme/two"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    /// Whether the ranker keeps back what has the label.
    pub fn holds_back(self) -> bool {
        self == Self::Holding
    }

    /// What a planted fault puts in force in the place of a refused one.
    pub fn everything() -> Config {
        let mut config = Self::Both.config();
        config.policies.repo_filter.settings = settings(json!({ "allow": ["*/*"] }));
        config
    }

    pub fn config(self) -> Config {
        let mut config = Config::default();
        config.leases.timeout_minutes = LEASE_MINUTES;
        config.leases.auto_release_minutes = AUTO_RELEASE_MINUTES;
        config.sync.interval_minutes = 5;
        config.sync.full_reconcile_hours = 1;
        // A machine that is busy must not change what a seed does.
        config.policies.call_ms_max = 60_000;
        config.policies.choose_ms_max = 60_000;
        config.policies.repo_filter.settings = settings(json!({ "allow": self.admitted() }));
        match self {
            Self::Both | Self::OnlyOne => {}
            Self::Holding => {
                let skip = json!([{ "field": "label", "op": "is", "value": HOLD, "reason": "it is to wait" }]);
                config.policies.ranker.settings = settings(json!({ "skip": skip }));
            }
            Self::WrongSettings => config.policies.ranker.settings = settings(json!({ "no_such_setting": 1 })),
            Self::NoComponent => {
                config.policies.stale_rule =
                    PolicyConfig { source: "no-such-component.wasm".into(), ..PolicyConfig::builtin("rules") };
            }
        }
        config
    }
}

fn settings(value: Value) -> Map<String, Value> {
    let Value::Object(settings) = value else { panic!("settings are a table") };
    settings
}
