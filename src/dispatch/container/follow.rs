//! What a program prints while it works, line by line.

use std::io::{self, ErrorKind};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::timeout;

/// Most lines that one program may tell; the rest of what it prints is passed over.
const LINE_COUNT_MAX: usize = 2000;
/// Longest line that is told, in bytes; what is longer comes in pieces.
const LINE_BYTES_MAX: usize = 2000;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 8192;

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its code; -1 where it was killed.
    pub code: i32,
    /// The last line that it printed, which is often the reason.
    pub last: String,
}

/// Runs a program to its end and tells each line that it prints, on either output. It is killed after `limit`.
pub async fn follow(
    mut command: Command,
    limit: Duration,
    on_line: &mut (dyn FnMut(String) + Send + Sync),
) -> io::Result<Followed> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let run = async {
        let mut child = command.spawn()?;
        let mut printed = child.stdout.take().expect("the output is piped");
        let mut complained = child.stderr.take().expect("the error output is piped");
        let mut lines = Lines { told: 0, last: String::new(), on_line };
        let (mut one, mut other) = (Piece::default(), Piece::default());
        while one.is_open || other.is_open {
            tokio::select! {
                count = printed.read(&mut one.chunk), if one.is_open => one.take(count?, &mut lines),
                count = complained.read(&mut other.chunk), if other.is_open => other.take(count?, &mut lines),
            }
        }
        let code = child.wait().await?.code().unwrap_or(-1);
        Ok(Followed { code, last: lines.last })
    };
    match timeout(limit, run).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(ErrorKind::TimedOut, format!("it took more than {} seconds", limit.as_secs()))),
    }
}

/// One output: what was just read of it, and the line that is not over yet.
struct Piece {
    is_open: bool,
    chunk: Vec<u8>,
    line: Vec<u8>,
}

impl Default for Piece {
    fn default() -> Self {
        Self { is_open: true, chunk: vec![0; READ_BYTES], line: Vec::new() }
    }
}

impl Piece {
    fn take(&mut self, count: usize, lines: &mut Lines<'_>) {
        self.is_open = count > 0;
        for &byte in &self.chunk[..count] {
            // Progress that overwrites itself is lines too.
            let is_end = byte == b'\n' || byte == b'\r';
            if !is_end {
                self.line.push(byte);
            }
            if is_end || self.line.len() == LINE_BYTES_MAX {
                lines.tell(&std::mem::take(&mut self.line));
            }
        }
        if !self.is_open {
            lines.tell(&std::mem::take(&mut self.line));
        }
    }
}

/// Who is told, and how much.
struct Lines<'a> {
    told: usize,
    last: String,
    on_line: &'a mut (dyn FnMut(String) + Send + Sync),
}

impl Lines<'_> {
    fn tell(&mut self, line: &[u8]) {
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        if line.is_empty() {
            return;
        }
        self.last.clone_from(&line);
        self.told += 1;
        match self.told {
            ..=LINE_COUNT_MAX => (self.on_line)(line),
            told if told == LINE_COUNT_MAX + 1 => (self.on_line)("(more is not shown)".into()),
            _ => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn followed(script: &str, limit: Duration) -> (io::Result<Followed>, Vec<String>) {
        let mut told = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let done = follow(command, limit, &mut |line| told.push(line)).await;
        (done, told)
    }

    #[tokio::test]
    async fn both_outputs_are_told_and_progress_that_overwrites_itself() {
        let script = r"printf 'one\n\ntwo: 1%%\rtwo: 2%%\n'; echo why >&2; exit 3";
        let (done, mut told) = followed(script, Duration::from_secs(30)).await;
        assert_eq!(done.unwrap().code, 3);
        told.sort();
        assert_eq!(told, ["one", "two: 1%", "two: 2%", "why"]);
    }

    #[tokio::test]
    async fn what_is_told_is_bounded_and_the_last_line_is_kept() {
        let script = "head -c 2005 /dev/zero | tr '\\0' x; echo; seq 3000; printf 'the last'";
        let (done, told) = followed(script, Duration::from_secs(30)).await;
        assert_eq!(done.unwrap(), Followed { code: 0, last: "the last".into() });
        assert_eq!((told[0].len(), told[1].as_str()), (LINE_BYTES_MAX, "xxxxx"));
        assert_eq!(told.len(), LINE_COUNT_MAX + 1);
        assert_eq!(told[LINE_COUNT_MAX], "(more is not shown)");
    }

    #[tokio::test]
    async fn a_program_that_takes_too_long_is_ended() {
        let (done, told) = followed("echo begun; exec sleep 1000", Duration::from_millis(300)).await;
        assert_eq!(done.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(told, ["begun"]);
    }
}
