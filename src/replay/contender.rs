//! A policy that takes part in a replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::authoring::{AuthoringError, Project};
use crate::claims::Groups;
use crate::config::{ConfigSource, PoliciesConfig, PolicyConfig, load, not_finite};
use crate::policy::{PolicyHost, PolicyRejected, PolicySet};

/// Longest time for one call in a replay, in milliseconds: the most that a configuration may allow. A busy
/// machine must not change what a replay finds.
const CALL_MS_MAX: u64 = 60_000;
/// The same for a call that an agent waits for.
const CHOOSE_MS_MAX: u64 = 5_000;

/// A policy that takes part in a replay, loaded.
#[derive(Debug)]
pub struct Contender {
    /// What it is called in reports.
    pub name: String,
    pub(super) policies: Arc<PolicySet>,
    /// Which groups agents belong to, by their names.
    pub(super) groups: Arc<Groups>,
}

/// Why a policy cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum ContenderError {
    /// The settings cannot be read.
    #[error("failed to read the settings {}: {why}", file.display())]
    Settings {
        /// Which file.
        file: PathBuf,
        /// Why.
        why: String,
    },
    /// The configuration is wrong.
    #[error("the configuration {} is not fit for use: {why}", file.display())]
    Config {
        /// Which file.
        file: PathBuf,
        /// The first problem.
        why: String,
    },
    /// A configuration says what its policies are told: further settings have no place.
    #[error("{} is a whole configuration and has its own settings: write these into it", file.display())]
    SettingsOfConfig {
        /// Which file.
        file: PathBuf,
    },
    /// A folder is none of a policy.
    #[error(transparent)]
    Folder(#[from] AuthoringError),
    /// The component of a policy's folder is not there.
    #[error("{} is not built yet: run `issuecommand policy build` there", file.display())]
    NotBuilt {
        /// Where it would be.
        file: PathBuf,
    },
    /// The policy was refused.
    #[error(transparent)]
    Rejected(#[from] PolicyRejected),
}

impl Contender {
    /// Loads what `policy` names: a configuration (`issuecommand.toml`), a component (`ranker.wasm`), a
    /// policy's folder with its built one, or a built-in ranker (`builtin:rules`); all but the first with the settings
    /// in the file `settings`, a table of TOML, or else with those of the folder. `host` says where issues' texts are read from ([`super::texts_of`]). Blocking.
    ///
    /// # Errors
    /// [`ContenderError`] says what cannot be read, or why the policy was refused.
    pub fn load(policy: &str, settings: Option<&Path>, host: PolicyHost) -> Result<Self, ContenderError> {
        let is_config = Path::new(policy).extension().is_some_and(|extension| extension == "toml");
        let (config, folder) = match (is_config, settings) {
            (true, Some(_)) => return Err(ContenderError::SettingsOfConfig { file: policy.into() }),
            (true, None) => from_config(Path::new(policy))?,
            (false, settings) => {
                let (source, own) = component_of(policy)?;
                let settings = settings.map_or(Ok(own), settings_in)?;
                let ranker = PolicyConfig { source, sha256: None, signed_by: None, settings }.into();
                (PoliciesConfig { ranker, ..PoliciesConfig::default() }, PathBuf::from("."))
            }
        };
        let name = match settings {
            Some(file) => format!("{policy} with {}", file.display()),
            None => policy.to_owned(),
        };
        Self::new(name, config, &folder, host)
    }

    /// The policies of a configuration under a name of their own, with its groups of agents and without a ranker
    /// on trial. `folder` is what relative sources are relative to. Blocking.
    ///
    /// # Errors
    /// [`ContenderError`] when a policy is refused.
    pub fn new(name: String, config: PoliciesConfig, folder: &Path, host: PolicyHost) -> Result<Self, ContenderError> {
        let limits = PoliciesConfig { call_ms_max: CALL_MS_MAX, choose_ms_max: CHOOSE_MS_MAX, ..config };
        let config = PoliciesConfig { candidate: None, ..limits };
        let groups = Arc::new(Groups::new(&config.agent_groups));
        Ok(Self { name, policies: Arc::new(host.for_trying().load(&config, folder)?), groups })
    }
}

/// The component that `policy` names, and the settings that it comes with.
fn component_of(policy: &str) -> Result<(String, Map<String, Value>), ContenderError> {
    if !Path::new(policy).is_dir() {
        return Ok((policy.to_owned(), Map::new()));
    }
    let project = Project::open(Path::new(policy))?;
    let file = project.component();
    if !file.is_file() {
        return Err(ContenderError::NotBuilt { file });
    }
    Ok((file.display().to_string(), project.settings))
}

fn from_config(file: &Path) -> Result<(PoliciesConfig, PathBuf), ContenderError> {
    let wrong = |why: String| ContenderError::Config { file: file.to_owned(), why };
    let loaded = load(&ConfigSource::from_process(Some(file.to_owned()))).map_err(|report| wrong(report.first()))?;
    Ok((loaded.config.effective_policies(), loaded.folder))
}

fn settings_in(file: &Path) -> Result<Map<String, Value>, ContenderError> {
    let failed = |why: String| ContenderError::Settings { file: file.to_owned(), why };
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let settings = toml::from_str(&text).map_err(|error| failed(error.to_string()))?;
    match not_finite(&settings) {
        Some(key) => Err(failed(format!("{key}: expected a finite number"))),
        None => Ok(settings),
    }
}
