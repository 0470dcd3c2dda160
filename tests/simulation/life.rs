//! One life of a server: the real claim manager with all that it does on its own, over a file, until it is killed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use issuecommand::claims::{Background, ClaimManager, Index, Parts};
use issuecommand::config::{Config, ConfigSource, LiveConfig, Loaded, StoreConfig, load};
use issuecommand::domain::Clock;
use issuecommand::policy::PolicyHost;
use issuecommand::store::SqlStore;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Moment, SeedClock};
use crate::github::Github;
use crate::ledger::Book;
use crate::planted::Fault;
use crate::seam::Seam;
use crate::watch::Watch;

/// The file's name in the folder of a life.
pub const FILE: &str = "claims.db";

/// One life.
#[derive(Debug)]
pub struct Life {
    pub manager: Arc<ClaimManager>,
    pub seam: Arc<Seam>,
    pub watch: Arc<Watch>,
    pub clock: Arc<SeedClock>,
    pub book: Book,
    pub folder: PathBuf,
    runtime: Runtime,
}

impl Life {
    /// A server starts over the file in `folder`, at a moment.
    pub fn begin(
        folder: &Path,
        at: Moment,
        config: &Config,
        github: &Arc<Github>,
        host: PolicyHost,
        fault: Option<Fault>,
    ) -> Self {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let opened = runtime.block_on(async {
            let clock = Arc::new(SeedClock::from(at, fault));
            let index = Index::empty();
            let watch = Arc::new(Watch::new(Arc::clone(&index), at, fault));
            let store = SqlStore::open(&store_config(folder), Arc::clone(&watch) as _).unwrap();
            let seam = Arc::new(Seam::new(store, Arc::clone(&clock), &watch, fault));
            let parts = Parts {
                store: Arc::clone(&seam) as _,
                source: Arc::clone(github) as _,
                index,
                host,
                clock: Arc::clone(&clock) as Arc<dyn Clock>,
                config: live(config),
                base_dir: folder.to_owned(),
            };
            let (manager, background): (_, Background) = ClaimManager::open(parts).await.unwrap();
            background.start(&TaskTracker::new(), &CancellationToken::new());
            (manager, seam, watch, clock)
        });
        let (manager, seam, watch, clock) = opened;
        let book = Book::open(&folder.join(FILE));
        Self { manager, seam, watch, clock, book, folder: folder.to_owned(), runtime }
    }

    /// Does something within the life.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Lets time pass, and everything happen that is due.
    pub fn pass(&self, time: Duration) {
        // A millisecond of paused time comes when nothing else is left to do.
        self.run(async move { tokio::time::sleep(time.max(Duration::from_millis(1))).await });
    }

    /// Lets time pass in which this process does not run.
    pub fn hold_up(&self, time: Duration) {
        self.run(async move { tokio::time::advance(time).await });
        self.pass(Duration::ZERO);
    }

    pub fn moment(&self) -> Moment {
        let _within = self.runtime.enter();
        self.clock.moment()
    }

    /// The files as they are this instant, which is what is left when the process is killed.
    pub fn copy_files(&self, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for name in [FILE.to_owned(), format!("{FILE}-wal")] {
            match fs::copy(self.folder.join(&name), to.join(&name)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => _ = copied.unwrap(),
            }
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        // A store that closes waits for its writer.
        self.watch.gate.open();
    }
}

/// Waits for no lock: whoever holds one here does so until told otherwise.
pub fn store_config(folder: &Path) -> StoreConfig {
    StoreConfig { path: folder.join(FILE), busy_timeout_ms: 1, ..StoreConfig::default() }
}

/// A configuration of which nothing was said, read once: lives begin too often for more.
static UNSAID: LazyLock<Loaded> =
    LazyLock::new(|| load(&ConfigSource { file: None, env: BTreeMap::new(), dotenv: None }).unwrap());

fn live(config: &Config) -> LiveConfig {
    let mut loaded = UNSAID.clone();
    loaded.config = config.clone();
    LiveConfig::new(&loaded)
}
