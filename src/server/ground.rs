//! What a server stands on before it is one: store, source of issues, index, policy host and clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::claims::{Index, Operations, Parts, StoredBodies};
use crate::config::{GithubConfig, LiveConfig, Loaded};
use crate::domain::{Clock, SharedClock, SystemClock};
use crate::github::{Credentials, FileSource, Forge, GithubSource, IssueSource};
use crate::policy::PolicyHost;
use crate::state::{Mirror, MirrorStart};
use crate::store::{SqlStore, Store};

/// What a server stands on: made first, and all of it at once, since each part takes a while.
pub(super) struct Ground {
    pub(super) store: Arc<SqlStore>,
    source: Arc<dyn IssueSource>,
    pub(super) forge: Option<Arc<dyn Forge>>,
    index: Arc<Index>,
    host: PolicyHost,
    pub(super) clock: Arc<dyn Clock>,
    config: LiveConfig,
}

impl Ground {
    pub(super) async fn lay(
        loaded: &Loaded,
        source: Option<Arc<dyn IssueSource>>,
        config: &LiveConfig,
    ) -> anyhow::Result<Self> {
        // Reading the system's certificates takes as long as all the rest: it goes on beside it.
        let (github, folder) = (config.current().github.clone(), loaded.folder.clone());
        let source =
            spawn_blocking(move || source.map_or_else(|| source_of(&github, &folder), |source| Ok((source, None))));
        let index = Index::empty();
        let (kept, observer) = (loaded.store(), Arc::clone(&index));
        let store = spawn_blocking(move || SqlStore::open(&kept, observer));
        let host = spawn_blocking(move || PolicyHost::new(policy_cache_folder()));
        let (source, store, host) = tokio::try_join!(source, store, host)?;
        let ((source, forge), store, host) = (source?, Arc::new(store?), host?);
        let host = host.reading_bodies_from(Arc::new(StoredBodies::of(Arc::clone(&store))));
        let clock: Arc<dyn Clock> =
            if loaded.store().url.is_empty() { Arc::new(SystemClock) } else { Arc::new(SharedClock::default()) };
        Ok(Self { store, source, forge, index, host, clock, config: config.clone() })
    }

    /// The mirror that the configuration asks for. An empty store takes in what the file holds, before
    /// anything else happens to it.
    pub(super) async fn mirror(&self, loaded: &Loaded) -> Option<MirrorStart> {
        let file = loaded.store().state_file?;
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let operations = Operations::new(store, Arc::clone(&self.clock), self.config.clone());
        Some(Mirror::open(&file, &operations).await)
    }

    pub(super) fn parts(self, loaded: &Loaded) -> Parts {
        let Self { store, source, forge: _, index, host, clock, config } = self;
        Parts { store, source, index, host, clock, config, base_dir: loaded.folder.clone() }
    }
}

/// Where issues come from, and what opens pull requests there; from a file nothing does.
type Sources = (Arc<dyn IssueSource>, Option<Arc<dyn Forge>>);

/// The source of issues that the configuration names.
fn source_of(github: &GithubConfig, folder: &Path) -> anyhow::Result<Sources> {
    if let Some(file) = &github.issues_file {
        return Ok((Arc::new(FileSource::new(folder.join(file))), None));
    }
    let credentials = Credentials::of(github, folder)?;
    if matches!(credentials, Credentials::None) && github.repositories.is_empty() {
        warn!(
            "nothing to sync: set GITHUB_TOKEN, github.app, github.repositories or github.issues_file (`issuecommand demo` needs none)"
        );
    }
    let source = Arc::new(GithubSource::new(github, credentials)?);
    info!("issues come from {}", source.description());
    Ok((Arc::clone(&source) as Arc<dyn IssueSource>, Some(source)))
}

/// Where compiled policies are kept between runs: the user's cache folder.
pub fn policy_cache_folder() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("issuecommand").join("policies"))
}
