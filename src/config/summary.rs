//! `issuecommand config check`: what is set, and by whom.

use std::fmt;

use serde_json::Value;

use super::{ConfigReport, ConfigSource, Loaded, Origin, keys, load};

/// Longest value shown, in characters.
const VALUE_CHARS_MAX: usize = 60;

/// A sound configuration in short: every value that differs from its default. Secrets are not shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The file as it was named; `None` if there was none.
    pub file: Option<String>,
    /// In the order of the keys.
    pub rows: Vec<SummaryRow>,
    /// What the operator should know, although nothing is wrong.
    pub notes: Vec<String>,
}

/// One value that differs from its default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryRow {
    /// The dotted key.
    pub key: String,
    /// The value as it would be written in JSON; `(secret)` for a secret; cut if it is long.
    pub value: String,
    /// Who set it.
    pub origin: Origin,
}

/// Loads the configuration without using it. Policy components are not looked into.
///
/// # Errors
/// Everything that is wrong with it.
pub fn check(source: &ConfigSource) -> Result<Summary, ConfigReport> {
    load(source).map(|loaded| Summary::of(&loaded))
}

impl Summary {
    /// What differs from the defaults in a loaded configuration.
    pub fn of(loaded: &Loaded) -> Self {
        let rows = keys::values(&loaded.config)
            .into_iter()
            .filter(|(key, value)| keys::defaults().get(key) != Some(value))
            // What somebody names, as an agent, has keys of its own that nobody set.
            .filter(|(key, value)| !(*loaded.origin(key) == Origin::Default && is_nothing(value)))
            .map(|(key, value)| SummaryRow { value: shown(&value), origin: loaded.origin(&key).clone(), key })
            .collect();
        let file = loaded.file.as_ref().map(|path| path.display().to_string());
        Self { file, rows, notes: loaded.notes.clone() }
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) if text == "(secret)" => text.clone(),
        _ => value.to_string(),
    };
    if text.chars().count() <= VALUE_CHARS_MAX {
        return text;
    }
    text.chars().take(VALUE_CHARS_MAX - 3).chain("...".chars()).collect()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().unwrap_or("the configuration (no file)");
        match self.rows.len() {
            0 => writeln!(f, "{file} is fine: every value is the default")?,
            1 => writeln!(f, "{file} is fine: 1 value differs from the defaults")?,
            count => writeln!(f, "{file} is fine: {count} values differ from the defaults")?,
        }
        let width = |column: fn(&SummaryRow) -> &str| {
            self.rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0)
        };
        let (keys, values) = (width(|row| &row.key), width(|row| &row.value));
        for SummaryRow { key, value, origin } in &self.rows {
            writeln!(f, "  {key:keys$}  {value:values$}  {origin}")?;
        }
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
