//! One client's process: carries lines between the client and the server, and outlives the server.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::agent_name::AgentName;
use super::conversation::{Conversation, Next};
use super::lines::{LinesIn, LinesOut};
use super::reach::{Link, reach};
use super::{Background, Greeting, Place};
use crate::config::ToolProfile;
use crate::domain::AgentId;

/// Longest wait for open answers after the client has closed its end.
const LAST_ANSWERS_WAIT: Duration = Duration::from_secs(5);
/// Shortest time between two searches for the sake of subscriptions alone: a server that dies at once is not
/// started over and over.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// What a client's process is started with.
#[derive(Debug)]
pub struct Shim {
    /// Where the server is.
    pub place: Place,
    /// How to start it.
    pub background: Background,
    /// The agent's name; otherwise one is made of the client's.
    pub agent: Option<AgentId>,
    /// Which tools to list; otherwise the server's default.
    pub profile: Option<ToolProfile>,
}

/// The server, as long as it lives.
#[derive(Debug)]
struct Server {
    lines_in: LinesIn,
    lines_out: LinesOut,
    since: Instant,
}

impl Server {
    fn on(link: Link) -> Self {
        let Link { reader, writer, .. } = link;
        Self { lines_in: LinesIn::of(reader, || {}), lines_out: LinesOut::to(writer), since: Instant::now() }
    }
}

/// The next line of a server that may not be there.
async fn next_line(server: &mut Option<Server>) -> Option<Vec<u8>> {
    match server {
        Some(server) => server.lines_in.next().await,
        None => std::future::pending().await,
    }
}

impl Shim {
    /// Serves the client on these two streams until it closes its end. A server is sought at its first
    /// line, and started if there is none; when none can be had, each open request is answered with the
    /// reason, and the next one tries again.
    ///
    /// # Errors
    /// When the client no longer takes what is written to it.
    pub async fn run<R, W>(self, client_in: R, client_out: W) -> io::Result<()>
    where
        R: AsyncRead + Send + Unpin + 'static,
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let left = CancellationToken::new();
        let at_end = left.clone();
        let mut client = LinesIn::of(client_in, move || at_end.cancel());
        let Some(first) = client.next().await else { return Ok(()) };
        let name = match &self.agent {
            Some(agent) => AgentName::given(&self.place, agent.clone()),
            None => AgentName::for_client(&self.place, &first),
        };
        let mut carrier = Carrier {
            greeting: Greeting::new(self.place.database(), Some(name.agent().clone()), self.profile),
            shim: self,
            talk: Conversation::default(),
            server: None,
            seek_at: None,
            client_out: LinesOut::to(client_out),
            left,
        };
        carrier.hear_client(first).await?;
        let carried = carrier.carry(client).await;
        // The server takes leave of a client whose stream ends.
        drop(carrier.server);
        let _ = timeout(LAST_ANSWERS_WAIT, carrier.client_out.finish()).await;
        drop(name);
        carried
    }
}

/// The messages of a line that holds a list of them.
fn batched(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    if line.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    let messages = serde_json::from_slice::<Vec<Value>>(line).ok().filter(|messages| !messages.is_empty())?;
    Some(messages.iter().map(|message| message.to_string().into_bytes()).collect())
}

struct Carrier {
    shim: Shim,
    greeting: Greeting,
    talk: Conversation,
    server: Option<Server>,
    /// When to look for a server though nobody waits for an answer.
    seek_at: Option<Instant>,
    client_out: LinesOut,
    /// Cancelled when the client has closed its end.
    left: CancellationToken,
}

impl Carrier {
    async fn carry(&mut self, mut client: LinesIn) -> io::Result<()> {
        let mut end: Option<Instant> = None;
        loop {
            if end.is_some() && !self.talk.awaits_answers() {
                return Ok(());
            }
            tokio::select! {
                line = client.next(), if end.is_none() => match line {
                    Some(line) => self.hear_client(line).await?,
                    None => end = Some(Instant::now() + LAST_ANSWERS_WAIT),
                },
                line = next_line(&mut self.server) => match line {
                    Some(line) => self.hear_server(line).await?,
                    None => self.server_ended().await?,
                },
                () = sleep_until(self.seek_at.unwrap_or_else(Instant::now)), if self.seek_at.is_some() => {
                    self.find_server().await?;
                }
                () = sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => return Ok(()),
            }
        }
    }

    /// Takes a line from the client. Several messages in one line, as the protocol of 2025-03-26 allows, are
    /// answered one by one.
    async fn hear_client(&mut self, line: Vec<u8>) -> io::Result<()> {
        match batched(&line) {
            None => self.hear_message(line).await,
            Some(messages) => {
                for message in messages {
                    self.hear_message(message).await?;
                }
                Ok(())
            }
        }
    }

    async fn hear_message(&mut self, line: Vec<u8>) -> io::Result<()> {
        let (line, needed) = match self.talk.hear_client(line, self.server.is_some()) {
            Next::Ask(line) => (line, true),
            Next::Tell(line) => (line, false),
            Next::Answer(line) => return self.to_client(line).await,
            Next::Drop => return Ok(()),
        };
        match &self.server {
            // If it ended meanwhile the line is said again to the next one.
            Some(server) => {
                server.lines_out.send(line).await;
                Ok(())
            }
            None if needed => self.find_server().await,
            None => Ok(()),
        }
    }

    async fn hear_server(&mut self, line: Vec<u8>) -> io::Result<()> {
        match self.talk.hear_server(line) {
            Some(line) => self.to_client(line).await,
            None => Ok(()),
        }
    }

    async fn to_client(&self, line: Vec<u8>) -> io::Result<()> {
        let taken = self.client_out.send(line).await;
        if taken { Ok(()) } else { Err(io::Error::new(io::ErrorKind::BrokenPipe, "the client takes no answers")) }
    }

    /// A server that nobody waits for is sought again when somebody does: one that was told to end may
    /// rest until then.
    async fn server_ended(&mut self) -> io::Result<()> {
        let Some(ended) = self.server.take() else { return Ok(()) };
        if self.talk.awaits_answers() {
            return self.find_server().await;
        }
        self.seek_at = self.talk.needs_server().then_some(ended.since + LIFE_MIN);
        Ok(())
    }

    /// Finds or starts a server, and says again what it has to know.
    async fn find_server(&mut self) -> io::Result<()> {
        self.seek_at = None;
        let reached = tokio::select! {
            reached = reach(&self.shim.place, &self.greeting, &self.shim.background) => reached,
            () = self.patience() => Err("the client has left".to_owned()),
        };
        match reached {
            Ok(link) => {
                let server = Server::on(link);
                let again = self.talk.again();
                for line in again.to_server {
                    server.lines_out.send(line).await;
                }
                self.server = Some(server);
                for line in again.to_client {
                    self.to_client(line).await?;
                }
            }
            Err(why) => {
                let why = format!("the issuecommand server does not answer and could not be started: {why}");
                _ = writeln!(anstream::stderr(), "issuecommand mcp: {why}");
                for line in self.talk.give_up(&why) {
                    self.to_client(line).await?;
                }
            }
        }
        Ok(())
    }

    /// As long as the client is there, and a little longer.
    async fn patience(&self) {
        self.left.cancelled().await;
        tokio::time::sleep(LAST_ANSWERS_WAIT).await;
    }
}
