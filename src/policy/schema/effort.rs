//! How much work it is to hold settings to a schema, counted before anybody does it: a few lines of schema that refer
//! to each other can ask for more than a lifetime.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::dialect::{schemas_of, target};

/// Most schemas there may be with every reference written out. Ours: of the table of rules there are 149.
const WRITTEN_OUT_COUNT_MAX: u64 = 20_000;
/// How long a chain of references may be, with what stands between them.
const CHAIN_MAX: usize = 256;
/// Most steps of holding these settings to it. Ours: of a table of a thousand rules there are some hundred thousand.
const STEP_COUNT_MAX: u64 = 1_000_000;
/// How far schemas may lead into one another for one value and what is in it.
const DEPTH_MAX: usize = 128;
/// Steps for each byte of a text that a pattern is held against: it may have thousands of states.
const STEPS_PER_MATCHED_BYTE: u64 = 16;
/// Bytes of any other text for a step.
const BYTES_PER_STEP: usize = 64;

/// Whether the work has an end in sight: that of taking the schema in, and that of holding the settings to it.
///
/// # Errors
/// Says what there is too much of.
pub(super) fn is_bounded(schema: &Value, settings: &Value) -> Result<(), String> {
    if written_out(schema, schema, &mut HashMap::new(), 0) > WRITTEN_OUT_COUNT_MAX {
        return Err(format!("with its references written out it has more than {WRITTEN_OUT_COUNT_MAX} schemas"));
    }
    Effort { root: schema, known: HashMap::new() }.of(schema, Subject::Value(settings), 0).map(drop)
}

/// How many schemas there are in `schema` with every reference written out, once in itself. One at the end of a long
/// chain counts as too many.
fn written_out(root: &Value, schema: &Value, known: &mut HashMap<*const Value, u64>, depth: usize) -> u64 {
    let Value::Object(keywords) = schema else { return 1 };
    if depth > CHAIN_MAX {
        return u64::MAX;
    }
    if let Some(known) = known.get(&std::ptr::from_ref(schema)) {
        return *known;
    }
    // Until it is counted it counts as one, for those that lead back to it.
    known.insert(schema, 1);
    let mut count: u64 = 1;
    for (keyword, value) in keywords {
        let referred = value.as_str().filter(|_| keyword == "$ref").and_then(|reference| target(root, reference));
        for next in schemas_of(keyword, value).into_iter().chain(referred) {
            count = count.saturating_add(written_out(root, next, known, depth + 1));
        }
    }
    known.insert(schema, count);
    count
}

/// What a schema is held against.
#[derive(Debug, Clone, Copy)]
enum Subject<'a> {
    Value(&'a Value),
    /// The name of a key.
    Name(&'a str),
}

impl<'a> Subject<'a> {
    fn place(self) -> *const u8 {
        match self {
            Self::Value(value) => std::ptr::from_ref(value).cast(),
            Self::Name(name) => name.as_ptr(),
        }
    }

    fn text(self) -> Option<&'a str> {
        match self {
            Self::Value(value) => value.as_str(),
            Self::Name(name) => Some(name),
        }
    }

    fn members(self) -> impl Iterator<Item = (&'a String, Self)> {
        let members = if let Self::Value(Value::Object(members)) = self { Some(members) } else { None };
        members.into_iter().flatten().map(|(name, value)| (name, Self::Value(value)))
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let items = if let Self::Value(Value::Array(items)) = self { Some(items) } else { None };
        items.into_iter().flatten().map(Self::Value)
    }
}

/// Steps that a pair takes.
#[derive(Debug, Clone, Copy)]
struct Steps {
    /// To find whether it fits.
    tried: u64,
    /// To find all that does not.
    listed: u64,
}

struct Effort<'a> {
    root: &'a Value,
    /// What pairs take that were counted, by where they are.
    known: HashMap<(*const Value, *const u8), Steps>,
}

impl<'a> Effort<'a> {
    fn of(&mut self, schema: &'a Value, subject: Subject<'a>, depth: usize) -> Result<Steps, String> {
        let Value::Object(keywords) = schema else { return Ok(Steps { tried: 1, listed: 1 }) };
        if depth > DEPTH_MAX {
            return Err("it leads from one schema to the next without end".into());
        }
        let pair = (std::ptr::from_ref(schema), subject.place());
        if let Some(known) = self.known.get(&pair) {
            return Ok(*known);
        }
        let mut steps = Steps { tried: 1, listed: 1 };
        for (keyword, value) in keywords {
            let own = self.own(keyword, value, subject);
            // What only may fit is tried before anybody lists what is wrong with it, and tried again for `oneOf`.
            let times_tried =
                if matches!(keyword.as_str(), "anyOf" | "oneOf" | "not" | "if" | "contains") { 2 } else { 0 };
            steps.tried = steps.tried.saturating_add(own);
            steps.listed = steps.listed.saturating_add(own);
            for (next, subject) in self.nexts(keyword, value, subject) {
                let within = self.of(next, subject, depth + 1)?;
                steps.tried = steps.tried.saturating_add(within.tried);
                steps.listed = steps.listed.saturating_add(within.listed).saturating_add(times_tried * within.tried);
                if steps.listed > STEP_COUNT_MAX {
                    return Err(too_many());
                }
            }
        }
        if steps.listed > STEP_COUNT_MAX || self.known.len() as u64 > STEP_COUNT_MAX {
            return Err(too_many());
        }
        self.known.insert(pair, steps);
        Ok(steps)
    }

    /// The steps that a keyword takes by itself.
    fn own(&self, keyword: &str, value: &Value, subject: Subject<'_>) -> u64 {
        let matched = |text: &str| STEPS_PER_MATCHED_BYTE * (1 + text.len() as u64);
        let text = subject.text().map_or(0, |text| text.len() / BYTES_PER_STEP) as u64;
        match (keyword, value, subject) {
            ("pattern", ..) => subject.text().map_or(1, matched),
            ("patternProperties", Value::Object(patterns), _) => {
                subject.members().map(|(name, _)| patterns.len() as u64 * matched(name)).sum()
            }
            ("uniqueItems", _, Subject::Value(items)) => leaf_count(items).saturating_mul(2),
            ("enum" | "const" | "required" | "dependentRequired", ..) => text.saturating_add(leaf_count(value)),
            ("properties", Value::Object(known), _) => known.len() as u64,
            _ => 1 + text,
        }
    }

    /// What a keyword leads to.
    fn nexts(&self, keyword: &str, value: &'a Value, subject: Subject<'a>) -> Vec<(&'a Value, Subject<'a>)> {
        let schemas = schemas_of(keyword, value);
        let of_each = |subjects: Vec<Subject<'a>>| {
            let of_one = |subject: Subject<'a>| schemas.iter().map(move |schema| (*schema, subject));
            subjects.into_iter().flat_map(of_one).collect::<Vec<_>>()
        };
        match keyword {
            "$ref" => {
                let target = value.as_str().and_then(|reference| target(self.root, reference));
                target.into_iter().map(|target| (target, subject)).collect()
            }
            "$defs" | "definitions" => Vec::new(),
            "properties" => {
                let known = |name: &String| value.as_object().and_then(|known: &Map<_, _>| known.get(name));
                subject.members().filter_map(|(name, member)| Some((known(name)?, member))).collect()
            }
            "patternProperties" | "additionalProperties" => {
                of_each(subject.members().map(|(_, member)| member).collect())
            }
            "propertyNames" => of_each(subject.members().map(|(name, _)| Subject::Name(name)).collect()),
            "items" | "contains" => of_each(subject.items().collect()),
            "prefixItems" => schemas.into_iter().zip(subject.items()).collect(),
            _ => of_each(vec![subject]),
        }
    }
}

fn too_many() -> String {
    format!("with these settings it would take more than {STEP_COUNT_MAX} steps")
}

/// Everything in a value that is compared by itself.
fn leaf_count(value: &Value) -> u64 {
    1 + match value {
        Value::String(text) => (text.len() / BYTES_PER_STEP) as u64,
        Value::Array(items) => items.iter().map(leaf_count).sum(),
        Value::Object(members) => members.values().map(leaf_count).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schemas_that_double_at_each_step_are_not_followed() {
        let both = |at: usize| json!({"allOf": [{"$ref": format!("#/$defs/{at}")}, {"$ref": format!("#/$defs/{at}")}]});
        let mut steps: Map<String, Value> = (0..60).map(|at| (at.to_string(), both(at + 1))).collect();
        steps.insert("60".into(), json!({"type": "object"}));
        let schema = json!({"$defs": steps, "properties": {"never": {"$ref": "#/$defs/0"}}});
        assert!(is_bounded(&schema, &json!({})).is_err_and(|why| why.contains("written out")), "nobody set it");
        let chain: Map<String, Value> =
            (0..2000).map(|at| (at.to_string(), json!({"$ref": format!("#/$defs/{}", (at + 1) % 2000)}))).collect();
        assert!(is_bounded(&json!({"$defs": chain}), &json!({})).is_err());
    }

    #[test]
    fn schemas_that_multiply_with_every_level_of_the_settings_are_not_followed() {
        let itself = vec![json!({"$ref": "#"}); 1000];
        let schema = json!({"additionalProperties": {"allOf": itself}});
        assert_eq!(is_bounded(&schema, &json!({"a": 1})), Ok(()));
        assert!(is_bounded(&schema, &json!({"a": {"b": {"c": {}}}})).is_err_and(|why| why.contains("steps")));
    }

    #[test]
    fn alternatives_within_alternatives_count_for_each_time_that_they_are_tried() {
        let nested = |depth: usize| (0..depth).fold(json!({"const": 1}), |schema, _| json!({"anyOf": [schema]}));
        let steps = |depth: usize| {
            let (schema, value) = (nested(depth), json!(1));
            Effort { root: &schema, known: HashMap::new() }.of(&schema, Subject::Value(&value), 0).map(|it| it.listed)
        };
        let (some, more) = (steps(20).unwrap_or(0), steps(40).unwrap_or(0));
        assert!(more > 3 * some && more < 5 * some, "{some} and {more}: it grows with the square");
    }

    #[test]
    fn long_texts_long_lists_and_patterns_count_by_their_length() {
        let text = json!({"a": "x".repeat(STEP_COUNT_MAX as usize / 16)});
        assert!(is_bounded(&json!({"additionalProperties": {"pattern": "^x*$"}}), &text).is_err());
        assert_eq!(is_bounded(&json!({"additionalProperties": {"maxLength": 3}}), &text), Ok(()));
        let names = json!({"x".repeat(STEP_COUNT_MAX as usize / 16): 1});
        assert!(is_bounded(&json!({"propertyNames": {"pattern": "^x*$"}}), &names).is_err());
        assert!(is_bounded(&json!({"patternProperties": {"^x*$": {}}}), &names).is_err());
        let one_of_many = json!({"additionalProperties": {"items": {"enum": vec![0; 1001]}}});
        assert!(is_bounded(&one_of_many, &json!({"a": vec![1; 1000]})).is_err());
    }

    #[test]
    fn a_schema_may_refer_to_itself_for_what_is_further_in_but_not_for_the_same() {
        let tree = json!({"type": "object", "additionalProperties": {"$ref": "#"}});
        assert_eq!(is_bounded(&tree, &json!({"a": {"b": {}}})), Ok(()));
        assert!(is_bounded(&json!({"anyOf": [{"$ref": "#"}, true]}), &json!({})).is_err());
    }
}
