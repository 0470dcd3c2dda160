//! The reference in `docs/reference`, rendered from the code: what it says is what the program does, or these tests fail.
//! The reference of commands is beside them, in `src/cli/reference.rs`.

mod configuration;
mod http;
mod mcp;
mod wit;

use serde_json::Value;

use crate::documents::cell;

/// The fields of an object's schema as rows of a table: name, kind, whether it is needed, meaning. `link` makes a link
/// of the name of a shape.
fn fields(schema: &Value, link: impl Fn(&str) -> String + Copy) -> String {
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let rows = schema["properties"].as_object().into_iter().flatten().map(|(name, field)| {
        let needed = if is_required(name) { "yes" } else { "" };
        let meaning = cell(field["description"].as_str().unwrap_or_default());
        format!("| `{name}` | {} | {needed} | {meaning} |\n", kind(field, link))
    });
    rows.collect()
}

/// What a value may be, in a few words.
fn kind(schema: &Value, link: impl Fn(&str) -> String + Copy) -> String {
    if let Some(path) = schema["$ref"].as_str() {
        return link(path.rsplit('/').next().unwrap());
    }
    if let Some(choice) = schema["enum"].as_array() {
        return choice
            .iter()
            .map(|one| format!("`{}`", one.as_str().unwrap_or(&one.to_string())))
            .collect::<Vec<_>>()
            .join(", ");
    }
    for several in ["anyOf", "oneOf", "allOf"] {
        if let Some(kinds) = schema[several].as_array() {
            return kinds.iter().map(|one| kind(one, link)).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(value) = schema["const"].as_str() {
        return format!("`{value}`");
    }
    match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("array"), _) => format!("list of {}", kind(&schema["items"], link)),
        (Some("string"), Some("date-time")) => "time".into(),
        (Some("string"), Some("uuid")) => "id".into(),
        (Some("string"), _) => "text".into(),
        (Some("integer"), _) => "whole number".into(),
        (Some("boolean"), _) => "true or false".into(),
        (Some(other), _) => other.into(),
        (None, _) => "any".into(),
    }
}
