//! Where configuration comes from, and the one way to load it.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::document::{Document, Reading};
use super::environment::{Environment, Place};
use super::report::{ConfigReport, Problem};
use super::validate::{Finding, validate};
use super::variables::Variable;
use super::which_server::leaves_open;
use super::{Config, LogConfig, StoreConfig, keys};

/// The configuration's file name when none is given, in the working folder.
pub const CONFIG_FILE_NAME: &str = "issuecommand.toml";
/// The file of variables beside it.
pub const DOTENV_FILE_NAME: &str = ".env";
/// Largest issuecommand.toml. Ours: far more than anyone writes by hand.
pub const CONFIG_BYTES_MAX: u64 = 1024 * 1024;
/// A key of so many random bytes is guessed by nobody, however fast: 128 bits (NIST SP 800-57's least strength after 2030).
const API_KEY_BYTES_SAFE: usize = 16;

/// Where to read from. Files are read at every [`load`], the environment is what it was at the start.
#[derive(Clone, Default)]
pub struct ConfigSource {
    /// The file; `None` means issuecommand.toml in the working folder, if there is one.
    pub file: Option<PathBuf>,
    /// The variables of the process.
    pub env: BTreeMap<String, String>,
    /// A file of further variables, over which those of the process win.
    pub dotenv: Option<PathBuf>,
}

/// Names of variables only: their values may be secret.
impl fmt::Debug for ConfigSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigSource")
            .field("file", &self.file)
            .field("env", &self.env.keys())
            .field("dotenv", &self.dotenv)
            .finish()
    }
}

impl ConfigSource {
    /// The process's environment, a `.env` beside the configuration, and `file` or issuecommand.toml.
    /// The process's environment itself is never changed.
    pub fn from_process(file: Option<PathBuf>) -> Self {
        let env = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
            .collect();
        let folder = folder_of(file.as_deref());
        Self { file, env, dotenv: Some(folder.join(DOTENV_FILE_NAME)) }
    }

    fn path(&self) -> &Path {
        self.file.as_deref().unwrap_or(Path::new(CONFIG_FILE_NAME))
    }
}

fn folder_of(file: Option<&Path>) -> PathBuf {
    file.and_then(Path::parent).map(Path::to_path_buf).unwrap_or_default()
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of the file.
    File {
        /// The file as it was named.
        file: String,
        /// From 1.
        line: usize,
    },
    /// A variable, of the process or of a `.env` file.
    Variable {
        /// Its name.
        name: &'static str,
        /// The `.env` file, with the line, or the file that holds the secret; `None` for the process's environment.
        file: Option<String>,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line } => write!(f, "{file}:{line}"),
            Self::Variable { name, file: None } => write!(f, "env {name}"),
            Self::Variable { name, file: Some(place) } => write!(f, "{name} in {place}"),
        }
    }
}

/// A configuration that is fit for use, and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// The file it was read from, if there was one.
    pub file: Option<PathBuf>,
    /// The folder to which all paths of the configuration are relative.
    pub folder: PathBuf,
    /// What the operator should know, although nothing is wrong.
    pub notes: Vec<String>,
    origins: BTreeMap<String, Origin>,
    watched: Vec<PathBuf>,
}

impl Loaded {
    /// Where the value of a dotted key came from.
    pub fn origin(&self, key: &str) -> &Origin {
        self.origins.get(key).unwrap_or(&Origin::Default)
    }

    /// `[store]`, with the path that holds in any working folder: clients that start in different ones must
    /// come to the same database.
    pub fn store(&self) -> StoreConfig {
        let store = self.config.store.clone();
        let state_file = store.state_file.map(|path| self.folder.join(path));
        let ca_file = store.ca_file.map(|path| self.folder.join(path));
        StoreConfig { path: self.folder.join(&store.path), ca_file, state_file, ..store }
    }

    /// `[log]`, with the path that holds in any working folder.
    pub fn log(&self) -> LogConfig {
        let log = self.config.log.clone();
        LogConfig { file: log.file.map(|path| self.folder.join(path)), ..log }
    }

    /// Every file whose change may change what the server does: issuecommand.toml and `.env`, whether
    /// they exist or not, the policy components, and what says who signed those.
    pub fn watched_files(&self) -> Vec<PathBuf> {
        self.watched.iter().cloned().chain(self.config.policies.paths(&self.folder)).collect()
    }
}

/// Reads file and variables, and puts them together: defaults, the file over them, variables over both.
///
/// # Errors
/// Everything that is wrong, at once: see [`ConfigReport`].
pub fn load(source: &ConfigSource) -> Result<Loaded, ConfigReport> {
    match load_in_part(source) {
        InPart { report: Some(report), .. } => Err(report),
        InPart { loaded, .. } => Ok(loaded),
    }
}

/// What can be made of a configuration that may be wrong.
#[derive(Debug, Clone, PartialEq)]
pub struct InPart {
    /// What can be read of it, and defaults for the rest: good for finding the server that runs with it, unless
    /// `unplaced`, and for nothing else.
    pub loaded: Loaded,
    /// What is wrong, if anything is.
    pub report: Option<ConfigReport>,
    /// The problem that leaves open which server is meant, in one line, if one does. The defaults are then those of
    /// another server maybe, which must not be asked.
    pub unplaced: Option<String>,
}

/// The same of a configuration that may be wrong.
pub fn load_in_part(source: &ConfigSource) -> InPart {
    let mut problems = Vec::new();
    let (reading, found) = match read_file(source) {
        Ok(Some(text)) => (Document::read(source.path().display().to_string(), text), true),
        Ok(None) => (nothing(), false),
        Err(problem) => {
            problems.push(*problem);
            (Reading { is_toml: false, ..nothing() }, false)
        }
    };
    let is_unread = !problems.is_empty();
    let Reading { document, mut config, problems: wrong, is_toml } = reading;
    problems.extend(wrong);
    let store_of_file = config.store.path.clone();
    let environment =
        Environment::read(&source.env, source.dotenv.as_deref(), &folder_of(source.file.as_deref()), &mut problems);
    let applied = environment.apply(&mut config, &mut problems);
    let sources = Sources { document: &document, environment: &environment, applied: &applied };
    if is_toml {
        problems.extend(validate(&config).into_iter().map(|finding| sources.problem(finding)));
    }
    problems.sort_by_key(|problem| (problem.file != document.label(), problem.line, problem.column));
    let open = problems.iter().find(|problem| {
        (is_unread && problem.key.is_empty()) || leaves_open(problem, &document, &store_of_file, &applied)
    });
    let unplaced = open.map(|problem| format!("{}, so it is not known which server is meant", problem.in_one_line()));
    config.store.journal_mode.make_ascii_uppercase();
    let loaded = Loaded {
        origins: keys::values(&config).into_keys().map(|key| (key.clone(), sources.origin(&key))).collect(),
        notes: sources.notes(&config),
        file: found.then(|| source.path().to_owned()),
        folder: folder_of(source.file.as_deref()),
        watched: [Some(source.path().to_owned()), source.dotenv.clone()].into_iter().flatten().collect(),
        config,
    };
    InPart { loaded, report: (!problems.is_empty()).then_some(ConfigReport { problems }), unplaced }
}

fn nothing() -> Reading {
    Reading { document: Document::default(), config: Config::default(), problems: Vec::new(), is_toml: true }
}

/// The file's text; `None` if there is none and none was asked for.
fn read_file(source: &ConfigSource) -> Result<Option<String>, Box<Problem>> {
    let path = source.path();
    let problem = |message: String, hint: &str| {
        let (file, hint) = (path.display().to_string(), Some(hint.to_owned()));
        Box::new(Problem { file, message, hint, ..Problem::default() })
    };
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > CONFIG_BYTES_MAX => {
            Err(problem(format!("is larger than {CONFIG_BYTES_MAX} bytes"), "is it the right file?"))
        }
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound && source.file.is_none() => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(problem("does not exist".into(), "create it, or name another file"))
        }
        Err(error) => Err(problem(format!("cannot be read: {error}"), "make it a readable UTF-8 text")),
    }
}

/// Who set what.
struct Sources<'s> {
    document: &'s Document,
    environment: &'s Environment,
    applied: &'s [&'static Variable],
}

impl Sources<'_> {
    fn variable_of(&self, key: &str) -> Option<&'static Variable> {
        let sets = |variable: &&Variable| {
            variable.key == key
                || variable.name == "ALLOWED_REPOS"
                    && key == "github.repositories"
                    && self.document.line_of(key).is_none()
        };
        self.applied.iter().copied().find(sets)
    }

    fn origin(&self, key: &str) -> Origin {
        if let Some(variable) = self.variable_of(key) {
            let file = match self.environment.place(variable.name) {
                Some(Place::File(file, Some(line))) => Some(format!("{file}:{line}")),
                Some(Place::File(file, None)) => Some(file.clone()),
                _ => None,
            };
            return Origin::Variable { name: variable.name, file };
        }
        match self.document.line_of(key) {
            Some(line) => Origin::File { file: self.document.label().to_owned(), line },
            None => Origin::Default,
        }
    }

    fn problem(&self, finding: Finding) -> Problem {
        let problem = match self.variable_of(&finding.key) {
            Some(variable) => self.environment.problem_with(variable.name, finding.message),
            None => self.document.problem_with(&finding.key, finding.message),
        };
        Problem { hint: finding.hint, ..problem }
    }

    fn notes(&self, config: &Config) -> Vec<String> {
        let mut notes = Vec::new();
        if config.server.api_key.is_empty() {
            notes.push(format!(
                "there is no API key, so every program on this machine may call; only {} is served",
                config.server.host
            ));
        }
        let key = config.server.api_key.expose();
        if !key.is_empty() && key.len() < API_KEY_BYTES_SAFE && !config.server.host.is_loopback() {
            notes.push(format!(
                "the API key is shorter than {API_KEY_BYTES_SAFE} bytes, and whoever reaches {} can guess as often as they \
                 like: set a longer one, as `openssl rand -hex 32` makes it",
                config.server.host
            ));
        }
        if !config.policies.allowed_repos.is_empty() {
            notes.push(format!(
                "ALLOWED_REPOS holds beside the filter {}: a repository takes part when it passes both",
                config.policies.repo_filter.source
            ));
        }
        for file in self.environment.open_to_all() {
            notes.push(format!("{file} holds secrets, and everybody on this machine may read it: `chmod 600 {file}`"));
        }
        for (name, near) in self.environment.near_misses() {
            notes.push(format!("{name} is set, but nothing reads it; did you mean {near}?"));
        }
        notes
    }
}
