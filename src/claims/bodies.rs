//! The texts of issues, for policies that ask: they are read from the store when they are asked for.

use std::sync::Arc;

use crate::domain::IssueRef;
use crate::policy::BodySource;
use crate::store::SqlStore;

/// Reads texts from a store.
#[derive(Debug)]
pub struct StoredBodies(Arc<SqlStore>);

impl StoredBodies {
    /// Reads from `store`.
    pub fn of(store: Arc<SqlStore>) -> Self {
        Self(store)
    }
}

impl BodySource for StoredBodies {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        self.0.issue_bodies(issues).map_err(|error| error.to_string())
    }
}
