//! The reference of the configuration: keys, defaults, variables and what is hot from the code, meanings from the annotated
//! file, which a test in `src/config` holds to the code.

use std::collections::BTreeMap;
use std::fmt::Write;

use issuecommand::config::{VARIABLES, defaults, is_hot};
use serde_json::Value;

use crate::documents::{cell, hold_reference};

const ANNOTATED: &str = include_str!("../../../../issuecommand.toml");

const HEAD: &str = "\
# Configuration

Every key of `issuecommand.toml` and every environment variable. A variable comes before a line of a `.env` file beside the
configuration, that before the file itself, and that before the default. A saved edit of a key that is *at once* is in force
a moment later; others wait for a restart. The same with examples stands in [issuecommand.toml](../../issuecommand.toml);
`issuecommand config check` says what is wrong with yours.

";

/// What the annotated file says, of tables and of keys by their dotted names.
#[derive(Default)]
struct Told {
    /// The tables in the order of the file.
    tables: Vec<String>,
    meanings: BTreeMap<String, String>,
}

fn told() -> Told {
    let (mut told, mut table) = (Told::default(), String::new());
    let (mut pending, mut above) = (String::new(), String::new());
    for line in ANNOTATED.lines() {
        let bare = line.strip_prefix("# ").unwrap_or(line);
        let header =
            bare.strip_prefix('[').and_then(|rest| rest.split(']').next()).filter(|name| !name.starts_with('['));
        let key = bare.split_once(" = ").map(|(key, _)| key).filter(|key| is_bare(key));
        let list = bare.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]"));
        if let Some(name) = header.filter(|_| is_table(bare)) {
            table = name.to_owned();
            // Of a table that is only an example the words are said of its key, or of the key that is that table.
            if !line.starts_with('#') {
                told.tables.push(table.clone());
                told.meanings.insert(table.clone(), std::mem::take(&mut pending));
            } else if defaults().contains_key(&table) {
                told.meanings.insert(table.clone(), std::mem::take(&mut pending));
            }
        } else if let Some(name) = list.filter(|name| defaults().contains_key(*name)) {
            told.meanings.insert(name.to_owned(), std::mem::take(&mut pending));
        } else if let Some(key) = key.map(|key| format!("{table}.{key}")).filter(|key| defaults().contains_key(key)) {
            // What is said of the first of several keys is said of all that follow it at once.
            match std::mem::take(&mut pending) {
                none if none.is_empty() => {}
                words => above = words.trim().to_owned(),
            }
            told.meanings.insert(key, above.clone());
        } else if line.is_empty() {
            (pending, above) = (String::new(), String::new());
        } else if let Some(words) = line.strip_prefix('#') {
            pending.extend([without_margin(words.trim()), " "]);
        }
    }
    told
}

/// Whether a line is a table's, not a list in prose.
fn is_table(line: &str) -> bool {
    let name = line.split_once(']').map_or("", |(name, _)| &name[1..]);
    let rest = line.split_once(']').map_or("x", |(_, rest)| rest);
    name.split('.').all(is_bare)
        && (rest.trim().is_empty() || rest.starts_with("  "))
        && !["hot", "restart"].contains(&name)
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A comment's line without the variable and the mark at its right.
fn without_margin(line: &str) -> &str {
    let is_mark = |word: &str| {
        word.starts_with('[')
            || word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b",_ ".contains(&b))
    };
    if is_mark(line) && line.contains(['[', '_']) {
        return "";
    }
    match line.rfind("  ") {
        Some(at) if is_mark(line[at..].trim()) => line[..at].trim_end(),
        _ => line,
    }
}

/// A default, as one would write it.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".into(),
        Value::String(text) if text == "(secret)" => "not set".into(),
        Value::Object(_) => "none".into(),
        other => format!("`{other}`"),
    }
}

/// What a key means: its own words, else those of its variable, else where a key of its name is told.
fn meaning(key: &str, told: &Told) -> String {
    let own = told.meanings.get(key).filter(|words| !words.is_empty()).cloned();
    let variable = || VARIABLES.iter().find(|variable| variable.key == key).map(|variable| variable.meaning.to_owned());
    let (_, name) = key.rsplit_once('.').unwrap();
    let is_told =
        |table: &&String| told.meanings.get(&format!("{table}.{name}")).is_some_and(|words| !words.is_empty());
    let elsewhere = || told.tables.iter().find(is_told).map(|table| format!("As in `[{table}]`."));
    own.or_else(variable).or_else(elsewhere).unwrap_or_default()
}

fn row(key: &str, told: &Told) -> String {
    let name = key.rsplit('.').next().unwrap();
    let variables =
        VARIABLES.iter().filter(|variable| variable.key == key).map(|variable| format!("`{}`", variable.name));
    let variables = variables.collect::<Vec<_>>().join(", ");
    let effect = if is_hot(key) { "at once" } else { "restart" };
    let meaning = cell(&meaning(key, told));
    format!("| `{name}` | {} | {variables} | {effect} | {meaning} |\n", shown(&defaults()[key]))
}

fn rendered() -> String {
    let (told, mut page) = (told(), HEAD.to_owned());
    let mut left: Vec<&str> = defaults().keys().map(String::as_str).collect();
    let parent = |key: &str| key.rsplit_once('.').map_or(String::new(), |(parent, _)| parent.to_owned());
    let mut tables = told.tables.clone();
    let further = left.iter().map(|key| parent(key)).filter(|table| !told.tables.contains(table));
    tables.extend(further.collect::<std::collections::BTreeSet<_>>());
    for table in tables.iter().filter(|table| !table.is_empty()) {
        let rows: String = left.iter().filter(|key| parent(key) == *table).map(|key| row(key, &told)).collect();
        left.retain(|key| parent(key) != *table);
        write!(page, "## `[{table}]`\n\n").unwrap();
        if let Some(meaning) = told.meanings.get(table).filter(|meaning| !meaning.is_empty()) {
            write!(page, "{}\n\n", meaning.trim()).unwrap();
        }
        if !rows.is_empty() {
            write!(page, "| key | default | variable | takes effect | meaning |\n|---|---|---|---|---|\n{rows}\n")
                .unwrap();
        }
    }
    page.push_str("## Variables\n\nA secret may be in a file of its own, which the variable's name with `_FILE` behind it names.\n\n");
    page.push_str("| variable | key | default | meaning |\n|---|---|---|---|\n");
    for variable in VARIABLES {
        let default = if variable.default.is_empty() { String::new() } else { format!("`{}`", variable.default) };
        let secret = if variable.secret { " A secret." } else { "" };
        let (name, key, meaning) = (variable.name, variable.key, cell(variable.meaning));
        writeln!(page, "| `{name}` | `{key}` | {default} | {meaning}{secret} |").unwrap();
    }
    page
}

#[test]
fn the_reference_of_the_configuration_is_what_the_code_takes() {
    let page = rendered();
    for key in defaults().keys().filter(|key| key.contains('.')) {
        assert!(page.contains(&format!("| `{}` |", key.rsplit('.').next().unwrap())), "{key}");
    }
    let untold: Vec<_> =
        defaults().keys().filter(|key| key.contains('.') && meaning(key, &told()).is_empty()).collect();
    assert!(untold.is_empty(), "issuecommand.toml does not say what these mean: {untold:?}");
    hold_reference("docs/reference/configuration.md", &page);
}
