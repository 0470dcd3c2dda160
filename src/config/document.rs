//! issuecommand.toml as text: what it sets, where it sets it, and what it gets wrong.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, SECRET_KEYS};
use super::report::Problem;
use super::{Config, plain_words};

/// The text of issuecommand.toml with the place of every key in it.
#[derive(Default)]
pub(super) struct Document {
    label: String,
    text: String,
    places: BTreeMap<String, Place>,
}

/// Where a key stands, in bytes.
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// What a document says, as far as it can be understood.
pub(super) struct Reading {
    pub document: Document,
    pub config: Config,
    pub problems: Vec<Problem>,
    /// Whether it is TOML at all; if not, `config` is what can be made of it.
    pub is_toml: bool,
}

impl Document {
    /// Reads `text`, which came from the file shown as `label`. Every unknown key and every wrong
    /// type is found, not only the first; of wrong TOML only the first, for the rest may follow from it.
    pub fn read(label: String, text: String) -> Reading {
        let mut document = Self { label, places: BTreeMap::new(), text: text.clone() };
        let mut problems = Vec::new();
        let (mut table, errors) = DeTable::parse_recoverable(&text);
        Walk { document: &mut document, problems: &mut problems }.table("", table.get_mut(), &keys::SHAPE);
        let config = document.understand(table, &mut problems);
        if let Some(error) = errors.first() {
            problems = vec![document.problem_at(error.span().unwrap_or(0..0), String::new(), error.message())];
        }
        Reading { document, config, problems, is_toml: errors.is_empty() }
    }

    /// The line of a key, from 1; `None` if the file does not set it.
    pub fn line_of(&self, key: &str) -> Option<usize> {
        self.places.get(key).map(|place| self.position(place.key.start).0)
    }

    /// The file as it is shown.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// All of it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A problem with the value of `key`.
    pub fn problem_with(&self, key: &str, message: impl Into<String>) -> Problem {
        match self.places.get(key) {
            Some(place) => self.problem_at(place.value.clone(), key.to_owned(), message),
            None => {
                let (file, message) = (self.label.clone(), message.into());
                Problem { file, key: key.to_owned(), message, ..Problem::default() }
            }
        }
    }

    /// Takes the values one by one as far as they fit: a value that does not is told and left out.
    fn understand(&self, mut table: Spanned<DeTable<'_>>, problems: &mut Vec<Problem>) -> Config {
        loop {
            let error = match serde_path_to_error::deserialize(toml::Deserializer::from(table.clone())) {
                Ok(config) => return config,
                Err(error) => error,
            };
            let path: Vec<String> = error
                .path()
                .iter()
                .map_while(|segment| match segment {
                    serde_path_to_error::Segment::Map { key } => Some(key.clone()),
                    _ => None,
                })
                .collect();
            let key = path.iter().fold(String::new(), |path, name| keys::join(&path, name));
            let message = plain_words::expectation(error.inner().message());
            let secret = SECRET_KEYS.contains(&key.as_str());
            let message = if secret { "expected text in quotes".to_owned() } else { message };
            let span = error.inner().span().or_else(|| self.places.get(&key).map(|place| place.value.clone()));
            problems.push(self.problem_at(span.unwrap_or(0..0), key, message));
            if !remove(table.get_mut(), &path) {
                return Config::default();
            }
        }
    }

    fn problem_at(&self, span: Range<usize>, key: String, message: impl Into<String>) -> Problem {
        let (line, column) = self.position(span.start);
        let text = self.text.lines().nth(line - 1).unwrap_or_default();
        let shown = redacted(text);
        let rest = shown.chars().count().saturating_sub(column - 1);
        let width = self.text.get(span).map_or(1, |text| text.chars().count()).min(rest);
        let excerpt = crate::domain::in_one_line(&shown);
        Problem {
            file: self.label.clone(),
            line: Some(line),
            column: Some(column),
            key,
            message: message.into(),
            hint: None,
            excerpt: Some((excerpt, width)),
        }
    }

    /// Line and column, both from 1, of a place in bytes.
    fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }
}

/// Finds the place of every key, takes out and tells those that nobody reads.
struct Walk<'d> {
    document: &'d mut Document,
    problems: &'d mut Vec<Problem>,
}

impl Walk<'_> {
    fn table(&mut self, path: &str, table: &mut DeTable<'_>, shape: &Value) {
        let Value::Object(known) = shape else { return };
        let free = known.is_empty();
        let read = std::mem::take(table).into_iter().filter_map(|(name, mut value)| {
            let key = keys::join(path, name.get_ref());
            self.document.places.insert(key.clone(), Place { key: name.span(), value: value.span() });
            match (known.get(name.get_ref().as_ref()), value.get_mut()) {
                (None, _) if free => self.free(&key, &mut value),
                (None, _) => {
                    self.unknown(path, name.get_ref(), &key, known);
                    return None;
                }
                (Some(shape @ Value::Object(_)), DeValue::Table(inner)) => self.table(&key, inner, shape),
                _ => self.settings_within(&key, &mut value),
            }
            Some((name, value))
        });
        *table = read.collect();
    }

    fn unknown(&mut self, path: &str, name: &str, key: &str, known: &serde_json::Map<String, Value>) {
        let elsewhere = || keys::defaults().keys().find(|key| key.rsplit('.').next() == Some(name));
        let hint = match keys::nearest(name, known.keys().map(String::as_str)) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => match elsewhere() {
                Some(elsewhere) => format!("did you mean \"{elsewhere}\"?"),
                None => {
                    let names: Vec<_> = known.keys().map(String::as_str).collect();
                    let place = if path.is_empty() { "the sections are" } else { "keys here are" };
                    format!("{place} {}", names.join(", "))
                }
            },
        };
        let span = self.document.places.get(key).map_or(0..0, |place| place.key.clone());
        let what = if path.is_empty() { "unknown section" } else { "unknown key" };
        self.problems.push(self.document.problem_at(span, key.to_owned(), format!("{what}; {hint}")));
    }

    /// What policies are told stands in lists too, where the shape does not say which keys there are.
    fn settings_within(&mut self, key: &str, value: &mut Spanned<DeValue<'_>>) {
        match value.get_mut() {
            DeValue::Array(items) => items.iter_mut().for_each(|item| self.settings_within(key, item)),
            DeValue::Table(table) => {
                for (name, value) in table.iter_mut() {
                    let (name, key) = (name.get_ref(), keys::join(key, name.get_ref()));
                    if name == keys::FREE_TABLE {
                        self.free(&key, value);
                    } else {
                        self.settings_within(&key, value);
                    }
                }
            }
            _ => {}
        }
    }

    /// A policy's own settings become JSON, which has neither dates nor infinite numbers.
    fn free(&mut self, key: &str, value: &mut Spanned<DeValue<'_>>) {
        match value.get_mut() {
            DeValue::Datetime(date) => *value.get_mut() = DeValue::String(date.to_string().into()),
            DeValue::Float(float) if float.as_str().contains("inf") || float.as_str().contains("nan") => {
                let span = value.span();
                self.problems.push(self.document.problem_at(span, key.to_owned(), "expected a finite number"));
            }
            DeValue::Array(items) => items.iter_mut().for_each(|item| self.free(key, item)),
            DeValue::Table(table) => self.table(key, table, &Value::Object(serde_json::Map::new())),
            _ => {}
        }
    }
}

/// Takes out the deepest key of `path`; whether there was one.
fn remove(table: &mut DeTable<'_>, path: &[String]) -> bool {
    match path {
        [] => false,
        [name] => table.remove(name.as_str()).is_some(),
        [name, rest @ ..] => match table.get_mut(name.as_str()).map(Spanned::get_mut) {
            Some(DeValue::Table(inner)) => remove(inner, rest),
            _ => table.remove(name.as_str()).is_some(),
        },
    }
}

/// A line fit to be shown: whatever follows a secret's key, or an address with credentials, is hidden.
fn redacted(line: &str) -> String {
    const HIDDEN: &str = " (hidden)";
    // `url` is the name of much that is no secret: a database's address is known by itself.
    let names = SECRET_KEYS.iter().filter_map(|key| key.rsplit('.').next()).filter(|name| *name != "url");
    let secret = names.filter_map(|name| line.find(name).map(|at| at + name.len())).min();
    let after_secret = secret.and_then(|end| line[end..].find('=').map(|at| end + at + 1));
    let address = line
        .find("://")
        .filter(|at| {
            line[*at..].contains('@') || line[..*at].ends_with("postgres") || line[..*at].ends_with("postgresql")
        })
        .and_then(|_| line.find('=').map(|at| at + 1));
    match after_secret.into_iter().chain(address).min() {
        Some(end) => format!("{}{HIDDEN}", &line[..end]),
        None => line.to_owned(),
    }
}
