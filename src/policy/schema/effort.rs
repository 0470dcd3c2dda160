//! How much work it is to hold settings to a schema, counted before anybody does it: a few lines of schema that refer
//! to each other can ask for more than a lifetime.

use std::collections::HashMap;

use serde_json::Value;

/// Most pairs of a schema and a value that are looked at. Of a large table there are some ten thousand.
const PAIR_COUNT_MAX: u64 = 1_000_000;
/// How far schemas may lead into one another for one value.
const DEPTH_MAX: usize = 256;
/// Keywords with one schema, with several, and with one a name, for the value itself.
const IN_PLACE: [&str; 4] = ["not", "if", "then", "else"];
const SEVERAL_IN_PLACE: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const NAMED_IN_PLACE: [&str; 2] = ["dependentSchemas", "dependencies"];
/// The same for what is in an object, and in an array.
const OF_MEMBERS: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
const OF_ITEMS: [&str; 5] = ["items", "prefixItems", "additionalItems", "contains", "unevaluatedItems"];
/// What would make references lead elsewhere than where a pointer from the first level says.
const LEAD_ELSEWHERE: [&str; 5] = ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef"];

/// Whether the work has an end in sight.
///
/// # Errors
/// Says what of the schema is not followed.
pub(super) fn is_bounded(schema: &Value, settings: &Value) -> Result<(), String> {
    let below = schema.as_object().into_iter().flat_map(|keys| keys.iter().filter(|(key, _)| *key != "$id"));
    if let Some(key) = below.filter_map(|(key, it)| leads_elsewhere(key, it)).next() {
        return Err(format!("{key} is not followed, only references as #/$defs/NAME are"));
    }
    Effort { root: schema, known: HashMap::new() }.of(schema, settings, 0).map(drop)
}

/// The first keyword that makes references lead elsewhere. As the name of a setting it has no text.
fn leads_elsewhere<'a>(key: &'a str, value: &'a Value) -> Option<&'a str> {
    match value {
        Value::String(_) => LEAD_ELSEWHERE.contains(&key).then_some(key),
        Value::Object(keys) => keys.iter().find_map(|(key, value)| leads_elsewhere(key, value)),
        Value::Array(items) => items.iter().find_map(|item| leads_elsewhere("", item)),
        _ => None,
    }
}

struct Effort<'a> {
    root: &'a Value,
    /// The effort of pairs that were counted, by where they are.
    known: HashMap<(*const Value, *const Value), u64>,
}

impl<'a> Effort<'a> {
    fn of(&mut self, schema: &'a Value, value: &'a Value, depth: usize) -> Result<u64, String> {
        let Value::Object(keys) = schema else { return Ok(1) };
        if depth > DEPTH_MAX {
            return Err("it leads from one schema to the next without end".into());
        }
        let pair = (std::ptr::from_ref(schema), std::ptr::from_ref(value));
        if let Some(known) = self.known.get(&pair) {
            return Ok(*known);
        }
        let mut total: u64 = 1;
        let mut nexts: Vec<(&'a Value, &'a Value)> = Vec::new();
        if let Some(target) = keys.get("$ref") {
            nexts.push((self.target(target)?, value));
        }
        nexts.extend(IN_PLACE.iter().filter_map(|key| keys.get(*key)).map(|next| (next, value)));
        nexts.extend(SEVERAL_IN_PLACE.iter().flat_map(|key| several(keys.get(*key))).map(|next| (next, value)));
        nexts.extend(NAMED_IN_PLACE.iter().flat_map(|key| named(keys.get(*key))).map(|(_, next)| (next, value)));
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    let own = keys.get("properties").and_then(|known| known.get(name));
                    let patterns = named(keys.get("patternProperties")).map(|(_, next)| next);
                    let others = OF_MEMBERS.iter().filter_map(|key| keys.get(*key));
                    nexts.extend(own.into_iter().chain(patterns).chain(others).map(|next| (next, member)));
                }
            }
            Value::Array(items) => {
                let schemas: Vec<&Value> = OF_ITEMS.iter().flat_map(|key| several(keys.get(*key))).collect();
                nexts.extend(items.iter().flat_map(|item| schemas.iter().map(move |next| (*next, item))));
            }
            _ => {}
        }
        for (next, value) in nexts {
            total = total.saturating_add(self.of(next, value, depth + 1)?);
            if total > PAIR_COUNT_MAX {
                return Err(format!("these settings would take more than {PAIR_COUNT_MAX} steps"));
            }
        }
        self.known.insert(pair, total);
        Ok(total)
    }

    fn target(&self, reference: &Value) -> Result<&'a Value, String> {
        let reference = reference.as_str().unwrap_or_default();
        let target = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
        target.ok_or_else(|| {
            format!("$ref {reference:?} leads nowhere in it, only references as #/$defs/NAME are followed")
        })
    }
}

/// The schemas of a keyword that takes one or several.
fn several(schemas: Option<&Value>) -> impl Iterator<Item = &Value> {
    let (list, one) = match schemas {
        Some(Value::Array(list)) => (list.as_slice(), None),
        one => (&[][..], one),
    };
    list.iter().chain(one)
}

/// The schemas of a keyword that has one a name.
fn named(schemas: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    schemas.and_then(Value::as_object).into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn schemas_that_double_at_each_step_are_not_followed() {
        let both = |at: usize| json!({"allOf": [{"$ref": format!("#/$defs/{at}")}, {"$ref": format!("#/$defs/{at}")}]});
        let mut steps: Map<String, Value> = (0..60).map(|at| (at.to_string(), both(at + 1))).collect();
        steps.insert("60".into(), json!({"type": "object"}));
        let schema = json!({"$defs": steps, "$ref": "#/$defs/0"});
        assert!(is_bounded(&schema, &json!({})).is_err_and(|why| why.contains("steps")));
    }

    #[test]
    fn schemas_that_multiply_with_every_level_of_the_settings_are_not_followed() {
        let itself = vec![json!({"$ref": "#"}); 1000];
        let schema = json!({"additionalProperties": {"allOf": itself}});
        assert_eq!(is_bounded(&schema, &json!({"a": 1})), Ok(()));
        assert!(is_bounded(&schema, &json!({"a": {"b": {"c": {}}}})).is_err());
    }

    #[test]
    fn a_schema_may_refer_to_itself_for_what_is_further_in_but_not_for_the_same() {
        let tree = json!({"type": "object", "additionalProperties": {"$ref": "#"}});
        assert_eq!(is_bounded(&tree, &json!({"a": {"b": {}}})), Ok(()));
        assert!(is_bounded(&json!({"anyOf": [{"$ref": "#"}, true]}), &json!({})).is_err());
    }

    #[test]
    fn references_lead_nowhere_else() {
        for keyword in [json!({"$ref": "other.json"}), json!({"$ref": "#name"}), json!({"$dynamicRef": "#x"})] {
            assert!(is_bounded(&keyword, &json!({})).is_err(), "{keyword}");
        }
        let nested = json!({"properties": {"a": {"$id": "https://example.com", "type": "number"}}});
        assert!(is_bounded(&nested, &json!({})).is_err());
        let named_so = json!({"properties": {"$id": {"type": "number"}}, "$id": "https://example.com"});
        assert_eq!(is_bounded(&named_so, &json!({"$id": 1})), Ok(()));
    }
}
