//! The built-in repository filter: lists of names to allow and to deny, topics, and what kinds of
//! repositories take part.

use issuecommand_policy::{NameSet, RepoFilter, Repository, glob_matches, name_key};
use serde::Deserialize;

/// `[policies.repo_filter.settings]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Names or patterns of repositories that may take part; none: all may.
    allow: Vec<String>,
    /// Names or patterns of repositories that may not, even if allowed.
    deny: Vec<String>,
    /// Only repositories with one of these topics; none: topics do not matter.
    topics: Vec<String>,
    /// Whether read-only repositories take part.
    archived: bool,
    /// Whether forks take part.
    forks: bool,
    /// Whether private repositories take part.
    private: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { allow: Vec::new(), deny: Vec::new(), topics: Vec::new(), archived: false, forks: true, private: true }
    }
}

/// The filter.
#[derive(Debug)]
pub struct AllowList {
    allow: Vec<String>,
    deny: Vec<String>,
    /// The topics to look for, and in words; nothing if they do not matter.
    topics: Option<(NameSet, String)>,
    archived: bool,
    forks: bool,
    private: bool,
}

issuecommand_policy::export_repo_filter!(AllowList);

impl RepoFilter for AllowList {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self {
            allow: patterns(&settings.allow, "allow")?,
            deny: patterns(&settings.deny, "deny")?,
            topics: topics(&settings.topics)?,
            archived: settings.archived,
            forks: settings.forks,
            private: settings.private,
        })
    }

    fn exclude(&self, repository: &Repository<'_>) -> Option<String> {
        let any_fits = |patterns: &[String]| patterns.iter().any(|pattern| glob_matches(pattern, repository.name()));
        if any_fits(&self.deny) {
            return Some("in the deny list".into());
        }
        if !self.allow.is_empty() && !any_fits(&self.allow) {
            return Some("not in the allow list".into());
        }
        if let Some((topics, words)) = &self.topics
            && !repository.has_topic_in(topics)
        {
            return Some(format!("has no topic {words}"));
        }
        let kinds = [
            (!self.archived && repository.is_archived(), "archived"),
            (!self.forks && repository.is_fork(), "a fork"),
            (!self.private && repository.is_private(), "private"),
        ];
        kinds.into_iter().find(|(unwanted, _)| *unwanted).map(|(_, word)| word.to_owned())
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

/// Names and patterns in the form of repository names: trimmed, in lower case, no slash at the end.
fn patterns(entries: &[String], key: &str) -> Result<Vec<String>, String> {
    let pattern = |(at, entry): (usize, &String)| {
        let name = name_key(entry.trim().trim_end_matches('/'));
        let parts: Vec<_> = name.split('/').map(str::trim).collect();
        let named = parts.len() == 2 && parts.iter().all(|part| !part.is_empty());
        if named || name == "*" {
            return Ok(parts.join("/"));
        }
        Err(format!("{key}[{at}]: \"{entry}\" is neither owner/name nor a pattern such as owner/* or */name"))
    };
    entries.iter().enumerate().map(pattern).collect()
}

fn topics(topics: &[String]) -> Result<Option<(NameSet, String)>, String> {
    if let Some(at) = topics.iter().position(|topic| name_key(topic).is_empty()) {
        return Err(format!("topics[{at}]: a topic has a name"));
    }
    Ok((!topics.is_empty()).then(|| (NameSet::set(topics), topics.join(" or "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use issuecommand_policy::settings::parse;
    use issuecommand_policy::testing::{RepositoryFacts, exclude, repository};

    fn reasons<const N: usize>(settings: &str, rows: [RepositoryFacts; N]) -> [Option<String>; N] {
        let filter = AllowList::new(parse(settings).unwrap()).unwrap();
        exclude(&filter, rows).try_into().unwrap()
    }

    fn refusal(settings: &str) -> String {
        parse(settings).and_then(AllowList::new).unwrap_err()
    }

    fn because(reason: &str) -> Option<String> {
        Some(reason.into())
    }

    #[test]
    fn without_settings_all_but_archived_repositories_take_part() {
        let rows = [
            repository("acme/app"),
            repository("acme/fork").fork(),
            repository("acme/secret").private(),
            repository("acme/old").archived(),
        ];
        assert_eq!(reasons("{}", rows), [None, None, None, because("archived")]);
    }

    #[test]
    fn the_allow_list_takes_names_in_any_spelling() {
        for spelling in ["acme/app", "Acme/App", " acme / app ", "acme/app/"] {
            let settings = serde_json::json!({ "allow": [spelling] }).to_string();
            let rows = [repository("acme/app"), repository("acme/application"), repository("other/app")];
            let outside = because("not in the allow list");
            assert_eq!(reasons(&settings, rows), [None, outside.clone(), outside], "{spelling:?}");
        }
    }

    #[test]
    fn the_allow_list_takes_patterns() {
        let rows = || [repository("acme/app"), repository("acme/api"), repository("other/app")];
        let outside = || because("not in the allow list");
        assert_eq!(reasons(r#"{"allow":["ACME/*"]}"#, rows()), [None, None, outside()]);
        assert_eq!(reasons(r#"{"allow":["*/app"]}"#, rows()), [None, outside(), None]);
        assert_eq!(reasons(r#"{"allow":["acme/ap?"]}"#, rows()), [None, None, outside()]);
        assert_eq!(reasons(r#"{"allow":["*"]}"#, rows()), [None, None, None]);
    }

    #[test]
    fn the_deny_list_wins_over_the_allow_list() {
        let rows = [repository("acme/app"), repository("acme/legacy-app")];
        let settings = r#"{"allow":["acme/*"],"deny":["acme/legacy-*"]}"#;
        assert_eq!(reasons(settings, rows), [None, because("in the deny list")]);
    }

    #[test]
    fn one_topic_of_several_suffices() {
        let rows = [repository("a/a").topic("Agents"), repository("a/b").topic("web").topic("bots"), repository("a/c")];
        let settings = r#"{"topics":["agents","bots"]}"#;
        assert_eq!(reasons(settings, rows), [None, None, because("has no topic agents or bots")]);
    }

    #[test]
    fn kinds_of_repositories_can_be_let_in_and_shut_out() {
        let rows =
            [repository("a/a").archived(), repository("a/b").fork(), repository("a/c").private(), repository("a/d")];
        let settings = r#"{"archived":true,"forks":false,"private":false}"#;
        assert_eq!(reasons(settings, rows), [None, because("a fork"), because("private"), None]);
    }

    #[test]
    fn wrong_settings_are_refused_by_their_key() {
        assert_eq!(
            refusal(r#"{"allow":["acme/app","acme"]}"#),
            "allow[1]: \"acme\" is neither owner/name nor a pattern such as owner/* or */name"
        );
        for wrong in ["", "/", "acme/", "/app", "a/b/c", "acme*"] {
            let settings = serde_json::json!({ "deny": [wrong] }).to_string();
            assert!(refusal(&settings).starts_with("deny[0]: "), "{wrong:?}");
        }
        assert_eq!(refusal(r#"{"topics":[" "]}"#), "topics[0]: a topic has a name");
        assert!(refusal(r#"{"allow":"acme/app"}"#).starts_with("allow: invalid type"));
        assert!(refusal(r#"{"allowed":[]}"#).contains("unknown field `allowed`"));
    }

    #[test]
    fn the_schema_names_every_setting_and_its_default() {
        let schema: serde_json::Value = serde_json::from_str(&AllowList::settings_schema()).unwrap();
        let defaults: serde_json::Map<_, _> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        let told: Settings = parse(&serde_json::Value::Object(defaults.clone()).to_string()).unwrap();
        assert_eq!(format!("{told:?}"), format!("{:?}", Settings::default()));
        assert_eq!(defaults.len(), 6);
        assert_eq!(schema["additionalProperties"], false);
    }
}
