//! What has to do with GitHub: credentials, the sync, and webhooks.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::{Secret, Span};

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
    /// How often issues to dispatch are looked for. Hot, unlike the rest.
    pub poll_interval: Span,
    /// The topic by which repositories let the dispatcher in. Hot.
    pub topic: String,
    /// The label that asks for work; the same with `/ready` behind it counts too. Hot.
    pub trigger_label: String,
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
            poll_interval: Span::seconds(30),
            topic: "issuecommand".into(),
            trigger_label: "agent".into(),
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
