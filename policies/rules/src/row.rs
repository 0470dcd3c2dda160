//! One candidate, about to be put to all tests of the table.

use std::cell::OnceCell;

use issuecommand_policy::{Candidate, Instant, Score, name_key};

use crate::condition::{Bound, Conditions, Facts, Mask, Test};
use crate::expression::{Scope, scope_of};
use crate::words::Field;

/// So much of the text below a title is looked at, in bytes.
const BODY_BYTES_MAX: usize = 16 << 10;

/// One candidate. What several tests ask for is worked out once.
pub struct Row<'a> {
    candidate: &'a Candidate<'a>,
    facts: &'a Facts,
    now: Instant,
    mask: Mask,
    title: OnceCell<String>,
    body: OnceCell<String>,
    scope: OnceCell<Scope<'a>>,
}

impl<'a> Row<'a> {
    /// Looks at the names of `candidate`, once for all tests.
    pub fn new(candidate: &'a Candidate<'a>, facts: &'a Facts, now: Instant) -> Self {
        let mask = facts.mask(candidate);
        let (title, body, scope) = (OnceCell::new(), OnceCell::new(), OnceCell::new());
        Self { candidate, facts, now, mask, title, body, scope }
    }

    /// What expressions see of the candidate.
    pub fn scope(&self) -> &Scope<'a> {
        self.scope.get_or_init(|| scope_of(self, &self.facts.variables))
    }

    /// Which tests its names pass.
    pub fn mask(&self) -> Mask {
        self.mask
    }

    /// The candidate itself.
    pub fn candidate(&self) -> &'a Candidate<'a> {
        self.candidate
    }

    /// When it is looked at.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Whether all of `conditions` hold. Tells `score` when that will change by itself.
    #[inline]
    pub fn satisfies(&self, conditions: &Conditions, score: &mut Score<'_>) -> bool {
        conditions.suit(self.mask) && self.satisfies_each(&conditions.others, score)
    }

    fn satisfies_each(&self, tests: &[Test], score: &mut Score<'_>) -> bool {
        tests.iter().all(|test| match test {
            Test::Title { test, wanted } => test.holds(self.title()) == *wanted,
            Test::Body { test, wanted } => test.holds(self.body()) == *wanted,
            Test::Count { field, bound } => {
                let count = f64::from(self.count(*field));
                match bound {
                    Bound::AtLeast(least) => count >= *least,
                    Bound::AtMost(most) => count <= *most,
                }
            }
            Test::Elapsed { field, bound } => self.elapsed(*field, *bound, score),
            Test::Expression(expression) => expression.holds(self, score),
        })
    }

    /// How much of a fact there is: whole days where it is about time, and until when that holds.
    pub fn amount(&self, field: Field) -> (f64, Instant) {
        if field.is_time() {
            let start = self.start(field);
            let days = self.now.whole_days_since(start);
            return (days as f64, start.plus_days(days + 1));
        }
        (f64::from(self.count(field)), Instant::NEVER)
    }

    /// From when on a fact about time is counted.
    pub fn start(&self, field: Field) -> Instant {
        if field == Field::AgeDays { self.candidate.created_at() } else { self.candidate.updated_at() }
    }

    /// So much of the text below the title as is looked at, as written.
    pub fn body_read(&self) -> &'a str {
        let body = self.candidate.body();
        &body[..body.floor_char_boundary(BODY_BYTES_MAX)]
    }

    fn title(&self) -> &str {
        self.title.get_or_init(|| name_key(self.candidate.title()))
    }

    fn body(&self) -> &str {
        self.body.get_or_init(|| name_key(self.body_read()))
    }

    fn count(&self, field: Field) -> u32 {
        if field == Field::Comments { self.candidate.comment_count() } else { self.candidate.reaction_count() }
    }

    fn elapsed(&self, field: Field, bound: Bound, score: &mut Score<'_>) -> bool {
        let start = self.start(field);
        // The instant from which the other answer holds.
        let (turn, before) = match bound {
            Bound::AtLeast(ms) => (start.plus_ms(ms.ceil() as u64), false),
            Bound::AtMost(ms) => (start.plus_ms((ms.floor() as u64).saturating_add(1)), true),
        };
        if self.now < turn {
            score.valid_until(turn);
            return before;
        }
        !before
    }
}
