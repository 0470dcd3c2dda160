//! Another ranker in force, or on trial, by somebody's word: the configuration is edited, the server that runs with it
//! takes the edit up and says so, and who wished it is noted. Commands and pages go this one way.
//!
//! `candidate` and `rollback` say which text the configuration gets, `kept` brings components back out of the history,
//! and `change` makes the change: it writes the file, waits, and puts back what the server refuses.

mod candidate;
mod change;
mod kept;
mod rollback;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::Call;
use crate::config::{Loaded, PoliciesConfig, RankerConfig};
use crate::domain::PolicyStamp;
use crate::policy::PolicyHost;

pub use candidate::{give_up, promote, put_in_force, put_on_trial};
pub use change::Outcome;
pub use rollback::{RolledBack, roll_back};

/// The way to the server that runs with the configuration, or to its store where none runs.
#[async_trait]
pub trait Way: Send + Sync {
    /// Asks one call; the answer, if it is what was asked for.
    ///
    /// # Errors
    /// The answer's own words when it is a refusal, or that nobody answers.
    async fn ask(&self, call: Call, fields: Value) -> anyhow::Result<Value>;

    /// Whether a server takes up an edit at once.
    fn is_served(&self) -> bool;
}

/// What an answer is read as.
async fn ask_for<T: DeserializeOwned>(way: &dyn Way, call: Call, fields: Value) -> anyhow::Result<T> {
    serde_json::from_value(way.ask(call, fields).await?).context("the server answered in a form that is not known here")
}

/// Whose word it is.
#[derive(Debug, Clone, Default)]
pub struct Word {
    /// Who, besides whose credential it is.
    pub who: Option<String>,
    /// Why, for the history.
    pub note: Option<String>,
}

/// The configuration that is edited, as it was read, and what loads its policies as a server would.
#[derive(Debug)]
pub struct Ground {
    /// The configuration.
    pub loaded: Loaded,
    /// Where policies are loaded to see what they are.
    pub host: PolicyHost,
}

impl Ground {
    fn file(&self) -> anyhow::Result<&Path> {
        let file = self.loaded.file.as_deref();
        file.context("there is no configuration file: create issuecommand.toml, or give --config")
    }

    fn text(&self) -> anyhow::Result<String> {
        let file = self.file()?;
        std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))
    }

    /// Loads a ranker as the server would, and says what it is.
    async fn stamp_of(self: &Arc<Self>, ranker: &RankerConfig) -> anyhow::Result<PolicyStamp> {
        let policies = PoliciesConfig {
            ranker: ranker.clone(),
            candidate: None,
            overrides: Vec::new(),
            ..self.loaded.config.effective_policies()
        };
        let ground = Arc::clone(self);
        let load = move || ground.host.load(&policies, &ground.loaded.folder);
        Ok(tokio::task::spawn_blocking(load).await??.ranker.main_stamp().clone())
    }
}

/// Whether these are the same components with the same settings, wherever they came from.
fn is_same(a: &PolicyStamp, b: &PolicyStamp) -> bool {
    (&a.digest, &a.settings_digest) == (&b.digest, &b.settings_digest)
}
