//! Lines of JSON, read and written beside other work.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

/// Longest line, in bytes: what the server's MCP transport takes as one message.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Lines that wait to be read or written. Whoever sends more waits.
const WAITING_COUNT_MAX: usize = 256;

/// One line without its end, of at most `bytes_max`; `None` at the end of the stream. What comes after the
/// last line's end is no line: its writer died over it.
///
/// # Errors
/// When the stream fails, or the line is too long.
pub(super) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    bytes_max: usize,
) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    loop {
        let ahead = reader.fill_buf().await?;
        if ahead.is_empty() {
            return Ok(None);
        }
        let end = ahead.iter().position(|byte| *byte == b'\n');
        let taken = end.unwrap_or(ahead.len());
        if line.len() + taken > bytes_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a line is longer than {bytes_max} bytes")));
        }
        line.extend_from_slice(&ahead[..taken]);
        reader.consume(taken + usize::from(end.is_some()));
        if end.is_some() {
            return Ok(Some(line));
        }
    }
}

/// Lines as they come in.
#[derive(Debug)]
pub(super) struct LinesIn {
    lines: mpsc::Receiver<Vec<u8>>,
    _reading: AbortOnDropHandle<()>,
}

impl LinesIn {
    /// Reads until the stream ends, then calls `at_end`.
    pub(super) fn of<R>(reader: R, at_end: impl FnOnce() + Send + 'static) -> Self
    where
        R: AsyncRead + Send + Unpin + 'static,
    {
        let (sender, lines) = mpsc::channel(WAITING_COUNT_MAX);
        let mut reader = BufReader::new(reader);
        let reading = tokio::spawn(async move {
            while let Ok(Some(line)) = read_line(&mut reader, LINE_BYTES_MAX).await {
                if !line.trim_ascii().is_empty() && sender.send(line).await.is_err() {
                    break;
                }
            }
            at_end();
        });
        Self { lines, _reading: AbortOnDropHandle::new(reading) }
    }

    /// The next line; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<Vec<u8>> {
        self.lines.recv().await
    }
}

/// Lines on their way out.
#[derive(Debug)]
pub(super) struct LinesOut {
    lines: mpsc::Sender<Vec<u8>>,
    writing: JoinHandle<()>,
}

impl LinesOut {
    pub(super) fn to<W>(mut writer: W) -> Self
    where
        W: AsyncWrite + Send + Unpin + 'static,
    {
        let (lines, mut waiting) = mpsc::channel::<Vec<u8>>(WAITING_COUNT_MAX);
        let writing = tokio::spawn(async move {
            while let Some(mut line) = waiting.recv().await {
                line.push(b'\n');
                if writer.write_all(&line).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        });
        Self { lines, writing }
    }

    /// Sends a line; answers whether anyone is left to write it to.
    pub(super) async fn send(&self, line: Vec<u8>) -> bool {
        self.lines.send(line).await.is_ok()
    }

    /// Waits until everything is written.
    pub(super) async fn finish(self) {
        drop(self.lines);
        let _ = self.writing.await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_follows_the_last_end_of_a_line_is_no_line() {
        let mut reader = BufReader::with_capacity(4, &b"{\"a\":1}\n\n{\"b\""[..]);
        assert_eq!(read_line(&mut reader, 100).await.unwrap().unwrap(), b"{\"a\":1}");
        assert_eq!(read_line(&mut reader, 100).await.unwrap().unwrap(), b"");
        assert_eq!(read_line(&mut reader, 100).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_line_without_end_is_refused_before_it_fills_the_memory() {
        let mut reader = BufReader::with_capacity(4, &b"0123456789\n"[..]);
        assert_eq!(read_line(&mut reader, 9).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}
