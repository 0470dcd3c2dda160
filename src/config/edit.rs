//! Edits of issuecommand.toml by a command: the ranker is another one then, and all else stays as it was written,
//! comments and the order of keys included.

mod changes;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::io::Write;
use std::path::Path;

use rustix::fs::{Access, access};
use serde::Deserialize;
use serde_json::{Value, json};
use toml_edit::{DocumentMut, Item, Table, TableLike};

use self::changes::{Part, Wanted, generated, say};
use super::{BUILTIN_RANKER, CandidateConfig, PoliciesConfig, PolicyConfig, RankerConfig, not_finite};

const POLICIES: &str = "policies";
const RANKER: &str = "ranker";
const CANDIDATE: &str = "candidate";
/// The share of a canary that says nothing of it.
const SHARE_DEFAULT: f64 = 0.1;

/// Held by who edits the configuration from within a server: two at once would write over each other. A process has one
/// such file.
pub static EDIT_TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Why a configuration was not edited.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// It is no TOML.
    #[error("the configuration is not valid TOML: {0}")]
    Syntax(#[from] toml_edit::TomlError),
    /// Its policies are not what they must be.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] toml::de::Error),
    /// There is nothing to promote.
    #[error("there is no candidate: set [policies.candidate]")]
    NoCandidate,
    /// It cannot be said what the policy was told.
    #[error("{source_named:?} is told {key}, which is no finite number, and cannot be written: give it a number")]
    NotFinite {
        /// The policy's source.
        source_named: String,
        /// The dotted key within its settings.
        key: String,
    },
    /// A section is something else than a table.
    #[error("[{0}] is no table")]
    NoTable(String),
}

/// What a configuration says of policies, whatever else stands in it.
#[derive(Deserialize)]
struct Present {
    #[serde(default)]
    policies: PoliciesConfig,
}

/// The configuration with the candidate's ranker as the ranker, and without the candidate. Of the ranker only what
/// differs is written anew, as it stood in the candidate.
///
/// # Errors
/// [`EditError::NoCandidate`] when there is none; others when the text is no configuration.
pub fn with_candidate_promoted(text: &str) -> Result<String, EditError> {
    let (mut document, present) = opened(text)?;
    let candidate = present.candidate.ok_or(EditError::NoCandidate)?;
    let policies = policies_of(&mut document)?;
    let on_trial = policies.remove(CANDIDATE).ok_or(EditError::NoCandidate)?;
    let on_trial = on_trial.get(RANKER).ok_or(EditError::NoCandidate)?;
    put_ranker(policies, &present.ranker, &candidate.ranker, Some(on_trial))?;
    Ok(written(text, &document))
}

/// The configuration with this ranker. Only what differs is written anew.
///
/// # Errors
/// [`EditError`] when the text is no configuration.
pub fn with_ranker(text: &str, ranker: &RankerConfig) -> Result<String, EditError> {
    let (mut document, present) = opened(text)?;
    put_ranker(policies_of(&mut document)?, &present.ranker, ranker, None)?;
    Ok(written(text, &document))
}

/// The configuration with this candidate, or without one.
///
/// # Errors
/// [`EditError`] when the text is no configuration.
pub fn with_candidate(text: &str, candidate: Option<&CandidateConfig>) -> Result<String, EditError> {
    let (mut document, present) = opened(text)?;
    let policies = policies_of(&mut document)?;
    let Some(candidate) = candidate else {
        policies.remove(CANDIDATE);
        return Ok(written(text, &document));
    };
    is_finite(&candidate.ranker)?;
    let (full, short) = (form(candidate, &full_ranker), short_candidate(candidate));
    match (policies.get_mut(CANDIDATE), &present.candidate) {
        (Some(item), Some(before)) => {
            let wanted = Wanted { full: &full, short: &short, written: None };
            say(item, &form(before, &full_ranker), wanted, Part::Candidate);
        }
        _ => drop(policies.insert(CANDIDATE, generated(&short, Part::Candidate))),
    }
    Ok(written(text, &document))
}

/// The configuration with this value, written as TOML, at a dotted key.
///
/// # Errors
/// [`EditError`] when the text is no configuration, or the value no TOML.
pub fn with_value(text: &str, key: &str, value: &str) -> Result<String, EditError> {
    let mut document: DocumentMut = text.parse()?;
    let value: toml_edit::Value = value.trim().parse()?;
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or_default();
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for part in parts {
        let item = table.entry(part).or_insert_with(hidden_table);
        table = item.as_table_like_mut().ok_or_else(|| EditError::NoTable(part.to_owned()))?;
    }
    match table.get_mut(last).and_then(Item::as_value_mut) {
        Some(present) => {
            // What stands around it, a comment behind it too, stays.
            let decor = present.decor().clone();
            *present = value;
            *present.decor_mut() = decor;
        }
        None => drop(table.insert(last, Item::Value(value))),
    }
    Ok(written(text, &document))
}

/// The edited document as text, with what belongs to no key as it was: the head of the file, which ends with an empty
/// line before the first key or section, and the ends of lines.
fn written(before: &str, document: &DocumentMut) -> String {
    let mut text = document.to_string();
    let is_of_windows = before.contains('\n') && before.matches('\n').count() == before.matches("\r\n").count();
    let before = before.replace("\r\n", "\n");
    let is_head = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
    let comments: Vec<&str> = before.split_inclusive('\n').take_while(is_head).collect();
    let head_lines = comments.iter().rposition(|line| line.trim().is_empty()).map_or(0, |last| last + 1);
    let head = comments[..head_lines].concat();
    if !text.starts_with(&head) {
        text = head + text.trim_start_matches('\n');
    }
    let of_windows = text.replace("\r\n", "\n").replace('\n', "\r\n");
    // A text of several lines that was told with other ends is another text with these.
    if is_of_windows && says_the_same(&of_windows, &text) { of_windows } else { text }
}

fn says_the_same(one: &str, other: &str) -> bool {
    let read = |text: &str| toml::from_str::<toml::Table>(text);
    read(one).is_ok_and(|one| read(other) == Ok(one))
}

fn opened(text: &str) -> Result<(DocumentMut, PoliciesConfig), EditError> {
    let document = text.parse()?;
    let Present { policies } = toml::from_str(text)?;
    Ok((document, policies))
}

/// The section of policies, which is made where there is none.
fn policies_of(document: &mut DocumentMut) -> Result<&mut dyn TableLike, EditError> {
    let policies = document.entry(POLICIES).or_insert_with(hidden_table);
    policies.as_table_like_mut().ok_or_else(|| EditError::NoTable(POLICIES.into()))
}

/// A table without a line of its own until something stands in it.
fn hidden_table() -> Item {
    let mut table = Table::new();
    table.set_implicit(true);
    Item::Table(table)
}

fn put_ranker(
    policies: &mut dyn TableLike,
    before: &RankerConfig,
    ranker: &RankerConfig,
    written: Option<&Item>,
) -> Result<(), EditError> {
    is_finite(ranker)?;
    let (full, short) = (full_ranker(ranker), short_ranker(ranker));
    let item = policies.entry(RANKER).or_insert_with(hidden_table);
    say(item, &full_ranker(before), Wanted { full: &full, short: &short, written }, Part::Ranker);
    Ok(())
}

/// Nothing else is ever written than was tried.
fn is_finite(ranker: &RankerConfig) -> Result<(), EditError> {
    let told = [&ranker.base].into_iter().chain(ranker.stage.iter().map(|stage| &stage.policy));
    for policy in told {
        if let Some(key) = not_finite(&policy.settings) {
            return Err(EditError::NotFinite { source_named: policy.source.clone(), key });
        }
    }
    Ok(())
}

/// All that a ranker is, defaults included; without what TOML has no word for.
fn full_ranker(ranker: &RankerConfig) -> Value {
    let mut form = full_policy(ranker);
    if !ranker.stage.is_empty() {
        let stages = ranker.stage.iter().map(|stage| {
            let mut form = full_policy(&stage.policy);
            form["name"] = stage.name.as_str().into();
            form["role"] = json!(stage.role);
            form["weight"] = stage.weight.into();
            form
        });
        form["stage"] = stages.collect();
    }
    form
}

fn full_policy(policy: &PolicyConfig) -> Value {
    let mut form = json!(policy);
    if let Value::Object(fields) = &mut form {
        // What a policy is told stays as it is, to the last empty list.
        fields.retain(|name, value| !value.is_null() && (name != "settings" || *value != json!({})));
    }
    form
}

/// The same without defaults.
fn short_ranker(ranker: &RankerConfig) -> Value {
    let mut form = full_ranker(ranker);
    if let Value::Object(fields) = &mut form
        && ranker.builtin_name() == Some(BUILTIN_RANKER)
    {
        fields.remove("source");
    }
    let forms = form.get_mut("stage").and_then(Value::as_array_mut).into_iter().flatten();
    for (stage, form) in ranker.stage.iter().zip(forms.filter_map(Value::as_object_mut)) {
        if stage.weight == 1.0 {
            form.remove("weight");
        }
        if stage.name == stage.policy.stem() {
            form.remove("name");
        }
    }
    form
}

fn form(candidate: &CandidateConfig, ranker: &dyn Fn(&RankerConfig) -> Value) -> Value {
    json!({ "mode": candidate.mode, "share": candidate.share, "ranker": ranker(&candidate.ranker) })
}

fn short_candidate(candidate: &CandidateConfig) -> Value {
    let mut form = form(candidate, &short_ranker);
    if let Value::Object(fields) = &mut form
        && candidate.share == SHARE_DEFAULT
    {
        fields.remove("share");
    }
    form
}

/// Why [`replace_file`] cannot, or should not, put another text in the place of a file; `None` where it may. What a system
/// mounts read-only is found out here, before anybody is offered an edit.
pub fn not_replaceable(file: &Path) -> Option<String> {
    let shown = file.display();
    let found = std::fs::canonicalize(file).and_then(|file| Ok((std::fs::metadata(&file)?, file)));
    let (metadata, file) = match found {
        Ok(found) => found,
        Err(error) => return Some(format!("{shown} cannot be read: {error}")),
    };
    // A replaced file would be writable again; and who took that right away meant it.
    if metadata.permissions().readonly() || access(&file, Access::WRITE_OK).is_err() {
        return Some(format!("{shown} is read-only"));
    }
    // The new text is written beside it first.
    let folder = file.parent().unwrap_or(Path::new("."));
    let refused = access(folder, Access::WRITE_OK | Access::EXEC_OK).err();
    refused.map(|error| format!("the folder of {shown} cannot be written: {}", std::io::Error::from(error)))
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
