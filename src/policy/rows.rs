//! The issues that a call is about, shared with whoever asks, and the columns that were made of them.

use std::cell::Cell;
use std::hint::black_box;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

use super::bindings::ranker::issuecommand::policy::types::{LabelTable, TextColumn};
use crate::domain::IssueFacts;

/// Most issues of one block, and so of one `score` call. It bounds what a guest needs of memory and time, and the
/// facts of so many stay in a processor's cache from one column to the next.
pub const BLOCK_ROW_COUNT_MAX: u32 = 2 * 1024;

/// Issues in blocks. Copying these counts a reference for each block, and none for each issue.
#[derive(Debug, Clone, Default)]
pub struct IssueRows {
    blocks: Vec<IssueBlock>,
}

/// Issues that are shown to a policy at once, or a part of them, shared as a whole.
#[derive(Debug, Clone, Default)]
pub struct IssueBlock {
    all: Arc<Block>,
    part: Range<usize>,
}

#[derive(Debug, Default)]
struct Block {
    rows: Box<[Arc<IssueFacts>]>,
    columns: Option<Box<Columns>>,
}

/// Columns of a block, each made when a policy first asks for it. Titles and bodies are not among them: they are
/// long, and few ask.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) repos: OnceLock<TextColumn>,
    pub(super) numbers: OnceLock<Vec<u64>>,
    pub(super) authors: OnceLock<TextColumn>,
    pub(super) author_associations: OnceLock<TextColumn>,
    pub(super) labels: OnceLock<LabelTable>,
    pub(super) assignees: OnceLock<LabelTable>,
    pub(super) milestones: OnceLock<TextColumn>,
    pub(super) comment_counts: OnceLock<Vec<u32>>,
    pub(super) reaction_counts: OnceLock<Vec<u32>>,
    pub(super) created_at: OnceLock<Vec<u64>>,
    pub(super) updated_at: OnceLock<Vec<u64>>,
    pub(super) topics: OnceLock<LabelTable>,
    pub(super) open_blockers: OnceLock<LabelTable>,
    pub(super) approvals: OnceLock<TextColumn>,
    pub(super) areas: OnceLock<LabelTable>,
    pub(super) reviewers: OnceLock<LabelTable>,
}

impl IssueRows {
    /// These blocks, in their order.
    pub fn of_blocks(blocks: Vec<IssueBlock>) -> Self {
        Self { blocks }
    }

    /// Adds a block behind the others.
    pub fn push(&mut self, block: IssueBlock) {
        self.blocks.push(block);
    }

    /// The blocks.
    pub fn blocks(&self) -> &[IssueBlock] {
        &self.blocks
    }

    /// How many issues there are.
    pub fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.len()).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<IssueFacts>> {
        self.blocks.iter().flat_map(|block| block.iter())
    }

    /// The one at `index`.
    pub fn get(&self, index: usize) -> Option<&Arc<IssueFacts>> {
        let mut left = index;
        for block in &self.blocks {
            match block.get(left) {
                None => left -= block.len(),
                found => return found,
            }
        }
        None
    }
}

impl IssueBlock {
    /// Issues that will be shown to policies again and again, at most [`BLOCK_ROW_COUNT_MAX`]: the columns made of
    /// them are kept.
    pub fn kept(rows: Vec<Arc<IssueFacts>>) -> Self {
        Self::new(rows.into(), Some(Box::default()))
    }

    fn new(rows: Box<[Arc<IssueFacts>]>, columns: Option<Box<Columns>>) -> Self {
        let part = 0..rows.len();
        Self { all: Arc::new(Block { rows, columns }), part }
    }

    /// A part of these.
    pub(super) fn part(&self, part: Range<usize>) -> Self {
        let (start, end) = (self.part.start + part.start, self.part.start + part.end);
        debug_assert!(start <= end && end <= self.part.end, "a part lies within the whole");
        Self { all: Arc::clone(&self.all), part: start..end }
    }

    /// The columns that were made of these, if they are kept and this is all of them.
    pub(super) fn columns(&self) -> Option<&Columns> {
        self.all.columns.as_deref().filter(|_| self.part == (0..self.all.rows.len()))
    }

    /// Reads a little of each, so that they are on their way from memory together. Whoever builds columns looks at
    /// one after the other, and would wait for each.
    fn fetch(&self) {
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

/// The issues of one call. Fetched when the call first builds a column of them.
#[derive(Debug, Default)]
pub(super) struct CallRows {
    block: IssueBlock,
    is_fetched: Cell<bool>,
}

impl CallRows {
    /// A column: one that is kept, or built of these.
    pub(super) fn column<C: Clone>(
        &self,
        kept: impl Fn(&Columns) -> &OnceLock<C>,
        build: impl FnOnce(&[Arc<IssueFacts>]) -> C,
    ) -> C {
        match self.block.columns() {
            Some(columns) => kept(columns).get_or_init(|| build(self.fetched())).clone(),
            None => build(self.fetched()),
        }
    }

    fn fetched(&self) -> &[Arc<IssueFacts>] {
        if !self.is_fetched.replace(true) {
            self.block.fetch();
        }
        &self.block
    }
}

impl Deref for CallRows {
    type Target = [Arc<IssueFacts>];

    fn deref(&self) -> &Self::Target {
        &self.block
    }
}

impl From<IssueBlock> for CallRows {
    fn from(block: IssueBlock) -> Self {
        Self { block, is_fetched: Cell::new(false) }
    }
}

impl Deref for IssueBlock {
    type Target = [Arc<IssueFacts>];

    fn deref(&self) -> &Self::Target {
        &self.all.rows[self.part.clone()]
    }
}

impl FromIterator<Arc<IssueFacts>> for IssueBlock {
    fn from_iter<I: IntoIterator<Item = Arc<IssueFacts>>>(rows: I) -> Self {
        Self::new(rows.into_iter().collect(), None)
    }
}

impl FromIterator<Arc<IssueFacts>> for IssueRows {
    fn from_iter<I: IntoIterator<Item = Arc<IssueFacts>>>(rows: I) -> Self {
        rows.into_iter().collect::<Vec<_>>().as_slice().into()
    }
}

impl From<Vec<Arc<IssueFacts>>> for IssueRows {
    fn from(rows: Vec<Arc<IssueFacts>>) -> Self {
        rows.as_slice().into()
    }
}

impl From<&Vec<Arc<IssueFacts>>> for IssueRows {
    fn from(rows: &Vec<Arc<IssueFacts>>) -> Self {
        rows.as_slice().into()
    }
}

impl From<&[Arc<IssueFacts>]> for IssueRows {
    fn from(rows: &[Arc<IssueFacts>]) -> Self {
        Self { blocks: rows.chunks(BLOCK_ROW_COUNT_MAX as usize).map(|part| part.iter().cloned().collect()).collect() }
    }
}

impl From<&IssueRows> for IssueRows {
    fn from(rows: &IssueRows) -> Self {
        rows.clone()
    }
}
