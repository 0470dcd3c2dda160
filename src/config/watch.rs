//! Notices that a file the server depends on has other content than before.
//!
//! Editors, deployments and Kubernetes replace files, folders and links rather than write into them, and
//! a watch on a file dies with the file. So the folders are watched, every name on the way to each file
//! counts, and the content decides: what was only touched is not a change.
//!
//! This uses notify without a debouncer on top: one thread waits for the first event and then for
//! quiet, so an idle server is not woken, and renames need no stitching because content is compared.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};

use super::route::names_on_the_way;

/// Quiet that must follow an event before files are read: a save is often several events.
const QUIET_MS: u64 = 60;
/// Longest wait for quiet: a file that is written without a pause is read all the same.
const QUIET_WAIT_MS_MAX: u64 = 1_000;

/// How much of a file is read at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Watches files, whether they exist yet or not. Stops when dropped.
#[derive(Debug)]
pub struct ConfigWatch {
    orders: Sender<Order>,
    pulse: watch::Receiver<Pulse>,
}

/// A reader's own view of the changes.
#[derive(Debug, Clone)]
pub struct ConfigChanges {
    pub(super) pulse: watch::Receiver<Pulse>,
    pub(super) seen: u64,
}

/// How often the files were looked at, and how often they had changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Pulse {
    pub(super) looks: u64,
    pub(super) changes: u64,
}

enum Order {
    Look,
    Watch(Vec<PathBuf>, oneshot::Sender<()>),
    Stop,
}

impl ConfigWatch {
    /// Begins to watch `files`. Their present content is known when this returns.
    ///
    /// # Errors
    /// The system offers no way to watch (on Linux: the limit of inotify instances is reached).
    pub fn start(files: Vec<PathBuf>) -> notify::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let (pulses, pulse) = watch::channel(Pulse::default());
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let watcher = notify::recommended_watcher(relevant_events(Arc::clone(&names), orders.clone()))?;
        let mut lookout = Lookout { watcher, names, files, digests: BTreeMap::new(), pulses };
        lookout.aim();
        lookout.digests = lookout.digests_now();
        std::thread::Builder::new()
            .name("config-watch".into())
            .spawn(move || lookout.run(&inbox))
            .map_err(notify::Error::io)?;
        Ok(Self { orders, pulse })
    }

    /// Watches `files` from now on. Files watched before keep their known content; what is new among
    /// them, or gone from them, is not a change by itself. Their present content is known when this
    /// returns: read them afterwards, and no change is missed.
    pub async fn watch(&self, files: Vec<PathBuf>) {
        let (done, known) = oneshot::channel();
        // The thread can be gone only if it panicked; then `changes` tell the end.
        if self.orders.send(Order::Watch(files, done)).is_ok() {
            let _ = known.await;
        }
    }

    /// A reader that learns of every change from now on.
    pub fn changes(&self) -> ConfigChanges {
        ConfigChanges { pulse: self.pulse.clone(), seen: self.pulse.borrow().changes }
    }
}

impl Drop for ConfigWatch {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
    }
}

impl ConfigChanges {
    /// Waits until some watched file has other content; several changes may count as one. `None` when
    /// the watch has ended.
    pub async fn next(&mut self) -> Option<()> {
        let seen = self.seen;
        self.seen = self.pulse.wait_for(|pulse| pulse.changes > seen).await.ok()?.changes;
        Some(())
    }
}

/// Sends word of events that concern one of `names`. Reading is none: the lookout itself reads.
fn relevant_events(
    names: Arc<Mutex<BTreeSet<PathBuf>>>,
    orders: Sender<Order>,
) -> impl FnMut(notify::Result<Event>) + Send + 'static {
    move |event| {
        let relevant = match &event {
            // An overflow or a lost folder: whatever happened, look.
            Err(_) => true,
            Ok(event) if event.need_rescan() => true,
            Ok(Event { kind: EventKind::Access(kind), .. }) if *kind != AccessKind::Close(AccessMode::Write) => false,
            Ok(event) => {
                let names = names.lock().unwrap_or_else(PoisonError::into_inner);
                event.paths.iter().any(|path| names.contains(path))
            }
        };
        if relevant {
            let _ = orders.send(Order::Look);
        }
    }
}

struct Lookout {
    watcher: RecommendedWatcher,
    names: Arc<Mutex<BTreeSet<PathBuf>>>,
    files: Vec<PathBuf>,
    digests: BTreeMap<PathBuf, Option<[u8; 32]>>,
    pulses: watch::Sender<Pulse>,
}

impl Lookout {
    fn run(mut self, inbox: &Receiver<Order>) {
        while let Ok(order) = inbox.recv() {
            match order {
                Order::Stop => return,
                Order::Watch(files, done) => self.retarget(files, done),
                Order::Look => match await_quiet(inbox) {
                    Quiet::Stop => return,
                    Quiet::Reached => self.look(),
                    Quiet::Watch(files, done) => {
                        self.look();
                        self.retarget(files, done);
                    }
                },
            }
        }
    }

    fn look(&mut self) {
        // Watch before reading, so that nothing which happens in between is missed.
        self.aim();
        let now = self.digests_now();
        let changed = now != self.digests;
        self.digests = now;
        self.tell(changed);
    }

    fn retarget(&mut self, files: Vec<PathBuf>, done: oneshot::Sender<()>) {
        self.files = files;
        self.aim();
        let before = std::mem::take(&mut self.digests);
        self.digests = self.digests_now();
        let changed = self.digests.iter().any(|(file, digest)| before.get(file).is_some_and(|old| old != digest));
        self.tell(changed);
        let _ = done.send(());
    }

    fn tell(&self, changed: bool) {
        self.pulses.send_modify(|pulse| {
            pulse.looks += 1;
            pulse.changes += u64::from(changed);
        });
    }

    /// Watches the folder of every name on the way to every file. Folders already watched are watched
    /// again: another folder may have taken their place. A folder above that may not be read is left out.
    fn aim(&mut self) {
        let names: BTreeSet<PathBuf> = self.files.iter().flat_map(|file| names_on_the_way(file)).collect();
        let folders: BTreeSet<&Path> = names.iter().filter_map(|name| name.parent()).collect();
        *self.names.lock().unwrap_or_else(PoisonError::into_inner) = names.clone();
        for folder in folders {
            if let Err(error) = self.watcher.watch(folder, RecursiveMode::NonRecursive) {
                tracing::debug!("cannot watch the folder {}: {error}", folder.display());
            }
        }
    }

    fn digests_now(&self) -> BTreeMap<PathBuf, Option<[u8; 32]>> {
        self.files.iter().map(|file| (file.clone(), digest(file))).collect()
    }
}

/// `None` for a file that is not there or cannot be read.
fn digest(file: &Path) -> Option<[u8; 32]> {
    let mut file = std::fs::File::open(file).ok()?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Some(hasher.finalize().into()),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

enum Quiet {
    Reached,
    Watch(Vec<PathBuf>, oneshot::Sender<()>),
    Stop,
}

/// Takes in what else happens until nothing has happened for a moment.
fn await_quiet(inbox: &Receiver<Order>) -> Quiet {
    let end = Instant::now() + Duration::from_millis(QUIET_WAIT_MS_MAX);
    while Instant::now() < end {
        match inbox.recv_timeout(Duration::from_millis(QUIET_MS)) {
            Ok(Order::Look) => {}
            Ok(Order::Watch(files, done)) => return Quiet::Watch(files, done),
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return Quiet::Stop,
            Err(RecvTimeoutError::Timeout) => return Quiet::Reached,
        }
    }
    Quiet::Reached
}

#[cfg(test)]
mod tests {
    use notify::event::{CreateKind, ModifyKind};

    use super::*;

    /// Whether an event of this kind, about the watched name or another, makes the lookout look.
    fn looks(kind: EventKind, path: &str) -> bool {
        let (orders, inbox) = mpsc::channel();
        let names = Arc::new(Mutex::new(BTreeSet::from([PathBuf::from("/etc/watched")])));
        relevant_events(names, orders)(Ok(Event::new(kind).add_path(path.into())));
        matches!(inbox.try_recv(), Ok(Order::Look))
    }

    #[test]
    fn reading_a_watched_file_is_no_event_or_the_lookout_would_wake_itself_for_ever() {
        assert!(!looks(EventKind::Access(AccessKind::Open(AccessMode::Any)), "/etc/watched"));
        assert!(!looks(EventKind::Access(AccessKind::Close(AccessMode::Read)), "/etc/watched"));
    }

    #[test]
    fn writing_to_a_watched_name_is_an_event_and_to_another_is_none() {
        let writes = [
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            EventKind::Modify(ModifyKind::Any),
            EventKind::Create(CreateKind::File),
        ];
        for kind in writes {
            assert!(looks(kind, "/etc/watched"), "{kind:?}");
            assert!(!looks(kind, "/etc/other"), "{kind:?}");
        }
    }

    #[test]
    fn lost_events_make_it_look() {
        let (orders, inbox) = mpsc::channel();
        relevant_events(Arc::default(), orders)(Err(notify::Error::generic("overflow")));
        assert!(matches!(inbox.try_recv(), Ok(Order::Look)));
    }
}
