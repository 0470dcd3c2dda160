//! What every route knows.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::pages::Renderings;
use crate::api::Api;
use crate::config::{Config, ServerConfig, ToolProfile, WebhookConfig};
use crate::domain::Clock;
use crate::replay::OwnReplays;

/// Time between two `ping` frames of an event stream (the contract's number).
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// What every route knows. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HttpState {
    pub(super) api: Api,
    pub(super) server: Arc<ServerConfig>,
    pub(super) webhooks: Arc<WebhookConfig>,
    pub(super) profile: ToolProfile,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shutdown: CancellationToken,
    pub(super) ping_interval: Duration,
    pub(super) renderings: Arc<Renderings>,
    pub(super) replays: Arc<OwnReplays>,
    /// The file that the configuration was read from, which pages edit; `None` where there is none.
    pub(super) config_file: Option<Arc<Path>>,
}

impl HttpState {
    /// The state of a server over `api`. Event streams end when `shutdown` is cancelled.
    pub fn new(api: Api, config: &Config, clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        let (server, webhooks) = (Arc::new(config.server.clone()), Arc::new(config.webhooks.clone()));
        let profile = config.mcp.profile;
        Self {
            api,
            server,
            webhooks,
            profile,
            clock,
            shutdown,
            ping_interval: PING_INTERVAL,
            renderings: Arc::default(),
            replays: Arc::default(),
            config_file: None,
        }
    }

    /// The same state with the file that the configuration was read from, if there was one.
    #[must_use]
    pub fn with_config_file(self, file: Option<PathBuf>) -> Self {
        Self { config_file: file.map(Arc::from), ..self }
    }

    /// The same state with another time between two `ping` frames.
    pub fn with_ping_interval(self, ping_interval: Duration) -> Self {
        Self { ping_interval, ..self }
    }

    /// Puts what is hot of a changed configuration in force: the rate limits.
    pub fn apply(&self, config: &Config) {
        self.api.apply(config);
    }
}
