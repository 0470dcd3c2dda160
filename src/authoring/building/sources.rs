//! What the tools for JavaScript and Python are given to read. They run the sources in a sandbox that does not
//! follow links out of the folder, such as one to an SDK that several policies share.

use std::fs::{self, DirEntry};
use std::path::Path;

use tempfile::TempDir;

use crate::authoring::{AuthoringError, Project};

/// Folders that hold what was built or fetched, no sources. Neither do hidden ones.
const FOLDERS_LEFT_OUT: [&str; 4] = ["target", "node_modules", "__pycache__", "venv"];

/// A policy's sources, none of them a link.
pub(super) enum Sources<'a> {
    /// In its own folder.
    Own(&'a Path),
    /// Copied, until this is dropped.
    Copied(TempDir),
}

impl<'a> Sources<'a> {
    /// The sources of a policy: copied if there are links among them.
    ///
    /// # Errors
    /// [`AuthoringError::Io`] where they cannot be read, or a link leads nowhere.
    pub(super) fn of(project: &'a Project) -> Result<Self, AuthoringError> {
        let own = &project.folder;
        let is_linked = |entry: &DirEntry| entry.file_type().is_ok_and(|it| it.is_symlink()) && entry.path().is_file();
        if !entries(own)?.iter().any(is_linked) {
            return Ok(Self::Own(own));
        }
        let copied = tempfile::tempdir().map_err(AuthoringError::io("make", "a temporary folder".as_ref()))?;
        copy(own, copied.path())?;
        Ok(Self::Copied(copied))
    }

    /// Where they are.
    pub(super) fn folder(&self) -> &Path {
        match self {
            Self::Own(folder) => folder,
            Self::Copied(folder) => folder.path(),
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, AuthoringError> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect);
    entries.map_err(AuthoringError::io("read", folder))
}

fn copy(from: &Path, to: &Path) -> Result<(), AuthoringError> {
    for entry in entries(from)? {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_file() {
            fs::copy(&path, &copied).map_err(AuthoringError::io("copy", &path))?;
        } else if holds_sources(&entry) {
            fs::create_dir(&copied).map_err(AuthoringError::io("make", &copied))?;
            copy(&path, &copied)?;
        }
    }
    Ok(())
}

/// Whether a folder may hold sources. Linked ones may lead round in circles.
fn holds_sources(entry: &DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_string_lossy();
    entry.file_type().is_ok_and(|it| it.is_dir()) && !name.starts_with('.') && !FOLDERS_LEFT_OUT.contains(&&*name)
}
