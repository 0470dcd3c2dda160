//! The settings themselves: the shape of issuecommand.toml, with its defaults.

mod areas;
mod composition;
mod dispatch;
mod follow_ups;
mod github;
mod groups;
mod policies;
mod signer;
mod trust;

use std::net::IpAddr;
use std::path::PathBuf;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::{Bytes, McpConfig, Secret, partial};

pub use areas::AreasConfig;
pub use composition::{CandidateConfig, CandidateMode, OverrideConfig, RankerConfig, StageConfig, StageRole};
pub use dispatch::{
    AgentConfig, AgentsConfig, BudgetConfig, ContainersConfig, DispatchConfig, LimitsConfig, PriorityLimitsConfig,
    RepositoryConfigTrust, SecretsConfig, processors,
};
pub use follow_ups::{FollowUpConfig, FollowUpPulls, OnClosedPull, OnPush};
pub use github::{GithubAppConfig, GithubConfig, SyncConfig, WebhookConfig};
pub use groups::AgentGroupsConfig;
pub use policies::{
    BUILTIN_CONFLICT_AWARE, BUILTIN_PREFIX, BUILTIN_RANKER, BUILTIN_REPO_FILTER, BUILTIN_STALE_RULE, OCI_PREFIX,
    PULLED_FOLDER_NAME, PoliciesConfig, PolicyConfig, is_on_this_machine, manifest_path, signature_path,
};
pub use signer::{Signer, in_shell};
pub use trust::TrustConfig;

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
    /// `[areas]`
    pub areas: AreasConfig,
    /// `[leases]`
    pub leases: LeaseConfig,
    /// `[rate_limits]`
    pub rate_limits: RateLimitConfig,
    /// `[mcp]`
    pub mcp: McpConfig,
    /// `[log]`
    pub log: LogConfig,
    /// `[telemetry]`
    pub telemetry: TelemetryConfig,
    /// `[trust]`
    pub trust: TrustConfig,
    /// `[agent_groups]`
    pub agent_groups: AgentGroupsConfig,
    /// `[policies]`
    pub policies: PoliciesConfig,
    /// `[dispatch]`
    pub dispatch: DispatchConfig,
    /// `[containers]`
    pub containers: ContainersConfig,
    /// `[secrets]`
    pub secrets: SecretsConfig,
    /// `[agents]`
    pub agents: AgentsConfig,
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
    /// A PostgreSQL database, as in `postgres://user@host/name`: for several servers. Nothing, and the store is the
    /// SQLite file. `DATABASE_URL`.
    pub url: Secret,
    /// Certificates of the authorities that PostgreSQL's server is to be known by, instead of the system's.
    pub ca_file: Option<PathBuf>,
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
    /// How many recorded decisions to keep, besides those of live claims; 0 records none.
    pub decision_max_entries: usize,
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
            url: Secret::default(),
            ca_file: None,
            path: "./issuecommand.db".into(),
            busy_timeout_ms: 5000,
            journal_mode: "WAL".into(),
            history_max_entries: 1000,
            event_max_entries: 100_000,
            decision_max_entries: 5000,
            follow_up_max_entries: 2000,
            delivery_max_entries: 20_000,
            state_file: None,
        }
    }
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
    /// Most bytes of it: then it is put aside and another begun; 0 is without bound.
    pub file_bytes_max: Bytes,
    /// How many files there are then at most, with those put aside.
    pub file_count_max: u32,
    /// Lines for people, or JSON for machines.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".into(),
            file: None,
            file_bytes_max: Bytes(32 << 20),
            file_count_max: 4,
            format: LogFormat::Text,
        }
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

/// `[telemetry]`: where traces go. A change needs a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// A collector's address for OTLP over HTTP; no traces without one. `OTEL_EXPORTER_OTLP_ENDPOINT`.
    pub otlp_endpoint: Option<String>,
    /// The share of traces that are kept, from 0 to 1, of those on which nobody decided before.
    pub share: f64,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, share: 1.0 }
    }
}
