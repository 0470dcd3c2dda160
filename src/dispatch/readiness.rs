//! What of the settings of dispatch will not work on this machine, as far as can be seen without trying.

use std::env;
use std::path::Path;

use crate::config::Config;

/// What people should know before a run fails of it, a sentence each. Nothing, where nobody means to dispatch.
pub fn doubts(config: &Config) -> Vec<String> {
    let default = Config::default();
    let is_meant = config.dispatch.enabled
        || config.containers != default.containers
        || config.secrets != default.secrets
        || config.agents != default.agents
        || config.dispatch != default.dispatch;
    let found = [runtime(config), secrets(config), no_secrets(config), no_github(config)];
    found.into_iter().filter(|_| is_meant).flatten().collect()
}

fn runtime(config: &Config) -> Option<String> {
    let runtime = config.containers.runtime.as_str();
    if runtime == "host" {
        return Some(
            "containers.runtime = \"host\": agents run as processes of this machine, WITHOUT ISOLATION, as you; for \
             development only"
                .into(),
        );
    }
    (!is_there(runtime)).then(|| format!("containers.runtime: there is no program {runtime:?} in PATH; install it"))
}

fn secrets(config: &Config) -> Option<String> {
    let by_op = |reference: &&String| match reference.split_once(':') {
        Some((scheme, _)) if matches!(scheme, "op" | "env" | "file" | "command") => scheme == "op",
        _ => config.secrets.provider == "op",
    };
    let (variable, _) = config.secrets.variables.iter().find(|(_, reference)| by_op(reference))?;
    (!is_there("op")).then(|| {
        format!("secrets.variables.{variable}: there is no program \"op\" in PATH; install 1Password's, or use env: or file:")
    })
}

fn no_secrets(config: &Config) -> Option<String> {
    let is_empty = config.secrets.variables.is_empty() && config.containers.runtime != "host";
    is_empty.then(|| "secrets.variables is empty: the agent has no key for its model".into())
}

fn no_github(config: &Config) -> Option<String> {
    let file = config.github.issues_file.as_ref()?;
    Some(format!("github.issues_file: issues come from {}, where nobody can open a pull request", file.display()))
}

/// Whether a program can be found as the shell finds it.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_dispatches_nothing_hears_nothing() {
        assert_eq!(doubts(&Config::default()), [""; 0]);
    }

    #[test]
    fn what_will_not_work_is_told_by_its_key() {
        let mut config = Config::default();
        config.dispatch.enabled = true;
        config.containers.runtime = "no-such-runtime".into();
        config.github.issues_file = Some("backlog.jsonl".into());
        let told = doubts(&config);
        assert_eq!(told.len(), 3, "{told:?}");
        for (told, word) in told.iter().zip(["\"no-such-runtime\"", "secrets.variables is empty", "backlog.jsonl"]) {
            assert!(told.contains(word), "{told}");
        }
        config.containers.runtime = "host".into();
        assert!(doubts(&config)[0].contains("WITHOUT ISOLATION"));
    }

    #[test]
    fn only_a_reference_that_leads_to_1password_asks_for_its_program() {
        let mut config = Config::default();
        let mut told_of = |reference: &str, provider: &str| {
            config.secrets.provider = provider.into();
            config.secrets.variables = [("KEY".to_owned(), reference.to_owned())].into();
            secrets(&config).is_some() || is_there("op")
        };
        assert!(told_of("op://vault/item/field", "env") && told_of("item/field", "op"));
        assert!(is_there("op") || !(told_of("env:KEY", "op") || told_of("KEY", "env") || told_of("file:a", "op")));
    }
}
