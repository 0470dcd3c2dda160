//! What a component is, read from its bytes without running it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};
use wasmparser::{Parser, Payload};
use wit_component::DecodedWasm;
use wit_parser::WorldItem;

use super::AuthoringError;
use crate::policy::{exports_policy, imports_are_ours, is_component};

/// The package whose interfaces policies import and export.
const PACKAGE: &str = "issuecommand:policy/";
/// Sections in which components carry what is told of them.
const ANNOTATION_SECTIONS: [&str; 7] =
    ["authors", "description", "homepage", "licenses", "revision", "source", "version"];

/// What a policy decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyKind {
    /// Orders work.
    Ranker,
    /// Says when a claim has lapsed.
    StaleRule,
    /// Says which repositories take part.
    RepoFilter,
}

impl PolicyKind {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::Ranker, Self::StaleRule, Self::RepoFilter];

    /// The interface that policies of this kind export.
    pub fn interface(self) -> &'static str {
        match self {
            Self::Ranker => "ranker",
            Self::StaleRule => "stale-rule",
            Self::RepoFilter => "repo-filter",
        }
    }

    /// The key below `[policies]`.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ranker => "ranker",
            Self::StaleRule => "stale_rule",
            Self::RepoFilter => "repo_filter",
        }
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ranker => "ranker",
            Self::StaleRule => "stale rule",
            Self::RepoFilter => "repository filter",
        })
    }
}

/// A component, looked at from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Specimen {
    /// Its size, in bytes.
    pub bytes: usize,
    /// Its SHA-256, in hex: what `sha256 = ` pins.
    pub sha256: String,
    /// What it imports, by full name, and the functions it takes from each.
    pub imports: BTreeMap<String, Vec<String>>,
    /// What it exports, by full name.
    pub exports: Vec<String>,
    /// What is told of it within it: `description`, `version`, ...
    pub annotations: BTreeMap<String, String>,
}

impl Specimen {
    /// Reads the component in `file`.
    ///
    /// # Errors
    /// [`AuthoringError::Io`] or [`AuthoringError::Component`].
    pub fn read(file: &Path) -> Result<Self, AuthoringError> {
        let bytes = fs::read(file).map_err(AuthoringError::io("read", file))?;
        Self::of(&bytes).map_err(|error| AuthoringError::Component(format!("{}: {error}", file.display())))
    }

    /// Reads a component.
    ///
    /// # Errors
    /// [`AuthoringError::Component`] when it is none, or is damaged.
    pub fn of(bytes: &[u8]) -> Result<Self, AuthoringError> {
        is_component(bytes).map_err(AuthoringError::Component)?;
        let damaged = |error: String| AuthoringError::Component(format!("it is damaged or cut short: {error}"));
        let decoded = wit_component::decode(bytes).map_err(|error| damaged(format!("{error:#}")))?;
        let DecodedWasm::Component(resolve, world) = decoded else {
            return Err(AuthoringError::Component("it is a WIT package, not a component".into()));
        };
        let world = &resolve.worlds[world];
        let functions = |item: &WorldItem| match item {
            WorldItem::Interface { id, .. } => resolve.interfaces[*id].functions.keys().cloned().collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            bytes: bytes.len(),
            sha256: hex::encode(Sha256::digest(bytes)),
            imports: world.imports.iter().map(|(key, item)| (resolve.name_world_key(key), functions(item))).collect(),
            exports: world.exports.keys().map(|key| resolve.name_world_key(key)).collect(),
            annotations: annotations(bytes).map_err(|error| damaged(error.to_string()))?,
        })
    }

    /// What the component decides: a component may be several kinds of policy in one.
    pub fn kinds(&self) -> Vec<PolicyKind> {
        let is_exported = |kind: &PolicyKind| self.exports.iter().any(|name| interface(name) == Some(kind.interface()));
        PolicyKind::ALL.into_iter().filter(is_exported).collect()
    }

    /// The versions of our package that it speaks, with what it exports first.
    pub fn package_versions(&self) -> Vec<&str> {
        let names = self.exports.iter().chain(self.imports.keys());
        let mut versions: Vec<&str> =
            names.filter_map(|name| name.strip_prefix(PACKAGE)?.split_once('@').map(|(_, version)| version)).collect();
        versions.dedup();
        versions
    }

    /// Whether it has the exports of a policy, and asks only for what policies may have.
    ///
    /// # Errors
    /// One sentence on what is wrong, and what to do.
    pub fn is_policy(&self) -> Result<(), String> {
        let exports: Vec<&str> = self.exports.iter().map(String::as_str).collect();
        let imports: Vec<&str> = self.imports.keys().map(String::as_str).collect();
        imports_are_ours(&imports)?;
        let kind = self.kinds().first().map_or(PolicyKind::Ranker, |kind| *kind);
        exports_policy(kind.interface(), &exports)
    }
}

fn interface(name: &str) -> Option<&str> {
    name.strip_prefix(PACKAGE)?.split_once('@').map(|(interface, _)| interface)
}

/// What a component tells of itself, in sections of its own: not those of the modules within it.
fn annotations(bytes: &[u8]) -> wasmparser::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if depth == 0 && ANNOTATION_SECTIONS.contains(&section.name()) => {
                found.insert(section.name().to_owned(), String::from_utf8_lossy(section.data()).into_owned());
            }
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::builtin_component;

    fn rules() -> &'static [u8] {
        builtin_component("rules").unwrap()
    }

    #[test]
    fn a_component_tells_its_kind_its_version_and_what_it_reads() {
        let specimen = Specimen::of(rules()).unwrap();
        assert_eq!(specimen.kinds(), [PolicyKind::Ranker]);
        assert_eq!(specimen.package_versions(), ["0.1.0"]);
        assert!(specimen.imports["issuecommand:policy/candidates@0.1.0"].contains(&"labels".to_owned()));
        assert_eq!(specimen.is_policy(), Ok(()));
        assert_eq!(specimen.sha256.len(), 64);
    }

    #[test]
    fn what_is_told_within_a_component_is_read_and_what_its_modules_tell_is_not() {
        let mut bytes = rules().to_vec();
        // A custom section: its id, its size, the size of its name, its name, its text.
        bytes.extend([0, 19, 11]);
        bytes.extend(b"descriptionbe good");
        bytes[rules().len() + 1] = u8::try_from(bytes.len() - rules().len() - 2).unwrap();
        let specimen = Specimen::of(&bytes).unwrap();
        assert_eq!(specimen.annotations, [("description".to_owned(), "be good".to_owned())].into());
    }

    #[test]
    fn a_component_cut_short_is_told_so() {
        let error = Specimen::of(&rules()[..rules().len() / 2]).unwrap_err().to_string();
        assert!(error.contains("cut short"), "{error}");
        let error = Specimen::of(b"(component)").unwrap_err().to_string();
        assert!(error.contains("text"), "{error}");
    }
}
