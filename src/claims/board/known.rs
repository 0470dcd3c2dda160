//! The facts of one issue in memory, with the name of their state once somebody needs it.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use crate::domain::{FactsVersion, IssueFacts};

/// Facts, and lazily which version of the issue's they are: naming one costs a digest, and of a long backlog
/// only the head is ever named.
#[derive(Debug, Clone)]
pub(in crate::claims) struct Known {
    facts: Arc<IssueFacts>,
    version: Arc<OnceLock<FactsVersion>>,
}

impl Known {
    pub(in crate::claims) fn new(facts: IssueFacts) -> Self {
        Self { facts: Arc::new(facts), version: Arc::default() }
    }

    /// The facts, shared.
    pub(in crate::claims) fn shared(&self) -> Arc<IssueFacts> {
        Arc::clone(&self.facts)
    }

    /// Whether these are the very facts that were taken before.
    pub(in crate::claims) fn is(&self, taken: &Arc<IssueFacts>) -> bool {
        Arc::ptr_eq(&self.facts, taken)
    }

    /// Which version of the issue's facts.
    pub(in crate::claims) fn version(&self) -> FactsVersion {
        self.version.get_or_init(|| self.facts.version()).clone()
    }
}

impl Deref for Known {
    type Target = IssueFacts;

    fn deref(&self) -> &IssueFacts {
        &self.facts
    }
}
