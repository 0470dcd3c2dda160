//! Where cases are played: a host, and the policy with the settings that a case asks for.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::facts::Scene;
use crate::authoring::trial::config_for;
use crate::authoring::{AuthoringError, PolicyKind, Specimen, backlog};
use crate::config::PoliciesConfig;
use crate::domain::{IssueRef, Reason};
use crate::policy::{BodySource, Choice, PolicyError, PolicyHost, PolicyRejected, PolicySet, Shortlisted};

/// What came out of a case.
#[derive(Debug)]
pub(super) struct Answer {
    /// The rows that are offered, best first.
    pub(super) order: Vec<usize>,
    /// The rows that are left out, and why.
    pub(super) skipped: Vec<(usize, String)>,
    /// The score and its terms, for the rows that are not skipped by `score`.
    pub(super) explained: Vec<(usize, f64, Vec<Reason>)>,
    pub(super) retry_after_ms: Option<u64>,
}

/// An answer, or why there is none: the policy failed, or refused its settings.
pub(super) type Played = Result<Answer, String>;

/// A policy, and the settings that it was loaded with.
type Loaded = (Map<String, Value>, Arc<PolicySet>);

/// Plays cases with one policy.
pub struct Stage {
    host: PolicyHost,
    bodies: Arc<CaseBodies>,
    config: PoliciesConfig,
    folder: PathBuf,
    /// The policy as it was last loaded: cases with the same settings share it.
    loaded: Mutex<Option<Loaded>>,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stage").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Stage {
    /// A stage for the ranker in `file`, which gets `settings` where cases name none.
    ///
    /// # Errors
    /// [`AuthoringError`] when the file is no ranker.
    pub fn of_component(
        host: PolicyHost,
        file: &Path,
        settings: &Map<String, Value>,
        limits: &PoliciesConfig,
    ) -> Result<Self, AuthoringError> {
        let specimen = Specimen::read(file)?;
        specimen.is_policy().map_err(AuthoringError::Component)?;
        if !specimen.kinds().contains(&PolicyKind::Ranker) {
            let why = format!("{} is no ranker: cases are for rankers", file.display());
            return Err(AuthoringError::Component(why));
        }
        Ok(Self::of_config(host, config_for(PolicyKind::Ranker, file, settings, limits), PathBuf::new()))
    }

    /// A stage for the ranker of a configuration in `folder`.
    pub fn of_config(host: PolicyHost, config: PoliciesConfig, folder: PathBuf) -> Self {
        let bodies = Arc::new(CaseBodies::default());
        let host = host.reading_bodies_from(Arc::clone(&bodies) as Arc<dyn BodySource>);
        Self { host, bodies, config, folder, loaded: Mutex::new(None) }
    }

    /// What the policy says in a scene, with these settings or its own.
    pub(super) fn answer(
        &self,
        scene: &Scene,
        settings: Option<&Map<String, Value>>,
    ) -> Result<Played, AuthoringError> {
        let set = match self.load(settings.unwrap_or(&self.config.ranker.settings)) {
            Ok(set) => set,
            Err(PolicyRejected { policy: "ranker", reason, .. }) => return Ok(Err(reason)),
            Err(rejected) => return Err(rejected.into()),
        };
        let texts = scene.issues.iter().map(|facts| facts.issue.clone()).zip(scene.bodies.iter().cloned());
        *self.bodies.texts.lock() = texts.collect();
        Ok(play(&set, scene).map_err(|error| error.to_string()))
    }

    fn load(&self, settings: &Map<String, Value>) -> Result<Arc<PolicySet>, PolicyRejected> {
        let mut loaded = self.loaded.lock();
        if let Some((with, set)) = &*loaded
            && with == settings
        {
            return Ok(Arc::clone(set));
        }
        let mut config = self.config.clone();
        config.ranker.settings = settings.clone();
        let set = Arc::new(self.host.load(&config, &self.folder)?);
        *loaded = Some((settings.clone(), Arc::clone(&set)));
        Ok(set)
    }
}

/// Asks as the server does: scores ahead, then the last word on the best, then the reasons.
fn play(set: &PolicySet, scene: &Scene) -> Result<Answer, PolicyError> {
    let scored = set.ranker.score(&scene.issues, scene.now)?;
    let rows = backlog::best(&scene.issues, &scored, backlog::SHORTLIST_COUNT);
    let shortlisted = |row: usize| {
        let [repo_claim_count, repo_review_count, reviewer_load] = scene.loads[row];
        let facts = Arc::clone(&scene.issues[row]);
        Shortlisted { facts, score: scored[row].value, repo_claim_count, repo_review_count, reviewer_load }
    };
    let shortlist: Vec<Shortlisted> = rows.iter().map(|row| shortlisted(*row)).collect();
    // Where nothing is left the server asks no ranker.
    let choice = match shortlist.len() {
        0 => Choice::keep(0),
        _ => set.ranker.choose(&scene.request, &shortlist, scene.now)?,
    };
    let explained = set.ranker.explain(&shortlist, scene.now)?;
    let by_score = scored.iter().enumerate().filter_map(|(row, it)| Some((row, it.skip.as_deref()?.to_owned())));
    let by_choice = choice.skipped.into_iter().map(|(place, why)| (rows[place], why));
    Ok(Answer {
        order: choice.order.into_iter().map(|place| rows[place]).collect(),
        skipped: by_score.chain(by_choice).collect(),
        explained: rows.iter().zip(explained).map(|(row, terms)| (*row, scored[*row].value, terms)).collect(),
        retry_after_ms: choice.retry_after_ms,
    })
}

/// The texts of the case that is being played.
#[derive(Debug, Default)]
struct CaseBodies {
    texts: Mutex<std::collections::HashMap<IssueRef, String>>,
}

impl BodySource for CaseBodies {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        let texts = self.texts.lock();
        Ok(issues.iter().map(|issue| texts.get(issue).cloned().unwrap_or_default()).collect())
    }
}
