//! The settings themselves: the shape of issuecommand.toml, with its defaults.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{McpConfig, Secret, partial};

/// Everything that can be set. The annotated issuecommand.toml says what each key means.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[store]`
    pub store: StoreConfig,
    /// `[github]`
    pub github: GithubConfig,
    /// `[sync]`
    pub sync: SyncConfig,
    /// `[webhooks]`
    pub webhooks: WebhookConfig,
    /// `[follow_ups]`
    pub follow_ups: FollowUpConfig,
    /// `[leases]`
    pub leases: LeaseConfig,
    /// `[rate_limits]`
    pub rate_limits: RateLimitConfig,
    /// `[mcp]`
    pub mcp: McpConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[policies]`
    pub policies: PoliciesConfig,
}

/// `[server]`: the HTTP door. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Where to listen. Without an API key only a loopback address is accepted.
    pub host: IpAddr,
    /// The port; 0 lets the system choose one. `HTTP_PORT`.
    pub port: u16,
    /// The key that clients send as a bearer token; empty means no authentication. `API_KEY`.
    pub api_key: Secret,
    /// Whether to believe `X-Forwarded-For`. `TRUST_PROXY`.
    pub trust_proxy: bool,
    /// Host names that MCP clients may name besides loopback ones.
    pub allowed_hosts: Vec<String>,
    /// Origins from which browsers may call.
    pub allowed_origins: Vec<String>,
    /// Most connections open at once.
    pub connection_count_max: usize,
    /// Longest time for the head of a request, in seconds.
    pub header_timeout_seconds: u64,
    /// Longest pause within the body of a request, in seconds.
    pub body_timeout_seconds: u64,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Longest time that open requests get to finish at shutdown, in seconds.
    pub shutdown_seconds: u64,
    /// Where local clients meet the server; beside the database unless it is set.
    pub socket: Option<PathBuf>,
    /// Minutes after which a server that a client started ends, if nobody needs it; 0 never.
    pub idle_minutes: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 3100,
            api_key: Secret::default(),
            trust_proxy: false,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            connection_count_max: 1024,
            header_timeout_seconds: 5,
            body_timeout_seconds: 10,
            body_bytes_max: 256 * 1024,
            shutdown_seconds: 5,
            socket: None,
            idle_minutes: 60,
        }
    }
}

/// `[store]`: where claims live. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// The SQLite file. `SQLITE_PATH`.
    pub path: PathBuf,
    /// How long to wait for a lock, in milliseconds. `SQLITE_BUSY_TIMEOUT_MS`.
    pub busy_timeout_ms: u64,
    /// SQLite's journal mode. `SQLITE_JOURNAL_MODE`.
    pub journal_mode: String,
    /// How many past claims to keep. `HISTORY_MAX_ENTRIES`.
    pub history_max_entries: usize,
    /// How many events to keep for readers that come back.
    pub event_max_entries: usize,
    /// How many follow-ups may be active, and how many past ones to keep. `FOLLOWUP_MAX_ENTRIES`.
    pub follow_up_max_entries: usize,
    /// How many webhook deliveries, and pieces of feedback, to remember. `WEBHOOK_DEDUPE_MAX_ENTRIES`.
    pub delivery_max_entries: usize,
    /// A JSON mirror of the claims, and where they are read from when the store is empty at the start.
    /// `STATE_FILE_PATH`.
    pub state_file: Option<PathBuf>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            path: "./issuecommand.db".into(),
            busy_timeout_ms: 5000,
            journal_mode: "WAL".into(),
            history_max_entries: 1000,
            event_max_entries: 100_000,
            follow_up_max_entries: 2000,
            delivery_max_entries: 20_000,
            state_file: None,
        }
    }
}

/// `[github]`: where issues come from. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GithubConfig {
    /// A personal access token. `GITHUB_TOKEN`.
    pub token: Secret,
    /// Whether to ask GitHub's command line (`gh auth token`) when neither a token nor an app is set.
    pub use_gh_token: bool,
    /// A GitHub App to act as, instead of a token.
    pub app: GithubAppConfig,
    /// The API's root, for GitHub Enterprise. `GITHUB_API_URL`.
    pub api_url: String,
    /// Repositories to sync besides those the token's account belongs to.
    pub repositories: Vec<String>,
    /// Reads issues from this file of JSON lines instead of GitHub.
    pub issues_file: Option<PathBuf>,
    /// Longest time to connect, in seconds.
    pub connect_timeout_seconds: u64,
    /// Longest pause while an answer comes in, in seconds.
    pub read_timeout_seconds: u64,
    /// Most requests a minute with one token; 0 no bound. GitHub's own is 900 points, one for each read.
    pub requests_per_minute_max: u32,
    /// Whether closing a claim closes its issue on GitHub. `AUTO_CLOSE_GITHUB_ISSUE`.
    pub auto_close_issue: bool,
}

impl Default for GithubConfig {
    fn default() -> Self {
        Self {
            token: Secret::default(),
            use_gh_token: true,
            app: GithubAppConfig::default(),
            api_url: "https://api.github.com".into(),
            repositories: Vec::new(),
            issues_file: None,
            connect_timeout_seconds: 10,
            read_timeout_seconds: 30,
            requests_per_minute_max: 800,
            auto_close_issue: false,
        }
    }
}

/// `[github.app]`: the GitHub App that the server acts as. A change needs a restart.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GithubAppConfig {
    /// The app's id; without one no app is used. `GITHUB_APP_ID`.
    pub id: Option<u64>,
    /// The file with the app's private key (PEM), relative to issuecommand.toml.
    /// `GITHUB_APP_PRIVATE_KEY_FILE`.
    pub private_key_file: Option<PathBuf>,
    /// The private key itself (PEM); `\n` may stand for line ends. `GITHUB_APP_PRIVATE_KEY`.
    pub private_key: Secret,
    /// Use only these installations; empty: all of them.
    pub installation_ids: Vec<u64>,
}

/// `[sync]`: how often to read from GitHub. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyncConfig {
    /// Minutes between two syncs. `SYNC_INTERVAL_MINUTES`.
    pub interval_minutes: u64,
    /// Hours until a repository's open issues are all read again, to find those that were deleted or
    /// moved elsewhere; 0 never.
    pub full_reconcile_hours: u64,
}

impl Default for SyncConfig {
    fn default() -> Self {
        Self { interval_minutes: 15, full_reconcile_hours: 24 }
    }
}

/// `[webhooks]`: what GitHub calls. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// Whether GitHub may call. `WEBHOOK_ENABLED`.
    pub enabled: bool,
    /// Where it calls. `WEBHOOK_PATH`.
    pub path: String,
    /// The secret that signs its calls; empty: only calls with a key are taken. `GITHUB_WEBHOOK_SECRET`.
    pub secret: Secret,
    /// Largest delivery, in bytes.
    pub body_bytes_max: usize,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "/api/webhooks/github".into(),
            secret: Secret::default(),
            // GitHub sends up to 25 MB; what is read here is below one.
            body_bytes_max: 25 * 1024 * 1024,
        }
    }
}

/// `[follow_ups]`: how review feedback becomes work. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowUpConfig {
    /// Minutes until one that nobody moves is stale. `FOLLOWUP_STALE_MINUTES`.
    pub stale_minutes: u64,
    /// Minutes for which it is kept for the agent whose claim made the pull request.
    pub grace_minutes: u64,
    /// On which pull requests feedback becomes work.
    pub pulls: FollowUpPulls,
    /// What a push does to the follow-ups of its pull request.
    pub on_push: OnPush,
    /// What a pull request that was closed without a merge does to its claim.
    pub on_closed_pull: OnClosedPull,
    /// Whether feedback of programs is left out.
    pub ignore_bots: bool,
    /// Logins whose feedback is left out; `*` stands for any part of a login.
    pub ignore_authors: Vec<String>,
    /// Whether feedback by the author of the pull request is left out.
    pub ignore_pull_author: bool,
}

impl Default for FollowUpConfig {
    fn default() -> Self {
        Self {
            stale_minutes: 1440,
            grace_minutes: 60,
            pulls: FollowUpPulls::All,
            on_push: OnPush::Resolve,
            on_closed_pull: OnClosedPull::Release,
            ignore_bots: true,
            ignore_authors: Vec::new(),
            ignore_pull_author: false,
        }
    }
}

/// On which pull requests feedback becomes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FollowUpPulls {
    /// On every one of an admitted repository.
    All,
    /// On those that came from a claim.
    Claimed,
}

/// What a push does to the older follow-ups of its pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnPush {
    /// Those that an agent is working on are done; the others are marked.
    Resolve,
    /// All are marked, for a look.
    Mark,
}

/// What a pull request that was closed without a merge does to its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnClosedPull {
    /// The claim is released: the issue is on offer again.
    Release,
    /// The claim stays its agent's.
    Keep,
}

/// `[leases]`: how long a claim holds without a word from its owner. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// Minutes until a silent owner's claim is stale. `CLAIM_TIMEOUT_MINUTES`.
    pub timeout_minutes: u64,
    /// Minutes from stale to released; 0 never. `STALE_AUTO_RELEASE_MINUTES`.
    pub auto_release_minutes: u64,
    /// Seconds between two sweeps.
    pub sweep_seconds: u64,
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self { timeout_minutes: 120, auto_release_minutes: 0, sweep_seconds: 30 }
    }
}

impl LeaseConfig {
    /// How long a claim holds without a word from its owner.
    pub fn timeout(&self) -> TimeDelta {
        let minutes = i64::try_from(self.timeout_minutes).unwrap_or(i64::MAX);
        TimeDelta::try_minutes(minutes).unwrap_or(TimeDelta::MAX)
    }
}

/// `[rate_limits]`: how much one client may ask. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimitConfig {
    /// Whether to limit at all. `RATE_LIMIT_ENABLED`.
    pub enabled: bool,
    /// Requests without valid credentials, by address. `RATE_LIMIT_IP_*`.
    #[serde(deserialize_with = "partial::ip_limit")]
    pub ip: RateLimit,
    /// Requests with valid credentials, by credential: many agents share one key.
    /// `RATE_LIMIT_PRINCIPAL_*`.
    #[serde(deserialize_with = "partial::principal_limit")]
    pub principal: RateLimit,
    /// Claims, updates and releases, by agent. `RATE_LIMIT_AGENT_MUTATIONS_*`.
    #[serde(deserialize_with = "partial::agent_mutations_limit")]
    pub agent_mutations: RateLimit,
    /// New event streams, by agent. A caller that names none draws on its credential's bucket alone.
    /// `RATE_LIMIT_SSE_CONNECT_*`.
    #[serde(deserialize_with = "partial::sse_connect_limit")]
    pub sse_connect: RateLimit,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            ip: RateLimit { per_minute: 120, burst: 40 },
            principal: RateLimit { per_minute: 60_000, burst: 6_000 },
            agent_mutations: RateLimit { per_minute: 40, burst: 20 },
            sse_connect: RateLimit { per_minute: 10, burst: 10 },
        }
    }
}

/// A token bucket: refilled evenly, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// Tokens that come in a minute.
    pub per_minute: u32,
    /// Tokens it holds at most.
    pub burst: u32,
}

/// `[log]`: what is logged, where. The level is hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// A level, or filter directives (`info,issuecommand::sync=debug`).
    pub level: String,
    /// Also write to this file. `LOG_FILE`.
    pub file: Option<PathBuf>,
    /// Lines for people, or JSON for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), file: None, format: LogFormat::Text }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[policies]`: which policies decide. Hot, as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesConfig {
    /// Orders work.
    #[serde(deserialize_with = "partial::ranker")]
    pub ranker: PolicyConfig,
    /// Says when a claim has lapsed.
    #[serde(deserialize_with = "partial::stale_rule")]
    pub stale_rule: PolicyConfig,
    /// Says which repositories take part. `ALLOWED_REPOS` sets `settings.allow`.
    #[serde(deserialize_with = "partial::repo_filter")]
    pub repo_filter: PolicyConfig,
    /// Longest time for one call off the request path, in milliseconds.
    pub call_ms_max: u64,
    /// Longest time for one `choose` or `explain`, while an agent waits, in milliseconds.
    pub choose_ms_max: u64,
    /// Most memory of one instance, in bytes.
    pub memory_bytes_max: usize,
}

impl Default for PoliciesConfig {
    fn default() -> Self {
        Self {
            ranker: PolicyConfig::builtin(BUILTIN_RANKER),
            stale_rule: PolicyConfig::builtin(BUILTIN_STALE_RULE),
            repo_filter: PolicyConfig::builtin(BUILTIN_REPO_FILTER),
            call_ms_max: 250,
            choose_ms_max: 20,
            memory_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// The built-in ranker: a table of rules.
pub const BUILTIN_RANKER: &str = "rules";
/// The built-in stale rule: silence for too long.
pub const BUILTIN_STALE_RULE: &str = "lease-timeouts";
/// The built-in repo filter: names and patterns.
pub const BUILTIN_REPO_FILTER: &str = "allow-list";
/// What the source of a built-in policy begins with; anything else is a path.
pub const BUILTIN_PREFIX: &str = "builtin:";

/// One policy: where its component is, and what it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyConfig {
    /// `builtin:<name>`, or a path to a component, relative to issuecommand.toml.
    pub source: String,
    /// The component is refused unless its SHA-256, in hex, is this one.
    pub sha256: Option<String>,
    /// The policy's own settings.
    pub settings: Map<String, Value>,
}

impl PolicyConfig {
    /// A built-in policy without settings.
    pub fn builtin(name: &str) -> Self {
        Self { source: format!("{BUILTIN_PREFIX}{name}"), sha256: None, settings: Map::new() }
    }

    /// The name of the built-in policy this is; `None` for a component in a file.
    pub fn builtin_name(&self) -> Option<&str> {
        self.source.strip_prefix(BUILTIN_PREFIX)
    }

    /// The component's file, `folder` being that of issuecommand.toml; `None` for a built-in policy.
    pub fn component_path(&self, folder: &Path) -> Option<PathBuf> {
        self.builtin_name().is_none().then(|| folder.join(&self.source))
    }
}

impl PoliciesConfig {
    /// The three policies: ranker, stale rule, repo filter.
    pub fn all(&self) -> [&PolicyConfig; 3] {
        [&self.ranker, &self.stale_rule, &self.repo_filter]
    }

    /// The files of all components that are not built in, `folder` being that of issuecommand.toml.
    pub fn component_paths(&self, folder: &Path) -> Vec<PathBuf> {
        self.all().into_iter().filter_map(|policy| policy.component_path(folder)).collect()
    }
}

impl Config {
    /// The policies with what they are told in fact: the built-in stale rule gets the times of
    /// `[leases]` where its own settings do not name them.
    pub fn effective_policies(&self) -> PoliciesConfig {
        let mut policies = self.policies.clone();
        if policies.stale_rule.builtin_name() == Some(BUILTIN_STALE_RULE) {
            let settings = &mut policies.stale_rule.settings;
            let times = [
                ("claim_timeout_minutes", self.leases.timeout_minutes),
                ("auto_release_minutes", self.leases.auto_release_minutes),
            ];
            for (name, minutes) in times {
                settings.entry(name).or_insert_with(|| minutes.into());
            }
        }
        policies
    }
}
