//! Which repositories take part: those that the configured filter lets pass, and `ALLOWED_REPOS` too.

use super::effective::Told;
use super::error::PolicyError;
use super::repo_filter::RepoFilter;
use crate::domain::{PolicyStamp, Repo};

/// The repository filters in force.
#[derive(Debug)]
pub struct RepoFilters {
    configured: RepoFilter,
    /// The built-in list with what the environment allows, where that is not the configured filter itself.
    allowed: Option<RepoFilter>,
}

impl RepoFilters {
    pub(super) fn new(configured: RepoFilter, allowed: Option<RepoFilter>) -> Self {
        Self { configured, allowed }
    }

    /// Which component is configured, with which settings.
    pub fn stamp(&self) -> &PolicyStamp {
        self.configured.stamp()
    }

    /// The same, with the settings themselves.
    pub(super) fn with_settings(&self) -> Told {
        self.configured.with_settings()
    }

    pub(super) fn configured(&self) -> &RepoFilter {
        &self.configured
    }

    /// Whether `ALLOWED_REPOS` is asked beside the configured filter.
    pub fn has_allowed(&self) -> bool {
        self.allowed.is_some()
    }

    /// Whether the other filters are the same components with the same settings.
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        let stamps = |it: &Self| [Some(it.stamp().clone()), it.allowed.as_ref().map(|it| it.stamp().clone())];
        stamps(self) == stamps(other)
    }

    /// For each repository, why it does not take part; `None` where it does.
    ///
    /// # Errors
    /// [`PolicyError`] when a filter fails, or excludes what is not there.
    pub fn exclude(&self, rows: &[Repo]) -> Result<Vec<Option<String>>, PolicyError> {
        let mut reasons = self.configured.exclude(rows)?;
        if let Some(allowed) = &self.allowed {
            for (reason, kept_out) in reasons.iter_mut().zip(allowed.exclude(rows)?) {
                if reason.is_none() && kept_out.is_some() {
                    *reason = Some("not in ALLOWED_REPOS".into());
                }
            }
        }
        Ok(reasons)
    }
}
