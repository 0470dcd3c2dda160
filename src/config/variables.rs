//! The environment variables: one table with every name, what it overrides, and how it is read.

use std::path::PathBuf;

use super::{Config, Secret};
use crate::domain::RepoName;

/// One environment variable.
#[derive(Debug, Clone, Copy)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// The key of issuecommand.toml it overrides.
    pub key: &'static str,
    /// Its default as it would be written; empty if it has none.
    pub default: &'static str,
    /// What it means, with its unit.
    pub meaning: &'static str,
    /// Whether its value must never be shown.
    pub secret: bool,
    pub(super) set: fn(&mut Config, &str) -> Result<(), String>,
}

type Set = fn(&mut Config, &str) -> Result<(), String>;

impl Variable {
    const fn new(
        name: &'static str,
        key: &'static str,
        default: &'static str,
        meaning: &'static str,
        set: Set,
    ) -> Self {
        Self { name, key, default, meaning, secret: false, set }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The variable of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        VARIABLES.iter().find(|variable| variable.name == name)
    }
}

/// Every variable there is.
pub const VARIABLES: &[Variable] = &[
    Variable::new("GITHUB_TOKEN", "github.token", "", "Personal access token for GitHub.", |c, v| {
        put(&mut c.github.token, v)
    })
    .secret(),
    Variable::new("GITHUB_API_URL", "github.api_url", "https://api.github.com", "Root of GitHub's API.", |c, v| {
        put(&mut c.github.api_url, v)
    }),
    Variable::new("GITHUB_APP_ID", "github.app.id", "", "Id of a GitHub App to act as, instead of a token.", |c, v| {
        put(&mut c.github.app.id, v)
    }),
    Variable::new(
        "GITHUB_APP_PRIVATE_KEY_FILE",
        "github.app.private_key_file",
        "",
        "File with the app's private key.",
        |c, v| put(&mut c.github.app.private_key_file, v),
    ),
    Variable::new(
        "GITHUB_APP_PRIVATE_KEY",
        "github.app.private_key",
        "",
        "The app's private key itself; \\n may stand for line ends.",
        |c, v| put(&mut c.github.app.private_key, v),
    )
    .secret(),
    Variable::new(
        "AUTO_CLOSE_GITHUB_ISSUE",
        "github.auto_close_issue",
        "false",
        "Whether closing a claim closes its issue on GitHub.",
        |c, v| put(&mut c.github.auto_close_issue, v),
    ),
    Variable::new(
        "API_KEY",
        "server.api_key",
        "",
        "Key that clients send as a bearer token. Without one there is no authentication, and only loopback is served.",
        |c, v| put(&mut c.server.api_key, v),
    )
    .secret(),
    Variable::new("HTTP_PORT", "server.port", "3100", "Port to listen on; 0 lets the system choose.", |c, v| {
        put(&mut c.server.port, v)
    }),
    Variable::new("TRUST_PROXY", "server.trust_proxy", "false", "Whether to believe X-Forwarded-For.", |c, v| {
        put(&mut c.server.trust_proxy, v)
    }),
    Variable::new(
        "DATABASE_URL",
        "store.url",
        "",
        "A PostgreSQL database, as in postgres://user:password@host/name, for several servers; without it, SQLite.",
        |c, v| put(&mut c.store.url, v),
    )
    .secret(),
    Variable::new("SQLITE_PATH", "store.path", "./issuecommand.db", "The database file.", |c, v| {
        put(&mut c.store.path, v)
    }),
    Variable::new(
        "SQLITE_BUSY_TIMEOUT_MS",
        "store.busy_timeout_ms",
        "5000",
        "Longest wait for a lock of the database, in milliseconds.",
        |c, v| put(&mut c.store.busy_timeout_ms, v),
    ),
    Variable::new(
        "SQLITE_JOURNAL_MODE",
        "store.journal_mode",
        "WAL",
        "Journal mode: WAL, DELETE, TRUNCATE or PERSIST.",
        |c, v| put(&mut c.store.journal_mode, v),
    ),
    Variable::new("HISTORY_MAX_ENTRIES", "store.history_max_entries", "1000", "Past claims to keep.", |c, v| {
        put(&mut c.store.history_max_entries, v)
    }),
    Variable::new(
        "STATE_FILE_PATH",
        "store.state_file",
        "",
        "JSON mirror of the claims, read when the store is empty.",
        |c, v| put(&mut c.store.state_file, v),
    ),
    Variable::new(
        "ISSUECOMMAND_DISPATCH",
        "dispatch.enabled",
        "false",
        "Whether labelled issues are worked on here.",
        |c, v| put(&mut c.dispatch.enabled, v),
    ),
    Variable::new(
        "ISSUECOMMAND_WORKER",
        "dispatch.worker",
        "false",
        "Whether only runs that another server queues are worked on here.",
        |c, v| put(&mut c.dispatch.worker, v),
    ),
    Variable::new("SYNC_INTERVAL_MINUTES", "sync.interval_minutes", "15", "Minutes between two syncs.", |c, v| {
        put(&mut c.sync.interval_minutes, v)
    }),
    Variable::new(
        "CLAIM_TIMEOUT_MINUTES",
        "leases.timeout_minutes",
        "120",
        "Minutes until a silent owner's claim is stale.",
        |c, v| put(&mut c.leases.timeout_minutes, v),
    ),
    Variable::new(
        "STALE_AUTO_RELEASE_MINUTES",
        "leases.auto_release_minutes",
        "0",
        "Minutes from stale to released; 0 never.",
        |c, v| put(&mut c.leases.auto_release_minutes, v),
    ),
    Variable::new(
        "ALLOWED_REPOS",
        "policies.repo_filter.settings.allow",
        "",
        "Repositories that take part, comma separated: owner/name, or patterns such as owner/*.",
        allowed_repos,
    ),
    Variable::new("LOG_FILE", "log.file", "", "Also write the log to this file.", |c, v| put(&mut c.log.file, v)),
    Variable::new(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "telemetry.otlp_endpoint",
        "",
        "A collector's address for traces, over OTLP and HTTP.",
        |c, v| put(&mut c.telemetry.otlp_endpoint, v),
    ),
    Variable::new("RATE_LIMIT_ENABLED", "rate_limits.enabled", "true", "Whether to limit at all.", |c, v| {
        put(&mut c.rate_limits.enabled, v)
    }),
    Variable::new(
        "RATE_LIMIT_IP_PER_MINUTE",
        "rate_limits.ip.per_minute",
        "120",
        "Requests a minute without valid credentials, by address.",
        |c, v| put(&mut c.rate_limits.ip.per_minute, v),
    ),
    Variable::new("RATE_LIMIT_IP_BURST", "rate_limits.ip.burst", "40", "The same, at once.", |c, v| {
        put(&mut c.rate_limits.ip.burst, v)
    }),
    Variable::new(
        "RATE_LIMIT_PRINCIPAL_PER_MINUTE",
        "rate_limits.principal.per_minute",
        "60000",
        "Requests a minute with valid credentials, by credential: many agents may share one.",
        |c, v| put(&mut c.rate_limits.principal.per_minute, v),
    ),
    Variable::new("RATE_LIMIT_PRINCIPAL_BURST", "rate_limits.principal.burst", "6000", "The same, at once.", |c, v| {
        put(&mut c.rate_limits.principal.burst, v)
    }),
    Variable::new(
        "RATE_LIMIT_AGENT_MUTATIONS_PER_MINUTE",
        "rate_limits.agent_mutations.per_minute",
        "40",
        "Claims, updates and releases a minute, by agent.",
        |c, v| put(&mut c.rate_limits.agent_mutations.per_minute, v),
    ),
    Variable::new(
        "RATE_LIMIT_AGENT_MUTATIONS_BURST",
        "rate_limits.agent_mutations.burst",
        "20",
        "The same, at once.",
        |c, v| put(&mut c.rate_limits.agent_mutations.burst, v),
    ),
    Variable::new(
        "RATE_LIMIT_SSE_CONNECT_PER_MINUTE",
        "rate_limits.sse_connect.per_minute",
        "10",
        "New event streams a minute, by agent.",
        |c, v| put(&mut c.rate_limits.sse_connect.per_minute, v),
    ),
    Variable::new(
        "RATE_LIMIT_SSE_CONNECT_BURST",
        "rate_limits.sse_connect.burst",
        "10",
        "The same, at once.",
        |c, v| put(&mut c.rate_limits.sse_connect.burst, v),
    ),
    Variable::new("WEBHOOK_ENABLED", "webhooks.enabled", "true", "Whether GitHub may call.", |c, v| {
        put(&mut c.webhooks.enabled, v)
    }),
    Variable::new("WEBHOOK_PATH", "webhooks.path", "/api/webhooks/github", "Where GitHub calls.", |c, v| {
        put(&mut c.webhooks.path, v)
    }),
    Variable::new(
        "WEBHOOK_DEDUPE_MAX_ENTRIES",
        "store.delivery_max_entries",
        "20000",
        "Webhook deliveries, and pieces of feedback, to remember.",
        |c, v| put(&mut c.store.delivery_max_entries, v),
    ),
    Variable::new(
        "GITHUB_WEBHOOK_SECRET",
        "webhooks.secret",
        "",
        "Secret that signs GitHub's calls. Without one only calls with a key are taken.",
        |c, v| put(&mut c.webhooks.secret, v),
    )
    .secret(),
    Variable::new(
        "FOLLOWUP_STALE_MINUTES",
        "follow_ups.stale_minutes",
        "1440",
        "Minutes until a follow-up that nobody moves is stale.",
        |c, v| put(&mut c.follow_ups.stale_minutes, v),
    ),
    Variable::new(
        "FOLLOWUP_MAX_ENTRIES",
        "store.follow_up_max_entries",
        "2000",
        "Follow-ups that may be active, and past ones to keep.",
        |c, v| put(&mut c.store.follow_up_max_entries, v),
    ),
];

/// A value that a variable can hold.
trait FromText: Sized {
    /// Reads it, or says what is accepted.
    fn from_text(text: &str) -> Result<Self, String>;
}

fn put<T: FromText>(slot: &mut T, text: &str) -> Result<(), String> {
    *slot = T::from_text(text)?;
    Ok(())
}

impl FromText for bool {
    fn from_text(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => Ok(true),
            "0" | "false" | "no" | "off" => Ok(false),
            _ => Err("expected 1, true, yes or on; or 0, false, no or off".into()),
        }
    }
}

macro_rules! whole_numbers {
    ($($number:ty),+) => {
        $(impl FromText for $number {
            fn from_text(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("expected a whole number from 0 to {}", Self::MAX))
            }
        })+
    };
}

whole_numbers!(u16, u32, u64, usize);

impl FromText for String {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl FromText for Secret {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self::new(text))
    }
}

impl FromText for PathBuf {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

impl FromText for Option<u64> {
    fn from_text(text: &str) -> Result<Self, String> {
        u64::from_text(text).map(Some)
    }
}

impl FromText for Option<String> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Some(text.to_owned()))
    }
}

impl FromText for Option<PathBuf> {
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Some(text.into()))
    }
}

/// What makes an entry of a list of repositories a pattern.
const GLOB_SIGNS: [char; 4] = ['*', '?', '[', '{'];

/// The names are for the repo filter; those without a pattern are read from GitHub too, for a token
/// need not belong to a member of them.
fn allowed_repos(config: &mut Config, text: &str) -> Result<(), String> {
    let mut allow = Vec::new();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        if entry.contains(GLOB_SIGNS) {
            globset::Glob::new(entry).map_err(|error| format!("{entry:?} is no pattern: {}", error.kind()))?;
            allow.push(entry.to_lowercase());
            continue;
        }
        let repo = entry.parse::<RepoName>().map_err(|error| error.to_string())?;
        allow.push(repo.as_str().to_owned());
        let listed = &mut config.github.repositories;
        if !listed.iter().any(|known| known.parse().is_ok_and(|known: RepoName| known == repo)) {
            listed.push(repo.as_str().to_owned());
        }
    }
    config.policies.allow_only(allow);
    Ok(())
}
