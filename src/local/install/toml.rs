//! Our entry in TOML.

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, TomlError, Value, value};

use super::{ENTRY_NAME, Entry, Unfit};

/// The table of entries.
const TABLE: &str = "mcp_servers";

fn parse(text: &str) -> Result<DocumentMut, Unfit> {
    text.parse::<DocumentMut>().map_err(|error: TomlError| {
        let at = error.span().map_or(0, |span| span.start.min(text.len()));
        let before = text.get(..at).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Unfit::Syntax { line, column, why: error.message().replace('\n', ", ") }
    })
}

fn table_at<'t>(parent: &'t mut dyn TableLike, key: &str, implicit: bool) -> Result<&'t mut dyn TableLike, Unfit> {
    let item = parent.entry(key).or_insert_with(|| {
        let mut table = Table::new();
        table.set_implicit(implicit);
        Item::Table(table)
    });
    item.as_table_like_mut().ok_or_else(|| Unfit::NoTable(key.to_owned()))
}

pub(super) fn has_entry(text: &str) -> Result<bool, Unfit> {
    let document = parse(text)?;
    match document.get(TABLE) {
        None => Ok(false),
        Some(table) => {
            let table = table.as_table_like().ok_or_else(|| Unfit::NoTable(TABLE.to_owned()))?;
            Ok(table.contains_key(ENTRY_NAME))
        }
    }
}

pub(super) fn with_entry(text: &str, entry: &Entry) -> Result<String, Unfit> {
    let mut document = parse(text)?;
    let table = table_at(document.as_table_mut(), TABLE, true)?;
    let ours = table_at(table, ENTRY_NAME, false)?;
    let arguments: Array = entry.arguments.iter().map(String::as_str).collect();
    put(ours, "command", entry.command.as_str().into());
    put(ours, "args", arguments.into());
    Ok(document.to_string())
}

/// Sets a key, unless it says so already: then it keeps its place, form and comments.
fn put(table: &mut dyn TableLike, key: &str, wanted: Value) {
    let same = table.get(key).and_then(Item::as_value).is_some_and(|found| match (found, &wanted) {
        (Value::String(found), Value::String(wanted)) => found.value() == wanted.value(),
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(a, b)| a.as_str() == b.as_str() && a.is_str())
        }
        _ => false,
    });
    if !same {
        table.insert(key, value(wanted));
    }
}
