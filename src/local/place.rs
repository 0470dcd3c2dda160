//! Where the server of one database and its local clients meet.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use sha2::{Digest, Sha256};

use crate::config::Loaded;

/// Longest path of a socket, in bytes. Linux takes 107 and macOS 103, without the zero at the end.
const SOCKET_PATH_BYTES_MAX: usize = 103;
/// The folder beside the database, after the database's own name.
const FOLDER_SUFFIX: &str = ".run";
/// Where sockets go whose own path is too long. Not `TMPDIR`: clients start with different ones, and must
/// all come to the same place.
const SHORT_ROOT: &str = "/tmp";

/// How long one client waits for others that choose their names, and how often it looks. Each takes a
/// millisecond.
const NAMES_WAIT: Duration = Duration::from_secs(2);
const NAMES_PAUSE: Duration = Duration::from_millis(2);

/// The files by which a server and its local clients find each other. Every client of one database comes
/// to the same place, whatever its working folder and environment are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    database: PathBuf,
    folder: PathBuf,
    socket: PathBuf,
    chosen: bool,
}

impl Place {
    /// The place of the database that a configuration names.
    ///
    /// # Errors
    /// When the folder of the database does not exist.
    pub fn of(loaded: &Loaded) -> anyhow::Result<Self> {
        let database = real_path(&loaded.store().path)?;
        let mut folder = database.clone().into_os_string();
        folder.push(FOLDER_SUFFIX);
        let folder = PathBuf::from(folder);
        let chosen = loaded.config.server.socket.as_deref();
        let socket = match chosen {
            Some(path) => socket_path(&loaded.folder.join(path))?,
            None => folder.join("mcp.sock"),
        };
        Ok(Self { database, socket: short(socket)?, chosen: chosen.is_some(), folder })
    }

    /// Whether the socket that a configuration names, if it names one, can be where it says.
    ///
    /// # Errors
    /// Why not, and where it could be.
    pub fn check_socket(loaded: &Loaded) -> anyhow::Result<()> {
        let Some(path) = loaded.config.server.socket.as_deref() else { return Ok(()) };
        let path = socket_path(&loaded.folder.join(path))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        if folder.exists() && !is_private(folder)? {
            bail!(
                "server.socket: others can enter {}, where the socket would be; name a folder for it alone, which is \
                 made if it is not there, as in server.socket = \"run/mcp.sock\"",
                folder.display()
            );
        }
        Ok(())
    }

    /// The database, by its one real name.
    pub fn database(&self) -> &Path {
        &self.database
    }

    /// The socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Where everything but a chosen socket is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the configuration names the socket.
    pub fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// Where a server writes that nobody watches.
    pub fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The lock that whoever starts a server holds meanwhile.
    pub(super) fn start_lock(&self) -> io::Result<File> {
        private_folder(&self.folder)?;
        private_file(&self.folder.join("start.lock"))
    }

    /// The lock of an agent's name, held by the client that goes by it.
    pub(super) fn agent_lock(&self, name: &str) -> io::Result<File> {
        let folder = self.folder.join("agents");
        private_folder(&self.folder)?;
        private_folder(&folder)?;
        private_file(&folder.join(file_name(name)))
    }

    /// The lock that whoever chooses a name holds meanwhile, so that two do not look past each other. `None`
    /// where it cannot be had soon: every name has a lock of its own too.
    pub(super) fn names_lock(&self) -> Option<File> {
        private_folder(&self.folder).ok()?;
        let file = private_file(&self.folder.join("names.lock")).ok()?;
        let deadline = Instant::now() + NAMES_WAIT;
        while file.try_lock().is_err() {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(NAMES_PAUSE);
        }
        Some(file)
    }

    /// Makes the folders of socket and log, or sees to it that nobody else can enter them.
    pub(super) fn prepare(&self) -> io::Result<()> {
        private_folder(&self.folder)?;
        self.socket.parent().map_or(Ok(()), private_folder)
    }
}

/// A name of a file for any agent's name: itself where that can be, else one that no other has.
fn file_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.bytes().all(is_plain) && !name.starts_with('.') {
        return name.to_owned();
    }
    format!("%{}", hex::encode(Sha256::digest(name)))
}

/// The path with links followed in its folder, and in itself if it exists.
fn real_path(path: &Path) -> anyhow::Result<PathBuf> {
    if let Ok(real) = fs::canonicalize(path) {
        return Ok(real);
    }
    let absolute = std::path::absolute(path)?;
    let (Some(folder), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        bail!("{} names no file", path.display());
    };
    let folder = fs::canonicalize(folder).with_context(|| {
        format!("failed to find the folder {}; create it, or choose another path", folder.display())
    })?;
    Ok(folder.join(name))
}

/// The path of a socket, whose folder is made with it if the folder above is there.
fn socket_path(path: &Path) -> anyhow::Result<PathBuf> {
    match (path.parent(), path.file_name()) {
        (Some(folder), Some(name)) if !folder.exists() => Ok(real_path(folder)?.join(name)),
        _ => real_path(path),
    }
}

/// The path itself if the system takes it, else one that stands for it: the same for the same path.
fn short(socket: PathBuf) -> io::Result<PathBuf> {
    let bytes = socket.as_os_str().as_bytes();
    if bytes.len() <= SOCKET_PATH_BYTES_MAX {
        return Ok(socket);
    }
    let digest = hex::encode(Sha256::digest(bytes));
    Ok(Path::new(SHORT_ROOT).join(format!("issuecommand-{}", own_uid()?)).join(format!("{}.sock", &digest[..24])))
}

/// The user that this process acts for: whose its own entry among the processes is, or, on systems without
/// such entries, a file that it makes.
///
/// # Errors
/// When neither can be had.
pub(super) fn own_uid() -> io::Result<u32> {
    match fs::metadata("/proc/self") {
        Ok(entry) => Ok(entry.uid()),
        Err(_) => tempfile::tempfile().and_then(|file| file.metadata()).map(|file| file.uid()).map_err(|error| {
            io::Error::new(error.kind(), format!("failed to find out which user this process acts for: {error}"))
        }),
    }
}

/// Makes a folder that only its owner can enter, or checks that an existing one is such.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(io::Error::new(error.kind(), format!("failed to make the folder {}: {error}", path.display())));
        }
        _ => {}
    }
    if !is_private(path)? {
        let path = path.display();
        let why = format!("{path} must be a folder of yours that nobody else can enter: chmod 700 {path}");
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Whether this is a folder that nobody but this user can enter.
fn is_private(path: &Path) -> io::Result<bool> {
    let found = fs::symlink_metadata(path)
        .map_err(|error| io::Error::new(error.kind(), format!("failed to look at {}: {error}", path.display())))?;
    Ok(found.is_dir() && found.uid() == own_uid()? && found.mode() & 0o077 == 0)
}

/// A file for its owner's eyes only, opened for writing at its end.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.create(true).read(true).append(true).open(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::config::{ConfigSource, load};

    fn loaded(folder: &Path, text: &str) -> Loaded {
        let file = folder.join("issuecommand.toml");
        fs::write(&file, text).unwrap();
        load(&ConfigSource { file: Some(file), ..ConfigSource::default() }).unwrap()
    }

    #[test]
    fn one_database_has_one_place_whatever_it_is_called_by() {
        let scratch = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(scratch.path()).unwrap();
        let place = Place::of(&loaded(&home, "[store]\npath = \"claims.db\"")).unwrap();
        assert_eq!(place.socket(), home.join("claims.db.run/mcp.sock"));
        fs::write(home.join("claims.db"), "").unwrap();
        fs::create_dir(home.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink(home.join("claims.db"), home.join("elsewhere/link.db")).unwrap();
        let linked = Place::of(&loaded(&home.join("elsewhere"), "[store]\npath = \"../elsewhere/link.db\"")).unwrap();
        assert_eq!(linked, place);
        let other = Place::of(&loaded(&home, "[store]\npath = \"other.db\"")).unwrap();
        assert_ne!(other.socket(), place.socket());
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_stood_for_by_a_short_one() {
        let scratch = tempfile::tempdir().unwrap();
        let deep = scratch.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let config = loaded(&deep, "[store]\npath = \"claims.db\"");
        let place = Place::of(&config).unwrap();
        assert!(place.socket().as_os_str().len() <= SOCKET_PATH_BYTES_MAX, "{place:?}");
        assert_eq!(Place::of(&config).unwrap(), place);
        let other = Place::of(&loaded(&deep, "[store]\npath = \"other.db\"")).unwrap();
        assert_ne!(other.socket(), place.socket());
    }

    #[test]
    fn the_configuration_may_name_the_socket() {
        let scratch = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(scratch.path()).unwrap();
        fs::create_dir(home.join("run")).unwrap();
        let place = Place::of(&loaded(&home, "[server]\nsocket = \"run/ic.sock\"")).unwrap();
        assert_eq!(place.socket(), home.join("run/ic.sock"));
        assert!(place.is_chosen());
        let to_be_made = Place::of(&loaded(&home, "[server]\nsocket = \"new/ic.sock\"")).unwrap();
        assert_eq!(to_be_made.socket(), home.join("new/ic.sock"));
        to_be_made.prepare().unwrap();
        assert_eq!(home.join("new").metadata().unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn every_name_of_an_agent_has_a_file_of_its_own_in_the_folder() {
        let names = ["codex.1", "claude/1", "claude%1", "..", ".", "Ada Lovelace", "é"];
        let files: std::collections::HashSet<_> = names.iter().map(|name| file_name(name)).collect();
        assert_eq!(files.len(), names.len());
        assert_eq!(file_name("codex.1"), "codex.1");
        assert!(files.iter().all(|file| !file.contains('/') && !file.starts_with('.') && file.len() < 100));
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused_with_what_to_do() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("run");
        private_folder(&folder).unwrap();
        assert_eq!(folder.metadata().unwrap().mode() & 0o777, 0o700);
        private_folder(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o750)).unwrap();
        let why = private_folder(&folder).unwrap_err().to_string();
        assert!(why.ends_with(&format!("chmod 700 {}", folder.display())), "{why}");
    }
}
