//! What types cannot say: ranges, words, addresses, and what must not go together.

mod bounds;
mod composition;
mod dispatch;
mod words;

use std::fmt::Display;
use std::ops::RangeInclusive;

use bounds::*;
use words::{api_url_error, is_authority, is_origin, is_own, is_plain_url, level_error, list};

use super::settings::{BUILTIN_CONFLICT_AWARE, BUILTIN_RANKER, BUILTIN_REPO_FILTER, BUILTIN_STALE_RULE};
use super::{Config, GithubAppConfig, PolicyConfig, Secret, keys};
use crate::areas::AREA_COUNT_MAX;
use crate::domain::RepoName;

/// SQLite's journal modes that keep what was acknowledged.
const JOURNAL_MODES: [&str; 4] = ["WAL", "DELETE", "TRUNCATE", "PERSIST"];
/// Those that do not.
const JOURNAL_MODES_UNSAFE: [&str; 2] = ["MEMORY", "OFF"];
/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub key: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Everything that does not hold.
pub(super) fn validate(config: &Config) -> Vec<Finding> {
    let mut check = Check::default();
    check.server(config);
    check.store(config);
    check.github(config);
    check.webhooks(config);
    check.follow_ups(config);
    check.intervals(config);
    check.rate_limits(config);
    check.log(config);
    check.telemetry(config);
    check.areas(config);
    check.agent_groups(config);
    check.trust(config);
    check.policies(config);
    check.dispatch(config);
    check.findings
}

#[derive(Default)]
struct Check {
    findings: Vec<Finding>,
}

impl Check {
    fn found(&mut self, key: &str, message: impl Into<String>, hint: Option<&str>) {
        self.findings.push(Finding { key: key.to_owned(), message: message.into(), hint: hint.map(str::to_owned) });
    }

    fn range<T: PartialOrd + Display>(&mut self, key: &str, value: T, allowed: RangeInclusive<T>, unit: &str) {
        if !allowed.contains(&value) {
            let (least, most) = allowed.into_inner();
            self.found(key, format!("{value} is out of range: from {least} to {most} {unit}"), None);
        }
    }

    /// A secret travels in a header: only visible ASCII can.
    fn secret(&mut self, key: &str, secret: &Secret) {
        if !secret.expose().bytes().all(|b| b.is_ascii_graphic()) {
            self.found(key, "the value has blanks or signs that no HTTP header can carry", None);
        }
    }

    fn server(&mut self, config: &Config) {
        let server = &config.server;
        self.secret("server.api_key", &server.api_key);
        if server.api_key.is_empty() && !server.host.is_loopback() {
            let message =
                format!("without an API key anyone who reaches {} could take and release claims", server.host);
            let hint = "set API_KEY or server.api_key, or listen on 127.0.0.1 only";
            self.found("server.host", message, Some(hint));
        }
        for host in &server.allowed_hosts {
            if !is_authority(host) {
                let hint = Some("without scheme and path, as in \"issues.example.org\" or \"issues.example.org:3100\"");
                self.found("server.allowed_hosts", format!("{host:?} is no host name"), hint);
            }
        }
        for origin in &server.allowed_origins {
            if !is_origin(origin) {
                let hint = Some("scheme and host without a path, as in \"https://issues.example.org\"");
                self.found("server.allowed_origins", format!("{origin:?} is no origin"), hint);
            }
        }
        self.range("server.connection_count_max", server.connection_count_max, 1..=CONNECTION_COUNT_MAX, "connections");
        self.range("server.header_timeout_seconds", server.header_timeout_seconds, 1..=TIMEOUT_SECONDS_MAX, "seconds");
        self.range("server.body_timeout_seconds", server.body_timeout_seconds, 1..=TIMEOUT_SECONDS_MAX, "seconds");
        self.range("server.body_bytes_max", server.body_bytes_max, 1024..=BODY_BYTES_MAX, "bytes");
        self.range("server.shutdown_seconds", server.shutdown_seconds, 0..=TIMEOUT_SECONDS_MAX, "seconds");
        if server.socket.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.found(
                "server.socket",
                "the path is empty",
                Some("leave the key out for a socket beside the database"),
            );
        }
        self.range("server.idle_minutes", server.idle_minutes, 0..=INTERVAL_MINUTES_MAX, "minutes");
    }

    fn store(&mut self, config: &Config) {
        let store = &config.store;
        let is_url = |text: &str| text.starts_with("postgres://") || text.starts_with("postgresql://");
        let is_database = |text: &str| is_url(text) && text.parse::<postgres::Config>().is_ok();
        if !store.url.is_empty() && !is_database(store.url.expose()) {
            let message = "this is no address of a PostgreSQL database (what it says is not shown)";
            self.found("store.url", message, Some("as in \"postgres://user:password@host/name\""));
        }
        if store.path.as_os_str().is_empty() {
            self.found("store.path", "the path is empty", None);
        }
        self.range("store.busy_timeout_ms", store.busy_timeout_ms, 0..=BUSY_TIMEOUT_MS_MAX, "milliseconds");
        let mode = store.journal_mode.to_ascii_uppercase();
        if JOURNAL_MODES_UNSAFE.contains(&mode.as_str()) {
            let message =
                format!("with {mode} a crash would lose claims that were granted; expected {}", list(&JOURNAL_MODES));
            self.found("store.journal_mode", message, None);
        } else if !JOURNAL_MODES.contains(&mode.as_str()) {
            let message = format!("{:?} is no journal mode; expected {}", store.journal_mode, list(&JOURNAL_MODES));
            self.found("store.journal_mode", message, None);
        }
        self.range("store.history_max_entries", store.history_max_entries, 0..=HISTORY_COUNT_MAX, "claims");
        self.range("store.event_max_entries", store.event_max_entries, 1..=EVENT_COUNT_MAX, "events");
        self.range("store.decision_max_entries", store.decision_max_entries, 0..=HISTORY_COUNT_MAX, "decisions");
        self.range("store.follow_up_max_entries", store.follow_up_max_entries, 1..=FOLLOW_UP_COUNT_MAX, "follow-ups");
        self.range("store.delivery_max_entries", store.delivery_max_entries, 1..=HISTORY_COUNT_MAX, "deliveries");
    }

    fn webhooks(&mut self, config: &Config) {
        let webhooks = &config.webhooks;
        let path = &webhooks.path;
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b);
        if !path.starts_with('/') || path == "/" || path.contains("//") || !path.bytes().all(fits) {
            let hint = Some("as in \"/api/webhooks/github\"");
            self.found("webhooks.path", format!("{path:?} is no path of its own"), hint);
        } else if is_own(path) {
            let hint = Some("under /api only /api/webhooks/... is free");
            self.found("webhooks.path", format!("{path:?} is among the routes of this server"), hint);
        }
        self.range("webhooks.body_bytes_max", webhooks.body_bytes_max, 1024..=BODY_BYTES_MAX, "bytes");
    }

    fn follow_ups(&mut self, config: &Config) {
        let follow_ups = &config.follow_ups;
        self.range("follow_ups.stale_minutes", follow_ups.stale_minutes, 1..=INTERVAL_MINUTES_MAX, "minutes");
        self.range("follow_ups.grace_minutes", follow_ups.grace_minutes, 0..=INTERVAL_MINUTES_MAX, "minutes");
        for author in &follow_ups.ignore_authors {
            if let Err(error) = globset::Glob::new(author) {
                self.found("follow_ups.ignore_authors", format!("{author:?} is no pattern: {}", error.kind()), None);
            }
        }
    }

    fn github(&mut self, config: &Config) {
        let github = &config.github;
        self.secret("github.token", &github.token);
        if let Some(wrong) = api_url_error(&github.api_url) {
            let hint = Some("as in \"https://api.github.com\" or \"https://github.example.org/api/v3\"");
            self.found("github.api_url", wrong, hint);
        }
        for name in &github.repositories {
            if let Err(error) = name.parse::<RepoName>() {
                self.found("github.repositories", error.to_string(), None);
            }
        }
        if github.issues_file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.found("github.issues_file", "the path is empty", Some("leave the key out to read from GitHub"));
        }
        self.github_app(&github.app);
        let timeouts = 1..=TIMEOUT_SECONDS_MAX;
        self.range("github.connect_timeout_seconds", github.connect_timeout_seconds, timeouts.clone(), "seconds");
        let pace = github.requests_per_minute_max;
        self.range("github.requests_per_minute_max", pace, 0..=REQUESTS_PER_MINUTE_MAX, "requests");
        self.range("github.read_timeout_seconds", github.read_timeout_seconds, timeouts, "seconds");
    }

    fn github_app(&mut self, app: &GithubAppConfig) {
        let (in_file, in_place) = (app.private_key_file.is_some(), !app.private_key.is_empty());
        if app.id == Some(0) {
            self.found("github.app.id", "0 is no app", Some("GitHub shows the id on the app's page"));
        } else if app.private_key_file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.found("github.app.private_key_file", "the path is empty", Some("leave the key out"));
        } else if in_file && in_place {
            let message = "the private key is given twice";
            self.found("github.app.private_key_file", message, Some("keep either the file or GITHUB_APP_PRIVATE_KEY"));
        } else if app.id.is_some() && !in_file && !in_place {
            let hint = "set github.app.private_key_file, or GITHUB_APP_PRIVATE_KEY";
            self.found("github.app.id", "an app needs its private key", Some(hint));
        } else if app.id.is_none() && (in_file || in_place) {
            let key = if in_file { "github.app.private_key_file" } else { "github.app.private_key" };
            self.found(key, "whose key is this?", Some("set github.app.id, or GITHUB_APP_ID"));
        }
    }

    fn intervals(&mut self, config: &Config) {
        let Config { leases, sync, .. } = config;
        self.range("sync.interval_minutes", sync.interval_minutes, 1..=INTERVAL_MINUTES_MAX, "minutes");
        self.range("sync.full_reconcile_hours", sync.full_reconcile_hours, 0..=RECONCILE_HOURS_MAX, "hours");
        self.range("leases.timeout_minutes", leases.timeout_minutes, 1..=INTERVAL_MINUTES_MAX, "minutes");
        self.range("leases.auto_release_minutes", leases.auto_release_minutes, 0..=INTERVAL_MINUTES_MAX, "minutes");
        self.range("leases.sweep_seconds", leases.sweep_seconds, 1..=SWEEP_SECONDS_MAX, "seconds");
    }

    fn rate_limits(&mut self, config: &Config) {
        let limits = &config.rate_limits;
        let named = [
            ("ip", limits.ip),
            ("principal", limits.principal),
            ("agent_mutations", limits.agent_mutations),
            ("sse_connect", limits.sse_connect),
        ];
        for (name, limit) in named {
            for (key, value) in [("per_minute", limit.per_minute), ("burst", limit.burst)] {
                if value == 0 {
                    let hint = Some("to have no limits at all, set rate_limits.enabled to false");
                    self.found(
                        &format!("rate_limits.{name}.{key}"),
                        "0 would refuse everything; expected 1 or more",
                        hint,
                    );
                }
            }
        }
    }

    fn log(&mut self, config: &Config) {
        if let Some(wrong) = level_error(&config.log.level) {
            let hint = Some("a level, or directives as in \"info,issuecommand::sync=debug\"");
            self.found("log.level", wrong, hint);
        }
        if config.log.file.as_ref().is_some_and(|path| path.as_os_str().is_empty()) {
            self.found("log.file", "the path is empty", Some("leave the key out to log to standard error only"));
        }
        let bytes_max = config.log.file_bytes_max.0;
        if (1..LOG_FILE_BYTES_MIN).contains(&bytes_max) {
            let message = format!("{bytes_max} bytes are too few: from {LOG_FILE_BYTES_MIN} (64k), or 0 without bound");
            self.found("log.file_bytes_max", message, None);
        }
        self.range("log.file_count_max", config.log.file_count_max, 1..=LOG_FILE_COUNT_MAX, "files");
    }

    fn telemetry(&mut self, config: &Config) {
        let telemetry = &config.telemetry;
        if telemetry.otlp_endpoint.as_ref().is_some_and(|endpoint| !is_plain_url(endpoint)) {
            let hint = "as in \"http://localhost:4318\"; credentials go in the variable OTEL_EXPORTER_OTLP_HEADERS";
            let message = "this is no address of a collector (what it says is not shown)";
            self.found("telemetry.otlp_endpoint", message, Some(hint));
        }
        if !(0.0..=1.0).contains(&telemetry.share) {
            self.found("telemetry.share", format!("a share of {} is none: from 0 to 1", telemetry.share), None);
        }
    }

    fn areas(&mut self, config: &Config) {
        let labels = &config.areas.labels;
        if labels.len() > AREA_LABEL_COUNT_MAX {
            let message = format!("{} labels are too many: at most {AREA_LABEL_COUNT_MAX}", labels.len());
            self.found("areas.labels", message, None);
        }
        for (label, areas) in labels {
            let key = keys::join("areas.labels", label);
            if areas.len() > AREA_COUNT_MAX {
                self.found(&key, format!("{} areas are too many: at most {AREA_COUNT_MAX}", areas.len()), None);
            }
            for area in areas.iter().filter(|area| area.trim().is_empty() || area.starts_with('/')) {
                let hint = Some("relative to the repository, a folder with its slash, as in \"src/qt/\"");
                self.found(&key, format!("{area:?} is no file or folder of a repository"), hint);
            }
        }
    }

    fn trust(&mut self, config: &Config) {
        for label in &config.trust.approval_labels {
            if label.trim().is_empty() {
                self.found("trust.approval_labels", "a label has no name", Some("leave the list empty for no label"));
            }
        }
        for pattern in &config.trust.approvers {
            if let Err(error) = globset::Glob::new(pattern) {
                self.found("trust.approvers", format!("{pattern:?} is no pattern: {}", error.kind()), None);
            }
        }
    }

    fn agent_groups(&mut self, config: &Config) {
        let groups = &config.agent_groups.0;
        if groups.len() > AGENT_GROUP_COUNT_MAX {
            let message = format!("{} groups are too many: at most {AGENT_GROUP_COUNT_MAX}", groups.len());
            self.found("agent_groups", message, None);
        }
        for (name, patterns) in groups {
            let key = keys::join("agent_groups", name);
            if patterns.len() > GROUP_PATTERN_COUNT_MAX {
                let message = format!("{} patterns are too many: at most {GROUP_PATTERN_COUNT_MAX}", patterns.len());
                self.found(&key, message, None);
            }
            for pattern in patterns {
                if let Err(error) = globset::Glob::new(pattern) {
                    self.found(&key, format!("{pattern:?} is no pattern: {}", error.kind()), None);
                }
            }
        }
    }

    fn policies(&mut self, config: &Config) {
        let policies = &config.policies;
        self.policy("policies.ranker", &policies.ranker, &[BUILTIN_RANKER, BUILTIN_CONFLICT_AWARE]);
        self.policy("policies.stale_rule", &policies.stale_rule, &[BUILTIN_STALE_RULE]);
        self.policy("policies.repo_filter", &policies.repo_filter, &[BUILTIN_REPO_FILTER]);
        self.range("policies.call_ms_max", policies.call_ms_max, 1..=POLICY_CALL_MS_MAX, "milliseconds");
        self.range("policies.choose_ms_max", policies.choose_ms_max, 1..=POLICY_CHOOSE_MS_MAX, "milliseconds");
        let memory = POLICY_MEMORY_BYTES_MIN..=POLICY_MEMORY_BYTES_MAX;
        self.range("policies.memory_bytes_max", policies.memory_bytes_max, memory, "bytes");
        self.composition(config);
    }

    fn policy(&mut self, path: &str, policy: &PolicyConfig, builtins: &[&str]) {
        let key = format!("{path}.source");
        match policy.builtin_name() {
            Some(name) if !builtins.contains(&name) => {
                let expected: Vec<_> = builtins.iter().map(|builtin| format!("\"builtin:{builtin}\"")).collect();
                let expected = list(&expected.iter().map(String::as_str).collect::<Vec<_>>());
                let message = format!("there is no built-in policy {name:?} of this kind; expected {expected}");
                self.found(&key, message, Some("or the path of a component, relative to this file"));
            }
            None if policy.source.trim().is_empty() => {
                let hint = format!("leave the key out for \"builtin:{}\"", builtins[0]);
                self.found(&key, "the source is empty", Some(&hint));
            }
            _ => {}
        }
        if policy.is_pulled() && policy.sha256.is_none() {
            let hint = format!("`{}` prints it", policy.pull_command());
            self.found(&format!("{path}.sha256"), "a policy from a registry must be pinned", Some(&hint));
        }
        self.pin(&format!("{path}.sha256"), policy.sha256.as_deref());
        if policy.signed_by.is_some() && policy.builtin_name().is_some() {
            let hint = "leave signed_by out, or name the source of a component";
            self.found(
                &format!("{path}.signed_by"),
                "a built-in policy is part of the server, and not signed",
                Some(hint),
            );
        }
    }

    fn pin(&mut self, key: &str, digest: Option<&str>) {
        if digest.is_some_and(|digest| digest.len() != 64 || !digest.bytes().all(|b| b.is_ascii_hexdigit())) {
            self.found(key, "expected 64 hexadecimal digits of a SHA-256", Some("sha256sum prints it"));
        }
    }
}
