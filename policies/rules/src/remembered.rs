//! What a table makes of names alone, remembered: issues whose names pass the same tests need it worked out once.

use std::cell::Cell;

use crate::condition::Mask;

/// Answers that are remembered. Issues share their labels, so that few of them occur.
const PLACE_COUNT: usize = 64;
const PLACE_BITS: u32 = PLACE_COUNT.ilog2();

/// Points for each set of answers; of two that fall into one place the later stays.
#[derive(Debug)]
pub struct Remembered([Cell<Option<(Mask, f64)>>; PLACE_COUNT]);

impl Default for Remembered {
    fn default() -> Self {
        Self([const { Cell::new(None) }; PLACE_COUNT])
    }
}

impl Remembered {
    /// The points for `mask`; `work_out` must depend on it alone.
    #[inline]
    pub fn points(&self, mask: Mask, work_out: impl FnOnce() -> f64) -> f64 {
        let place = &self.0[place_of(mask)];
        match place.get() {
            Some((known, points)) if known == mask => points,
            _ => {
                let points = work_out();
                place.set(Some((mask, points)));
                points
            }
        }
    }
}

/// Multiplying by the odd number next to 2^64 divided by the golden ratio spreads close numbers (Knuth, The Art
/// of Computer Programming, 6.4).
fn place_of(mask: Mask) -> usize {
    let folded = (mask ^ (mask >> 64)) as u64;
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - PLACE_BITS)) as usize
}
