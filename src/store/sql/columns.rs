//! Between rows and domain values.

use super::value::{Error, Result, Row, unreadable};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::{Issue, IssueNumber, IssueRef, IssueState, RepoName, Timestamp, from_unix_ms};

/// The columns of `issues` that [`issue`] reads, in its order.
pub(super) const ISSUE: &str = "repo, number, open, title, labels, assignees, milestone, author, author_association, \
     comment_count, reaction_count, created_at_ms, updated_at_ms, url";

/// Milliseconds since the Unix epoch, as databases keep them.
pub(super) fn ms(at: Timestamp) -> i64 {
    at.timestamp_millis().max(0)
}

/// An issue's number, as databases keep it.
pub(super) fn number(number: IssueNumber) -> i64 {
    i64::try_from(number.get()).expect("an issue number is below 2^53")
}

/// A value as JSON text.
pub(super) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(Error::Unwritable)
}

/// The value of a JSON column.
pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> Result<T> {
    serde_json::from_str(text(row, index)?).map_err(|error| unreadable(index, error))
}

/// The text of a column, without a copy.
pub(super) fn text<'r>(row: &'r Row<'_>, index: usize) -> Result<&'r str> {
    row.text(index)
}

/// The value of a column that is kept as its text.
pub(super) fn parsed<T: FromStr>(row: &Row<'_>, index: usize) -> Result<T>
where
    T::Err: fmt::Display,
{
    text(row, index)?.parse().map_err(|error: T::Err| unreadable(index, error.to_string()))
}

/// The time of a column of milliseconds.
pub(super) fn time(row: &Row<'_>, index: usize) -> Result<Timestamp> {
    let ms: i64 = row.get(index)?;
    Ok(from_unix_ms(u64::try_from(ms).unwrap_or(0)))
}

/// The issue number of a column.
pub(super) fn issue_number(row: &Row<'_>, index: usize) -> Result<IssueNumber> {
    let plain: i64 = row.get(index)?;
    IssueNumber::new(u64::try_from(plain).unwrap_or(0)).map_err(|error| unreadable(index, error))
}

/// The issue that the columns `index` (repository) and `index + 1` (number) name.
pub(super) fn issue_ref(row: &Row<'_>, index: usize) -> Result<IssueRef> {
    Ok(IssueRef::new(parsed(row, index)?, issue_number(row, index + 1)?))
}

/// An issue from the columns [`ISSUE`], without its body.
pub(super) fn issue(row: &Row<'_>) -> Result<Issue> {
    Ok(Issue {
        repo: parsed(row, 0)?,
        number: issue_number(row, 1)?,
        title: row.get(3)?,
        body: String::new(),
        state: if row.get(2)? { IssueState::Open } else { IssueState::Closed },
        labels: json(row, 4)?,
        assignees: json(row, 5)?,
        milestone: row.get(6)?,
        comments: Vec::new(),
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        url: row.get(13)?,
        author: row.get(7)?,
        author_association: row.get(8)?,
        comment_count: row.get(9)?,
        reaction_count: row.get(10)?,
        open_blocker_count: None,
    })
}

/// Shares equal texts, and the name of the repository that consecutive rows have in common.
#[derive(Default)]
pub(super) struct Interner {
    texts: HashSet<Arc<str>>,
    repo: Option<RepoName>,
}

impl Interner {
    /// The one shared copy of `text`.
    pub(super) fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let fresh: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&fresh));
        fresh
    }

    /// The shared copies of the texts in a JSON array.
    pub(super) fn share_all(&mut self, row: &Row<'_>, index: usize) -> Result<Box<[Arc<str>]>> {
        /// A text that is copied only if JSON had to escape it.
        #[derive(Deserialize)]
        struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

        let array = text(row, index)?;
        if array == "[]" {
            return Ok(Box::default());
        }
        let texts: Vec<Text<'_>> = serde_json::from_str(array).map_err(|error| unreadable(index, error))?;
        Ok(texts.iter().map(|text| self.share(&text.0)).collect())
    }

    /// The repository of a column; parsed once for a run of equal ones.
    pub(super) fn repo(&mut self, row: &Row<'_>, index: usize) -> Result<RepoName> {
        let name = text(row, index)?;
        match &self.repo {
            Some(last) if last.as_str() == name => Ok(last.clone()),
            _ => {
                let repo: RepoName = parsed(row, index)?;
                self.repo = Some(repo.clone());
                Ok(repo)
            }
        }
    }
}
