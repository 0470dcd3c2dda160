//! What a repository's devcontainer.json asks for, as far as it means something here. Read as data, always.

use std::collections::BTreeMap;

use jsonc_parser::{JsonObject, JsonValue, ParseOptions, parse_to_value};

/// Where the file may be, the first one found.
pub const DEVCONTAINER_FILES: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];
/// What is run once, in the order of the specification.
const STAGES: [&str; 4] = ["onCreateCommand", "updateContentCommand", "postCreateCommand", "postStartCommand"];

/// A devcontainer.json. Features, mounts, ports, users and what editors want are passed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Devcontainer {
    /// The image that it names.
    pub image: Option<String>,
    /// What an image is built of.
    pub build: Option<DevcontainerBuild>,
    /// Variables for all, then those for tools, as they are written.
    variables: Vec<(String, String)>,
    /// What is run once: the stage, and a command.
    commands: Vec<(&'static str, Vec<String>)>,
}

/// What a devcontainer's image is built of; both paths are relative to the folder of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevcontainerBuild {
    /// The container file.
    pub dockerfile: String,
    /// The folder that its build sees.
    pub context: String,
}

impl Devcontainer {
    /// Reads a file with comments and trailing commas. Fails with what is wrong, for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = parse_to_value(text, &ParseOptions::default()).map_err(|why| why.to_string())?;
        let Some(JsonValue::Object(root)) = value else { return Err("it holds no object".into()) };
        let of = |names: [&str; 2]| names.iter().find_map(|name| word(&root, name));
        let build = root.get_object("build");
        let dockerfile = build.and_then(|build| word(build, "dockerfile")).or_else(|| of(["dockerFile", "dockerfile"]));
        let context = build.and_then(|build| word(build, "context")).or_else(|| word(&root, "context"));
        let commands = STAGES.into_iter().flat_map(|stage| {
            let found = root.get(stage).map(commands).unwrap_or_default();
            found.into_iter().map(move |command| (stage, command))
        });
        Ok(Self {
            image: word(&root, "image"),
            build: dockerfile
                .map(|dockerfile| DevcontainerBuild { dockerfile, context: context.unwrap_or_else(|| ".".into()) }),
            variables: ["containerEnv", "remoteEnv"].into_iter().flat_map(|key| variables(&root, key)).collect(),
            commands: commands.collect(),
        })
    }

    /// The variables that tools see, where `there` is what the container has without them. Nothing of this machine's
    /// own variables ever gets in, whatever the file asks for.
    pub fn variables(&self, workspace: &str, there: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let filled = self.variables.iter().map(|(name, value)| (name.clone(), filled(value, workspace, there)));
        filled.collect()
    }

    /// What is run once, with the stage that it belongs to.
    pub fn commands(&self) -> &[(&'static str, Vec<String>)] {
        &self.commands
    }
}

fn word(object: &JsonObject<'_>, name: &str) -> Option<String> {
    object.get_string(name).filter(|text| !text.trim().is_empty()).map(|text| text.to_string())
}

fn variables(root: &JsonObject<'_>, key: &str) -> Vec<(String, String)> {
    let Some(object) = root.get_object(key) else { return Vec::new() };
    let is_plain = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let mut found: Vec<_> = object.clone().take_inner().into_iter().collect();
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    let texts = found.into_iter().filter_map(|(name, value)| match value {
        JsonValue::String(value) if !name.is_empty() && is_plain(&name) => Some((name.to_string(), value.to_string())),
        _ => None,
    });
    texts.collect()
}

/// A command is a line for the shell, a program with its arguments, or several of both by name.
fn commands(value: &JsonValue<'_>) -> Vec<Vec<String>> {
    match value {
        JsonValue::String(line) if !line.trim().is_empty() => vec![vec!["sh".into(), "-c".into(), line.to_string()]],
        JsonValue::Array(words) => {
            let words = words.iter().map(|word| match word {
                JsonValue::String(word) => Some(word.to_string()),
                _ => None,
            });
            words.collect::<Option<Vec<_>>>().filter(|words| !words.is_empty()).into_iter().collect()
        }
        JsonValue::Object(named) => {
            let mut named: Vec<_> = named.clone().take_inner().into_iter().collect();
            named.sort_by(|(one, _), (other, _)| one.cmp(other));
            let nested = named.iter().filter(|(_, value)| !matches!(value, JsonValue::Object(_)));
            nested.flat_map(|(_, value)| commands(value)).collect()
        }
        _ => Vec::new(),
    }
}

/// Puts in what `${...}` stands for.
fn filled(value: &str, workspace: &str, there: &BTreeMap<String, String>) -> String {
    let mut done = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else { break };
        done += before;
        let mut parts = name.splitn(3, ':');
        match (parts.next().unwrap_or_default(), parts.next(), parts.next()) {
            ("containerEnv", Some(name), default) => {
                done += there.get(name).map(String::as_str).or(default).unwrap_or_default();
            }
            ("localEnv", Some(_), default) => done += default.unwrap_or_default(),
            ("containerWorkspaceFolder" | "localWorkspaceFolder", None, _) => done += workspace,
            ("containerWorkspaceFolderBasename" | "localWorkspaceFolderBasename", None, _) => {
                done += workspace.rsplit('/').next().unwrap_or_default();
            }
            _ => done = done + "${" + name + "}",
        }
        rest = behind;
    }
    done + rest
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_comments_is_read() {
        let text = r#"{
            // what most of them look like
            "image": "mcr.microsoft.com/devcontainers/base:bookworm",
            "containerEnv": { "RUST_BACKTRACE": "1", "1BAD": "x", "NUMBER": 7 },
            "remoteEnv": { "PATH": "${containerEnv:PATH}:${containerWorkspaceFolder}/bin", "GONE": null },
            "postCreateCommand": "npm ci && npm run build",
            "onCreateCommand": ["git", "config", "--global", "pull.rebase", "true"],
        }"#;
        let read = Devcontainer::parse(text).unwrap();
        assert_eq!(read.image.as_deref(), Some("mcr.microsoft.com/devcontainers/base:bookworm"));
        assert_eq!(read.build, None);
        let there = BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]);
        let variables = read.variables("/workspace", &there);
        let expected = [("PATH", "/usr/bin:/workspace/bin"), ("RUST_BACKTRACE", "1")];
        assert_eq!(variables, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        let [(first, git), (second, npm)] = read.commands() else { panic!("{read:?}") };
        assert_eq!((*first, git.len(), git[0].as_str()), ("onCreateCommand", 5, "git"));
        assert_eq!(
            (*second, npm.as_slice()),
            ("postCreateCommand", ["sh", "-c", "npm ci && npm run build"].map(str::to_owned).as_slice())
        );
    }

    #[test]
    fn both_ways_to_name_a_container_file_are_known() {
        for text in [
            r#"{ "build": { "dockerfile": "Dockerfile", "context": ".." } }"#,
            r#"{ "dockerFile": "Dockerfile", "context": ".." }"#,
        ] {
            let expected = DevcontainerBuild { dockerfile: "Dockerfile".into(), context: "..".into() };
            assert_eq!(Devcontainer::parse(text).unwrap().build, Some(expected), "{text}");
        }
    }

    #[test]
    fn several_commands_by_name_are_run_one_after_the_other() {
        let text =
            r#"{ "postCreateCommand": { "web": ["npm", "ci"], "api": "make", "odd": 7, "deep": { "x": "y" } } }"#;
        let read = Devcontainer::parse(text).unwrap();
        let programs: Vec<_> = read.commands().iter().map(|(_, command)| command.join(" ")).collect();
        assert_eq!(programs, ["sh -c make", "npm ci"]);
    }

    #[test]
    fn nothing_of_this_machine_gets_in() {
        let text =
            r#"{ "remoteEnv": { "A": "${localEnv:HOME}", "B": "${localEnv:TOKEN:none}", "C": "${odd}$", "D": "${" } }"#;
        let variables = Devcontainer::parse(text).unwrap().variables("/workspace", &BTreeMap::new());
        assert_eq!(variables.values().map(String::as_str).collect::<Vec<_>>(), ["", "none", "${odd}$", "${"]);
    }

    #[test]
    fn what_is_no_object_is_told() {
        assert!(Devcontainer::parse("[]").unwrap_err().contains("no object"));
        assert!(Devcontainer::parse("{ \"image\" ").is_err());
    }
}
