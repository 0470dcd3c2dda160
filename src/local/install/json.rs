//! Our entry in JSON, with or without comments.

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstNode, CstObject, CstObjectProp, CstRootNode};

use super::client::{Form, HTTP_KEYS};
use super::{ENTRY_NAME, Entry, Unfit};

/// Where opencode's file says what may stand in it.
const OPENCODE_SCHEMA: &str = "https://opencode.ai/config.json";

/// What the strictest editors of commented JSON take, and nothing that they would not.
const OPTIONS: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

fn table(form: Form) -> &'static str {
    match form {
        Form::Servers => "servers",
        Form::Mcp => "mcp",
        Form::McpServers | Form::TypedMcpServers | Form::Toml => "mcpServers",
    }
}

/// The keys of the entry that are ours to say. Others, `env` for one, are the user's.
fn fields(form: Form, entry: &Entry) -> Vec<(&'static str, CstInputValue)> {
    let text = |text: &str| CstInputValue::String(text.to_owned());
    let list = |words: &[String]| CstInputValue::Array(words.iter().map(|word| text(word)).collect());
    let split = [("command", text(&entry.command)), ("args", list(&entry.arguments))];
    match form {
        Form::Servers | Form::TypedMcpServers => [("type", text("stdio"))].into_iter().chain(split).collect(),
        Form::Mcp => {
            let whole: Vec<String> = [&entry.command].into_iter().chain(&entry.arguments).cloned().collect();
            vec![("type", text("local")), ("command", list(&whole)), ("enabled", CstInputValue::Bool(true))]
        }
        Form::McpServers | Form::Toml => split.into(),
    }
}

fn parse(text: &str) -> Result<(CstRootNode, CstObject), Unfit> {
    let text = if text.trim().is_empty() { "{}\n" } else { text };
    let root = CstRootNode::parse(text, &OPTIONS).map_err(|error| Unfit::Syntax {
        line: error.line_display(),
        column: error.column_display(),
        why: error.kind().to_string(),
    })?;
    let object = root.object_value().ok_or_else(|| Unfit::NoTable("the file".into()))?;
    Ok((root, object))
}

/// The object under `key`; `None` if there is none, an error if there is something else.
fn object_at(parent: &CstObject, key: &str) -> Result<Option<CstObject>, Unfit> {
    match parent.get(key) {
        None => Ok(None),
        Some(property) => property.object_value().map(Some).ok_or_else(|| Unfit::NoTable(key.to_owned())),
    }
}

pub(super) fn has_entry(text: &str, form: Form) -> Result<bool, Unfit> {
    let (_, file) = parse(text)?;
    Ok(object_at(&file, table(form))?.is_some_and(|table| table.get(ENTRY_NAME).is_some()))
}

pub(super) fn with_entry(text: &str, form: Form, entry: &Entry) -> Result<String, Unfit> {
    let (root, file) = parse(text)?;
    if form == Form::Mcp && text.trim().is_empty() {
        file.append("$schema", OPENCODE_SCHEMA.into());
    }
    let table = match object_at(&file, table(form))? {
        Some(table) => table,
        None => file.object_value_or_set(table(form)),
    };
    let fields = fields(form, entry);
    match object_at(&table, ENTRY_NAME)? {
        None => {
            let fields = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            table.append(ENTRY_NAME, CstInputValue::Object(fields));
        }
        Some(ours) => {
            drop_http(&ours, form);
            for (key, value) in fields {
                match ours.get(key) {
                    None => {
                        ours.append(key, value);
                    }
                    Some(property) if !property.value().is_some_and(|node| says(&node, &value)) => {
                        property.set_value(value)
                    }
                    Some(_) => {}
                }
            }
        }
    }
    Ok(root.to_string())
}

/// Takes out of our entry what says that the server is reached over HTTP.
fn drop_http(ours: &CstObject, form: Form) {
    HTTP_KEYS.iter().filter_map(|key| ours.get(key)).for_each(CstObjectProp::remove);
    // Where we write no "type", none may contradict us.
    let is_stdio = |property: &CstObjectProp| property.value().is_some_and(|node| says(&node, &"stdio".into()));
    if form == Form::McpServers {
        ours.get("type").filter(|kind| !is_stdio(kind)).into_iter().for_each(CstObjectProp::remove);
    }
}

/// Whether a node of the file says what we would.
fn says(node: &CstNode, value: &CstInputValue) -> bool {
    match value {
        CstInputValue::String(text) => {
            node.as_string_lit().is_some_and(|lit| lit.decoded_value().is_ok_and(|v| v == *text))
        }
        CstInputValue::Bool(flag) => node.as_boolean_lit().is_some_and(|lit| lit.value() == *flag),
        CstInputValue::Array(values) => node.as_array().is_some_and(|array| {
            let elements = array.elements();
            elements.len() == values.len() && elements.iter().zip(values).all(|(node, value)| says(node, value))
        }),
        _ => false,
    }
}
