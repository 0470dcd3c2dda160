//! Where a configuration names components: each place with what stands there.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::PolicyKind;
use crate::config::{OCI_PREFIX, PoliciesConfig, PolicyConfig, RankerConfig};

/// One place in a configuration that names a policy.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The place, as it stands in the file: `[policies.ranker]`.
    pub(super) place: String,
    /// What the policy is there.
    pub(super) kind: PolicyKind,
    /// Which, with what it is told.
    pub(super) policy: &'a PolicyConfig,
}

impl Entry<'_> {
    /// Whether it names the component in `file`, of this SHA-256: by its path, or another file with the same bytes.
    /// `folder` is that of the configuration.
    pub(super) fn names(&self, file: &Path, sha256: &str, folder: &Path) -> bool {
        let Some(named) = self.policy.component_path(folder) else { return false };
        match (fs::canonicalize(&named), fs::canonicalize(file)) {
            (Ok(named), Ok(file)) if named == file => true,
            (Ok(named), Ok(file)) => {
                let length = |path: &Path| fs::metadata(path).map(|it| it.len()).ok();
                length(&named) == length(&file)
                    && fs::read(&named).is_ok_and(|bytes| hex::encode(Sha256::digest(&bytes)) == sha256)
            }
            _ => false,
        }
    }

    /// Why it may have been meant for `file`, which it does not name: it names a file that is not there, of the same
    /// name, or in the same folder. Built-in policies and those of registries are meant for nothing else.
    pub(super) fn is_near(&self, file: &Path, folder: &Path) -> Option<&'static str> {
        let named = self.policy.component_path(folder).filter(|_| !self.policy.source.starts_with(OCI_PREFIX))?;
        let (Ok(named), Ok(file)) = (std::path::absolute(named), std::path::absolute(file)) else { return None };
        let folder_of = |path: &Path| path.parent().and_then(|folder| fs::canonicalize(folder).ok());
        if !named.is_file() {
            Some("there is no such file")
        } else if named.file_name() == file.file_name() {
            Some("another file of the same name")
        } else {
            (folder_of(&named).is_some() && folder_of(&named) == folder_of(&file)).then_some("beside it")
        }
    }
}

/// Every place that names a policy, in the order of the file's sections.
pub(super) fn entries(all: &PoliciesConfig) -> Vec<Entry<'_>> {
    let mut entries = Vec::new();
    add_ranker(&mut entries, "[policies.ranker]", "[[policies.ranker.stage]]", &all.ranker);
    let mut add = |place: String, kind, policy| entries.push(Entry { place, kind, policy });
    add("[policies.stale_rule]".into(), PolicyKind::StaleRule, &all.stale_rule);
    add("[policies.repo_filter]".into(), PolicyKind::RepoFilter, &all.repo_filter);
    for (it, number) in all.overrides.iter().zip(1..) {
        if let Some(ranker) = &it.ranker {
            let place = format!("the ranker of [[policies.override]] {number}");
            add_ranker(&mut entries, &place, &place, ranker);
        }
        if let Some(policy) = &it.stale_rule {
            let place = format!("the stale_rule of [[policies.override]] {number}");
            entries.push(Entry { place, kind: PolicyKind::StaleRule, policy });
        }
    }
    if let Some(candidate) = &all.candidate {
        let (place, stages) = ("[policies.candidate.ranker]", "[[policies.candidate.ranker.stage]]");
        add_ranker(&mut entries, place, stages, &candidate.ranker);
    }
    entries
}

fn add_ranker<'a>(entries: &mut Vec<Entry<'a>>, place: &str, stages: &str, ranker: &'a RankerConfig) {
    entries.push(Entry { place: place.to_owned(), kind: PolicyKind::Ranker, policy: &ranker.base });
    entries.extend(ranker.stage.iter().map(|stage| Entry {
        place: format!("{stages} {:?}", stage.name),
        kind: PolicyKind::Ranker,
        policy: &stage.policy,
    }));
}
