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

/// What a reload did.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// Whether anything that takes effect at once has changed.
    pub changed: bool,
    /// Keys that differ from what is in force and wait for a restart.
    pub needs_restart: Vec<&'static str>,
    /// What was read: with the values that wait, and with the files to watch from now on.
    pub loaded: Loaded,
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

    /// Puts the hot parts of `new` in force; returns the keys that differ and wait for a restart,
    /// which keep the values they have. Nobody is woken if nothing hot has changed.
    pub fn replace(&self, new: Config) -> Vec<&'static str> {
        self.swap(new).1
    }

    fn swap(&self, new: Config) -> (bool, Vec<&'static str>) {
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
        (changed, needs_restart)
    }

    /// Loads again and puts in force what can be. Blocks on reading a few small files.
    ///
    /// # Errors
    /// Everything that is wrong; the configuration in force stays.
    pub fn reload(&self, source: &ConfigSource) -> Result<Reloaded, ConfigReport> {
        let file = source.file.clone().or_else(|| self.file.clone());
        let loaded = load(&ConfigSource { file, ..source.clone() })?;
        let (changed, needs_restart) = self.swap(loaded.config.clone());
        Ok(Reloaded { changed, needs_restart, loaded })
    }
}

/// Keeps `live` up to date until the watch ends (drop the future to end it earlier). `told` gets what
/// became of every change of a watched file, also if only a policy's component changed and the
/// configuration did not; it gets one word at the start too, for what changed before the watch began.
pub async fn follow(
    live: LiveConfig,
    source: ConfigSource,
    watch: ConfigWatch,
    mut told: impl FnMut(Result<Reloaded, ConfigReport>),
) {
    let mut changes = watch.changes();
    loop {
        let outcome = live.reload(&source);
        if let Ok(reloaded) = &outcome {
            // Before anyone reads a component: a change from here on is noticed.
            watch.watch(reloaded.loaded.watched_files()).await;
        }
        told(outcome);
        if changes.next().await.is_none() {
            return;
        }
    }
}
