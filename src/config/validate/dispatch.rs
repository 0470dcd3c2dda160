//! What types cannot say of dispatch: its runs, containers, secrets and agents.

use std::collections::BTreeMap;
use std::path::Path;

use super::words::{list, nearest_of};
use super::{Check, bounds::*};
use crate::config::{
    AgentConfig, Bytes, Config, ContainersConfig, DispatchConfig, LimitsConfig, SecretsConfig, Span, keys, processors,
};
use crate::domain::AgentId;

/// The coding agents that are built in, by name.
const AGENTS: [&str; 4] = ["opencode", "pi", "claude", "codex"];
/// How agents are spoken to.
const AGENT_KINDS: [&str; 6] = ["opencode", "pi", "claude", "codex", "acp", "command"];
/// Environments that are known by a word; anything else is a command.
const ENVIRONMENTS: [&str; 5] = ["auto", "nix", "devcontainer", "direnv", "none"];
/// Where secrets come from.
const PROVIDERS: [&str; 4] = ["op", "env", "file", "command"];
/// GitHub's words for who somebody is to a repository.
const ASSOCIATIONS: [&str; 8] =
    ["OWNER", "MEMBER", "COLLABORATOR", "CONTRIBUTOR", "FIRST_TIME_CONTRIBUTOR", "FIRST_TIMER", "MANNEQUIN", "NONE"];
/// Where a container has places of its own, which a mount would hide.
const OWN_PLACES: [&str; 2] = ["/workspace", "/run/ic"];
/// What tells people how to write a number of processors.
const PROCESSORS_HINT: &str = "a number of processors from 0.01 to 1024, as in \"2.0\" or \"0.5\"";

impl Check {
    pub(super) fn dispatch(&mut self, config: &Config) {
        self.runs(&config.dispatch, config);
        self.budget(&config.dispatch);
        self.containers(&config.containers);
        self.secrets(&config.secrets);
        for (name, agent) in &config.agents.0 {
            self.agent(name, agent);
        }
        let github = &config.github;
        self.span("github.poll_interval", github.poll_interval, 1..=DAY_SECONDS);
        self.word("github.topic", &github.topic);
        self.word("github.trigger_label", &github.trigger_label);
    }

    fn runs(&mut self, dispatch: &DispatchConfig, config: &Config) {
        if let Err(error) = dispatch.agent_name.parse::<AgentId>() {
            self.found("dispatch.agent_name", error.to_string(), None);
        }
        let mut known: Vec<_> = AGENTS.into_iter().chain(config.agents.0.keys().map(String::as_str)).collect();
        known.dedup();
        if !known.contains(&dispatch.agent.as_str()) {
            let message = format!("there is no agent {:?}; expected {}", dispatch.agent, list(&known));
            self.found("dispatch.agent", message, Some("define others in [agents]"));
        }
        if dispatch.worker && config.store.url.is_empty() {
            let message = "a worker takes runs from a PostgreSQL database that servers share, and none is configured";
            let hint = Some("set store.url, or work without it: a SQLite file has one server");
            self.found("dispatch.worker", message.to_owned(), hint);
        }
        if let Some(ranker) = &dispatch.ranker {
            self.stages("dispatch.ranker", ranker);
        }
        self.range("dispatch.attempt_count_max", dispatch.attempt_count_max, 1..=ATTEMPT_COUNT_MAX, "attempts");
        self.span("dispatch.retry_wait", dispatch.retry_wait, 0..=DAY_SECONDS);
        self.range("dispatch.review_rounds_max", dispatch.review_rounds_max, 0..=REVIEW_ROUND_COUNT_MAX, "rounds");
        self.range("dispatch.issues_per_pull", dispatch.issues_per_pull, 1..=ISSUES_PER_PULL_MAX, "issues");
        self.range("dispatch.run_max_entries", dispatch.run_max_entries, 1..=HISTORY_COUNT_MAX, "runs");
        self.size("dispatch.log_bytes_max", dispatch.log_bytes_max, RUN_LOG_BYTES_MIN..=RUN_LOG_BYTES_MAX);
        for word in dispatch.answer_associations.iter().filter(|word| !ASSOCIATIONS.contains(&word.as_str())) {
            let message = format!("{word:?} is no association; expected {}", list(&ASSOCIATIONS));
            self.found("dispatch.answer_associations", message, None);
        }
        if let Some(wrong) = dispatch.git_url.as_deref().and_then(git_url_error) {
            let hint = Some("as in \"https://git.example.org/{repo}.git\"");
            self.found("dispatch.git_url", wrong, hint);
        }
        for (key, value) in [("dispatch.git_name", &dispatch.git_name), ("dispatch.git_email", &dispatch.git_email)] {
            // Git itself drops such signs, and what is left may be nothing.
            if value.trim().is_empty() || value.contains(['<', '>', '\n', '\0']) {
                self.found(key, format!("{value:?} is nothing that a commit can carry"), None);
            }
        }
        if dispatch.model_fallbacks.iter().any(|model| model.trim().is_empty()) {
            self.found("dispatch.model_fallbacks", "a model has no name", None);
        }
    }

    fn budget(&mut self, dispatch: &DispatchConfig) {
        let budget = &dispatch.budget;
        let costs = [("run", budget.run_usd_max), ("day", budget.day_usd_max), ("repo", budget.repo_usd_max)];
        for (whose, usd) in costs {
            if !(usd.is_finite() && usd >= 0.0) {
                let key = format!("dispatch.budget.{whose}_usd_max");
                self.found(&key, format!("{usd} is no sum of dollars"), Some("0 is without bound"));
            }
        }
    }

    fn containers(&mut self, containers: &ContainersConfig) {
        self.word("containers.runtime", &containers.runtime);
        self.word("containers.base_image", &containers.base_image);
        self.word("containers.network", &containers.network);
        if let Some(connection) = &containers.connection {
            self.word("containers.connection", connection);
            if containers.runtime == "host" {
                let hint = Some("leave the connection out, or set containers.runtime to \"podman\"");
                self.found("containers.connection", "processes of this machine have no connection", hint);
            }
        }
        self.range("containers.max_concurrent", containers.max_concurrent, 0..=SLOT_COUNT_MAX, "runs");
        self.limits(
            "containers",
            &LimitsConfig {
                cpu_limit: Some(containers.cpu_limit.clone()),
                memory_limit: Some(containers.memory_limit),
                pids_limit: Some(containers.pids_limit),
                task_timeout: Some(containers.task_timeout),
                max_concurrent: None,
            },
        );
        self.span("containers.stuck_timeout", containers.stuck_timeout, 1..=RUN_SECONDS_MAX);
        self.span("containers.heartbeat", containers.heartbeat, 1..=HEARTBEAT_SECONDS_MAX);
        self.environment(&containers.environment);
        for (from, to) in &containers.mounts {
            self.mount(from, to);
        }
        let volume = &containers.nix_volume;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let begins_well = volume.bytes().next().is_none_or(|first| first.is_ascii_alphanumeric());
        if !begins_well || !volume.bytes().all(plain) {
            let hint = Some("letters, digits, dots, hyphens and underscores; \"\" for none");
            self.found("containers.nix_volume", format!("{volume:?} is no name of a volume"), hint);
        }
        let priority = &containers.priority;
        for (name, limits) in [
            ("critical", &priority.critical),
            ("high", &priority.high),
            ("medium", &priority.medium),
            ("low", &priority.low),
        ] {
            self.limits(&format!("containers.priority.{name}"), limits);
        }
    }

    fn limits(&mut self, section: &str, limits: &LimitsConfig) {
        let key = |name: &str| format!("{section}.{name}");
        if let Some(cpus) = limits.cpu_limit.as_ref().filter(|cpus| processors(cpus).is_none()) {
            self.found(&key("cpu_limit"), format!("{cpus:?} does not fit"), Some(PROCESSORS_HINT));
        }
        if let Some(memory) = limits.memory_limit {
            self.size(&key("memory_limit"), memory, CONTAINER_MEMORY_BYTES_MIN..=CONTAINER_MEMORY_BYTES_MAX);
        }
        if let Some(pids) = limits.pids_limit {
            self.range(&key("pids_limit"), pids, CONTAINER_PIDS_MIN..=CONTAINER_PIDS_MAX, "processes");
        }
        if let Some(timeout) = limits.task_timeout {
            self.span(&key("task_timeout"), timeout, 1..=RUN_SECONDS_MAX);
        }
        if let Some(slots) = limits.max_concurrent {
            self.range(&key("max_concurrent"), slots, 0..=SLOT_COUNT_MAX, "runs");
        }
    }

    fn environment(&mut self, setting: &str) {
        const KEY: &str = "containers.environment";
        if setting.trim().is_empty() {
            let message = format!("expected {}, or a command", list(&ENVIRONMENTS));
            return self.found(KEY, message, None);
        }
        // A single word that is almost a known one is a slip, not a command.
        let is_command = setting.contains([' ', '/']) || ENVIRONMENTS.contains(&setting);
        if let Some(meant) = nearest_of(setting, &ENVIRONMENTS).filter(|_| !is_command) {
            let message = format!("{setting:?} is no environment; did you mean {meant:?}?");
            self.found(KEY, message, Some("a command of one word needs its path, as in \"/opt/bin/enter\""));
        }
    }

    fn mount(&mut self, from: &str, to: &str) {
        let key = keys::join("containers.mounts", from);
        if !Path::new(from).is_absolute() || !to.starts_with('/') {
            let hint = Some("as in \"/opt/tools\" = \"/opt/tools\"");
            return self.found(&key, "both sides must be absolute paths", hint);
        }
        if from.contains(',') || to.contains([',', ':']) {
            return self.found(&key, "commas and colons mean something else to container runtimes", None);
        }
        let hides = |place: &&str| Path::new(place).starts_with(to) || Path::new(to).starts_with(place);
        if let Some(place) = OWN_PLACES.into_iter().find(hides) {
            self.found(&key, format!("{to:?} would hide {place}, where agents work"), Some("choose another place"));
        }
    }

    fn secrets(&mut self, secrets: &SecretsConfig) {
        if !PROVIDERS.contains(&secrets.provider.as_str()) {
            let message = format!("there is no provider {:?}; expected {}", secrets.provider, list(&PROVIDERS));
            self.found("secrets.provider", message, None);
        }
        if secrets.provider == "command" && secrets.command.is_empty() {
            let hint = Some("set secrets.command to a program that prints the secret whose reference it is given");
            self.found("secrets.provider", "which command prints the secrets?", hint);
        }
        if secrets.command.first().is_some_and(|program| program.trim().is_empty()) {
            self.found("secrets.command", "the program has no name", None);
        }
        self.variable_names("secrets.variables", &secrets.variables);
        for (name, reference) in &secrets.variables {
            let key = keys::join("secrets.variables", name);
            if reference.trim().is_empty() {
                let hint = Some("as in \"op://vault/item/field\", \"env:NAME\" or \"file:PATH\"");
                self.found(&key, "the reference is empty", hint);
            } else if reference.starts_with("command:") && secrets.command.is_empty() {
                self.found(&key, "there is no command to ask", Some("set secrets.command"));
            }
        }
    }

    fn agent(&mut self, name: &str, agent: &AgentConfig) {
        let key = keys::join("agents", name);
        match agent.kind.as_deref().unwrap_or(name) {
            "acp" | "command" if agent.command.is_empty() => {
                self.found(&key, "which program is it? Set its command", Some("command = [\"my-agent\", \"--acp\"]"));
            }
            kind if AGENT_KINDS.contains(&kind) => {}
            kind if agent.kind.is_some() => {
                let message = format!("there is no kind {kind:?} of agent; expected {}", list(&AGENT_KINDS));
                self.found(&format!("{key}.kind"), message, None);
            }
            name => {
                let message = format!("how is {name:?} spoken to? Set its kind: {}", list(&AGENT_KINDS));
                self.found(&key, message, None);
            }
        }
        if agent.command.first().is_some_and(|program| program.trim().is_empty()) {
            self.found(&format!("{key}.command"), "the program has no name", None);
        }
        for (field, value) in [("model", &agent.model), ("image", &agent.image)] {
            if value.as_ref().is_some_and(|value| value.trim().is_empty()) {
                self.found(&format!("{key}.{field}"), "the value is empty", Some("leave the key out"));
            }
        }
        self.variable_names(&format!("{key}.env"), &agent.env);
    }

    fn variable_names(&mut self, section: &str, variables: &BTreeMap<String, String>) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        for name in variables.keys() {
            let begins_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
            if !begins_well || !name.bytes().all(plain) {
                let hint = Some("letters, digits and underscores");
                self.found(&keys::join(section, name), format!("{name:?} is no name of a variable"), hint);
            }
        }
    }

    /// A name that goes into a command or an address: there, and without blanks.
    fn word(&mut self, key: &str, value: &str) {
        if value.is_empty() || value.starts_with('-') || value.contains(char::is_whitespace) {
            self.found(key, format!("{value:?} is no name"), Some("one word, without blanks"));
        }
    }

    fn span(&mut self, key: &str, value: Span, seconds: std::ops::RangeInclusive<u64>) {
        if !seconds.contains(&value.duration().as_secs()) {
            let [least, most] = [*seconds.start(), *seconds.end()].map(Span::seconds);
            self.found(key, format!("{value} is out of range: from {least} to {most}"), None);
        }
    }

    fn size(&mut self, key: &str, value: Bytes, allowed: std::ops::RangeInclusive<u64>) {
        if !allowed.contains(&value.0) {
            let [least, most] = [*allowed.start(), *allowed.end()].map(Bytes);
            self.found(key, format!("{value} is out of range: from {least} to {most}"), None);
        }
    }
}

/// What is wrong with where git fetches and pushes. Never quotes it: it may hold credentials.
fn git_url_error(url: &str) -> Option<&'static str> {
    if !url.contains("{repo}") {
        return Some("expected an address with {repo} where the repository's name belongs");
    }
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().unwrap_or_default();
    let has_password = host.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let wrong = has_password || (is_web && host.contains('@'));
    wrong.then_some("credentials do not belong into the address: git is given the token of [github]")
}
