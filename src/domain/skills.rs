//! What an agent says it can do.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::NameError;

/// Longest skill, in bytes. Ours: a word or two.
const SKILL_BYTES_MAX: usize = 40;
/// Most skills of one agent. Ours: each is compared with every rule that asks for skills.
const SKILL_COUNT_MAX: usize = 32;

/// One thing that an agent can do, in its one canonical form: a word in lower case (`rust`, `c++`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Skill(Box<str>);

impl Skill {
    /// The skill as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Skill {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let trimmed = text.trim();
        let wrong = |why| NameError::new("skill", trimmed, why);
        if trimmed.is_empty() {
            return Err(wrong("it is empty"));
        }
        if trimmed.len() > SKILL_BYTES_MAX {
            return Err(wrong("longer than 40 bytes"));
        }
        if trimmed.chars().any(|sign| sign.is_whitespace() || sign.is_control() || sign == ',') {
            return Err(wrong("a skill is one word, as in machine-learning"));
        }
        Ok(Self(trimmed.to_lowercase().into()))
    }
}

/// What one agent can do: each skill once, in alphabetical order, at most 32. Read from a list of words, or, as in
/// headers and queries, from one text with commas between them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Skills(Vec<Skill>);

impl Skills {
    /// Whether the agent says nothing of what it can do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each skill as text, in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(Skill::as_str)
    }

    fn of(mut skills: Vec<Skill>) -> Result<Self, NameError> {
        skills.sort_unstable();
        skills.dedup();
        match skills.get(SKILL_COUNT_MAX) {
            Some(beyond) => Err(NameError::new("skill that can be taken", beyond.as_str(), "there are 32 already")),
            None => Ok(Self(skills)),
        }
    }
}

impl FromStr for Skills {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let named = text.split(',').filter(|part| !part.trim().is_empty());
        Self::of(named.map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl<'de> Deserialize<'de> for Skills {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrText)
    }
}

struct ListOrText;

impl<'de> Visitor<'de> for ListOrText {
    type Value = Skills;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of short words, as in [\"rust\", \"frontend\"]")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Skills, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Skills, A::Error> {
        let mut skills = Vec::new();
        while let Some(text) = list.next_element::<Cow<'de, str>>()? {
            skills.push(text.parse().map_err(serde::de::Error::custom)?);
        }
        Skills::of(skills).map_err(serde::de::Error::custom)
    }
}

/// A list only: that a text with commas will do is for headers and query strings.
impl JsonSchema for Skills {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Skills".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let skill = format!("^[!-+\\--~]{{1,{SKILL_BYTES_MAX}}}$");
        json_schema!({ "type": "array", "maxItems": SKILL_COUNT_MAX, "items": { "type": "string", "pattern": skill } })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: serde_json::Value) -> Result<Vec<String>, String> {
        let skills: Skills = serde_json::from_value(value).map_err(|error| error.to_string())?;
        Ok(skills.iter().map(str::to_owned).collect())
    }

    #[test]
    fn a_list_and_a_text_with_commas_are_read_alike() {
        let expected = ["c++", "machine-learning", "rust"].map(str::to_owned).to_vec();
        assert_eq!(read(json!([" Rust ", "C++", "machine-learning", "rust"])).unwrap(), expected);
        assert_eq!(read(json!("rust,C++,, Machine-Learning ,")).unwrap(), expected);
        assert!(read(json!([])).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_short_word_is_refused_with_its_reason() {
        for (value, why) in [
            (json!([""]), "it is empty"),
            (json!(["rust, web"]), "\"rust, web\" is no skill: a skill is one word, as in machine-learning"),
            (json!(["machine learning"]), "\"machine learning\" is no skill: a skill is one word"),
            (json!("rust web, c"), "\"rust web\" is no skill: a skill is one word"),
            (json!(["a\nb"]), "a skill is one word"),
            (json!(["a\u{3000}b"]), "a skill is one word"),
            (json!(["x".repeat(41)]), "longer than 40 bytes"),
            (json!([7]), "invalid type"),
            (json!({ "rust": true }), "a list of short words"),
            (json!((0..33).map(|n| format!("s{n}")).collect::<Vec<_>>()), "there are 32 already"),
        ] {
            let told = read(value.clone()).unwrap_err();
            assert!(told.contains(why), "{value}: {told}");
        }
    }
}
