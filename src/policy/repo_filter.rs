//! Repository filters: which repositories take part.

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::bindings::repo_filter::{RepoFilterPolicy, RepoFilterPolicyPre};
use super::effective::Told;
use super::error::PolicyError;
use super::facts::Facts;
use super::instance::{Answer, Function, Kind, Policy};
use super::output;
use super::sample;
use super::state::CallState;
use crate::domain::{PolicyStamp, Repo};

/// An exclusion is a row, and a reason of a sentence.
const EXCLUDE: Function = Function { name: "exclude", output_bytes_per_row: 512, waited_for: false };

/// The policy that says which repositories take part.
#[derive(Debug)]
pub struct RepoFilter(Policy<RepoFilterKind>);

impl RepoFilter {
    /// Which component, with which settings.
    pub fn stamp(&self) -> &PolicyStamp {
        &self.0.stamp
    }

    pub(super) fn policy(&self) -> &Policy<RepoFilterKind> {
        &self.0
    }

    /// The same, with the settings themselves.
    pub(super) fn with_settings(&self) -> Told {
        Told::new(&self.0.stamp, self.0.settings())
    }

    /// For each repository, why it does not take part; `None` where it does.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or excludes what is not there.
    pub fn exclude(&self, rows: &[Repo]) -> Result<Vec<Option<String>>, PolicyError> {
        if rows.is_empty() { Ok(Vec::new()) } else { self.exclude_rows(rows.to_vec()) }
    }

    /// Takes a policy into service if it passes a trial on nothing and on a small sample.
    pub(super) fn accept(policy: Policy<RepoFilterKind>) -> Result<Self, PolicyError> {
        let filter = Self(policy);
        filter.exclude_rows(Vec::new())?;
        filter.exclude_rows(sample::repos())?;
        Ok(filter)
    }

    fn exclude_rows(&self, rows: Vec<Repo>) -> Result<Vec<Option<String>>, PolicyError> {
        let count = rows.len();
        let excluded = self.0.call(EXCLUDE, Facts::Repos(rows), |guest, store| {
            guest.issuecommand_policy_repo_filter().call_exclude(store)
        })?;
        let excluded = output::exclusions("the list of exclusions", &excluded, count)
            .map_err(|why| PolicyError::BadOutput { call: EXCLUDE.name, why })?;
        let mut reasons = vec![None; count];
        for (row, reason) in excluded {
            reasons[row] = Some(reason);
        }
        Ok(reasons)
    }
}

pub(super) struct RepoFilterKind;

impl Kind for RepoFilterKind {
    const NOUN: &'static str = "a repository filter";
    const INTERFACE: &'static str = "repo-filter";
    type Pre = RepoFilterPolicyPre<CallState>;
    type Guest = RepoFilterPolicy;

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        RepoFilterPolicy::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
    }

    fn prepare(pre: InstancePre<CallState>) -> wasmtime::Result<Self::Pre> {
        RepoFilterPolicyPre::new(pre)
    }

    fn instantiate(pre: &Self::Pre, store: &mut Store<CallState>) -> wasmtime::Result<Self::Guest> {
        pre.instantiate(store)
    }

    fn settings_schema(guest: &Self::Guest, store: &mut Store<CallState>) -> wasmtime::Result<String> {
        guest.issuecommand_policy_repo_filter().call_settings_schema(store)
    }

    fn configure(guest: &Self::Guest, store: &mut Store<CallState>, settings: &str) -> Answer<()> {
        guest.issuecommand_policy_repo_filter().call_configure(store, settings)
    }
}
