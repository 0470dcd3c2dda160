//! Why the store could not do what was asked.

/// Why the store could not do what was asked. Nothing was changed, unless the connection to PostgreSQL was lost while a
/// write was committed: then nobody knows, and the same request, sent again, finds out.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or failed.
    #[error("failed to {attempt}")]
    Failed {
        /// What was attempted, to follow "failed to".
        attempt: &'static str,
        /// What the database said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another server has the database open.
    #[error("{path} is in use by another issuecommand server; stop that one, or give this one another store.path")]
    InUse {
        /// The database.
        path: String,
    },
    /// The writer has ended: the server is shutting down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    pub(super) fn failed(attempt: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Failed { attempt, source: Box::new(source) }
    }
}
