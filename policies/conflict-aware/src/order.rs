//! An order in which what is worse comes later, without moving anything far.

/// One row, in the order in which it came.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its score in force.
    pub score: f64,
    /// How much is to be said against it, from 0.
    pub against: f64,
}

/// Puts rows against which less is to be said first. No row moves further than `window` places, either way,
/// and none passes another whose score differs by more than `score_gap`.
///
/// Place by place, the best of those that may come here is taken, unless the first that is left has waited
/// for as long as it may. Rows have waited the longest in the order in which they came, so none waits longer.
pub fn reordered(places: &[Place], window: usize, score_gap: f64) -> Vec<usize> {
    let mut left: Vec<usize> = (0..places.len()).collect();
    let mut order = Vec::with_capacity(places.len());
    for place in 0..places.len() {
        let is_due = left[0] + window <= place;
        let taken = if is_due { 0 } else { best(places, &left, place + window, score_gap) };
        order.push(left.remove(taken));
    }
    order
}

/// Where the best of the rows that may come before all others stands in `left`; none from beyond `furthest`.
fn best(places: &[Place], left: &[usize], furthest: usize, score_gap: f64) -> usize {
    let (mut best, mut least, mut greatest) = (0, f64::INFINITY, f64::NEG_INFINITY);
    for (at, row) in left.iter().enumerate().take_while(|(_, row)| **row <= furthest) {
        let Place { score, against } = places[*row];
        let passes_none_it_must_not = greatest - score <= score_gap && score - least <= score_gap;
        if at > 0 && passes_none_it_must_not && against < places[left[best]].against {
            best = at;
        }
        least = least.min(score);
        greatest = greatest.max(score);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(rows: &[(f64, f64)], window: usize, score_gap: f64) -> Vec<usize> {
        let places: Vec<_> = rows.iter().map(|(score, against)| Place { score: *score, against: *against }).collect();
        reordered(&places, window, score_gap)
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
        // Any rows: a pseudo-random walk over them, the same in every run.
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        };
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
    fn a_more_urgent_row_stays_ahead_whatever_is_said_against_it() {
        let rows = [(2.0, 0.9), (1.0, 0.0), (1.0, 0.9), (1.0, 0.0)];
        assert_eq!(order(&rows, 8, 0.5), [0, 1, 3, 2]);
        assert_eq!(order(&rows, 8, 1.0), [1, 3, 0, 2]);
    }
}
