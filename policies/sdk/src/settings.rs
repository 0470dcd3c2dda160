//! Settings: JSON text in, a policy's own type out, or a message that names the key.

use serde::de::DeserializeOwned;

/// The JSON Schema that any object fits.
pub(crate) const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// Reads settings.
///
/// # Errors
/// Where they do not fit: the key first, then what was found and what is allowed.
pub fn parse<S: DeserializeOwned>(text: &str) -> Result<S, String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        // The host wrote the JSON, on one line, from a TOML table: a line and column help nobody.
        let message = error.inner().to_string();
        let what = message.split(" at line ").next().unwrap_or(&message);
        if path == "." { what.to_owned() } else { format!("{path}: {what}") }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Settings {
        rules: Vec<Rule>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Rule {
        #[allow(dead_code)]
        weight: f64,
    }

    #[test]
    fn a_wrong_value_is_refused_by_its_key() {
        let error = parse::<Settings>(r#"{"rules":[{"weight":1},{"weight":"much"}]}"#).unwrap_err();
        assert_eq!(error, "rules[1].weight: invalid type: string \"much\", expected f64");
        let error = parse::<Settings>(r#"{"rules":[{}]}"#).unwrap_err();
        assert_eq!(error, "rules[0]: missing field `weight`");
    }

    #[test]
    fn a_misspelt_key_is_refused_with_those_that_are_known() {
        let error = parse::<Settings>(r#"{"ruels":[]}"#).unwrap_err();
        assert!(error.contains("unknown field `ruels`, expected `rules`"), "{error}");
        assert_eq!(parse::<Settings>("{}").unwrap().rules.len(), 0);
    }
}
