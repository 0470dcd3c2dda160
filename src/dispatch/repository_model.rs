//! Which model a repository asks for: one word of its own agent configuration, read as data.

use jsonc_parser::{JsonValue, ParseOptions};

use super::git::{GitError, Mirror, Sha};

/// Most bytes of a configuration that is read.
const CONFIG_BYTES_MAX: u64 = 256 * 1024;
/// Longest name of a model: ours, twice the longest that is known.
const MODEL_BYTES_MAX: usize = 128;

/// Where each agent's configuration lies in a repository, and how the model is called there.
const PLACES: [(&str, &str, &str); 6] = [
    ("opencode", "opencode.json", "model"),
    ("opencode", "opencode.jsonc", "model"),
    ("opencode", ".opencode/opencode.json", "model"),
    ("claude", ".claude/settings.json", "model"),
    ("pi", ".pi/settings.json", "defaultModel"),
    ("codex", ".codex/config.toml", "model"),
];

/// The model that the repository names for `agent` at commit `at`, if it does.
///
/// # Errors
/// When the mirror cannot be read.
pub(super) async fn read(mirror: &Mirror, at: &Sha, agent: &str) -> Result<Option<String>, GitError> {
    for (_, path, key) in PLACES.iter().filter(|(of, _, _)| *of == agent) {
        if let Some(bytes) = mirror.show(at, path, CONFIG_BYTES_MAX).await?
            && let Some(model) = named(path, key, &String::from_utf8_lossy(&bytes))
        {
            return Ok(Some(model));
        }
    }
    Ok(None)
}

/// The model that a configuration names. Whatever is no plain name of a model is none: it goes into a command line.
fn named(path: &str, key: &str, text: &str) -> Option<String> {
    let model = match path.rsplit('.').next() {
        Some("toml") => text.parse::<toml::Table>().ok()?.get(key)?.as_str()?.to_owned(),
        _ => {
            let value = jsonc_parser::parse_to_value(text, &ParseOptions::default()).ok()??;
            let JsonValue::Object(object) = value else { return None };
            object.get_string(key)?.clone().into_owned()
        }
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    let fits = (1..=MODEL_BYTES_MAX).contains(&model.len()) && model.bytes().all(is_plain);
    (fits && !model.starts_with('-')).then_some(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_of_a_model_is_read_from_each_form() {
        let of = |path, key, text| named(path, key, text);
        let json = "{ // ours\n \"model\": \"anthropic/claude-sonnet\", \"plugin\": [\"./evil.js\"] }";
        assert_eq!(of("opencode.json", "model", json).as_deref(), Some("anthropic/claude-sonnet"));
        assert_eq!(of(".codex/config.toml", "model", "model = \"gpt-5\"").as_deref(), Some("gpt-5"));
    }

    #[test]
    fn what_is_no_plain_name_is_none() {
        for model in ["--dangerous", "a b", "$(x)", "", "x\ny", &"m".repeat(200)] {
            let text = serde_json::json!({ "model": model }).to_string();
            assert_eq!(named("opencode.json", "model", &text), None, "{model:?}");
        }
        assert_eq!(named("opencode.json", "model", "{"), None);
        assert_eq!(named("opencode.json", "model", "{\"model\": 1}"), None);
    }
}
