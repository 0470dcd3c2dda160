//! Configuration: issuecommand.toml, with the contract's environment variables over it.
//!
//! [`load`] reads both and tells everything that is wrong at once ([`ConfigReport`]); [`ConfigWatch`]
//! notices changes; [`LiveConfig`] holds what is in force, and [`follow`] keeps it so. Defaults live in the structs ([`Config`]), the
//! variables in one table ([`VARIABLES`]), and which keys are hot in `keys.rs`.

mod document;
mod edit;
mod environment;
mod finite;
mod keys;
mod live;
mod mcp;
mod partial;
mod plain_words;
mod report;
mod route;
mod secret;
mod settings;
mod source;
mod span;
mod summary;
mod validate;
mod variables;
mod watch;
mod which_server;

#[cfg(test)]
mod tests;

pub use edit::{
    EDIT_TURN, EditError, not_replaceable, replace_file, with_candidate, with_candidate_promoted, with_ranker,
    with_value,
};
pub use finite::not_finite;
pub use keys::{changes_needing_restart, defaults, is_hot, values};
pub use live::{LiveConfig, Replaced, follow};
pub use mcp::{McpConfig, ToolProfile};
pub use report::{ConfigReport, Problem};
pub use secret::Secret;
pub use settings::{
    AgentConfig, AgentGroupsConfig, AgentsConfig, AreasConfig, BUILTIN_CONFLICT_AWARE, BUILTIN_PREFIX, BUILTIN_RANKER,
    BUILTIN_REPO_FILTER, BUILTIN_STALE_RULE, BudgetConfig, CandidateConfig, CandidateMode, Config, ContainersConfig,
    DispatchConfig, FollowUpConfig, FollowUpPulls, GithubAppConfig, GithubConfig, LeaseConfig, LimitsConfig, LogConfig,
    LogFormat, OCI_PREFIX, OnClosedPull, OnPush, OverrideConfig, PULLED_FOLDER_NAME, PoliciesConfig, PolicyConfig,
    PriorityLimitsConfig, RankerConfig, RateLimit, RateLimitConfig, RepositoryConfigTrust, SecretsConfig, ServerConfig,
    Signer, StageConfig, StageRole, StoreConfig, SyncConfig, TelemetryConfig, TrustConfig, WebhookConfig, in_shell,
    is_on_this_machine, manifest_path, processors, signature_path,
};
pub use source::{
    CONFIG_BYTES_MAX, CONFIG_FILE_NAME, ConfigSource, DOTENV_FILE_NAME, InPart, Loaded, Origin, load, load_in_part,
};
pub use span::{Bytes, Span};
pub use summary::{Summary, SummaryRow, check};
pub use variables::{VARIABLES, Variable};
pub use watch::{ConfigChanges, ConfigWatch};
