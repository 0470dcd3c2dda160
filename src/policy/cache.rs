//! Compiled components, kept in memory while the server runs and on disk between starts. An entry on disk is used
//! only if its own checksum holds: the engine runs what it is given, and a flipped bit in machine code reads back
//! without complaint.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;
use xxhash_rust::xxh3::Xxh3;

use super::source::Source;

/// Entries kept; beyond, the oldest go. A reload of a policy in the making leaves one each time.
const ENTRY_COUNT_MAX: usize = 32;
/// The checksum at the head of an entry: XXH3 of the entry's name and the artefact. It is to find what went wrong on the
/// disk and no forgery, for nobody else can write there; of a load, SHA-256 was what a profile showed first.
const CHECKSUM_BYTES: usize = 16;
const EXTENSION: &str = "cwasm";

/// Components kept in memory: those in force, with some room for candidates and for going back.
const COMPONENT_COUNT_MAX: usize = 16;

/// Compiles components, or finds them compiled.
pub(super) struct Cache {
    dir: Option<PathBuf>,
    /// By the digest of their source, the last used at the end.
    recent: Mutex<Vec<(String, Component)>>,
}

impl Cache {
    /// A cache in `dir`, which is created for the owner only; without one, or if the directory cannot
    /// be trusted, everything is compiled anew.
    pub(super) fn open(dir: Option<PathBuf>) -> Self {
        let dir = dir.filter(|dir| {
            own_dir(dir)
                .inspect_err(|error| warn!("policies are compiled at each start: cache {}: {error}", dir.display()))
                .is_ok()
        });
        Self { dir, recent: Mutex::default() }
    }

    /// The compiled component of `source`.
    ///
    /// # Errors
    /// The compiler's complaint about the component. Trouble with the cache is only a warning.
    pub(super) fn component(&self, engine: &Engine, source: &Source) -> wasmtime::Result<Component> {
        if let Some(component) = self.recall(&source.digest) {
            return Ok(component);
        }
        let component = self.read_or_compile(engine, source)?;
        self.remember(&source.digest, &component);
        Ok(component)
    }

    fn recent(&self) -> MutexGuard<'_, Vec<(String, Component)>> {
        // Whatever is in the list is whole, so a poisoned lock is as good as new.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, digest: &str) -> Option<Component> {
        let mut recent = self.recent();
        let at = recent.iter().position(|(known, _)| known == digest)?;
        let entry = recent.remove(at);
        let component = entry.1.clone();
        recent.push(entry);
        Some(component)
    }

    fn remember(&self, digest: &str, component: &Component) {
        let mut recent = self.recent();
        recent.retain(|(known, _)| known != digest);
        if recent.len() == COMPONENT_COUNT_MAX {
            recent.remove(0);
        }
        recent.push((digest.to_owned(), component.clone()));
    }

    fn read_or_compile(&self, engine: &Engine, source: &Source) -> wasmtime::Result<Component> {
        let Some(dir) = &self.dir else {
            return Component::from_binary(engine, &source.bytes);
        };
        let name = entry_name(engine, &source.digest);
        let path = dir.join(&name);
        if let Some(component) = read(engine, &path, &name) {
            return Ok(component);
        }
        let component = Component::from_binary(engine, &source.bytes)?;
        match component.serialize().map_err(io::Error::other).and_then(|artefact| write(dir, &name, &artefact)) {
            Ok(()) => debug!("compiled policy kept as {}", path.display()),
            Err(error) => warn!("failed to keep a compiled policy as {}: {error}", path.display()),
        }
        Ok(component)
    }
}

/// An entry is bound to the component and to the engine: its version, its settings, the processor.
fn entry_name(engine: &Engine, digest: &str) -> String {
    // Not stable between Rust releases, which costs no more than compiling once.
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    format!("{digest}-{:016x}.{EXTENSION}", hasher.finish())
}

fn checksum(name: &str, artefact: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = Xxh3::new();
    hasher.update(name.as_bytes());
    hasher.update(artefact);
    hasher.digest128().to_le_bytes()
}

fn read(engine: &Engine, path: &Path, name: &str) -> Option<Component> {
    let entry = fs::read(path).ok()?;
    let damaged = |why: &dyn std::fmt::Display| warn!("compiled policy {} is made anew: {why}", path.display());
    let Some((kept, artefact)) = entry.split_at_checked(CHECKSUM_BYTES) else {
        damaged(&"it is cut short");
        return None;
    };
    if kept != checksum(name, artefact) {
        damaged(&"its checksum is wrong");
        return None;
    }
    // SAFETY: the bytes are, by the checksum, those that this program wrote under this name from
    // `Component::serialize`, in a directory that only its owner can write to.
    unsafe { Component::deserialize(engine, artefact) }.inspect_err(|error| damaged(error)).ok()
}

fn write(dir: &Path, name: &str, artefact: &[u8]) -> io::Result<()> {
    static WRITE_COUNT: AtomicU64 = AtomicU64::new(0);
    let turn = WRITE_COUNT.fetch_add(1, Ordering::Relaxed);
    let part = dir.join(format!("{name}.{}-{turn}.part", std::process::id()));
    let written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).and_then(|mut file| {
        file.write_all(&checksum(name, artefact))?;
        file.write_all(artefact)
    });
    let renamed = written.and_then(|()| fs::rename(&part, dir.join(name)));
    if renamed.is_err() {
        let _ = fs::remove_file(&part);
    }
    renamed.and_then(|()| prune(dir))
}

/// Removes the oldest files beyond the bound: entries, and parts that a crash left.
fn prune(dir: &Path) -> io::Result<()> {
    let mut files: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION || extension == "part") {
            // Another server may have removed it in between.
            files.extend(entry.metadata().and_then(|data| data.modified()).ok().map(|at| (at, path)));
        }
    }
    files.sort_unstable_by(|a, b| b.cmp(a));
    for (_, path) in files.into_iter().skip(ENTRY_COUNT_MAX) {
        let _ = fs::remove_file(path);
    }
    Ok(())
}

fn own_dir(dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mode = fs::metadata(dir)?.mode();
    if mode & 0o022 != 0 {
        let why = format!("others may write to it (mode {:o}): run `chmod 700`", mode & 0o777);
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}
