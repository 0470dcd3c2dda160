//! Setting MCP clients up: our entry goes into the client's own configuration file, and everything else
//! in it stays as it is.

mod client;
mod file;
mod json;
mod toml;

use std::path::PathBuf;

pub use client::{CLIENTS, Client, Homes};
pub use file::{Written, write};

/// What our entry is called in every client.
pub const ENTRY_NAME: &str = "issuecommand";

/// The process that a client starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The program.
    pub command: String,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Why a client was not set up. Its file is as it was.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The client has no such file.
    #[error("{0} has no configuration of its own in a project; leave --project out")]
    NoProjectFile(&'static str),
    /// There is no home to look in.
    #[error("failed to find {0}'s configuration: HOME is not set")]
    NoHome(&'static str),
    /// The file cannot be parsed.
    #[error("{}:{line}:{column}: {why}; mend the file first, it is left as it is", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong there.
        why: String,
    },
    /// A key that must hold entries holds something else.
    #[error("{}: {key} holds no table of entries; mend the file first, it is left as it is", path.display())]
    NoTable {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
    },
    /// The system refuses.
    #[error("failed to {what} {}", path.display())]
    File {
        /// What was attempted.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Why a text cannot take our entry.
#[derive(Debug, PartialEq, Eq)]
enum Unfit {
    Syntax { line: usize, column: usize, why: String },
    NoTable(String),
}

impl Unfit {
    fn of(self, path: PathBuf) -> InstallError {
        match self {
            Self::Syntax { line, column, why } => InstallError::Unreadable { path, line, column, why },
            Self::NoTable(key) => InstallError::NoTable { path, key },
        }
    }
}
