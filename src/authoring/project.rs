//! A folder in which a policy is written, as its policy.toml describes it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::AuthoringError;
use crate::config::not_finite;

/// The file that makes a folder a policy's.
pub const PROJECT_FILE_NAME: &str = "policy.toml";
/// Where the cases are that `policy test` runs, in the folder.
const GOLDEN_FILE_NAME: &str = "golden.toml";
/// Longest name of a policy, in bytes: it becomes file names and names of crates.
const NAME_BYTES_MAX: usize = 64;

/// What a policy is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// Rust, with the SDK.
    Rust,
    /// JavaScript, made a component by ComponentizeJS.
    Js,
    /// Python, made a component by componentize-py.
    Python,
    /// C, compiled by clang.
    C,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
            Self::C => "c",
        })
    }
}

/// What is told of a policy to those who get it from a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct About {
    /// Its own version.
    pub version: Option<String>,
    /// One sentence.
    pub description: Option<String>,
    /// Who wrote it.
    pub authors: Option<String>,
    /// An SPDX expression.
    pub licenses: Option<String>,
    /// Where its source is.
    pub source: Option<String>,
}

impl About {
    /// The annotations of an OCI artefact, by their standard names.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let named = [
            ("version", &self.version),
            ("description", &self.description),
            ("authors", &self.authors),
            ("licenses", &self.licenses),
            ("source", &self.source),
        ];
        let set = named.into_iter().filter_map(|(name, text)| Some((name, text.as_ref()?)));
        set.map(|(name, text)| (format!("org.opencontainers.image.{name}"), text.clone())).collect()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Description {
    name: String,
    language: Language,
    #[serde(default)]
    about: About,
    #[serde(default)]
    settings: Map<String, Value>,
}

/// A policy's folder.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// The folder, absolute.
    pub folder: PathBuf,
    /// The policy's name, and its component's.
    pub name: String,
    /// What it is written in.
    pub language: Language,
    /// What is told of it.
    pub about: About,
    /// The settings it is tried with.
    pub settings: Map<String, Value>,
}

impl Project {
    /// The project in `folder`.
    ///
    /// # Errors
    /// [`AuthoringError::Project`] when it is no policy's folder, or its policy.toml is wrong.
    pub fn open(folder: &Path) -> Result<Self, AuthoringError> {
        let folder = std::path::absolute(folder).map_err(AuthoringError::io("find", folder))?;
        let file = folder.join(PROJECT_FILE_NAME);
        let text = fs::read_to_string(&file).map_err(|error| {
            AuthoringError::Project(format!(
                "{} is no policy's folder ({PROJECT_FILE_NAME}: {error}): go to one, or make one with \
                 `issuecommand policy new NAME`",
                folder.display()
            ))
        })?;
        let wrong = |why: String| AuthoringError::Project(format!("{} is wrong: {why}", file.display()));
        let Description { name, language, about, settings } =
            toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if let Some(key) = not_finite(&settings) {
            return Err(wrong(format!("settings.{key}: expected a finite number")));
        }
        name_is_fit(&name).map_err(wrong)?;
        Ok(Self { folder, name, language, about, settings })
    }

    /// Where its component is built.
    pub fn component(&self) -> PathBuf {
        self.folder.join(&self.name).with_added_extension("wasm")
    }

    /// Where its cases are.
    pub fn golden(&self) -> PathBuf {
        self.folder.join(GOLDEN_FILE_NAME)
    }

    /// Where its WIT package is.
    pub(super) fn wit(&self) -> PathBuf {
        self.folder.join("wit").join("issuecommand-policy-0.1.0")
    }
}

/// Whether a policy can be called so.
///
/// # Errors
/// What a name must be.
pub(super) fn name_is_fit(name: &str) -> Result<(), String> {
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= NAME_BYTES_MAX
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !name.ends_with('-');
    if fits {
        return Ok(());
    }
    Err(format!(
        "a policy cannot be called {name:?}: take up to {NAME_BYTES_MAX} lower-case letters, digits and hyphens, \
         a letter first, as in `quick-wins`"
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_crate_could_have_are_refused() {
        for name in ["quick-wins", "a", "p2"] {
            assert_eq!(name_is_fit(name), Ok(()));
        }
        for name in ["", "2p", "Quick", "a_b", "a b", "../up", "a-", &"a".repeat(65)] {
            assert!(name_is_fit(name).unwrap_err().contains("quick-wins"), "{name}");
        }
    }

    #[test]
    fn a_folder_without_a_description_says_how_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("policy.toml") && error.contains("policy new"), "{error}");
        fs::write(folder.path().join(PROJECT_FILE_NAME), "name = \"a\"\nlanguage = \"cobol\"\n").unwrap();
        let error = Project::open(folder.path()).unwrap_err().to_string();
        assert!(error.contains("cobol") && error.contains("`rust`"), "{error}");
    }

    #[test]
    fn what_is_told_of_a_policy_gets_the_standard_names() {
        let about = About { version: Some("1.2.0".into()), ..About::default() };
        let annotations = about.annotations();
        assert_eq!(annotations["org.opencontainers.image.version"], "1.2.0");
        assert_eq!(annotations.len(), 1);
    }
}
