//! The variables that are set: those of the process, and below them those of a `.env` file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Config;
use super::keys;
use super::report::Problem;
use super::variables::{VARIABLES, Variable};

/// How a variable of the process is placed in reports.
pub(super) const PROCESS: &str = "environment";

/// Behind the name of a secret's variable: the name of one that names a file with the secret.
const FILE_SUFFIX: &str = "_FILE";
/// Largest file of a secret: the longest ones are private keys of a few kilobytes.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Where a variable was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In the process's own environment.
    Process,
    /// In a file, shown under this name, on this line: a `.env` file, or one that holds nothing but the value.
    File(String, Option<usize>),
}

/// Every variable that is set, with its place. Debug output holds names only.
#[derive(Default)]
pub(super) struct Environment {
    values: BTreeMap<String, (String, Place)>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Environment {
    /// The variables of the process, over those of the `.env` file, if there is one; and the secrets in files that
    /// they name, where a relative path begins at `folder`.
    pub fn read(
        process: &BTreeMap<String, String>,
        dotenv: Option<&Path>,
        folder: &Path,
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut environment = Self::default();
        if let Some(path) = dotenv {
            environment.read_dotenv(path, problems);
        }
        for (name, value) in process {
            environment.values.insert(name.clone(), (value.clone(), Place::Process));
        }
        environment.read_secret_files(folder, problems);
        environment
    }

    /// Secrets in files: how service managers and containers hand them over, seen by nobody who lists processes.
    fn read_secret_files(&mut self, folder: &Path, problems: &mut Vec<Problem>) {
        for variable in VARIABLES.iter().filter(|variable| variable.secret) {
            let name = format!("{}{FILE_SUFFIX}", variable.name);
            // A setting of its own, as GITHUB_APP_PRIVATE_KEY_FILE, reads its file itself.
            let Some(path) = self.value(&name).filter(|_| Variable::named(&name).is_none()) else { continue };
            let (path, is_set) = (folder.join(path), self.value(variable.name).is_some());
            let read = match read_secret(&path) {
                _ if is_set => Err(format!("is set, and so is {name}; leave one of them out")),
                Ok(secret) => Ok(secret),
                Err(why) => Err(format!("{name} names {}, which {why}", path.display())),
            };
            match read {
                Ok(secret) => {
                    let place = Place::File(path.display().to_string(), None);
                    self.values.insert(variable.name.to_owned(), (secret, place));
                }
                Err(message) => {
                    let key = variable.name.to_owned();
                    problems.push(Problem { key, ..self.problem_with(&name, message) });
                }
            }
        }
    }

    fn read_dotenv(&mut self, path: &Path, problems: &mut Vec<Problem>) {
        let file = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                problems.push(Problem { file, message: format!("cannot be read: {error}"), ..Problem::default() });
                return;
            }
        };
        for entry in dotenvy::from_read_iter(text.as_bytes()) {
            match entry {
                // The first of several wins, as it would in a process.
                Ok((name, value)) => {
                    let place = Place::File(file.clone(), line_of(&text, &name));
                    self.values.entry(name).or_insert((value, place));
                }
                Err(error) => {
                    problems.push(unreadable(&file, &text, &error));
                    return;
                }
            }
        }
    }

    /// Puts every variable that is set over `config`; returns those that were accepted.
    pub fn apply(&self, config: &mut Config, problems: &mut Vec<Problem>) -> Vec<&'static Variable> {
        let mut applied = Vec::new();
        for variable in VARIABLES {
            let Some(value) = self.value(variable.name) else { continue };
            match (variable.set)(config, value) {
                Ok(()) => applied.push(variable),
                Err(accepted) => {
                    let shown = if variable.secret { "the value".to_owned() } else { format!("{value:?}") };
                    problems.push(self.problem_with(variable.name, format!("{shown} does not fit: {accepted}")));
                }
            }
        }
        applied
    }

    /// A variable's value without blanks around it; an empty one counts as not set.
    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.trim()).filter(|value| !value.is_empty())
    }

    /// Where a variable was set.
    pub fn place(&self, name: &str) -> Option<&Place> {
        self.values.get(name).map(|(_, place)| place)
    }

    /// A problem with the value of a variable.
    pub fn problem_with(&self, name: &str, message: String) -> Problem {
        let (file, line) = match self.place(name) {
            Some(Place::File(file, line)) => (file.clone(), *line),
            _ => (PROCESS.to_owned(), None),
        };
        Problem { file, line, key: name.to_owned(), message, ..Problem::default() }
    }

    /// `.env` files that hold secrets and that everybody on this machine may read. Files that hold nothing but a secret
    /// are mounted by container engines, which set their modes.
    pub fn open_to_all(&self) -> BTreeSet<&str> {
        let secrets = VARIABLES.iter().filter(|variable| variable.secret && self.value(variable.name).is_some());
        let files = secrets.filter_map(|variable| match self.place(variable.name)? {
            Place::File(file, Some(_)) => Some(file.as_str()),
            _ => None,
        });
        files.filter(|file| is_open_to_all(Path::new(file))).collect()
    }

    /// Names that are one slip away from a variable of ours, and that variable.
    pub fn near_misses(&self) -> Vec<(&str, &'static str)> {
        let unknown = self.values.keys().map(String::as_str).filter(|name| Variable::named(name).is_none());
        let ours = || VARIABLES.iter().map(|variable| variable.name);
        unknown
            .filter_map(|name| {
                let near = keys::nearest(name, ours())?;
                (strsim::damerau_levenshtein(name, near) == 1).then_some((name, near))
            })
            .collect()
    }
}

/// Whether others may read it than its owner and its group.
#[cfg(unix)]
fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    const READ_BY_OTHERS: u32 = 0o004;
    path.metadata().is_ok_and(|file| file.permissions().mode() & READ_BY_OTHERS != 0)
}

#[cfg(not(unix))]
fn is_open_to_all(_: &Path) -> bool {
    false
}

/// The secret in a file, without blanks around it. An empty file is no way to say that there is none: a server without
/// a key would let everybody in.
fn read_secret(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text));
    match read {
        Err(error) => Err(format!("cannot be read: {error}")),
        Ok(_) if text.len() as u64 > SECRET_FILE_BYTES_MAX => {
            Err(format!("is larger than {SECRET_FILE_BYTES_MAX} bytes"))
        }
        Ok(_) if text.trim().is_empty() => Err("is empty".into()),
        Ok(_) => Ok(text.trim().to_owned()),
    }
}

/// The line, from 1, on which a `.env` file sets `name` first.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let sets = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("export ").unwrap_or(line).trim_start();
        line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    text.lines().position(sets).map(|index| index + 1)
}

/// The parser's own message quotes the line, which may hold a secret: only its number is told.
fn unreadable(file: &str, text: &str, error: &dotenvy::Error) -> Problem {
    let line = match error {
        dotenvy::Error::LineParse(wrong, _) => {
            let first = wrong.lines().next().unwrap_or_default().trim();
            text.lines().position(|line| !first.is_empty() && line.contains(first)).map(|index| index + 1)
        }
        _ => None,
    };
    Problem {
        file: file.to_owned(),
        line,
        message: "cannot be read as NAME=value".into(),
        hint: Some("put a value with blanks or signs in single quotes; a comment begins with #".into()),
        ..Problem::default()
    }
}
