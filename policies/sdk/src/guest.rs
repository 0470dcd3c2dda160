//! What every policy needs inside a component: its place between calls, and its last words.

use std::cell::OnceCell;

use serde::de::DeserializeOwned;

use crate::wit::log;

/// Where a configured policy stays between calls.
#[derive(Debug)]
pub struct Slot<P>(OnceCell<P>);

impl<P> Slot<P> {
    /// A slot without a policy.
    pub const fn empty() -> Self {
        Self(OnceCell::new())
    }

    /// Reads the settings and makes the policy.
    ///
    /// # Errors
    /// The policy's refusal, or what is wrong with the settings.
    pub fn fill<S: DeserializeOwned>(
        &self,
        settings: &str,
        new: impl FnOnce(S) -> Result<P, String>,
    ) -> Result<(), String> {
        std::panic::set_hook(Box::new(|panic| log::write(log::Level::Error, &panic.to_string())));
        let policy = new(crate::settings::parse(settings)?)?;
        self.0.set(policy).map_err(|_| "configured twice: start a fresh instance for other settings".to_owned())
    }

    /// Puts a question to the policy.
    ///
    /// # Errors
    /// When it has not been configured.
    pub fn ask<A>(&self, question: impl FnOnce(&P) -> A) -> Result<A, String> {
        self.0.get().map(question).ok_or_else(|| "asked before it was configured".to_owned())
    }
}
