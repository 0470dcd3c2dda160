//! The configuration in force, which changes while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::{Config, ConfigReport, ConfigSource, ConfigWatch, Loaded, changes_needing_restart, keys, load};

/// A handle on the configuration in force. Clones see the same one, and each notes for itself which
/// change it saw last.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    sender: Arc<watch::Sender<Arc<Config>>>,
    pub(super) receiver: watch::Receiver<Arc<Config>>,
    /// The file the first configuration came from: if it goes away that is an error, not the defaults.
    file: Option<PathBuf>,
}

/// What a replacement did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Whether anything that takes effect at once has changed.
    pub changed: bool,
    /// Keys that differ from what is in force and wait for a restart.
    pub needs_restart: Vec<&'static str>,
}

impl LiveConfig {
    /// Puts a loaded configuration in force.
    pub fn new(loaded: &Loaded) -> Self {
        let (sender, receiver) = watch::channel(Arc::new(loaded.config.clone()));
        Self { sender: Arc::new(sender), receiver, file: loaded.file.clone() }
    }

    /// The configuration in force. Take it once per call and pass it down.
    pub fn current(&self) -> Arc<Config> {
        Arc::clone(&self.sender.borrow())
    }

    /// Waits for a change that this handle has not seen, and takes the new configuration.
    pub async fn changed(&mut self) -> Arc<Config> {
        self.receiver.changed().await.expect("this handle holds the sender");
        Arc::clone(&self.receiver.borrow_and_update())
    }

    /// Puts the hot parts of `new` in force; the others keep the values they have. Nobody is woken if
    /// nothing hot has changed.
    pub fn replace(&self, new: Config) -> Replaced {
        let mut needs_restart = Vec::new();
        let changed = self.sender.send_if_modified(|current| {
            needs_restart = changes_needing_restart(current, &new);
            let next = keys::with_hot_parts(current, new);
            let changed = next != **current;
            if changed {
                *current = Arc::new(next);
            }
            changed
        });
        Replaced { changed, needs_restart }
    }

    /// Loads again, from the file that was found first. Puts nothing in force.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read_again(&self, source: &ConfigSource) -> Result<Loaded, ConfigReport> {
        let file = source.file.clone().or_else(|| self.file.clone());
        load(&ConfigSource { file, ..source.clone() })
    }
}

/// Reads `source` again at every change of a watched file, until the watch ends (drop the future to end
/// it earlier), and once at the start, for what changed before the watch began. `take_in` puts in force
/// what it can, and is called too if only a policy's component changed and the configuration did not.
pub async fn follow<F: Future<Output = ()>>(
    live: LiveConfig,
    source: ConfigSource,
    watch: ConfigWatch,
    mut take_in: impl FnMut(Result<Loaded, ConfigReport>) -> F,
) {
    let mut changes = watch.changes();
    loop {
        let read = live.read_again(&source);
        if let Ok(loaded) = &read {
            // Before anyone reads a component: a change from here on is noticed, of a refused one too.
            watch.watch(loaded.watched_files()).await;
        }
        take_in(read).await;
        if changes.next().await.is_none() {
            return;
        }
    }
}
