//! What a rule adds to a score, or takes from it.

use issuecommand_policy::{Instant, Score};

use crate::expression::Expression;
use crate::row::Row;
use crate::words::Field;

/// Steps in which points decay, for each half-life. Between steps a score stands still, and need not be
/// asked for again.
const STEPS_PER_HALF_LIFE: u64 = 4;
/// What is left after each of these steps: the fourth root of one half, by its powers. Written out, so that
/// it is the same to the last bit everywhere.
const LEFT_AFTER_STEP: [f64; STEPS_PER_HALF_LIFE as usize] =
    [1.0, 0.840_896_415_253_714_5, std::f64::consts::FRAC_1_SQRT_2, 0.594_603_557_501_360_5];
/// After so many half-lives nothing is left: it would be less than a thousandth.
const HALF_LIFE_COUNT_MAX: u64 = 10;

/// What a rule adds.
#[derive(Debug)]
pub enum Points {
    /// So many.
    Flat(f64),
    /// So many for each one, in total at most `most`, whichever their sign.
    Each { weight: f64, most: f64 },
    /// So many at first, and ever less with time.
    Decay { weight: f64, step_ms: u64 },
    /// As many as an expression gives, at most `most`, whichever their sign.
    Expression { expression: Box<Expression>, most: f64 },
}

impl Points {
    /// The largest size of what a rule adds, or takes.
    pub fn most(&self) -> f64 {
        match self {
            Self::Flat(weight) | Self::Decay { weight, .. } => weight.abs(),
            Self::Each { most, .. } | Self::Expression { most, .. } => *most,
        }
    }

    /// The most that a rule takes; 0 of one that only adds.
    pub fn most_taken(&self) -> f64 {
        match self {
            Self::Flat(weight) | Self::Decay { weight, .. } => (-weight).max(0.0),
            Self::Each { weight, most } => {
                if *weight < 0.0 {
                    *most
                } else {
                    0.0
                }
            }
            Self::Expression { most, .. } => *most,
        }
    }

    /// Points that halve every `half_life_ms` milliseconds.
    pub fn decay(weight: f64, half_life_ms: u64) -> Self {
        Self::Decay { weight, step_ms: half_life_ms / STEPS_PER_HALF_LIFE }
    }

    /// Adds what the rule `name` on `field`, whose conditions hold, gives `row`.
    pub fn add(&self, name: &str, field: Option<Field>, row: &Row<'_>, score: &mut Score<'_>) {
        match (self, field) {
            (Self::Each { weight, most }, Some(field)) => {
                let (amount, until) = row.amount(field);
                let points = weight * amount;
                score.add(name, points.clamp(-most, *most));
                score.note(|| format!("{} {amount}", field.as_str()));
                // At the most it stays there: time only adds.
                if points.abs() < *most && *weight != 0.0 {
                    score.valid_until(until);
                }
            }
            (Self::Decay { weight, step_ms }, Some(field)) => {
                let (left, until) = left_after(row.start(field), row.now(), *step_ms);
                score.add(name, weight * left);
                score.note(|| format!("{} {}: {:.0}% left", field.as_str(), row.amount(field).0, left * 100.0));
                score.valid_until(until);
            }
            (Self::Expression { expression, most }, _) => {
                let points = expression.number(row, score).clamp(-most, *most);
                score.add(name, points);
                score.note(|| expression.text().to_owned());
            }
            (Self::Flat(weight), field) => {
                score.add(name, *weight);
                if let Some(field) = field.filter(|field| field.is_number()) {
                    score.note(|| format!("{} {}", field.as_str(), row.amount(field).0));
                }
            }
            // Compiling a table gives each of these a field.
            (Self::Each { .. } | Self::Decay { .. }, None) => {}
        }
    }
}

/// Which part is left of what began at `start`, and until when that holds.
fn left_after(start: Instant, now: Instant, step_ms: u64) -> (f64, Instant) {
    let steps = now.ms().saturating_sub(start.ms()) / step_ms;
    let half_lives = steps / STEPS_PER_HALF_LIFE;
    if half_lives >= HALF_LIFE_COUNT_MAX {
        return (0.0, Instant::NEVER);
    }
    let part = LEFT_AFTER_STEP[(steps % STEPS_PER_HALF_LIFE) as usize];
    (part / (1u64 << half_lives) as f64, start.plus_ms((steps + 1) * step_ms))
}
