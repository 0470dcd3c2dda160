//! Edits of issuecommand.toml by a command: the ranker is another one then, and all else stays as it was written.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::{CandidateConfig, RankerConfig};

const POLICIES: &str = "policies";
const RANKER: &str = "ranker";
const CANDIDATE: &str = "candidate";

/// Why a configuration was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is no TOML.
    #[error("the configuration is not valid TOML: {0}")]
    Syntax(#[from] toml_edit::TomlError),
    /// There is nothing to promote.
    #[error("there is no candidate: set [policies.candidate]")]
    NoCandidate,
    /// A section is something else than a table.
    #[error("[{0}] is no table")]
    NoTable(&'static str),
    /// A ranker has no form in TOML.
    #[error("the ranker cannot be written as TOML: {0}")]
    Form(#[from] toml::ser::Error),
}

/// The configuration with the candidate's ranker as the ranker, and without the candidate.
///
/// # Errors
/// [`EditError::NoCandidate`] when there is none; others when the text is no configuration.
pub fn with_candidate_promoted(text: &str) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse()?;
    let policies = document.get_mut(POLICIES).ok_or(EditError::NoCandidate)?;
    let policies = policies.as_table_like_mut().ok_or(EditError::NoTable(POLICIES))?;
    let mut candidate = policies.remove(CANDIDATE).ok_or(EditError::NoCandidate)?;
    let candidate = candidate.as_table_like_mut().ok_or(EditError::NoTable("policies.candidate"))?;
    let ranker = candidate.remove(RANKER).ok_or(EditError::NoCandidate)?;
    put_ranker(policies, ranker);
    Ok(document.to_string())
}

/// The configuration with this ranker.
///
/// # Errors
/// [`EditError`] when the text is no configuration, or the ranker's settings have no form in TOML.
pub fn with_ranker(text: &str, ranker: &RankerConfig) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse()?;
    let ranker = item_of(ranker)?;
    put_ranker(policies_of(&mut document)?, ranker);
    Ok(document.to_string())
}

/// The configuration with this candidate, or without one.
///
/// # Errors
/// [`EditError`] when the text is no configuration, or the ranker's settings have no form in TOML.
pub fn with_candidate(text: &str, candidate: Option<&CandidateConfig>) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse()?;
    let policies = policies_of(&mut document)?;
    policies.remove(CANDIDATE);
    if let Some(candidate) = candidate {
        policies.insert(CANDIDATE, item_of(candidate)?);
    }
    Ok(document.to_string())
}

/// The section of policies, which is made where there is none.
fn policies_of(document: &mut DocumentMut) -> Result<&mut dyn TableLike, EditError> {
    let policies = document.entry(POLICIES).or_insert_with(|| {
        let mut policies = Table::new();
        policies.set_implicit(true);
        Item::Table(policies)
    });
    policies.as_table_like_mut().ok_or(EditError::NoTable(POLICIES))
}

/// A part of a configuration as it stands in a document.
fn item_of(part: &impl Serialize) -> Result<Item, EditError> {
    let mut value = serde_json::to_value(part).expect("a configuration that was read from text has a JSON form");
    without_nothing(&mut value);
    let mut section: DocumentMut = toml::to_string(&serde_json::json!({ POLICIES: value }))?.parse()?;
    let mut item = section.remove(POLICIES).unwrap_or_else(|| Item::Table(Table::new()));
    forget_places(&mut item);
    Ok(item)
}

/// Puts a ranker in the place of the one before, under the comments that stood over it.
fn put_ranker(policies: &mut dyn TableLike, ranker: Item) {
    let before = policies.remove(RANKER);
    let mut ranker = match ranker {
        Item::Value(toml_edit::Value::InlineTable(table)) => Item::Table(table.into_table()),
        other => other,
    };
    if let (Some(table), Some(Item::Table(before))) = (ranker.as_table_mut(), before) {
        table.set_position(before.position());
        *table.decor_mut() = before.decor().clone();
    }
    policies.insert(RANKER, ranker);
}

/// Takes out what says nothing: TOML has no null, and nobody writes empty lists of stages. What a policy is
/// told stays as it is, to the last empty list.
fn without_nothing(part: &mut Value) {
    let Value::Object(fields) = part else { return };
    if let Some(Value::Array(stages)) = fields.get_mut("stage") {
        stages.iter_mut().for_each(without_nothing);
    }
    if let Some(ranker) = fields.get_mut(RANKER) {
        without_nothing(ranker);
    }
    fields.retain(|name, value| match name.as_str() {
        "stage" => *value != serde_json::json!([]),
        "settings" => *value != serde_json::json!({}),
        _ => !value.is_null(),
    });
}

/// Tables of another document stand where their parents do.
fn forget_places(item: &mut Item) {
    match item {
        Item::Table(table) => {
            table.set_position(None);
            table.iter_mut().for_each(|(_, item)| forget_places(item));
        }
        Item::ArrayOfTables(tables) => {
            for table in tables.iter_mut() {
                table.set_position(None);
                table.iter_mut().for_each(|(_, item)| forget_places(item));
            }
        }
        _ => {}
    }
}

/// Puts a text in the place of a file at once: who reads the file sees the old text or the new one. A link
/// stays one.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn replace_file(file: &Path, text: &str) -> std::io::Result<()> {
    let file = std::fs::canonicalize(file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut part = tempfile::NamedTempFile::new_in(folder)?;
    part.write_all(text.as_bytes())?;
    part.as_file().set_permissions(std::fs::metadata(&file)?.permissions())?;
    part.as_file().sync_all()?;
    part.persist(&file)?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::{Config, Signer, StageRole};

    const TEXT: &str = r#"# Ours.
[server]
port = 0 # any

# What comes first.
[policies.ranker]
source = "builtin:rules" # for years
[policies.ranker.settings]
max_claims_per_agent = 3

[policies.candidate] # since Monday
mode = "shadow"

[policies.candidate.ranker]
source = "new.wasm"
# Its own table.
[policies.candidate.ranker.settings]
calm = true
[[policies.candidate.ranker.stage]]
role = "filter"
source = "trust.wasm"

# Who takes part.
[policies.repo_filter.settings]
allow = ["acme/*"]
"#;

    fn read(text: &str) -> Config {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn a_promoted_candidate_is_the_ranker_and_all_other_comments_stay() {
        let edited = with_candidate_promoted(TEXT).unwrap();
        let (before, after) = (read(TEXT), read(&edited));
        assert_eq!(after.policies.ranker, before.policies.candidate.unwrap().ranker);
        assert_eq!(after.policies.candidate, None);
        assert_eq!(after.policies.repo_filter, before.policies.repo_filter);
        for kept in [
            "# Ours.",
            "port = 0 # any",
            "# What comes first.\n[policies.ranker]",
            "# Its own table.",
            "# Who takes part.",
        ] {
            assert!(edited.contains(kept), "{kept:?} is gone:\n{edited}");
        }
        for gone in ["for years", "max_claims_per_agent", "candidate"] {
            assert!(!edited.contains(gone), "{gone:?} is still there:\n{edited}");
        }
        assert!(matches!(with_candidate_promoted(&edited), Err(EditError::NoCandidate)));
    }

    #[test]
    fn a_candidate_in_one_line_is_promoted_too_and_where_there_was_no_ranker() {
        let text = "[policies]\ncall_ms_max = 9\ncandidate = { mode = \"canary\", ranker = { source = \"a.wasm\", settings = { x = 1 } } }\n";
        let edited = with_candidate_promoted(text).unwrap();
        let after = read(&edited).policies;
        assert_eq!(
            (after.ranker.source.as_str(), after.ranker.settings["x"].as_i64()),
            ("a.wasm", Some(1)),
            "{edited}"
        );
        assert_eq!((after.call_ms_max, after.candidate), (9, None));
    }

    #[test]
    fn a_ranker_that_was_put_back_reads_as_it_was() {
        for text in [TEXT, "", "[policies]\ncall_ms_max = 9\n"] {
            let mut ranker = read(TEXT).policies.candidate.unwrap().ranker;
            ranker.base.sha256 = Some("a".repeat(64));
            ranker.base.signed_by = Some(Signer::Key { key: "team.pub".into() });
            ranker.base.settings.insert("nested".into(), serde_json::json!({ "list": [[1, 2.5], ["x"]], "none": {} }));
            assert_eq!(ranker.stage[0].role, StageRole::Filter);
            let edited = with_ranker(text, &ranker).unwrap();
            assert_eq!(read(&edited).policies.ranker, ranker, "{edited}");
        }
        let edited = with_ranker(TEXT, &read(TEXT).policies.ranker).unwrap();
        assert!(edited.contains("# What comes first.\n[policies.ranker]"), "{edited}");
        assert_eq!(read(&edited), read(TEXT));
    }

    #[test]
    fn a_candidate_that_was_put_back_reads_as_it_was_and_goes_without_a_trace() {
        let mut candidate = read(TEXT).policies.candidate.unwrap();
        candidate.share = 0.25;
        for text in [TEXT, "", "[policies]\ncandidate = { mode = \"canary\", ranker = { source = \"a.wasm\" } }\n"] {
            let edited = with_candidate(text, Some(&candidate)).unwrap();
            let (before, after) = (read(text).policies, read(&edited).policies);
            assert_eq!((after.candidate.as_ref(), after.ranker), (Some(&candidate), before.ranker), "{edited}");
            let without = with_candidate(&edited, None).unwrap();
            assert!(!without.contains("candidate") && read(&without).policies.candidate.is_none(), "{without}");
        }
        let promoted = with_candidate_promoted(TEXT).unwrap();
        let again = with_candidate(&with_ranker(&promoted, &read(TEXT).policies.ranker).unwrap(), Some(&candidate));
        let again = again.unwrap();
        assert_eq!(read(&again).policies.ranker, read(TEXT).policies.ranker, "{again}");
        assert!(again.contains("# Who takes part."), "{again}");
    }

    #[test]
    fn a_file_is_replaced_at_once_and_a_link_to_it_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
        std::fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        replace_file(&link, "new").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
        assert!(link.is_symlink());
    }
}
