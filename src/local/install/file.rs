//! Reading and writing a client's file: whole or not at all, with a copy of what was there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Client, Entry, InstallError};

/// Copies of one file that are kept; older ones are the user's to tidy up.
const BACKUP_COUNT_MAX: usize = 100;

/// Most links that are followed one after another: what Linux does itself.
const LINK_COUNT_MAX: usize = 40;

/// What became of a client's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It said so already.
    Unchanged,
    /// There was none.
    Created,
    /// It was changed; a copy of the old one is here.
    Changed {
        /// The copy.
        backup: PathBuf,
    },
}

/// Puts our entry into the file `path` of `client`.
///
/// # Errors
/// When the file cannot be read, parsed or written; then it is as it was.
pub fn write(client: &Client, entry: &Entry, path: &Path) -> Result<Written, InstallError> {
    let old = read(path)?;
    let new = client.with_entry(old.as_deref().unwrap_or_default(), entry, path)?;
    // A link to a file kept elsewhere stays a link.
    let real = followed(path);
    match old {
        Some(old) if old == new => Ok(Written::Unchanged),
        Some(old) => {
            let backup = back_up(&real, &old).map_err(failed("back up", &real))?;
            replace(&real, &new).map_err(failed("write", &real))?;
            Ok(Written::Changed { backup })
        }
        None => {
            let made = real.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| replace(&real, &new)).map_err(failed("write", &real))?;
            Ok(Written::Created)
        }
    }
}

/// Where a link leads, though nothing be there yet.
fn followed(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let mut end = path.to_owned();
    for _ in 0..LINK_COUNT_MAX {
        let Ok(next) = fs::read_link(&end) else { break };
        end = end.parent().map_or(next.clone(), |folder| folder.join(&next));
    }
    end
}

/// The file's text; `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<String>, InstallError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn failed<'p>(what: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> InstallError + 'p {
    move |source| InstallError::File { what, path: path.to_owned(), source }
}

/// Writes `text` beside the file under a name that is not taken, and answers it.
fn back_up(path: &Path, text: &str) -> io::Result<PathBuf> {
    for number in 1..=BACKUP_COUNT_MAX {
        let mut name = path.as_os_str().to_owned();
        name.push(if number == 1 { ".bak".to_owned() } else { format!(".bak{number}") });
        let backup = PathBuf::from(name);
        match fs::File::create_new(&backup) {
            Ok(mut file) => {
                file.set_permissions(path.metadata()?.permissions())?;
                file.write_all(text.as_bytes())?;
                file.sync_all()?;
                return Ok(backup);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{BACKUP_COUNT_MAX} copies are there already; tidy them up")))
}

/// Puts a file with `text` in the place of the one that may be there, in one step.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(old) = path.metadata() {
        new.as_file().set_permissions(old.permissions())?;
    }
    new.as_file().sync_all()?;
    new.persist(path).map(drop).map_err(|error| error.error)
}
