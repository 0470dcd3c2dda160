//! The way to the server: knock, and start one if nobody answers.

use std::fs::TryLockError;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Instant, sleep, timeout};

use super::greeting::{GREETING_BYTES_MAX, Greeting, Reply, line};
use super::lines::read_line;
use super::place::own_uid;
use super::{Background, Place};

/// Longest wait for the answer to a greeting: a server under load is slow, one that hangs never answers.
const REPLY_WAIT: Duration = Duration::from_secs(10);
/// Longest time for a server to come. Ours: a first start compiles the policies, in up to a minute; who waits
/// for the process that starts it gives that time to say why none came.
pub(super) const START_WAIT: Duration = Duration::from_secs(75);
/// First and longest pause between two knocks.
const KNOCK_PAUSE_MIN: Duration = Duration::from_millis(20);
const KNOCK_PAUSE_MAX: Duration = Duration::from_millis(250);

/// A connection on which MCP follows.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) reader: BufReader<OwnedReadHalf>,
    pub(super) writer: OwnedWriteHalf,
    pub(super) reply: Reply,
}

/// What came of a knock.
pub(super) enum Knock {
    Answered(Link),
    /// No server is there.
    Nobody,
    /// A server is there, or something, and waiting will not help.
    Refused(String),
}

/// Pauses that grow.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Pauses {
    pub(super) fn new() -> Self {
        Self(KNOCK_PAUSE_MIN)
    }

    pub(super) async fn next(&mut self) {
        sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(KNOCK_PAUSE_MAX);
    }
}

/// The server of `place`, if it answers.
///
/// # Errors
/// Why it does not let this build in.
pub async fn serving(place: &Place) -> Result<Option<Reply>, String> {
    match knock(place, &Greeting::probe(place.database())).await {
        Knock::Answered(link) => Ok(Some(link.reply)),
        Knock::Nobody => Ok(None),
        Knock::Refused(why) => Err(why),
    }
}

pub(super) async fn knock(place: &Place, greeting: &Greeting) -> Knock {
    let stream = match UnixStream::connect(place.socket()).await {
        Ok(stream) => stream,
        Err(error) if is_absence(&error) => return Knock::Nobody,
        Err(error) => return Knock::Refused(format!("failed to connect to {}: {error}", place.socket().display())),
    };
    let socket = place.socket().display();
    match own_uid().and_then(|uid| Ok(stream.peer_cred()?.uid() == uid)) {
        Ok(true) => {}
        Ok(false) => return Knock::Refused(format!("{socket} belongs to another user's process")),
        Err(error) => return Knock::Refused(format!("failed to find out whose process listens on {socket}: {error}")),
    }
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    if writer.write_all(&line(greeting)).await.is_err() {
        return Knock::Nobody;
    }
    match timeout(REPLY_WAIT, read_line(&mut reader, GREETING_BYTES_MAX)).await {
        Ok(Ok(Some(first))) => match Reply::read(&first) {
            Ok(reply) => Knock::Answered(Link { reader, writer, reply }),
            Err(why) => Knock::Refused(why),
        },
        // It died, or stopped, between our knock and its answer.
        Ok(_) => Knock::Nobody,
        Err(_) => Knock::Refused(format!(
            "the server on {} does not answer (waited {} s)",
            place.socket().display(),
            REPLY_WAIT.as_secs()
        )),
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset)
}

/// A connection to the server of `place`, which `background` starts if nobody answers. The lock keeps a
/// dozen clients from starting a dozen servers, all but one of which would find the database taken; nothing
/// else depends on it.
///
/// # Errors
/// In one line, why there is no server.
pub(super) async fn reach(place: &Place, greeting: &Greeting, background: &Background) -> Result<Link, String> {
    let (deadline, mut pauses) = (Instant::now() + START_WAIT, Pauses::new());
    loop {
        match knock(place, greeting).await {
            Knock::Answered(link) => return Ok(link),
            Knock::Refused(why) => return Err(why),
            Knock::Nobody => {}
        }
        let lock = place.start_lock().map_err(|error| {
            format!("failed to open the lock on starting a server, in {}: {error}", place.folder().display())
        })?;
        match lock.try_lock() {
            Ok(()) => match knock(place, greeting).await {
                Knock::Answered(link) => return Ok(link),
                Knock::Refused(why) => return Err(why),
                Knock::Nobody => background.start().await?,
            },
            Err(TryLockError::WouldBlock) => pauses.next().await,
            Err(TryLockError::Error(error)) => {
                let folder = place.folder().display();
                return Err(format!("failed to lock the start of a server, in {folder}: {error}"));
            }
        }
        if Instant::now() > deadline {
            return Err(format!(
                "no server came within {} s; its log is {}",
                START_WAIT.as_secs(),
                place.log().display()
            ));
        }
    }
}
