//! Standard output and standard error, for all commands. What cannot be written there is no reason to die half-way: by then a command may
//! have done what was asked. So whoever prints goes on, the first fault is kept, and it is told at the end.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// The first fault; nothing is written after it.
static FAULT: OnceLock<io::Error> = OnceLock::new();

/// Not all that was printed has arrived.
#[derive(Debug, thiserror::Error)]
#[error("could not write to standard output: {0}")]
pub struct Unwritten(&'static io::Error);

impl Unwritten {
    /// Whether somebody had read enough and left, as `head` does.
    pub fn is_readers_wish(&self) -> bool {
        self.0.kind() == ErrorKind::BrokenPipe
    }
}

/// Prints a line, as `println!` does.
macro_rules! say {
    () => { $crate::cli::output::print("\n") };
    ($($words:tt)+) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($words)+))) };
}

/// Tells a line on standard error, as `eprintln!` does: beside what a command is for, so that nothing ends where it does
/// not arrive.
macro_rules! tell {
    ($($words:tt)+) => { $crate::cli::output::tell(format_args!($($words)+)) };
}

/// Tells a line on standard error.
pub fn tell(line: impl Display) {
    _ = writeln!(anstream::stderr(), "{line}");
}

/// Prints a text; with styles, where they are shown.
pub fn print(text: impl Display) {
    attempt(|| anstream::stdout().write_all(text.to_string().as_bytes()));
}

/// Prints bytes as they are: no style is taken out or put in.
pub fn print_bytes(bytes: &[u8]) {
    attempt(|| io::stdout().write_all(bytes));
}

/// Whether all that was printed has arrived so far: for commands that must say what holds all the same, and for such as
/// would go on for nobody.
///
/// # Errors
/// When it has not.
pub fn check() -> Result<(), Unwritten> {
    attempt(|| io::stdout().flush());
    FAULT.get().map_or(Ok(()), |fault| Err(Unwritten(fault)))
}

fn attempt(write: impl FnOnce() -> io::Result<()>) {
    if FAULT.get().is_none()
        && let Err(fault) = write()
    {
        _ = FAULT.set(fault);
    }
}
