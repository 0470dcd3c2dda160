//! `issuecommand top`: who works on what, live in the terminal.

mod picture;
mod view;

use std::io::{IsTerminal, stdin, stdout};
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use crossterm::event::EventStream;
use futures_util::{StreamExt, stream};
use ratatui::DefaultTerminal;

use self::picture::Picture;
use self::view::{View, Word};
use super::door::{Door, DoorArgs};
use super::{EndRequests, runtime};

/// The pause between two looks at the server, and how much longer than a look it is at least: of a server with many
/// claims this asks for a fifth of one connection's time.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_TIMES: u32 = 4;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand top
  issuecommand top --url http://build-7:3100

Keys: q, Esc or Ctrl-C end it, the arrows and Page Up and Down scroll. `issuecommand claims` prints
the same once, and --json for scripts.")]
pub struct TopArgs {
    #[command(flatten)]
    door: DoorArgs,
}

pub fn run(args: &TopArgs) -> anyhow::Result<ExitCode> {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        bail!("this needs a terminal; `issuecommand claims` prints the same once");
    }
    runtime()?.block_on(async {
        let mut end_requests = EndRequests::listen()?;
        let mut looking = Looking { args: &args.door, door: None };
        // What is wrong from the beginning is told as any command tells it.
        let mut view = View::of(looking.look().await?);
        let mut terminal = ratatui::try_init().context("failed to prepare the terminal")?;
        let ended = live(&mut terminal, &mut view, looking, &mut end_requests).await;
        ratatui::try_restore().context("failed to leave the terminal as it was")?;
        ended?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Looks at a server again and again, also at one that restarts, be it at another address.
struct Looking<'d> {
    args: &'d DoorArgs,
    door: Option<Door>,
}

impl Looking<'_> {
    async fn look(&mut self) -> anyhow::Result<Picture> {
        let door = match self.door.take() {
            Some(door) => door,
            None => self.args.server()?,
        };
        let picture = Picture::of(&door).await?;
        self.door = Some(door);
        Ok(picture)
    }
}

/// Shows what is, until somebody ends it.
async fn live(
    terminal: &mut DefaultTerminal,
    view: &mut View,
    looking: Looking<'_>,
    end_requests: &mut EndRequests,
) -> anyhow::Result<()> {
    let mut keys = EventStream::new();
    let looks = stream::unfold((looking, PAUSE), |(mut looking, pause)| async move {
        tokio::time::sleep(pause).await;
        let begun = Instant::now();
        let look = looking.look().await;
        Some((look, (looking, PAUSE.max(begun.elapsed() * PAUSE_TIMES))))
    });
    let mut looks = pin!(looks);
    loop {
        terminal.draw(|frame| view.draw(frame)).context("failed to draw")?;
        tokio::select! {
            Some(look) = looks.next() => view.take(look),
            key = keys.next() => match key {
                Some(key) => {
                    if view.hear(&key.context("failed to read from the terminal")?) == Word::Enough {
                        return Ok(());
                    }
                }
                // The terminal is gone.
                None => return Ok(()),
            },
            () = end_requests.next() => return Ok(()),
        }
    }
}
