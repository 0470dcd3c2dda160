//! Finding an agent that goes round in circles.

use std::collections::VecDeque;

/// How often the same calls in a row count as a circle. Eight equal calls raise nothing in any agent we know.
const ROUND_COUNT_MAX: usize = 10;
/// The longest circle that is looked for, in calls.
const CIRCLE_CALLS_MAX: usize = 4;
/// Calls that differ in digits alone are a circle too, but only when there are many: work counts things.
const ALIKE_COUNT_MAX: usize = 100;

/// The latest tool calls of an agent.
#[derive(Debug, Default)]
pub(super) struct Calls {
    latest: VecDeque<u64>,
    last_shape: u64,
    alike: usize,
}

impl Calls {
    /// Takes a call in; says what the circle is like when there is one.
    pub(super) fn note(&mut self, name: &str, call: &str) -> Option<String> {
        self.latest.push_front(digest(name, call.bytes()));
        self.latest.truncate(ROUND_COUNT_MAX * CIRCLE_CALLS_MAX);
        let shape = digest(name, call.bytes().filter(|byte| !byte.is_ascii_digit()));
        self.alike = if shape == self.last_shape { self.alike + 1 } else { 1 };
        self.last_shape = shape;
        if self.alike >= ALIKE_COUNT_MAX {
            return Some(format!("called {name} {ALIKE_COUNT_MAX} times in a row with nothing but other numbers"));
        }
        let circle = (1..=CIRCLE_CALLS_MAX).find(|length| self.is_circle(*length))?;
        Some(match circle {
            1 => format!("called {name} {ROUND_COUNT_MAX} times in a row with the same input"),
            _ => format!("repeated the same {circle} calls {ROUND_COUNT_MAX} times, {name} the last"),
        })
    }

    fn is_circle(&self, length: usize) -> bool {
        let whole = length * ROUND_COUNT_MAX;
        self.latest.len() >= whole && (length..whole).all(|place| self.latest[place] == self.latest[place - length])
    }
}

fn digest(name: &str, call: impl Iterator<Item = u8>) -> u64 {
    let bytes: Vec<u8> = name.bytes().chain([0]).chain(call).collect();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(calls: impl Iterator<Item = String>) -> Option<(usize, String)> {
        let mut seen = Calls::default();
        calls.enumerate().find_map(|(count, call)| Some((count + 1, seen.note("bash", &call)?)))
    }

    #[test]
    fn the_same_call_over_and_over_is_a_circle() {
        let (count, what) = circles(std::iter::repeat_n("ls".to_owned(), 50)).unwrap();
        assert_eq!((count, what.as_str()), (10, "called bash 10 times in a row with the same input"));
    }

    #[test]
    fn two_calls_in_turn_are_a_circle() {
        let (count, what) = circles((0..50).map(|n| if n % 2 == 0 { "make" } else { "cat log" }.to_owned())).unwrap();
        assert_eq!((count, what.contains("the same 2 calls")), (20, true), "{what}");
    }

    #[test]
    fn calls_that_only_count_up_are_a_circle_when_there_are_very_many() {
        assert_eq!(circles((0..200).map(|n| format!("echo turn {n}"))).unwrap().0, 100);
    }

    #[test]
    fn work_is_no_circle() {
        assert_eq!(circles((0..40_usize).map(|n| format!("edit {}", "x".repeat(n)))), None);
        assert_eq!(circles((0..9).map(|_| "cargo test".to_owned())), None);
    }
}
