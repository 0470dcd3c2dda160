//! Where cases are played: a host, and the policies with the settings that a case asks for.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::case::Case;
use super::facts::Scene;
use crate::authoring::trial::{config_for, settings_mut};
use crate::authoring::{AuthoringError, PolicyKind, Specimen};
use crate::config::PoliciesConfig;
use crate::domain::IssueRef;
use crate::policy::{BodySource, PolicyHost, PolicyRejected, PolicySet};

/// Policies, and which of them was loaded with which settings.
type Loaded = (PolicyKind, Map<String, Value>, Arc<PolicySet>);

/// Plays cases with the policies of a component, or of a configuration.
pub struct Stage {
    host: PolicyHost,
    bodies: Arc<CaseBodies>,
    config: PoliciesConfig,
    folder: PathBuf,
    /// What can be asked here.
    kinds: Vec<PolicyKind>,
    /// The policies as they were last loaded: cases with the same settings share them.
    loaded: Mutex<Option<Loaded>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Stage {
    /// A stage for the policy in `file`, which gets `settings` where cases name none.
    ///
    /// # Errors
    /// [`AuthoringError`] when the file is no policy.
    pub fn of_component(
        host: PolicyHost,
        file: &Path,
        settings: &Map<String, Value>,
        limits: &PoliciesConfig,
    ) -> Result<Self, AuthoringError> {
        let specimen = Specimen::read(file)?;
        specimen.is_policy().map_err(AuthoringError::Component)?;
        let kinds = specimen.kinds();
        Ok(Self {
            kinds: kinds.clone(),
            ..Self::of_config(host, config_for(&kinds, file, settings, limits), "".into())
        })
    }

    /// A stage for the policies of a configuration in `folder`.
    pub fn of_config(host: PolicyHost, config: PoliciesConfig, folder: PathBuf) -> Self {
        let bodies = Arc::new(CaseBodies::default());
        let host = host.reading_bodies_from(Arc::clone(&bodies) as Arc<dyn BodySource>);
        Self { host, bodies, config, folder, kinds: PolicyKind::ALL.to_vec(), loaded: Mutex::new(None) }
    }

    /// Which kind of policy a case asks.
    ///
    /// # Errors
    /// When it asks several, or one that is not here.
    pub(super) fn kind_for(&self, case: &Case) -> Result<PolicyKind, String> {
        match case.kinds()[..] {
            [] => Ok(self.kinds[0]),
            [kind] if self.kinds.contains(&kind) => Ok(kind),
            [kind] => Err(format!("it asks a {kind}, but the component is a {}", self.kinds[0])),
            _ => Err("it asks several kinds of policy: issues are for rankers, claims for stale rules, repos for \
                      repository filters; write a case for each"
                .into()),
        }
    }

    /// The policies, the one of `kind` with these settings or its own; or why it does not take them.
    pub(super) fn load(
        &self,
        kind: PolicyKind,
        settings: Option<&Map<String, Value>>,
    ) -> Result<Result<Arc<PolicySet>, String>, AuthoringError> {
        let mut config = self.config.clone();
        let own = settings_mut(kind, &mut config);
        if let Some(settings) = settings {
            own.clone_from(settings);
        }
        let settings = own.clone();
        let mut loaded = self.loaded.lock();
        if let Some((of, with, set)) = &*loaded
            && (*of, with) == (kind, &settings)
        {
            return Ok(Ok(Arc::clone(set)));
        }
        match self.host.load(&config, &self.folder) {
            Ok(set) => {
                let set = Arc::new(set);
                *loaded = Some((kind, settings, Arc::clone(&set)));
                Ok(Ok(set))
            }
            Err(PolicyRejected { policy, reason, .. }) if policy == kind.key() => Ok(Err(reason)),
            Err(rejected) => Err(rejected.into()),
        }
    }

    /// Lets the texts of a scene be read.
    pub(super) fn show(&self, scene: &Scene) {
        let texts = scene.issues.iter().map(|facts| facts.issue.clone()).zip(scene.bodies.iter().cloned());
        *self.bodies.texts.lock() = texts.collect();
    }
}

/// The texts of the case that is being played.
#[derive(Debug, Default)]
struct CaseBodies {
    texts: Mutex<HashMap<IssueRef, String>>,
}

impl BodySource for CaseBodies {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        let texts = self.texts.lock();
        Ok(issues.iter().map(|issue| texts.get(issue).cloned().unwrap_or_default()).collect())
    }
}
