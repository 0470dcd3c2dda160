//! The server's side of the socket: who is let in, and how many.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::greeting::{GREETING_BYTES_MAX, Greeting, Reply, line};
use super::lines::read_line;
use super::place::own_uid;
use super::{Idle, Place};
use crate::api::Api;
use crate::config::ToolProfile;
use crate::mcp::{self, Connection};

/// Longest wait for a client's greeting. It sends it before anything else.
const GREETING_WAIT: Duration = Duration::from_secs(10);
/// Pause after the system could not give us a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why there is no door for local agents.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Another server listens there.
    #[error("another server listens on {path}; stop that one, or give this one another server.socket")]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("failed to listen on {path}; where it cannot be, choose another server.socket", path = path.display())]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// A socket that is listened on. The file goes away with it.
#[derive(Debug)]
pub struct LocalDoor {
    listener: UnixListener,
    file: SocketFile,
    database: PathBuf,
    uid: u32,
}

/// What local clients are served with.
#[derive(Debug, Clone)]
pub struct Hosting {
    /// What they can ask.
    pub api: Api,
    /// Where the same server answers HTTP, for the greeting.
    pub url: String,
    /// Which tools a client is shown that does not say it itself.
    pub profile: ToolProfile,
    /// Most of them at once; further ones wait.
    pub count_max: usize,
    /// The account of who is here.
    pub idle: Idle,
}

impl LocalDoor {
    /// Listens at `place`. The file of a server that died there is replaced, that of one that answers is not.
    /// Blocks for a moment; needs the runtime.
    ///
    /// # Errors
    /// Another server listens there, or the system refuses.
    pub fn open(place: &Place) -> Result<Self, DoorError> {
        let path = place.socket();
        let refused = |source| DoorError::Refused { path: path.to_owned(), source };
        place.prepare().map_err(refused)?;
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(DoorError::InUse { path: path.to_owned() });
        }
        if is_socket(path) {
            fs::remove_file(path).map_err(refused)?;
        }
        let listener = UnixListener::bind(path).map_err(refused)?;
        let file = SocketFile::at(path).map_err(refused)?;
        // Its folder keeps others out meanwhile.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(refused)?;
        Ok(Self { listener, file, database: place.database().to_owned(), uid: own_uid().map_err(refused)? })
    }

    /// Serves clients until `shutdown` is cancelled and every one of them has been let go.
    pub async fn serve(self, hosting: Hosting, shutdown: CancellationToken) {
        let Self { listener, file, database, uid } = self;
        let database: Arc<Path> = database.into();
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(_) = open.join_next() => {}
                accepted = listener.accept(), if open.len() < hosting.count_max.max(1) => match accepted {
                    Ok((stream, _)) => {
                        let (hosting, database, shutdown) = (hosting.clone(), Arc::clone(&database), shutdown.clone());
                        let present = hosting.idle.enter();
                        open.spawn(async move {
                            hosting.receive(stream, uid, &database, shutdown).await;
                            drop(present);
                        });
                    }
                    Err(error) => {
                        hosting.api.manager().note_unwell("no local client could be let in");
                        warn!("could not accept a local client: {error}");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // From here on newcomers find nobody, and may start the next server.
        drop((file, listener));
        while open.join_next().await.is_some() {}
    }
}

impl Hosting {
    async fn receive(self, stream: UnixStream, uid: u32, database: &Path, shutdown: CancellationToken) {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == uid => {}
            Ok(peer) => return warn!("user {} knocked on the local socket and was turned away", peer.uid()),
            Err(error) => return warn!("a local client has no credentials: {error}"),
        }
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let Ok(Ok(Some(first))) = timeout(GREETING_WAIT, read_line(&mut reader, GREETING_BYTES_MAX)).await else {
            return debug!("a local client left without a greeting");
        };
        let (greeting, reply) = match Greeting::read(&first, database) {
            Ok(greeting) => (Some(greeting), Reply::welcome(&self.url)),
            Err(why) => (None, Reply::refusal(why)),
        };
        let written = writer.write_all(&line(&reply)).await;
        let Some(greeting) = greeting.filter(|greeting| !greeting.probe && written.is_ok()) else { return };
        let name = greeting.agent.as_ref().map_or("no name", |agent| agent.as_str()).to_owned();
        debug!("local client came: {name} (issuecommand {})", greeting.version);
        let connection = Connection { agent: greeting.agent, profile: greeting.profile.unwrap_or(self.profile) };
        match mcp::serve_io(self.api, connection, reader, writer, shutdown).await {
            Ok(()) => debug!("local client left: {name}"),
            Err(error) => warn!("local client {name}: {error}"),
        }
    }
}

fn is_socket(path: &Path) -> bool {
    let kind = fs::symlink_metadata(path).map(|found| found.file_type());
    kind.is_ok_and(|kind| std::os::unix::fs::FileTypeExt::is_socket(&kind))
}

/// A socket's file, removed at the end unless another has taken its place.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: identity(path)? })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}
