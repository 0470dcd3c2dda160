//! What all seeds share: a folder in memory, a database that was made once, and the host of policies.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use issuecommand::claims::Index;
use issuecommand::policy::PolicyHost;
use issuecommand::store::SqlStore;
use tempfile::TempDir;

use crate::life::{FILE, store_config};
use crate::panics;
use crate::planted::Fault;

/// A file system in memory, where there is one: the disk's own word is another test's (`tests/crash.rs`).
const IN_MEMORY: &str = "/dev/shm";

/// The ground.
pub struct Ground {
    folder: TempDir,
    host: PolicyHost,
    count: AtomicU64,
}

impl Ground {
    pub fn new() -> Arc<Self> {
        panics::note_all();
        let folder = tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir()).unwrap();
        drop(SqlStore::open(&store_config(folder.path()), Index::empty() as _).unwrap());
        // Compiled once for all tests.
        let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components");
        Arc::new(Self { folder, host: PolicyHost::new(Some(cache)).unwrap(), count: AtomicU64::new(0) })
    }

    pub fn host(&self) -> PolicyHost {
        self.host.clone()
    }

    /// A folder for one run of a seed.
    pub fn folder_of(&self, seed: u64, fault: Option<Fault>) -> PathBuf {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let fault = fault.map(|fault| format!("{fault:?}")).unwrap_or_default();
        self.folder.path().join(format!("{seed}-{count}{fault}"))
    }

    /// Lays a new database into a folder.
    pub fn lay(&self, folder: &Path) {
        std::fs::copy(self.folder.path().join(FILE), folder.join(FILE)).unwrap();
    }
}
