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
use crate::claims::Groups;
use crate::config::PoliciesConfig;
use crate::domain::IssueRef;
use crate::policy::{BodySource, ChooseRequest, DO_LESS, PolicyHost, PolicyRejected, PolicySet, Ranking, ViewName};

/// Policies, or why they were refused, and which of them was loaded with which settings.
type Loaded = (PolicyKind, Map<String, Value>, Result<Arc<PolicySet>, String>);

/// Plays cases with the policies of a component, or of a configuration.
pub struct Stage {
    host: PolicyHost,
    bodies: Arc<CaseBodies>,
    config: PoliciesConfig,
    folder: PathBuf,
    /// What can be asked here.
    kinds: Vec<PolicyKind>,
    /// Which groups agents belong to, by their names.
    groups: Groups,
    /// The policies as they were last loaded: cases with the same settings share them, and what they wait for.
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
        // As in a replay: what is on trial is not what cases are about, and a share of agents no property of a policy.
        let config = PoliciesConfig { candidate: None, ..config };
        let groups = Groups::new(&config.agent_groups);
        Self { host, bodies, config, folder, kinds: PolicyKind::ALL.to_vec(), groups, loaded: Mutex::new(None) }
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
            return Ok(set.clone());
        }
        let set = match self.host.load(&config, &self.folder) {
            Ok(set) => Ok(Arc::new(set)),
            Err(PolicyRejected { policy, reason, .. }) if policy == kind.key() => Err(told(reason)),
            Err(rejected) => return Err(rejected.into()),
        };
        *loaded = Some((kind, settings, set.clone()));
        Ok(set)
    }

    /// Adds the groups to which the agent of a scene belongs by its name.
    pub(super) fn join_groups(&self, scene: &mut Scene) {
        let groups = &mut scene.request.groups;
        for group in self.groups.of(&scene.request.agent) {
            if groups.iter().all(|stated| **stated != *group) {
                groups.push(group.to_string());
            }
        }
    }

    /// What puts the backlog in order for the agent of a scene, as on a server.
    ///
    /// # Errors
    /// When the case has `settings`, which are those of the default order, and another order serves the agent.
    pub(super) fn ranking_for<'s>(
        &self,
        scene: &Scene,
        settings: Option<&Map<String, Value>>,
        set: &'s PolicySet,
    ) -> Result<&'s Ranking, String> {
        let ChooseRequest { agent, groups, .. } = &scene.request;
        let view = set.view_in(agent, groups);
        if settings.is_some() && view != ViewName::main() {
            return Err(format!(
                "its settings are settings of [policies.ranker], but {agent} is served by another ranker ({view}): \
                 leave the settings out, or name another agent"
            ));
        }
        Ok(set.ranking_of(&view))
    }

    /// Lets the texts of a scene be read.
    pub(super) fn show(&self, scene: &Scene) {
        let texts = scene.issues.iter().map(|facts| facts.issue.clone()).zip(scene.bodies.iter().cloned());
        *self.bodies.texts.lock() = texts.collect();
    }
}

/// Why a policy gave no answer, with advice that is true here: cases give a call more time than a server does, so that
/// what takes longer hardly ends.
pub(super) fn told(why: String) -> String {
    match why.split_once(DO_LESS) {
        Some((what, _)) => format!("{what}look for a loop without end; a server stops a call sooner still"),
        None => why,
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
