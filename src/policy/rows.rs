//! The issues that a call is about, shared with whoever asks.

use std::hint::black_box;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::domain::IssueFacts;

/// Issues, or a part of them, shared as a whole: a call about a hundred thousand counts one reference and not one
/// for each, which would fetch every issue from memory one after the other.
#[derive(Debug, Clone, Default)]
pub struct IssueRows {
    all: Arc<[Arc<IssueFacts>]>,
    part: Range<usize>,
}

impl IssueRows {
    /// A part of these.
    pub(super) fn part(&self, part: Range<usize>) -> Self {
        let (start, end) = (self.part.start + part.start, self.part.start + part.end);
        debug_assert!(start <= end && end <= self.part.end, "a part lies within the whole");
        Self { all: Arc::clone(&self.all), part: start..end }
    }

    /// Reads a little of each, so that they are on their way from memory together. Whoever builds columns looks at
    /// one after the other, and would wait for each.
    pub(super) fn fetch(&self) {
        let mut seen = 0;
        for row in self.iter() {
            let label = row.labels.first().map_or(0, |label| label.as_ptr().addr());
            let texts = row.title.as_ptr().addr() ^ row.author.as_ptr().addr();
            seen ^= label ^ texts ^ row.comment_count as usize ^ row.created_at.timestamp_subsec_nanos() as usize;
        }
        // What was read is of no use, but must not be left out for that.
        black_box(seen);
    }
}

impl Deref for IssueRows {
    type Target = [Arc<IssueFacts>];

    fn deref(&self) -> &Self::Target {
        &self.all[self.part.clone()]
    }
}

impl FromIterator<Arc<IssueFacts>> for IssueRows {
    fn from_iter<I: IntoIterator<Item = Arc<IssueFacts>>>(rows: I) -> Self {
        rows.into_iter().collect::<Vec<_>>().into()
    }
}

impl From<Vec<Arc<IssueFacts>>> for IssueRows {
    fn from(rows: Vec<Arc<IssueFacts>>) -> Self {
        let part = 0..rows.len();
        Self { all: rows.into(), part }
    }
}

impl From<&Vec<Arc<IssueFacts>>> for IssueRows {
    fn from(rows: &Vec<Arc<IssueFacts>>) -> Self {
        rows.as_slice().into()
    }
}

impl From<&[Arc<IssueFacts>]> for IssueRows {
    fn from(rows: &[Arc<IssueFacts>]) -> Self {
        rows.to_vec().into()
    }
}

impl From<&IssueRows> for IssueRows {
    fn from(rows: &IssueRows) -> Self {
        rows.clone()
    }
}
