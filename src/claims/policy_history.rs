//! The sets of policies that were in force, kept so that each can be put back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::desk::{InForce, TakenInForce};
use super::{ClaimManager, Operations};
use crate::config::{PoliciesConfig, manifest_path, signature_path};
use crate::domain::{AgentId, EventDraft, EventKind, PolicyStamp, RepoName};
use crate::policy::{Effective, PolicyHost, Ranking};
use crate::store::{EvidenceRecord, OnTrialRecord, PolicyAudit, PolicySetKept, PolicySetRecord, StoreError};

/// Most bytes of signatures, and of a manifest, that are kept with a component: a bundle has about 10 KiB.
const EVIDENCE_KEPT_BYTES_MAX: u64 = 64 << 10;

/// What was done to the ranker or the candidate, by somebody's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyAction {
    /// The candidate became the ranker.
    Promoted,
    /// A ranker that was in force before is so again.
    RolledBack,
    /// Another ranker is on trial beside it.
    PutOnTrial,
    /// That trial is over without a promotion.
    GivenUp,
}

impl PolicyAction {
    fn event(self) -> EventKind {
        match self {
            Self::Promoted => EventKind::PolicyPromoted,
            Self::RolledBack => EventKind::PolicyRolledBack,
            Self::PutOnTrial => EventKind::PolicyPutOnTrial,
            Self::GivenUp => EventKind::PolicyGivenUp,
        }
    }
}

impl ClaimManager {
    /// Writes down every set that comes in force, for ever.
    pub(super) async fn keep_sets_continually(self: Arc<Self>, mut taken: mpsc::Receiver<TakenInForce>) {
        while let Some(set) = taken.recv().await {
            if let Err(error) = self.keep_set(&set).await {
                warn!("a set of policies that came in force was not written down: {error}");
            }
        }
        std::future::pending::<()>().await;
    }

    async fn keep_set(&self, taken: &TakenInForce) -> Result<(), StoreError> {
        let mut record = record_of(&taken.policies);
        record.evidence = evidence_of(&record, &taken.policies.folder).await;
        // A start with the policies of the last one changes nothing.
        if self.store.policy_set_list().await?.first().is_some_and(|newest| newest.record == record) {
            return Ok(());
        }
        for (policy, digest) in record.components().map(|(policy, part)| (policy, &part.digest)) {
            let Some(file) = policy.component_path(&taken.policies.folder) else { continue };
            if self.store.policy_component_piece_count(digest.clone()).await?.is_some() {
                continue;
            }
            match read_component(&file, digest).await {
                Ok(bytes) => self.store.policy_component_keep(digest.clone(), bytes).await?,
                Err(why) => warn!("{} {why}: it cannot be put back from the history", policy.source),
            }
        }
        self.store.policy_set_insert(record, taken.why.clone(), taken.at).await.map(drop)
    }

    /// What decides for a repository and an agent.
    pub fn effective_policy(&self, repo: Option<&RepoName>, agent: Option<&AgentId>) -> Effective {
        let policies = self.desk.current();
        policies.set.effective(&policies.config, repo, agent)
    }

    /// What the policies in force were loaded from, and the folder that its relative sources are relative to.
    pub fn policies_in_force(&self) -> (PoliciesConfig, PathBuf) {
        let policies = self.desk.current();
        (policies.config.clone(), policies.folder.clone())
    }

    /// Where policies are loaded, for who looks at others than those in force.
    pub fn policy_host(&self) -> PolicyHost {
        self.desk.host()
    }

    /// Why the newest edit of the policies was refused, until one is accepted.
    pub fn policy_rejected(&self) -> Option<String> {
        self.desk.rejected()
    }
}

impl Operations {
    /// The last sets of policies that were in force, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn policy_sets(&self) -> Result<Vec<PolicySetKept>, StoreError> {
        self.store().policy_set_list().await
    }

    /// One piece of a component that was in force, and of how many it is; `None` when it is not kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn policy_component_piece(
        &self,
        digest: String,
        piece: u32,
    ) -> Result<Option<(Vec<u8>, u32)>, StoreError> {
        let Some(count) = self.store().policy_component_piece_count(digest.clone()).await? else { return Ok(None) };
        Ok(self.store().policy_component_piece(digest, piece).await?.map(|bytes| (bytes, count)))
    }

    /// Notes who wished the ranker that is in force, or what is on trial beside it, and tells everybody.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn policy_audit(
        &self,
        action: PolicyAction,
        ranker: PolicyStamp,
        by: String,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        let kind = action.event();
        let why = PolicyAudit::why_of(kind, note.as_deref());
        let mut details = serde_json::json!({ "by": by, "ranker": ranker });
        if let Some(note) = note {
            details["note"] = note.into();
        }
        let event = EventDraft::new(kind, self.now(), details);
        let digest = ranker.digest.get(..12).unwrap_or(&ranker.digest).to_owned();
        let source = ranker.source.clone();
        self.store().policy_audit(PolicyAudit { by: by.clone(), why: why.clone(), ranker, event }).await?;
        info!(policy.digest = %digest, "{why}, by {by}: the ranker is {source}");
        Ok(())
    }
}

fn record_of(policies: &InForce) -> PolicySetRecord {
    let set = &policies.set;
    let stamps = |ranking: &Ranking| ranking.main_parts().into_iter().map(|part| part.stamp).collect();
    let on_trial = set.candidate.as_ref().zip(policies.config.candidate.as_ref());
    PolicySetRecord {
        ranker: policies.config.ranker.clone(),
        ranker_stamp: set.ranker.main_stamp().clone(),
        parts: stamps(&set.ranker),
        views: set.rankings().map(|(_, ranking)| ranking.stamp().clone()).collect(),
        stale_rule: set.stale_rule.stamp().clone(),
        repo_filter: set.repo_filter.stamp().clone(),
        candidate: set.candidate.as_ref().map(|it| it.ranking.main_stamp().clone()),
        on_trial: on_trial.map(|(it, config)| OnTrialRecord { config: config.clone(), parts: stamps(&it.ranking) }),
        evidence: BTreeMap::new(),
    }
}

/// What lies beside the components that must be signed.
async fn evidence_of(record: &PolicySetRecord, folder: &Path) -> BTreeMap<String, EvidenceRecord> {
    let signed = record.components().filter(|(policy, _)| policy.signed_by.is_some());
    let files = signed.filter_map(|(policy, part)| Some((part.digest.clone(), policy.component_path(folder)?)));
    let files: Vec<(String, PathBuf)> = files.collect();
    let read = tokio::task::spawn_blocking(move || {
        let evidence = files.into_iter().filter_map(|(digest, file)| {
            let Some(bundles) = read_evidence(&signature_path(&file)) else {
                warn!(
                    "the signatures of {} are not kept in the history: it is put back only with them",
                    file.display()
                );
                return None;
            };
            Some((digest, EvidenceRecord { bundles, manifest: read_evidence(&manifest_path(&file)) }))
        });
        evidence.collect()
    });
    read.await.unwrap_or_default()
}

fn read_evidence(file: &Path) -> Option<String> {
    let bytes = std::fs::metadata(file).ok()?.len();
    if bytes > EVIDENCE_KEPT_BYTES_MAX { None } else { std::fs::read_to_string(file).ok() }
}

/// A component's bytes, if the file still holds what was loaded from it.
async fn read_component(file: &Path, digest: &str) -> Result<Vec<u8>, String> {
    let (file, digest) = (file.to_owned(), digest.to_owned());
    let read = tokio::task::spawn_blocking(move || match std::fs::read(file) {
        Ok(bytes) if hex::encode(Sha256::digest(&bytes)) == digest => Ok(bytes),
        Ok(_) => Err("is another file already".to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err("is not there any more".to_owned()),
        Err(error) => Err(format!("cannot be read any more ({error})")),
    });
    read.await.unwrap_or_else(|error| Err(format!("was not read ({error})")))
}
