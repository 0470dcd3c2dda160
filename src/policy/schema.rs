//! Whether settings fit the JSON Schema that a policy gives of them: the one answer for every load and for
//! `policy check`. Only this module names jsonschema.
//!
//! A schema is a guest's word as any other: it is read within bounds (`effort`), and looks nothing up outside itself.

mod effort;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value};

use super::output::line;

/// Most misfits that are told at once.
const MISFIT_COUNT_MAX: usize = 5;
/// Most alternatives that are told of one place.
const ALTERNATIVE_COUNT_MAX: usize = 6;
/// Longest part of a misfit, in bytes: it quotes settings and schema.
const TEXT_BYTES_MAX: usize = 300;
/// What says nothing about settings, beside that they are an object.
const SAYS_NOTHING: [&str; 7] = ["$schema", "$id", "$comment", "title", "description", "default", "examples"];

/// What a schema says of settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Held {
    /// They are as they must be.
    Fit,
    /// Nothing: it allows whatever is an object.
    Undeclared,
    /// Nothing that can be used, and why.
    Unusable(String),
    /// What does not fit.
    Misfit(Misfit),
}

/// How settings do not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Each key with what was expected, in one line.
    pub(crate) told: String,
    /// The keys of the first level that the schema does not know.
    pub(crate) unknown: Vec<String>,
}

/// Holds settings to a schema, as the policy gave its text.
pub(crate) fn hold(text: &str, settings: &Map<String, Value>) -> Held {
    let schema: Value = match serde_json::from_str(text) {
        Ok(schema) => schema,
        Err(error) => return Held::Unusable(format!("what `settings-schema` returns is no JSON: {error}")),
    };
    if says_nothing(&schema) {
        return Held::Undeclared;
    }
    let settings = Value::Object(settings.clone());
    if let Err(why) = effort::is_bounded(&schema, &settings) {
        return Held::Unusable(format!("what `settings-schema` returns is not read: {why}"));
    }
    let validator = match jsonschema::validator_for(&schema) {
        Ok(validator) => validator,
        Err(error) => {
            let error = line(&error.to_string(), TEXT_BYTES_MAX);
            return Held::Unusable(format!(
                "what `settings-schema` returns is no JSON Schema that can be used: {error}"
            ));
        }
    };
    let (mut told, mut unknown, mut more) = (Vec::new(), Vec::new(), 0);
    for error in validator.iter_errors(&settings) {
        if let (ValidationErrorKind::AdditionalProperties { unexpected }, "") =
            (error.kind(), error.instance_path().as_str())
        {
            unknown.extend(unexpected.iter().cloned());
        }
        if told.len() < MISFIT_COUNT_MAX { told.push(misfit(&schema, &error)) } else { more += 1 }
    }
    if told.is_empty() {
        return Held::Fit;
    }
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    Held::Misfit(Misfit { told: told.join("; "), unknown })
}

fn says_nothing(schema: &Value) -> bool {
    match schema {
        Value::Bool(any) => *any,
        Value::Object(keys) => {
            keys.iter().all(|(key, value)| SAYS_NOTHING.contains(&key.as_str()) || (key == "type" && value == "object"))
        }
        _ => false,
    }
}

/// One place with what was expected there.
fn misfit(schema: &Value, error: &ValidationError<'_>) -> String {
    let place = place(error.instance_path().as_str());
    let told = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            let keys: Vec<String> = unexpected.iter().map(|key| format!("`{place}.{key}`")).collect();
            let verb = if keys.len() == 1 { "is no key" } else { "are no keys" };
            format!("{} {verb} that it knows{}", keys.join(", "), known_keys(schema, error))
        }
        ValidationErrorKind::Required { property } => {
            format!("`{place}.{}` is missing", property.as_str().unwrap_or_default())
        }
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            let firsts = context.iter().filter_map(|alternative| alternative.first());
            let told: Vec<String> = firsts.take(ALTERNATIVE_COUNT_MAX).map(|first| within(&place, first)).collect();
            format!("`{place}` is none of what it may be: {}", told.join(", or "))
        }
        _ => format!("`{place}`: {error}"),
    };
    line(&told, TEXT_BYTES_MAX)
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
    fn told(schema: &Value, settings: Value) -> String {
        match held(schema, settings) {
            Held::Misfit(misfit) => misfit.told,
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
            told(&schema, json!({"labels": {}, "rules": [1]})),
            "`settings.rules` is no key that it knows (it knows labels, wait)"
        );
        assert_eq!(told(&schema, json!({})), "`settings.labels` is missing");
        assert_eq!(
            told(&schema, json!({"labels": {"a/b": "x"}})),
            "`settings.labels.a/b`: \"x\" is not of type \"number\""
        );
        let text = told(&schema, json!({"labels": {}, "wait": 0}));
        assert_eq!(
            text,
            "`settings.wait` is none of what it may be: 0 is less than the minimum of 1, or \"never\" was expected"
        );
    }

    #[test]
    fn unknown_keys_of_the_first_level_are_listed_for_who_put_them_there() {
        let closed = json!({"additionalProperties": false, "properties": {"deep": {"additionalProperties": false}}});
        let Held::Misfit(misfit) = held(&closed, json!({"allow": [], "deep": {"x": 1}})) else { panic!() };
        assert_eq!(misfit.unknown, ["allow"]);
    }

    #[test]
    fn many_misfits_and_long_values_are_cut() {
        let schema = json!({"additionalProperties": {"type": "number"}});
        let settings: Map<_, _> = (0..20).map(|at| (format!("k{at:02}"), "x".repeat(10_000).into())).collect();
        let text = told(&schema, settings.into());
        assert!(text.len() < 2000 && text.ends_with("; and 15 more"), "{} bytes: {text}", text.len());
    }

    #[test]
    fn a_schema_that_allows_anything_declares_nothing() {
        for schema in [json!({}), json!(true), json!({"type": "object", "title": "any", "$schema": "x"})] {
            assert_eq!(held(&schema, json!({"a": 1})), Held::Undeclared, "{schema}");
        }
        assert_ne!(held(&json!({"type": "array"}), json!({})), Held::Undeclared);
    }

    #[test]
    fn what_is_no_json_schema_is_told_so() {
        let why = |text: &str| match hold(text, &Map::new()) {
            Held::Unusable(why) => why,
            other => panic!("{other:?}"),
        };
        assert!(why("{").contains("no JSON:"));
        assert!(why(r#"{"type":"objekt"}"#).contains("no JSON Schema"));
        assert!(why(r#"{"$ref":"https://example.com/x.json"}"#).contains("#/$defs/NAME"));
        assert!(why(r#"{"$ref":"file:///etc/passwd"}"#).contains("#/$defs/NAME"));
    }
}
