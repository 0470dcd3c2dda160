//! The mirror: a file that says what the store says, at most a second behind. The store never waits for
//! it, and nothing fails when it does but its own line on the health page.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{Envelope, Reading, take_in};
use crate::claims::{ClaimManager, EventStep, Operations};

/// Least time between two writes.
const WRITE_PAUSE: Duration = Duration::from_secs(1);
/// Longest time between two writes: heartbeats move leases without an event.
const WRITE_EVERY: Duration = Duration::from_secs(60);
/// Past claims, and past follow-ups, in the mirror: the contract's number for a whole history.
const PAST_COUNT_MAX: usize = 1_000;
/// What the health page calls it.
const PART: &str = "state_file";

/// A file to be kept up to date.
#[derive(Debug)]
pub struct Mirror {
    path: PathBuf,
}

/// What became of the file at the start of a server.
#[derive(Debug)]
pub enum MirrorStart {
    /// It can be kept up to date.
    Ready(Mirror),
    /// It holds what could not be read, and is left as it is. The reason, for the health page.
    LeftAlone(String),
}

impl Mirror {
    /// Before anything else happens to a store: if it is empty, takes in what the file holds. A file that
    /// cannot be read is never written over, for it may hold the only copy of something.
    pub async fn open(path: &Path, operations: &Operations) -> MirrorStart {
        let mirror = Self { path: path.to_owned() };
        match operations.stock(1).await {
            Ok(stock) if stock.is_empty() => {}
            Ok(_) => return MirrorStart::Ready(mirror),
            Err(error) => return MirrorStart::LeftAlone(format!("the store could not be read: {error}")),
        }
        if !path.exists() {
            return MirrorStart::Ready(mirror);
        }
        match mirror.restore(operations).await {
            Ok(()) => MirrorStart::Ready(mirror),
            Err(why) => {
                MirrorStart::LeftAlone(format!("{why}; move the file away, and restart, to have a mirror again"))
            }
        }
    }

    async fn restore(&self, operations: &Operations) -> Result<(), String> {
        let (path, now) = (self.path.clone(), operations.now());
        let reading = spawn_blocking(move || Reading::of_file(&path, now)).await.map_err(|panic| panic.to_string())?;
        let reading = reading.map_err(|error| error.to_string())?;
        let report = take_in(operations, reading, false).await.map_err(|error| error.to_string())?;
        info!("the store was empty: took in {} records from {}", report.taken, self.path.display());
        for refusal in &report.refused {
            warn!("{}: {} was not taken in: {}", self.path.display(), refusal.place, refusal.why);
        }
        if !report.refused.is_empty() {
            // What was refused is in this file only, and the mirror is about to be written.
            let kept = sibling(&self.path, ".refused");
            std::fs::copy(&self.path, &kept).map_err(|error| {
                format!("{} records were refused and {}: {error}", report.refused.len(), kept.display())
            })?;
        }
        Ok(())
    }

    /// Keeps the file up to date until this is dropped.
    pub async fn follow(&self, manager: Arc<ClaimManager>) {
        let mut events = manager.events_after(None);
        loop {
            self.write(&manager).await;
            tokio::time::sleep(WRITE_PAUSE).await;
            loop {
                let step = tokio::time::timeout(WRITE_EVERY, events.next()).await;
                let moved_one = match step {
                    Ok(Ok(EventStep::Events(events))) => {
                        events.iter().any(|event| event.draft.claim_id.is_some() || event.draft.work_item_id.is_some())
                    }
                    Ok(Ok(EventStep::Gap { .. })) | Err(_) => true,
                    Ok(Err(error)) => {
                        warn!("the mirror lost the events, and goes on: {error}");
                        true
                    }
                };
                if moved_one {
                    break;
                }
            }
        }
    }

    /// Writes the file now, and says on the health page how that went.
    pub async fn write(&self, manager: &ClaimManager) {
        let trouble = match manager.operations().stock(PAST_COUNT_MAX).await {
            Err(error) => Some(format!("the store could not be read: {error}")),
            Ok(stock) => {
                let path = self.path.clone();
                let written = spawn_blocking(move || write_whole(&path, &Envelope::of(stock))).await;
                let failed =
                    |error: &dyn std::fmt::Display| format!("{} was not written: {error}", self.path.display());
                match written {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(failed(&error)),
                    Err(panic) => Some(failed(&panic)),
                }
            }
        };
        if let Some(trouble) = &trouble {
            warn!("{trouble}");
        }
        manager.note_trouble(PART, trouble);
    }
}

impl MirrorStart {
    /// The mirror, if there can be one; why not goes to the health page and the log.
    pub fn report(self, manager: &ClaimManager) -> Option<Mirror> {
        match self {
            Self::Ready(mirror) => Some(mirror),
            Self::LeftAlone(why) => {
                warn!("no mirror is kept: {why}");
                manager.note_trouble(PART, Some(why));
                None
            }
        }
    }
}

/// Who reads the file sees the old state or the new one, whole, also after a crash at any moment.
fn write_whole(path: &Path, envelope: &Envelope) -> io::Result<()> {
    let draft = sibling(path, ".tmp");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = private_file(&draft).and_then(|file| {
        let mut writer = io::BufWriter::new(file);
        serde_json::to_writer_pretty(&mut writer, envelope)?;
        writer.write_all(b"\n")?;
        writer.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    });
    if let Err(error) = written.and_then(|()| std::fs::rename(&draft, path)) {
        // A full disk needs the room more than a half-written draft does.
        let _ = std::fs::remove_file(&draft);
        return Err(error);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// A new file that only its owner may read; never one that somebody put there.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sibling(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::claims::Stock;
    use crate::domain::from_unix_ms;

    fn envelope(ms: u64) -> Envelope {
        let (active, past, follow_ups, past_follow_ups) = Default::default();
        Envelope::of(Stock { read_at: from_unix_ms(ms), active, past, follow_ups, past_follow_ups })
    }

    fn exported_at(path: &Path) -> String {
        let state: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        state["exported_at"].as_str().unwrap().to_owned()
    }

    #[test]
    fn what_a_crash_left_half_written_is_written_anew_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, draft) = (folder.path().join("state.json"), folder.path().join("state.json.tmp"));
        write_whole(&path, &envelope(0)).unwrap();
        std::fs::write(&draft, "{\"claims\": [").unwrap();
        write_whole(&path, &envelope(1000)).unwrap();
        assert_eq!(exported_at(&path), "1970-01-01T00:00:01Z");
        let precious = folder.path().join("precious");
        std::fs::write(&precious, "mine").unwrap();
        std::os::unix::fs::symlink(&precious, &draft).unwrap();
        write_whole(&path, &envelope(2000)).unwrap();
        assert_eq!(
            (exported_at(&path).as_str(), std::fs::read(&precious).unwrap()),
            ("1970-01-01T00:00:02Z", b"mine".to_vec())
        );
    }

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        // A folder in the way: the draft can be written, and cannot take its place.
        std::fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write_whole(&path, &envelope(0)).is_err());
        assert!(path.join("inside").is_dir() && !folder.path().join("state.json.tmp").exists());
    }
}
