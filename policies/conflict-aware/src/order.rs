//! An order in which what is worse comes later, without moving anything far or letting it wait for long.

use issuecommand_policy::Instant;

/// One row, in the order in which it came.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its score in force.
    pub score: f64,
    /// When it was opened.
    pub opened_at: Instant,
    /// How much is to be said against it, from 0.
    pub against: f64,
}

/// How far rows may move.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// No row moves further than so many places, either way.
    pub window: usize,
    /// None passes another whose score differs by more.
    pub score_gap: f64,
    /// None passes another that was opened more than so many days earlier.
    pub overtake_days: u64,
}

impl Bounds {
    /// Whether a row of this score and age may pass all of `passed`.
    fn let_pass(&self, place: &Place, passed: &Passed) -> bool {
        let score_fits =
            passed.greatest - place.score <= self.score_gap && place.score - passed.least <= self.score_gap;
        score_fits && place.opened_at <= passed.oldest.plus_days(self.overtake_days)
    }
}

/// What a row would pass by coming first.
struct Passed {
    least: f64,
    greatest: f64,
    oldest: Instant,
}

impl Passed {
    fn and(self, place: &Place) -> Self {
        let (least, greatest) = (self.least.min(place.score), self.greatest.max(place.score));
        Self { least, greatest, oldest: self.oldest.min(place.opened_at) }
    }
}

/// Puts rows against which less is to be said first, within `bounds`.
///
/// Place by place, the best of those that may come here is taken, unless the first that is left has waited
/// for as long as it may. Rows have waited the longest in the order in which they came, so none waits longer.
/// Only what was opened soon after a row ever passes it, so it does not wait for ever, whatever comes in.
pub fn reordered(places: &[Place], bounds: Bounds) -> Vec<usize> {
    let mut left: Vec<usize> = (0..places.len()).collect();
    let mut order = Vec::with_capacity(places.len());
    for place in 0..places.len() {
        let is_due = left[0] + bounds.window <= place;
        let taken = if is_due { 0 } else { best(places, &left, place + bounds.window, bounds) };
        order.push(left.remove(taken));
    }
    order
}

/// Where the best of the rows that may come before all others stands in `left`; none from beyond `furthest`.
fn best(places: &[Place], left: &[usize], furthest: usize, bounds: Bounds) -> usize {
    let mut best = 0;
    let mut passed = Passed { least: f64::INFINITY, greatest: f64::NEG_INFINITY, oldest: Instant::NEVER };
    for (at, row) in left.iter().enumerate().take_while(|(_, row)| **row <= furthest) {
        let place = &places[*row];
        if place.against < places[left[best]].against && bounds.let_pass(place, &passed) {
            best = at;
        }
        passed = passed.and(place);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a score, what is to be said against them, and the day on which they were opened.
    fn order_by_age(rows: &[(f64, f64, u64)], bounds: Bounds) -> Vec<usize> {
        let place = |(score, against, day): &(f64, f64, u64)| Place {
            score: *score,
            opened_at: Instant::from_ms(0).plus_days(*day),
            against: *against,
        };
        reordered(&rows.iter().map(place).collect::<Vec<_>>(), bounds)
    }

    fn order(rows: &[(f64, f64)], window: usize, score_gap: f64) -> Vec<usize> {
        let rows: Vec<_> = rows.iter().map(|(score, against)| (*score, *against, 0)).collect();
        order_by_age(&rows, Bounds { window, score_gap, overtake_days: 0 })
    }

    /// A pseudo-random walk from 0 to 1, the same in every run.
    fn walk() -> impl FnMut() -> f64 {
        let mut state = 7u64;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        }
    }

    #[test]
    fn what_is_worse_comes_later_and_equals_stay() {
        let rows = [(1.0, 0.9), (1.0, 0.0), (1.0, 0.5), (1.0, 0.0)];
        assert_eq!(order(&rows, 8, 0.0), [1, 3, 2, 0]);
        assert_eq!(order(&[(1.0, 0.5); 4], 8, 0.0), [0, 1, 2, 3]);
        assert_eq!(order(&[], 8, 0.0), [0usize; 0]);
    }

    #[test]
    fn nothing_moves_further_than_the_window() {
        let rows = [(1.0, 0.9), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 0.0)];
        assert_eq!(order(&rows, 2, 0.0), [1, 2, 0, 3, 4]);
        assert_eq!(order(&rows, 0, 0.0), [0, 1, 2, 3, 4]);
        let mut random = walk();
        for window in 0..6 {
            let rows: Vec<_> = (0..60).map(|_| (random() * 4.0, (random() * 3.0).floor())).collect();
            let order = order(&rows, window, 2.0);
            for (place, row) in order.iter().enumerate() {
                assert!(place.abs_diff(*row) <= window, "window {window}: row {row} came to place {place}");
            }
            for (place, row) in order.iter().enumerate() {
                for earlier in &order[..place] {
                    let passed = earlier > row && (rows[*earlier].0 - rows[*row].0).abs() > 2.0;
                    assert!(!passed, "row {earlier} passed row {row}");
                }
            }
        }
    }

    #[test]
    fn nothing_passes_what_was_opened_much_earlier() {
        let bounds = |overtake_days| Bounds { window: 8, score_gap: 0.0, overtake_days };
        let rows = [(1.0, 0.9, 0), (1.0, 0.5, 10), (1.0, 0.0, 14), (1.0, 0.0, 15)];
        assert_eq!(order_by_age(&rows, bounds(13)), [1, 0, 2, 3], "14 days are too many for the first");
        assert_eq!(order_by_age(&rows, bounds(14)), [2, 1, 0, 3]);
        assert_eq!(order_by_age(&rows, bounds(15)), [2, 3, 1, 0]);
        assert_eq!(order_by_age(&rows, bounds(0)), [0, 1, 2, 3]);
        let mut random = walk();
        for overtake_days in [0, 5, 20] {
            let rows: Vec<_> = (0..60).map(|_| (1.0, (random() * 3.0).floor(), (random() * 40.0) as u64)).collect();
            let order = order_by_age(&rows, bounds(overtake_days));
            let mut passings = 0;
            for (place, row) in order.iter().enumerate() {
                for earlier in order[..place].iter().filter(|earlier| *earlier > row) {
                    let younger = rows[*earlier].2.saturating_sub(rows[*row].2);
                    assert!(younger <= overtake_days, "row {earlier} passed row {row}, {younger} days older");
                    passings += 1;
                }
            }
            assert!(passings > 0, "within {overtake_days} days some pass");
        }
    }

    #[test]
    fn a_more_urgent_row_stays_ahead_whatever_is_said_against_it() {
        let rows = [(2.0, 0.9), (1.0, 0.0), (1.0, 0.9), (1.0, 0.0)];
        assert_eq!(order(&rows, 8, 0.5), [0, 1, 3, 2]);
        assert_eq!(order(&rows, 8, 1.0), [1, 3, 0, 2]);
    }
}
