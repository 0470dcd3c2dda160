//! Numbers that JSON, in which policies are told their settings, has no word for.

use serde_json::{Map, Value};

use super::keys;

/// The dotted key of the first setting, out of TOML, that is no finite number: `inf` and `nan` come out of it as
/// nothing, and nothing else does.
pub fn not_finite(settings: &Map<String, Value>) -> Option<String> {
    settings.iter().find_map(|(name, value)| within(keys::join("", name), value))
}

fn within(key: String, value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(key),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(place, item)| within(format!("{key}[{place}]"), item))
        }
        Value::Object(fields) => fields.iter().find_map(|(name, value)| within(keys::join(&key, name), value)),
        _ => None,
    }
}
