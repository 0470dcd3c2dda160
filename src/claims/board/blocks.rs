//! The issues as policies see all of them, a new set of policies after the other: in blocks, whose columns are kept.

use super::{Board, Row};
use crate::claims::order::Slot;
use crate::policy::{BLOCK_ROW_COUNT_MAX, IssueBlock};

/// A block for each so many slots. An issue that changes makes its block outdated; the others stay, with the columns
/// that policies have asked for.
#[derive(Debug, Default)]
pub(in crate::claims) struct Blocks {
    by_place: Vec<Option<IssueBlock>>,
    outdated: Vec<IssueBlock>,
}

impl Blocks {
    /// Notes that the issue in `slot` is another, or has other facts.
    pub(super) fn outdate(&mut self, slot: Slot) {
        let kept = self.by_place.get_mut((slot / BLOCK_ROW_COUNT_MAX) as usize);
        self.outdated.extend(kept.and_then(Option::take));
    }

    /// Whether something is kept that nobody will ask for.
    pub(super) fn has_outdated(&self) -> bool {
        !self.outdated.is_empty()
    }

    fn of(&mut self, place: usize, rows: &[Option<Row>]) -> IssueBlock {
        if self.by_place.len() <= place {
            self.by_place.resize_with(place + 1, Option::default);
        }
        let facts = || rows.iter().flatten().map(|row| &row.facts);
        let block =
            self.by_place[place].get_or_insert_with(|| IssueBlock::kept(facts().map(|it| it.shared()).collect()));
        debug_assert!(
            block.len() == facts().count() && facts().zip(&**block).all(|(it, kept)| it.is(kept)),
            "whoever changes facts outdates their block"
        );
        block.clone()
    }
}

impl Board {
    /// The block at `place` with the slots of its issues, in their order; `None` behind the last.
    pub(in crate::claims) fn block(&mut self, place: usize) -> Option<(Vec<Slot>, IssueBlock)> {
        let start = place * BLOCK_ROW_COUNT_MAX as usize;
        let end = self.rows.len().min(start + BLOCK_ROW_COUNT_MAX as usize);
        let rows = self.rows.get(start..end).filter(|rows| !rows.is_empty())?;
        let first = super::slot_of(start);
        let slots = (first..).zip(rows).filter(|(_, row)| row.is_some()).map(|(slot, _)| slot).collect();
        Some((slots, self.blocks.of(place, rows)))
    }

    /// Takes what nobody will ask for, to be dropped outside the lock.
    pub(in crate::claims) fn take_outdated(&mut self) -> Vec<IssueBlock> {
        std::mem::take(&mut self.blocks.outdated)
    }
}
