//! Configuration: issuecommand.toml, with the contract's environment variables over it.

mod secret;
mod settings;

pub use secret::Secret;
pub use settings::{
    Config, GithubConfig, LeaseConfig, LogConfig, LogFormat, PoliciesConfig, PolicyConfig, RateLimit, RateLimitConfig,
    ServerConfig, StoreConfig, SyncConfig,
};
