//! Our entry in TOML.

use toml_edit::{Array, DocumentMut, Item, Table, TableLike, TomlError, Value, value};

use super::client::HTTP_KEYS;
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
    for key in HTTP_KEYS {
        ours.remove(key);
    }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_table_takes_the_entry_and_keeps_what_it_has() {
        let entry = Entry { command: "/bin/ic".into(), arguments: vec!["mcp".into()] };
        let forms = [
            "mcp_servers = { files = { command = \"npx\" } } # inline\n",
            "mcp_servers.files.command = \"npx\"\n",
            "[mcp_servers]\nfiles = { command = \"npx\" }\n",
            "[mcp_servers.files]\ncommand = \"npx\"\n",
            "mcp_servers.issuecommand = { command = \"old\", env = { A = \"b\" } }\nmcp_servers.files = { command = \"npx\" }\n",
        ];
        for form in forms {
            let once = with_entry(form, &entry).unwrap();
            let read = parse(&once).unwrap();
            assert_eq!(read["mcp_servers"]["issuecommand"]["command"].as_str(), Some("/bin/ic"), "{once}");
            assert_eq!(read["mcp_servers"]["files"]["command"].as_str(), Some("npx"), "{once}");
            assert!(form.contains("env") == once.contains("env = { A = \"b\" }"), "{once}");
            assert_eq!(with_entry(&once, &entry).unwrap(), once);
            assert!(has_entry(&once).unwrap());
        }
    }
}
