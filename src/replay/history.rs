//! A recorded history: one issue or pull request a line, as JSON.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use crate::domain::{Record, RecordKind, RepoName};

/// Longest line of a history that is read, in bytes: a text of GitHub has at most 65,536 characters.
const LINE_BYTES_MAX: usize = 8 << 20;

/// Issues and pull requests of one or more repositories, with what happened to them.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Issues, oldest first.
    pub issues: Vec<Record>,
    /// Pull requests, oldest first.
    pub pulls: Vec<Record>,
}

/// Why a history cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be read.
    #[error("failed to read the history {}", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line is out of form.
    #[error("line {line} of the history is out of form{at}: {why}")]
    Malformed {
        /// Which line, from 1.
        line: usize,
        /// At which field, ready to be read behind "out of form".
        at: String,
        /// What is wrong there.
        why: String,
    },
    /// There is nothing to replay.
    #[error("the history {} holds no issue: record one with `issuecommand history pull OWNER/REPO`", file.display())]
    Empty {
        /// Which file.
        file: PathBuf,
    },
}

impl History {
    /// Reads a file of JSON lines. Empty lines are passed over.
    ///
    /// # Errors
    /// [`HistoryError`] names the file, or the first line that is out of form, and its field.
    pub fn read(file: &Path) -> Result<Self, HistoryError> {
        let failed = |source| HistoryError::Unreadable { file: file.to_owned(), source };
        let reader = std::io::BufReader::new(std::fs::File::open(file).map_err(failed)?);
        let mut history = Self::default();
        for (line, text) in (1..).zip(reader.lines()) {
            history.take_in(line, &text.map_err(failed)?)?;
        }
        if history.issues.is_empty() {
            return Err(HistoryError::Empty { file: file.to_owned() });
        }
        Ok(history.sorted())
    }

    /// Reads the text of such a file.
    ///
    /// # Errors
    /// [`HistoryError::Malformed`] for the first line that is out of form.
    pub fn parse(text: &str) -> Result<Self, HistoryError> {
        let mut history = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
            history.take_in(line, text)?;
        }
        Ok(history.sorted())
    }

    fn take_in(&mut self, line: usize, text: &str) -> Result<(), HistoryError> {
        let malformed = |at: String, why: String| HistoryError::Malformed { line, at, why };
        if text.len() > LINE_BYTES_MAX {
            return Err(malformed(String::new(), format!("it is longer than {LINE_BYTES_MAX} bytes")));
        }
        if text.trim().is_empty() {
            return Ok(());
        }
        let mut json = serde_json::Deserializer::from_str(text);
        let record: Record = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let at = match error.path().to_string().as_str() {
                "." => String::new(),
                path => format!(" at {path}"),
            };
            malformed(at, error.inner().to_string())
        })?;
        match record.kind {
            RecordKind::Issue => self.issues.push(record),
            RecordKind::Pull => self.pulls.push(record),
        }
        Ok(())
    }

    /// Oldest first, each once: of one that was recorded twice the newest word counts.
    fn sorted(mut self) -> Self {
        for records in [&mut self.issues, &mut self.pulls] {
            records.sort_by(|a, b| (&a.repo, a.number, b.updated_at).cmp(&(&b.repo, b.number, a.updated_at)));
            records.dedup_by(|a, b| a.repo == b.repo && a.number == b.number);
            records.sort_by(|a, b| (a.created_at, &a.repo, a.number).cmp(&(b.created_at, &b.repo, b.number)));
        }
        self
    }

    /// Every repository, by name.
    pub fn repos(&self) -> Vec<RepoName> {
        let mut repos: Vec<_> = self.issues.iter().map(|record| record.repo.clone()).collect();
        repos.sort();
        repos.dedup();
        repos
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const ISSUE: &str =
        r#"{"repo":"Acme/Small","kind":"issue","number":1,"created_at":"2024-01-01T00:00:00Z","labels":null}"#;

    #[test]
    fn a_line_needs_little_and_may_hold_more() {
        let more = r#"{"repo":"acme/small","kind":"pull","number":2,"created_at":"2024-01-01T00:00:00Z","fixes":[1],
            "reactions":{"+1":3},"events":[{"event":"committed","at":null}]}"#;
        let history = History::parse(&format!("{ISSUE}\n\n{}\n", more.replace('\n', " "))).unwrap();
        assert_eq!((history.issues.len(), history.pulls.len()), (1, 1));
        assert_eq!(history.issues[0].issue_ref().to_string(), "acme/small#1");
        assert!(history.pulls[0].happenings().is_empty());
    }

    #[test]
    fn a_wrong_line_is_named_with_its_field() {
        let wrong = ISSUE.replace("\"2024-01-01T00:00:00Z\"", "\"yesterday\"");
        let error = History::parse(&format!("{ISSUE}\n{wrong}")).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of the history is out of form at created_at: "), "{error}");
        let error = History::parse("{").unwrap_err().to_string();
        assert!(error.starts_with("line 1 of the history is out of form"), "{error}");
    }

    #[test]
    fn of_one_recorded_twice_the_newest_word_counts() {
        let with = |title: &str, at: &str| {
            ISSUE.replace("\"labels\"", &format!("\"title\":\"{title}\",\"updated_at\":\"{at}\",\"labels\""))
        };
        let lines = [
            with("old", "2024-02-01T00:00:00Z"),
            with("new", "2024-03-01T00:00:00Z"),
            with("older", "2024-01-02T00:00:00Z"),
        ];
        let history = History::parse(&lines.join("\n")).unwrap();
        assert_eq!(history.issues.iter().map(|issue| issue.title.as_str()).collect::<Vec<_>>(), ["new"]);
    }
}
