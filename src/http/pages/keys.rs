//! What a ranker can be told, as the schema that it gives of its settings says.

use maud::{Markup, html};
use serde_json::{Map, Value};

use super::tables::wide;
use crate::policy::{Setting, settings_examples, settings_listed};

/// Every key that the ranker knows, and examples to take from.
pub(super) fn all(schema: Option<&Value>) -> Markup {
    let settings = schema.map(settings_listed).unwrap_or_default();
    let examples = schema.and_then(|schema| as_typed(settings_examples(schema)));
    html! {
        @if settings.is_empty() { p .soft { "It declares no settings; its author says what it takes." } } @else {
            details data-key="keys" {
                summary { "What can be set" }
                (wide("What can be set", html! { table .keys {
                    thead { tr { th { "Key" } th { "May be" } th { "Without it" } th { "What it does" } } }
                    tbody { @for Setting { key, kind, default, what } in &settings {
                        tr { td { code { (key) } } td { (kind) } td { code { (default) } } td { (what) } }
                    } }
                } }))
                @if let Some(examples) = examples { p { strong { "Examples" } } pre { code { (examples.trim_end()) } } }
            }
        }
    }
}

/// Settings to begin with, as they are typed: one entry of the list of which the ranker gives the most examples.
pub(super) fn first(schema: &Value) -> Option<String> {
    let lists = settings_examples(schema).into_iter().filter_map(|(key, example)| match example {
        Value::Array(entries) => Some((key, entries)),
        _ => None,
    });
    let (key, entries) = lists.max_by_key(|(_, entries)| entries.len())?;
    as_typed(Map::from_iter([(key, vec![entries.into_iter().next()?].into())]))
}

fn as_typed(settings: Map<String, Value>) -> Option<String> {
    toml::to_string(&settings).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::pages::playground::read_settings;

    #[test]
    fn what_the_table_of_rules_gives_as_examples_can_be_typed_as_it_is_shown() {
        let schema = serde_json::from_str(include_str!("../../../policies/rules/src/settings.schema.json")).unwrap();
        let first = first(&schema).unwrap();
        assert!(first.starts_with("[[rules]]\nfield = \"label\"\nop = \"is\""), "{first}");
        assert_eq!(read_settings(&first).unwrap()["rules"][0]["weight"], 10);
        let all = as_typed(settings_examples(&schema)).unwrap();
        assert_eq!(Value::Object(read_settings(&all).unwrap()), Value::Object(settings_examples(&schema)));
    }

    #[test]
    fn a_ranker_without_a_schema_or_without_examples_has_none_and_what_one_says_is_text() {
        assert!(all(None).into_string().contains("declares no settings"));
        let plain = json!({ "properties": { "<b>": { "description": "<script>", "default": "<i>" } } });
        assert_eq!(first(&plain), None);
        let told = all(Some(&plain)).into_string();
        assert!(
            told.contains("&lt;script&gt;")
                && !told.contains("<script")
                && !told.contains("<b>")
                && !told.contains("<i>"),
            "{told}"
        );
        assert!(!told.contains("Examples"), "{told}");
    }
}
