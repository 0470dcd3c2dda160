//! Whether settings fit the JSON Schema that a policy gives of them: the one answer for every load and for
//! `policy check`. Only this module names jsonschema.
//!
//! A schema is a guest's word as any other. Only what can be counted is read of it (`dialect`), it is counted first
//! (`effort`), and nothing is looked up outside it.

mod dialect;
mod effort;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::{Map, Value};

use super::output::line;

/// Most misfits that are told at once.
const MISFIT_COUNT_MAX: usize = 5;
/// Most alternatives that are told of one place.
const ALTERNATIVE_COUNT_MAX: usize = 6;
/// Longest part of a misfit, or of why a schema is not used, in bytes: it quotes settings and schema.
const TEXT_BYTES_MAX: usize = 300;
/// Largest compiled pattern, in bytes. Ours: room for a class such as `\p{L}` a few times, not a hundred times.
const PATTERN_COMPILED_BYTES_MAX: usize = 128 << 10;

/// What a schema says of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// They are as they must be.
    Fit,
    /// Nothing: it allows whatever is an object.
    Undeclared,
    /// Nothing that can be used, and why.
    Unusable(String),
    /// What does not fit: each key with what was expected, in one line.
    Misfit(String),
}

impl Held {
    /// A schema that cannot be used. `why` may quote it, or the policy's own words.
    pub(crate) fn unusable(why: &str) -> Self {
        Self::Unusable(format!(
            "the schema that it gives of them cannot be used: {} (`settings-schema` in the WIT package lists what can)",
            line(why, TEXT_BYTES_MAX)
        ))
    }
}

/// Holds settings to a schema, as the policy gave its text.
pub(crate) fn hold(text: &str, settings: &Map<String, Value>) -> Held {
    let schema = match dialect::read(text) {
        Ok(schema) => schema,
        Err(why) => return Held::unusable(&why),
    };
    if says_nothing(&schema) {
        return Held::Undeclared;
    }
    let settings = Value::Object(settings.clone());
    if let Err(why) = effort::is_bounded(&schema, &settings) {
        return Held::unusable(&why);
    }
    let patterns =
        PatternOptions::regex().size_limit(PATTERN_COMPILED_BYTES_MAX).dfa_size_limit(PATTERN_COMPILED_BYTES_MAX);
    let options = jsonschema::options().with_draft(Draft::Draft202012).with_pattern_options(patterns);
    let validator = match options.offline().build(&schema) {
        Ok(validator) => validator,
        Err(error) => return Held::unusable(&format!("it is no JSON Schema: {error}")),
    };
    let (mut misfits, mut more) = (Vec::new(), 0);
    for error in validator.iter_errors(&settings) {
        if misfits.len() < MISFIT_COUNT_MAX { misfits.push(misfit(&schema, &error)) } else { more += 1 }
    }
    if misfits.is_empty() {
        return Held::Fit;
    }
    if more > 0 {
        misfits.push(format!("and {more} more"));
    }
    Held::Misfit(misfits.join("; "))
}

fn says_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(any) => *any,
        Value::Object(keys) => keys.iter().all(|(key, value)| {
            matches!(key.as_str(), "$defs" | "definitions") || (key == "type" && value == "object")
        }),
        _ => false,
    }
}

/// One place with what was expected there.
fn misfit(schema: &Value, error: &ValidationError<'_>) -> String {
    let place = place(error.instance_path().as_str());
    let text = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let keys: Vec<String> = unexpected.iter().map(|key| format!("`{place}.{key}`")).collect();
            let verb = if keys.len() == 1 { "is no key" } else { "are no keys" };
            format!("{} {verb} that it knows{}", keys.join(", "), known_keys(schema, error))
        }
        ValidationErrorKind::Required { property } => {
            format!("`{place}.{}` is missing", property.as_str().unwrap_or_default())
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let firsts = context.iter().filter_map(|alternative| alternative.first());
            let texts: Vec<String> = firsts.take(ALTERNATIVE_COUNT_MAX).map(|first| within(&place, first)).collect();
            format!("`{place}` is none of what it may be: {}", texts.join(", or "))
        }
        _ => format!("`{place}`: {error}"),
    };
    line(&text, TEXT_BYTES_MAX)
}

/// What is wrong with one of several alternatives, which may be about a place further in.
fn within(place_of_all: &str, error: &ValidationError<'_>) -> String {
    let own = place(error.instance_path().as_str());
    if own == place_of_all { error.to_string() } else { format!("`{own}`: {error}") }
}

/// The keys that a schema knows where it refused others, if they are found.
fn known_keys(schema: &Value, error: &ValidationError<'_>) -> String {
    let path = error.schema_path().as_str();
    let object = path.rsplit_once('/').and_then(|(object, _)| schema.pointer(object));
    let Some(object) = object.filter(|it| it.is_object()) else { return String::new() };
    let keys: Vec<&str> = object["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    if keys.is_empty() { " (it knows none)".into() } else { format!(" (it knows {})", keys.join(", ")) }
}

/// A JSON pointer as a dotted path, as the settings are written in TOML.
fn place(pointer: &str) -> String {
    let parts = pointer.split('/').map(|part| part.replace("~1", "/").replace("~0", "~"));
    ["settings".to_owned()].into_iter().chain(parts.skip(1)).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn held(schema: &Value, settings: Value) -> Held {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        hold(&schema.to_string(), &settings)
    }

    #[track_caller]
    fn misfit_of(schema: &Value, settings: Value) -> String {
        match held(schema, settings) {
            Held::Misfit(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_misfit_names_the_key_and_what_was_expected() {
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["labels"], "properties": {
            "labels": {"type": "object", "additionalProperties": {"type": "number"}},
            "wait": {"anyOf": [{"type": "number", "minimum": 1}, {"const": "never"}]},
        }});
        assert_eq!(held(&schema, json!({"labels": {"bug": 2}, "wait": "never"})), Held::Fit);
        assert_eq!(
            misfit_of(&schema, json!({"labels": {}, "rules": [1]})),
            "`settings.rules` is no key that it knows (it knows labels, wait)"
        );
        assert_eq!(misfit_of(&schema, json!({})), "`settings.labels` is missing");
        assert_eq!(
            misfit_of(&schema, json!({"labels": {"a/b": "x"}})),
            "`settings.labels.a/b`: \"x\" is not of type \"number\""
        );
        let text = misfit_of(&schema, json!({"labels": {}, "wait": 0}));
        assert_eq!(
            text,
            "`settings.wait` is none of what it may be: 0 is less than the minimum of 1, or \"never\" was expected"
        );
    }

    #[test]
    fn many_misfits_and_long_values_are_cut() {
        let schema = json!({"additionalProperties": {"type": "number"}});
        let settings: Map<_, _> = (0..20).map(|at| (format!("k{at:02}"), "x".repeat(10_000).into())).collect();
        let text = misfit_of(&schema, settings.into());
        assert!(text.len() < 2000 && text.ends_with("; and 15 more"), "{} bytes: {text}", text.len());
    }

    #[test]
    fn a_schema_that_allows_anything_declares_nothing() {
        for schema in [json!({}), json!(true), json!({"type": "object", "title": "any", "$schema": "x"})] {
            assert_eq!(held(&schema, json!({"a": 1})), Held::Undeclared, "{schema}");
        }
        assert_ne!(held(&json!({"type": "array"}), json!({})), Held::Undeclared);
    }

    #[track_caller]
    fn unusable(text: &str, settings: Value) -> String {
        let Value::Object(settings) = settings else { panic!("settings are an object") };
        match hold(text, &settings) {
            Held::Unusable(why) => why,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_json_schema_is_told_so() {
        let why = |text: &str| unusable(text, json!({}));
        assert!(why("{").contains("no JSON:"));
        assert!(why(r#"{"type":"objekt"}"#).contains("no JSON Schema"));
        assert!(why(r#"{"pattern":"(?=x)"}"#).contains("no JSON Schema"));
        assert!(why(r#"{"$ref":"https://example.com/x.json"}"#).contains("#/$defs/NAME"));
        assert!(why(r#"{"$ref":"file:///etc/passwd"}"#).contains("#/$defs/NAME"));
    }

    #[test]
    fn why_a_schema_is_not_used_is_cut() {
        let long = "x".repeat(60_000);
        for schema in
            [json!({"$ref": long}), json!({long.as_str(): 1}), json!({"pattern": long}), json!({"type": long})]
        {
            let why = unusable(&schema.to_string(), json!({}));
            assert!(why.len() < 2 * TEXT_BYTES_MAX, "{} bytes: {why}", why.len());
        }
    }

    #[test]
    fn patterns_that_are_large_when_compiled_are_not_used() {
        let letters =
            |count: usize| json!({"patternProperties": {format!("^\\p{{L}}{{{count}}}$"): {"type": "number"}}});
        assert_eq!(held(&letters(2), json!({"äö": 1})), Held::Fit);
        assert!(misfit_of(&letters(2), json!({"äö": "x"})).contains("`settings.äö`"));
        assert!(unusable(&letters(100).to_string(), json!({"äö": 1})).contains("no JSON Schema"));
        let many: Map<String, Value> = (0..150).map(|at| (format!("\\p{{L}}{{100}}{at}"), json!({}))).collect();
        assert!(unusable(&json!({"patternProperties": many}).to_string(), json!({})).contains("more than 32 patterns"));
    }

    #[test]
    fn schemas_that_compile_or_validate_without_end_are_not_taken_in() {
        let doubling = |keyword: &str, last: Value| {
            let both =
                |at: usize| json!({"allOf": [{"$ref": format!("#/$defs/{at}")}, {"$ref": format!("#/$defs/{at}")}]});
            let mut steps: Map<String, Value> = (0..10).map(|at| (at.to_string(), both(at + 1))).collect();
            steps.insert("10".into(), last);
            json!({"$defs": steps, "$ref": "#/$defs/0", keyword: false}).to_string()
        };
        let why = unusable(&doubling("unevaluatedProperties", json!({"properties": {"a": {}}})), json!({"a": 1}));
        assert!(why.contains("`unevaluatedProperties` is not among the keywords"), "{why}");
        let old = json!({
            "$schema": "http://json-schema.org/draft-04/schema#", "id": "https://example.com/a",
            "properties": {"a": {"id": "https://example.com/b", "$ref": "#/definitions/b"}},
        });
        assert!(unusable(&old.to_string(), json!({"a": 1})).contains("`id` is not among the keywords"));
        // Within the bounds it is the library that answers.
        let Value::Object(settings) = json!({"a": 1}) else { unreachable!() };
        let Held::Misfit(text) = hold(&doubling("additionalProperties", json!({"required": ["b"]})), &settings) else {
            panic!("it is taken in");
        };
        assert!(text.contains("`settings.b` is missing; "), "{text}");
    }

    #[test]
    fn the_deepest_that_is_taken_in_is_held_on_the_stack_of_a_thread() {
        let nested = |inner: Value, count: usize| (0..count).fold(inner, |value, _| json!({"a": value}));
        let tree = json!({"additionalProperties": {"anyOf": [{"$ref": "#"}]}, "maxProperties": 1});
        assert_eq!(held(&tree, nested(json!({}), 40)), Held::Fit);
        assert!(
            misfit_of(&tree, nested(json!({"b": 1, "c": 2}), 40)).starts_with("`settings.a` is none of what it may be")
        );
        assert!(unusable(&tree.to_string(), nested(json!({}), 60)).contains("without end"));
        let alternatives = (0..60).fold(json!({"required": ["b"]}), |schema, _| json!({"anyOf": [schema]}));
        assert!(misfit_of(&alternatives, json!({})).starts_with("`settings` is none of what it may be"));
    }

    #[test]
    fn sound_schemas_are_used_whatever_their_data_and_names_look_like() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "additionalProperties": false,
            "properties": {
                "$id": {"$ref": "#/$defs/a%20name%25"},
                "mode": {"enum": [{"$id": "https://example.com/x", "$anchor": "a"}, {"$ref": "https://example.com/y"}]},
                "fixed": {"const": {"$id": "https://example.com/z", "$schema": "https://example.com/none"}},
                "old": {"$ref": "#/definitions/old", "default": {"$anchor": "b"}, "examples": [{"$id": 7}]},
            },
            "$defs": {"a name%": {"type": "number"}},
            "definitions": {"old": {"type": "boolean"}},
        });
        let fitting = json!({
            "$id": 1, "mode": {"$ref": "https://example.com/y"}, "old": true,
            "fixed": {"$id": "https://example.com/z", "$schema": "https://example.com/none"},
        });
        assert_eq!(held(&schema, fitting), Held::Fit);
        let text =
            misfit_of(&schema, json!({"$id": "x", "mode": {"$id": "https://example.com/x"}, "fixed": {}, "old": 1}));
        for key in ["$id", "mode", "fixed", "old"] {
            assert!(text.contains(&format!("`settings.{key}`: ")), "{key}: {text}");
        }
    }

    #[test]
    fn a_long_table_of_rules_is_held_to_the_schema_of_the_table() {
        let schema: Value =
            serde_json::from_str(include_str!("../../policies/rules/src/settings.schema.json")).unwrap();
        let rule = json!({"field": "label", "op": "is", "value": "bug", "weight": 1, "when": "comments < 5"});
        let mut rules = vec![rule; schema["properties"]["rules"]["maxItems"].as_u64().unwrap() as usize];
        let last = rules.len() - 1;
        rules[last]["weight"] = json!("heavy");
        assert!(misfit_of(&schema, json!({"rules": rules})).contains(&format!("settings.rules.{last}")));
    }
}
