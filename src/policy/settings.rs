//! The settings that a policy takes, key by key, as the schema that it gives of them says: for people, in a terminal and on
//! a page. A schema is a guest's word: however it refers to itself, what is listed of it is bounded.

use serde_json::{Map, Value};

/// The deepest place in a schema that is listed.
const DEPTH_MAX: usize = 4;
/// Most keys that are listed. Ours: five times those of the longest list that is built in.
const KEY_COUNT_MAX: usize = 256;
/// Words of a setting that are listed; of more, the count.
const WORD_COUNT_MAX: usize = 4;
/// The same of its forms.
const FORM_COUNT_MAX: usize = 6;
/// How often one type is told by others, as in `array of array of string`.
const TYPE_DEPTH_MAX: usize = 3;
/// Longest default that is listed whole, in characters.
const DEFAULT_LENGTH_MAX: usize = 30;

/// A key that a policy's settings may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// Where it stands: `rules[].weight`, for the weight of each of the rules.
    pub key: String,
    /// What it may be.
    pub kind: String,
    /// What holds without it, as JSON; empty where the schema names nothing.
    pub default: String,
    /// What it is for, in the schema's words.
    pub what: String,
}

/// Every key that a schema of settings knows.
pub fn settings_listed(schema: &Value) -> Vec<Setting> {
    let mut listed = Vec::new();
    list(schema, schema, "", 1, &mut listed);
    listed
}

/// The first example that a schema gives of each key at its top, where it gives any.
pub fn settings_examples(schema: &Value) -> Map<String, Value> {
    let keys = schema["properties"].as_object().into_iter().flatten();
    keys.filter_map(|(name, of_key)| Some((name.clone(), of_key["examples"].get(0)?.clone()))).collect()
}

/// One entry for each key below `path`, `depth` keys from the top.
fn list(root: &Value, schema: &Value, path: &str, depth: usize, listed: &mut Vec<Setting>) {
    let schema = resolved(root, schema);
    for (name, of_key) in schema["properties"].as_object().into_iter().flatten() {
        if listed.len() == KEY_COUNT_MAX {
            return;
        }
        let of_key = resolved(root, of_key);
        let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let what = of_key["description"].as_str().and_then(|text| text.lines().next()).unwrap_or_default();
        listed.push(Setting {
            key: key.clone(),
            kind: kind_of(root, of_key, 0),
            default: of_key.get("default").map_or_else(String::new, |default| cut(&default.to_string())),
            what: what.to_owned(),
        });
        if depth < DEPTH_MAX {
            list(root, of_key, &key, depth + 1, listed);
            if let Some(items) = of_key.get("items") {
                list(root, items, &format!("{key}[]"), depth + 1, listed);
            }
        }
    }
}

fn cut(default: &str) -> String {
    match default.char_indices().nth(DEFAULT_LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &default[..end]),
        None => default.to_owned(),
    }
}

fn kind_of(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > TYPE_DEPTH_MAX {
        return "any".to_owned();
    }
    let within = |schema: &Value| kind_of(root, resolved(root, schema), depth + 1);
    let told = |list: &[Value], one: &dyn Fn(&Value) -> String| list.iter().map(one).collect::<Vec<_>>().join(" | ");
    let list = |name: &str| schema.get(name).and_then(Value::as_array);
    if let Some(words) = list("enum") {
        return match words.len() {
            0..=WORD_COUNT_MAX => told(words, &Value::to_string),
            count => format!("one of {count} words"),
        };
    }
    if let Some(word) = schema.get("const") {
        return word.to_string();
    }
    if let Some(forms) = list("anyOf").filter(|_| schema.get("type").is_none()) {
        return match forms.len() {
            0..=FORM_COUNT_MAX => told(forms, &within),
            count => format!("one of {count} forms"),
        };
    }
    let name = match &schema["type"] {
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" | "),
        name => name.as_str().unwrap_or("any").to_owned(),
    };
    match (schema.get("items"), schema.get("additionalProperties")) {
        (Some(items), _) => format!("{name} of {}", within(items)),
        (_, Some(values @ Value::Object(_))) => format!("{name} of {}", within(values)),
        _ => name,
    }
}

/// What a reference within the schema stands for.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let pointer = schema.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_key_of_the_table_of_rules_is_listed_with_what_it_may_be() {
        let schema = serde_json::from_str(include_str!("../../policies/rules/src/settings.schema.json")).unwrap();
        let listed = settings_listed(&schema);
        assert!(listed.len() > 40 && listed.len() < KEY_COUNT_MAX / 4, "{}", listed.len());
        let of = |key: &str| listed.iter().find(|it| it.key == key).unwrap_or_else(|| panic!("{key}: {listed:#?}"));
        assert_eq!(of("tiers").kind, "array of array of string");
        assert!(of("tiers").default.ends_with('…'), "{:?}", of("tiers"));
        assert_eq!(of("rules[].weight").kind, "number");
        assert_eq!(of("rules[].and[].field").kind, "one of 17 words");
        assert_eq!(of("rules[].value").kind, "string | array of string | number");
        assert_eq!((of("follow_ups").default.as_str(), of("fair_share").kind.as_str()), ("\"first\"", "boolean"));
        assert_eq!(settings_examples(&schema)["rules"][0]["field"], "label");
    }

    #[test]
    fn a_schema_that_refers_to_itself_is_listed_to_an_end() {
        let keys: Map<String, Value> = (0..40).map(|nth| (format!("k{nth:02}"), json!({ "$ref": "#" }))).collect();
        let listed = settings_listed(&json!({ "properties": keys }));
        assert_eq!((listed.len(), listed[3].key.as_str()), (KEY_COUNT_MAX, "k00.k00.k00.k00"));
        let round =
            json!({ "anyOf": [{ "$ref": "#/$defs/a" }, { "type": "array", "items": { "$ref": "#/$defs/a" } }] });
        let kind =
            &settings_listed(&json!({ "properties": { "it": { "$ref": "#/$defs/a" } }, "$defs": { "a": round } }))[0]
                .kind;
        assert!(kind.starts_with("any | ") && kind.len() < 1000, "{kind}");
    }
}
