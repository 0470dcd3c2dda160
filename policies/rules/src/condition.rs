//! Conditions, compiled: names are judged once a name, everything else once a row.

use std::cell::OnceCell;

use issuecommand_policy::{Candidate, Instant, PerName, Score, glob_matches, name_key};
use serde_json::Value;

use crate::settings::{Condition, Field, Op};

/// Most conditions on names (labels, logins, milestones, repositories) in one table: each has a bit
/// of a [`Mask`].
const NAME_TEST_COUNT_MAX: usize = Mask::BITS as usize;

/// Milliseconds in a day.
const DAY_MS: f64 = 86_400_000.0;

/// Which conditions on names hold, one bit each.
type Mask = u128;

/// A fact that is a name, or several; its place in [`Names`].
const NAME_FIELDS: [Field; 6] =
    [Field::Label, Field::Author, Field::AuthorAssociation, Field::Assignee, Field::Milestone, Field::Repo];

/// What a condition asks of one row.
#[derive(Debug)]
pub enum Test {
    /// Whether any name satisfies the test behind this bit, or none does.
    Name { bit: u32, wanted: bool },
    /// Whether the title does, or does not.
    Title { test: TextTest, wanted: bool },
    /// Whether a count reaches a number.
    Count { field: Field, bound: Bound },
    /// Whether so many milliseconds went by since the issue was opened, or changed.
    Elapsed { field: Field, bound: Bound },
}

/// A bound on a number; milliseconds where it is about time.
#[derive(Debug, Clone, Copy)]
pub enum Bound {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
}

/// What is asked of one text, in lower case.
#[derive(Debug)]
pub enum TextTest {
    /// It is one of these.
    Is(Vec<String>),
    /// One of these is part of it.
    Contains(Vec<String>),
    /// It fits one of these.
    Glob(Vec<String>),
    /// There is one.
    Present,
}

impl TextTest {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|it| it == text),
            Self::Contains(texts) => texts.iter().any(|it| text.contains(it.as_str())),
            Self::Glob(patterns) => patterns.iter().any(|it| glob_matches(it, text)),
            Self::Present => true,
        }
    }
}

/// Collects the tests on names while a table is compiled.
#[derive(Debug, Default)]
pub struct Compiler {
    tests: [Vec<(u32, TextTest)>; NAME_FIELDS.len()],
    count: usize,
}

impl Compiler {
    /// Compiles one condition, found at `key` of the settings.
    pub fn compile(&mut self, condition: &Condition, key: &str) -> Result<Test, String> {
        let Condition { field, op, value } = condition;
        let allowed = ops_of(*field);
        if !allowed.contains(op) {
            let words: Vec<_> = allowed.iter().map(|op| op.as_str()).collect();
            let (op, field) = (op.as_str(), field.as_str());
            return Err(format!(
                "{key}.op: \"{op}\" does not suit the field {field}, which takes {}",
                words.join(", ")
            ));
        }
        match field {
            Field::Comments | Field::Reactions => {
                Ok(Test::Count { field: *field, bound: bound(*op, value.as_ref(), key)? })
            }
            Field::AgeDays | Field::IdleDays => {
                let bound = match bound(*op, value.as_ref(), key)? {
                    Bound::AtLeast(days) => Bound::AtLeast(days * DAY_MS),
                    Bound::AtMost(days) => Bound::AtMost(days * DAY_MS),
                };
                Ok(Test::Elapsed { field: *field, bound })
            }
            _ => self.compile_text(*field, *op, value.as_ref(), key),
        }
    }

    fn compile_text(&mut self, field: Field, op: Op, value: Option<&Value>, key: &str) -> Result<Test, String> {
        let wanted = !matches!(op, Op::IsNot | Op::Absent);
        let test = match op {
            Op::Contains => TextTest::Contains(texts(op, value, key)?),
            Op::Glob => TextTest::Glob(texts(op, value, key)?),
            Op::Present | Op::Absent => {
                refuse_value(op, value, key)?;
                TextTest::Present
            }
            _ => TextTest::Is(texts(op, value, key)?),
        };
        let Some(place) = NAME_FIELDS.iter().position(|it| *it == field) else {
            return Ok(Test::Title { test, wanted });
        };
        if self.count == NAME_TEST_COUNT_MAX {
            return Err(format!("{key}: a table may hold at most {NAME_TEST_COUNT_MAX} conditions on names"));
        }
        let bit = self.count as u32;
        self.count += 1;
        self.tests[place].push((bit, test));
        Ok(Test::Name { bit, wanted })
    }

    /// All tests on names, ready to be asked.
    pub fn finish(self) -> Names {
        let of_field = |(field, tests): (Field, Vec<(u32, TextTest)>)| {
            let masks = PerName::new(move |name| {
                let name = name_key(name);
                let holds = |(bit, test): &(u32, TextTest)| Mask::from(test.holds(&name)) << bit;
                (!name.is_empty()).then(|| tests.iter().map(holds).fold(0, |mask, bit| mask | bit))
            });
            (field, masks)
        };
        Names(NAME_FIELDS.into_iter().zip(self.tests).filter(|(_, tests)| !tests.is_empty()).map(of_field).collect())
    }
}

/// Which tests each name satisfies, for the fields that any test asks about.
#[derive(Debug)]
pub struct Names(Vec<(Field, PerName<Mask>)>);

impl Names {
    fn mask(&self, candidate: &Candidate<'_>) -> Mask {
        let of_field = |(field, masks): &(Field, PerName<Mask>)| match field {
            Field::Label => candidate.fold_labels(masks, 0, |mask, bits| mask | bits),
            Field::Assignee => candidate.fold_assignees(masks, 0, |mask, bits| mask | bits),
            Field::Author => candidate.author_as(masks).unwrap_or(0),
            Field::AuthorAssociation => candidate.author_association_as(masks).unwrap_or(0),
            Field::Milestone => candidate.milestone_as(masks).unwrap_or(0),
            _ => candidate.repo_as(masks).unwrap_or(0),
        };
        self.0.iter().map(of_field).fold(0, |mask, bits| mask | bits)
    }
}

/// One candidate, about to be put to all tests.
#[derive(Debug)]
pub struct Row<'a> {
    candidate: &'a Candidate<'a>,
    now: Instant,
    mask: Mask,
    title: OnceCell<String>,
}

impl<'a> Row<'a> {
    /// Looks at the names of `candidate`, once for all tests.
    pub fn new(candidate: &'a Candidate<'a>, names: &Names, now: Instant) -> Self {
        Self { candidate, now, mask: names.mask(candidate), title: OnceCell::new() }
    }

    /// Whether all of `tests` hold. Tells `score` when that will change by itself.
    #[inline]
    pub fn satisfies(&self, tests: &[Test], score: &mut Score<'_>) -> bool {
        tests.iter().all(|test| match test {
            Test::Name { bit, wanted } => ((self.mask >> bit) & 1 == 1) == *wanted,
            Test::Title { test, wanted } => test.holds(self.title()) == *wanted,
            Test::Count { field, bound } => {
                let count = f64::from(self.count(*field));
                match bound {
                    Bound::AtLeast(least) => count >= *least,
                    Bound::AtMost(most) => count <= *most,
                }
            }
            Test::Elapsed { field, bound } => self.elapsed(*field, *bound, score),
        })
    }

    /// How much of a fact there is, for `each`: whole days where it is about time, and until when
    /// that holds.
    pub fn amount(&self, field: Field) -> (f64, Instant) {
        match field {
            Field::AgeDays | Field::IdleDays => {
                let start = self.start(field);
                let days = self.now.whole_days_since(start);
                (days as f64, start.plus_days(days + 1))
            }
            _ => (f64::from(self.count(field)), Instant::NEVER),
        }
    }

    fn title(&self) -> &str {
        self.title.get_or_init(|| name_key(self.candidate.title()))
    }

    fn count(&self, field: Field) -> u32 {
        if field == Field::Comments { self.candidate.comment_count() } else { self.candidate.reaction_count() }
    }

    fn start(&self, field: Field) -> Instant {
        if field == Field::AgeDays { self.candidate.created_at() } else { self.candidate.updated_at() }
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

/// The ways to look at a field, `each` apart, which is no condition.
fn ops_of(field: Field) -> &'static [Op] {
    match field {
        Field::Title => &[Op::Is, Op::IsNot, Op::Contains, Op::Glob],
        Field::Comments | Field::Reactions | Field::AgeDays | Field::IdleDays => &[Op::AtLeast, Op::AtMost],
        _ => &[Op::Is, Op::IsNot, Op::Contains, Op::Glob, Op::Present, Op::Absent],
    }
}

fn texts(op: Op, value: Option<&Value>, key: &str) -> Result<Vec<String>, String> {
    let wanted = || format!("{key}.value: \"{}\" takes a text, or a list of texts of which one suffices", op.as_str());
    let list = match value {
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        Some(Value::Array(list)) if !list.is_empty() => list.as_slice(),
        _ => return Err(wanted()),
    };
    let key_of = |text: &Value| text.as_str().map(name_key).filter(|text| !text.is_empty());
    list.iter().map(key_of).collect::<Option<_>>().ok_or_else(wanted)
}

fn bound(op: Op, value: Option<&Value>, key: &str) -> Result<Bound, String> {
    let number = value.and_then(Value::as_f64).filter(|number| *number >= 0.0);
    let number = number.ok_or_else(|| format!("{key}.value: \"{}\" takes a number, 0 or more", op.as_str()))?;
    Ok(if op == Op::AtLeast { Bound::AtLeast(number) } else { Bound::AtMost(number) })
}

/// Refuses a value where there is nothing to compare.
pub fn refuse_value(op: Op, value: Option<&Value>, key: &str) -> Result<(), String> {
    match value {
        None => Ok(()),
        Some(_) => Err(format!("{key}.value: \"{}\" takes none", op.as_str())),
    }
}

/// A condition in plain words: `label is bug`.
pub fn describe(condition: &Condition) -> String {
    let what = match &condition.value {
        None => String::new(),
        Some(Value::String(text)) => format!(" {text}"),
        Some(Value::Array(list)) => {
            let texts: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            format!(" {}", texts.join(" or "))
        }
        Some(value) => format!(" {value}"),
    };
    format!("{} {}{what}", condition.field.as_str(), condition.op.as_str().replace('_', " "))
}
