//! The configuration in force, which changes while the server runs.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::report::{ConfigReport, Problem};
use super::{Config, ConfigSource, Loaded, changes_needing_restart, keys, load};

/// A handle on the configuration in force. Clones see the same one, and each notes for itself which
/// change it saw last.
#[derive(Debug, Clone)]
pub struct LiveConfig {
    sender: Arc<watch::Sender<Arc<Config>>>,
    receiver: watch::Receiver<Arc<Config>>,
    /// The file the first configuration came from: if it goes away, its last good content stays.
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
        let loaded = load(source)?;
        if let (Some(file), None) = (&self.file, &loaded.file) {
            return Err(ConfigReport { problems: vec![gone(file)] });
        }
        let (changed, needs_restart) = self.swap(loaded.config.clone());
        Ok(Reloaded { changed, needs_restart, loaded })
    }
}

fn gone(file: &std::path::Path) -> Problem {
    Problem {
        file: file.display().to_string(),
        message: "is gone; what it said last stays in force".into(),
        hint: Some("put it back, or restart to run on defaults".into()),
        ..Problem::default()
    }
}
