//! Which schemas are read: draft 2020-12, as far as a short list of keywords goes. What is on the list can be counted
//! before it is done (`effort`), and leads nowhere outside the schema; what is not makes a schema one that is not read.

use serde_json::{Map, Value};

/// Longest text of a schema, in bytes. Ours: eight times the largest of the built-in ones.
const SCHEMA_BYTES_MAX: usize = 128 << 10;
/// How many schemas may stand in one another. Ours: ten times as many as in those of people.
const NESTING_MAX: usize = 64;
/// How many patterns a schema may have, and how long each may be, in bytes. Ours: what fits a page.
const PATTERN_COUNT_MAX: usize = 32;
const PATTERN_BYTES_MAX: usize = 256;

/// What a keyword has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// No schemas: it is held against the value as it stands.
    Plain,
    /// A schema.
    One,
    /// A list of schemas.
    Several,
    /// Schemas by name.
    Named,
    /// Nothing that settings could break: it is left out.
    Note,
}

/// What a keyword of the list has; `None` for any other.
fn form_of(keyword: &str) -> Option<Form> {
    Some(match keyword {
        "type" | "enum" | "const" | "required" | "dependentRequired" | "$ref" | "minimum" | "maximum"
        | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" | "minLength" | "maxLength" | "pattern"
        | "minItems" | "maxItems" | "uniqueItems" | "minContains" | "maxContains" | "minProperties"
        | "maxProperties" => Form::Plain,
        "additionalProperties" | "propertyNames" | "items" | "contains" | "not" | "if" | "then" | "else" => Form::One,
        "prefixItems" | "allOf" | "anyOf" | "oneOf" => Form::Several,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Form::Named,
        "$schema" | "$comment" | "title" | "description" | "default" | "examples" | "deprecated" | "readOnly"
        | "writeOnly" | "format" | "contentEncoding" | "contentMediaType" => Form::Note,
        // By convention what tools write for themselves.
        _ if keyword.starts_with("x-") => Form::Note,
        _ => return None,
    })
}

/// Reads the text of a schema, without what says nothing of settings.
///
/// # Errors
/// Says what of it is not read, and what would be.
pub(super) fn read(text: &str) -> Result<Value, String> {
    if text.len() > SCHEMA_BYTES_MAX {
        return Err(format!("it has {} bytes, more than {SCHEMA_BYTES_MAX}", text.len()));
    }
    let written: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    Reading { root: &written, pattern_count: 0 }.schema(&written, 0)
}

struct Reading<'a> {
    root: &'a Value,
    pattern_count: usize,
}

impl Reading<'_> {
    fn schema(&mut self, schema: &Value, nesting: usize) -> Result<Value, String> {
        let keywords = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(keywords) if nesting <= NESTING_MAX => keywords,
            Value::Object(_) => return Err(format!("more than {NESTING_MAX} schemas stand in one another")),
            _ => return Err(format!("{schema} stands where a schema must")),
        };
        let mut read = Map::new();
        for (keyword, value) in keywords {
            let form = match form_of(keyword) {
                Some(form) => form,
                // The name of the whole: nothing refers to it, since references by name are not read.
                None if keyword == "$id" && nesting == 0 => Form::Note,
                None => {
                    return Err(format!(
                        "`{keyword}` is not among the keywords of draft 2020-12 that are read: leave it out"
                    ));
                }
            };
            let misformed = || format!("`{keyword}` is not written as in draft 2020-12: {value}");
            let value = match form {
                Form::Note => continue,
                Form::Plain => {
                    self.check(keyword, value)?;
                    value.clone()
                }
                Form::One => self.schema(value, nesting + 1)?,
                Form::Several => {
                    let list = value.as_array().ok_or_else(misformed)?;
                    list.iter().map(|it| self.schema(it, nesting + 1)).collect::<Result<Vec<_>, _>>()?.into()
                }
                Form::Named => {
                    let mut named = Map::new();
                    for (name, it) in value.as_object().ok_or_else(misformed)? {
                        if keyword == "patternProperties" {
                            self.check_pattern(name)?;
                        }
                        named.insert(name.clone(), self.schema(it, nesting + 1)?);
                    }
                    named.into()
                }
            };
            read.insert(keyword.clone(), value);
        }
        Ok(read.into())
    }

    fn check(&mut self, keyword: &str, value: &Value) -> Result<(), String> {
        match (keyword, value) {
            ("$ref", Value::String(reference)) => target(self.root, reference)
                .map(drop)
                .ok_or_else(|| format!("`$ref` {reference:?} leads to no schema within it, as \"#/$defs/NAME\" does")),
            ("pattern", Value::String(pattern)) => self.check_pattern(pattern),
            // Whether the others are well written, the validator says.
            _ => Ok(()),
        }
    }

    fn check_pattern(&mut self, pattern: &str) -> Result<(), String> {
        self.pattern_count += 1;
        if pattern.len() > PATTERN_BYTES_MAX {
            return Err(format!("a pattern has {} bytes, more than {PATTERN_BYTES_MAX}: {pattern}", pattern.len()));
        }
        if self.pattern_count > PATTERN_COUNT_MAX {
            return Err(format!("it has more than {PATTERN_COUNT_MAX} patterns"));
        }
        Ok(())
    }
}

/// The schema within `root` that a reference leads to: only `#` and a JSON pointer, percent-encoded or not, by the
/// way of schemas. What stands in `const` or `default` is none, whatever it looks like.
pub(super) fn target<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let pointer = percent_decoded(reference.strip_prefix('#')?)?;
    let mut steps = pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~"));
    if steps.next() != Some(String::new()) {
        return None;
    }
    let mut schema = root;
    while let Some(keyword) = steps.next() {
        let within = schema.get(&keyword)?;
        schema = match form_of(&keyword)? {
            Form::One => within,
            Form::Several => within.as_array()?.get(steps.next()?.parse::<usize>().ok()?)?,
            Form::Named => within.as_object()?.get(&steps.next()?)?,
            Form::Plain | Form::Note => return None,
        };
    }
    Some(schema)
}

/// The text that a fragment of a URI stands for.
fn percent_decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.extend(hex::decode(code).ok()?);
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The schemas of a keyword with what they are called by, in whatever form it has them.
pub(super) fn schemas_of<'a>(keyword: &str, value: &'a Value) -> Vec<&'a Value> {
    match (form_of(keyword), value) {
        (Some(Form::One), one) => vec![one],
        (Some(Form::Several), Value::Array(list)) => list.iter().collect(),
        (Some(Form::Named), Value::Object(named)) => named.values().collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn refused(schema: &Value) -> String {
        read(&schema.to_string()).unwrap_err()
    }

    #[test]
    fn what_says_nothing_of_settings_is_left_out_and_what_looks_like_a_keyword_in_data_stays() {
        let data = json!({"$id": "https://example.com/x", "$anchor": "a", "$ref": "https://example.com/y", "id": "z"});
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://example.com/mine", "title": "Mine",
            "default": data, "examples": [data], "x-order": 1,
            "properties": {"$id": {"enum": [data], "format": "uri"}, "id": {"const": data, "default": data}},
        });
        let kept = json!({"properties": {"$id": {"enum": [data]}, "id": {"const": data}}});
        assert_eq!(read(&schema.to_string()), Ok(kept));
    }

    #[test]
    fn keywords_that_are_not_on_the_list_are_named() {
        for keyword in [
            "unevaluatedProperties",
            "unevaluatedItems",
            "$anchor",
            "$dynamicRef",
            "$dynamicAnchor",
            "$recursiveRef",
            "id",
            "dependencies",
            "additionalItems",
            "discriminator",
            "minimun",
        ] {
            let within = json!({"anyOf": [{"items": {keyword: {}}}]});
            assert!(refused(&within).starts_with(&format!("`{keyword}` is not among the keywords")), "{keyword}");
        }
        assert!(
            refused(&json!({"properties": {"a": {"$id": "https://example.com"}}})).starts_with("`$id` is not among")
        );
        assert!(refused(&json!({"items": [{}]})).contains("stands where a schema must"));
        assert!(refused(&json!({"properties": []})).contains("not written as in draft 2020-12"));
    }

    #[test]
    fn references_lead_to_schemas_within_and_nowhere_else() {
        let defs = json!({"a b": {"const": {"x": {}}}, "c/d~e%": {}, "f": {"anyOf": [{"items": {}}]}});
        let with = |reference: &str| json!({"$defs": defs, "definitions": {"g": {}}, "default": {}, "$ref": reference});
        for reference in
            ["#", "#/$defs/a%20b", "#/%24defs/a b", "#/$defs/c~1d~0e%25", "#/$defs/f/anyOf/0/items", "#/definitions/g"]
        {
            assert!(read(&with(reference).to_string()).is_ok(), "{reference}");
        }
        for reference in [
            "",
            "#name",
            "other.json",
            "https://example.com/x.json",
            "file:///etc/passwd",
            "#/$defs/none",
            "#/$defs",
            "#/$defs/f/anyOf",
            "#/$defs/f/anyOf/1",
            "#/default",
            "#/$defs/a b/const/x",
            "#/$defs/%zz",
            "#/$defs/%f",
            "#/$defs/%ff",
        ] {
            assert!(refused(&with(reference)).contains("leads to no schema within it"), "{reference}");
        }
    }

    #[test]
    fn text_nesting_and_patterns_have_an_end() {
        assert!(refused(&json!({"title": "x".repeat(SCHEMA_BYTES_MAX)})).contains("bytes"));
        let nested = |count: usize| (0..count).fold(json!({}), |schema, _| json!({"not": schema}));
        assert!(read(&nested(NESTING_MAX).to_string()).is_ok());
        assert!(refused(&nested(NESTING_MAX + 1)).contains("stand in one another"));
        let patterns =
            |count: usize| -> Map<String, Value> { (0..count).map(|at| (format!("{at}"), json!({}))).collect() };
        let many = |count: usize| json!({"patternProperties": patterns(count - 1), "pattern": "x"});
        assert!(read(&many(PATTERN_COUNT_MAX).to_string()).is_ok());
        assert!(refused(&many(PATTERN_COUNT_MAX + 1)).contains("patterns"));
        assert!(refused(&json!({"pattern": "x".repeat(PATTERN_BYTES_MAX + 1)})).contains("a pattern has 257 bytes"));
    }
}
