//! Conditions, compiled: names are judged once a name, everything else once a row.

use issuecommand_policy::{Candidate, PerName, glob_matches, name_key};
use regex_lite::{Regex, RegexBuilder};
use serde_json::Value;

use crate::expression::{Expression, Gives, Variable};
use crate::settings::Condition;
use crate::words::{Field, Op};

/// Most conditions on names (labels, logins, milestones, repositories, ...) in one table: each has a bit
/// of a [`Mask`].
const NAME_TEST_COUNT_MAX: usize = 64;
/// Most conditions and amounts in CEL in one table: each costs microseconds for every issue.
const EXPRESSION_COUNT_MAX: usize = 16;
/// Longest regular expression, in bytes.
const PATTERN_BYTES_MAX: usize = 1000;
/// How deep a regular expression may nest: the policy's stack bears it.
const PATTERN_DEPTH_MAX: u32 = 32;
/// Largest compiled regular expression, in bytes: `a{1000}{1000}` is refused.
const PATTERN_COMPILED_BYTES_MAX: usize = 256 << 10;

/// Milliseconds in a day.
pub const DAY_MS: f64 = 86_400_000.0;

/// Which conditions on names hold, one bit each, and above them one bit for each tier that a label gives.
pub type Mask = u128;
/// Where the bits of the tiers begin.
const TIER_BIT: u32 = NAME_TEST_COUNT_MAX as u32;
/// Most tiers of one table.
pub const TIER_COUNT_MAX: usize = 32;

/// The first tier that a label gives, if one does.
pub fn tier_of(mask: Mask) -> Option<usize> {
    let tiers = mask >> TIER_BIT;
    (tiers != 0).then(|| tiers.trailing_zeros() as usize)
}

/// A fact that is a name, or several; its place in [`Facts`].
const NAME_FIELDS: [Field; 11] = [
    Field::Label,
    Field::Author,
    Field::AuthorAssociation,
    Field::Assignee,
    Field::Milestone,
    Field::Repo,
    Field::Topic,
    Field::BlockedBy,
    Field::Approval,
    Field::Area,
    Field::Reviewer,
];

/// Conditions that must all hold, of one rule or skip.
#[derive(Debug, Default)]
pub struct Conditions {
    /// The tests on names that they ask about.
    pub asked: Mask,
    /// Those of them that some name of the row must satisfy; of the others none may.
    pub wanted: Mask,
    /// Everything that is not about names; what costs most comes last.
    pub others: Vec<Test>,
}

/// What a condition asks of one row, where it is not about names.
#[derive(Debug)]
pub enum Test {
    /// Whether the title does, or does not.
    Title { test: TextTest, wanted: bool },
    /// Whether the text below it does, or does not.
    Body { test: TextTest, wanted: bool },
    /// Whether a count reaches a number.
    Count { field: Field, bound: Bound },
    /// Whether so many milliseconds went by since the issue was opened, or changed.
    Elapsed { field: Field, bound: Bound },
    /// Whether an expression holds.
    Expression(Box<Expression>),
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
    /// One of these is found in it.
    Matches(Vec<Regex>),
    /// There is one.
    Present,
}

impl Conditions {
    /// Whether those on names hold.
    #[inline]
    pub fn suit(&self, mask: Mask) -> bool {
        mask & self.asked == self.wanted
    }
}

impl TextTest {
    /// Whether `text`, in lower case, is so.
    pub fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(texts) => texts.iter().any(|it| it == text),
            Self::Contains(texts) => texts.iter().any(|it| text.contains(it.as_str())),
            Self::Glob(patterns) => patterns.iter().any(|it| glob_matches(it, text)),
            Self::Matches(patterns) => patterns.iter().any(|it| it.is_match(text)),
            Self::Present => true,
        }
    }
}

/// Collects the tests on names while a table is compiled, and counts what is bounded.
#[derive(Debug, Default)]
pub struct Compiler {
    tests: [Vec<(Mask, TextTest)>; NAME_FIELDS.len()],
    name_test_count: usize,
    expression_count: usize,
    variables: Vec<Variable>,
}

impl Compiler {
    /// Adds one condition, found at `key` of the settings, to those that must all hold.
    ///
    /// # Errors
    /// What cannot work, naming the key and what is allowed.
    pub fn add(&mut self, condition: &Condition, key: &str, all: &mut Conditions) -> Result<(), String> {
        let Condition { field, op, value } = condition;
        let allowed = field.ops();
        if !allowed.contains(op) {
            let words: Vec<_> = allowed.iter().map(|op| op.as_str()).collect();
            let (op, field) = (op.as_str(), field.as_str());
            return Err(format!(
                "{key}.op: \"{op}\" does not suit the field {field}, which takes {}",
                words.join(", ")
            ));
        }
        if field.is_number() {
            let bound = bound(*op, value.as_ref(), key)?;
            all.others.push(match bound {
                bound if !field.is_time() => Test::Count { field: *field, bound },
                Bound::AtLeast(days) => Test::Elapsed { field: *field, bound: Bound::AtLeast(days * DAY_MS) },
                Bound::AtMost(days) => Test::Elapsed { field: *field, bound: Bound::AtMost(days * DAY_MS) },
            });
            return Ok(());
        }
        let test = text_test(*op, value.as_ref(), key)?;
        let wanted = !matches!(op, Op::IsNot | Op::Absent);
        match NAME_FIELDS.iter().position(|it| it == field) {
            None if *field == Field::Title => all.others.push(Test::Title { test, wanted }),
            None => all.others.push(Test::Body { test, wanted }),
            Some(place) => {
                let bit = self.add_name_test(place, test, key)?;
                all.asked |= bit;
                all.wanted |= if wanted { bit } else { 0 };
            }
        }
        Ok(())
    }

    /// Compiles the expression found at `key` of the settings.
    ///
    /// # Errors
    /// What cannot work, naming the key.
    pub fn expression(&mut self, text: &str, gives: Gives, key: String) -> Result<Box<Expression>, String> {
        self.expression_count += 1;
        if self.expression_count > EXPRESSION_COUNT_MAX {
            return Err(format!("{key}: a table may hold at most {EXPRESSION_COUNT_MAX} expressions"));
        }
        let expression = Expression::compile(text, gives, key)?;
        self.variables.extend(expression.variables());
        Ok(Box::new(expression))
    }

    /// Notes which labels give which tier.
    pub fn tiers(&mut self, tiers: &[Vec<String>]) {
        let label = NAME_FIELDS.iter().position(|field| *field == Field::Label).expect("labels are names");
        for (tier, labels) in tiers.iter().enumerate() {
            let labels = labels.iter().map(|label| name_key(label)).collect();
            self.tests[label].push((1 << (TIER_BIT as usize + tier), TextTest::Is(labels)));
        }
    }

    fn add_name_test(&mut self, place: usize, test: TextTest, key: &str) -> Result<Mask, String> {
        if self.name_test_count == NAME_TEST_COUNT_MAX {
            return Err(format!("{key}: a table may hold at most {NAME_TEST_COUNT_MAX} conditions on names"));
        }
        let bit = 1 << self.name_test_count;
        self.name_test_count += 1;
        self.tests[place].push((bit, test));
        Ok(bit)
    }

    /// All tests on names, ready to be asked, and the names that expressions use.
    pub fn finish(mut self) -> Facts {
        self.variables.sort_unstable_by_key(|(name, _)| *name);
        self.variables.dedup();
        let of_field = |(field, tests): (Field, Vec<(Mask, TextTest)>)| {
            let masks = PerName::new(move |name| {
                let name = name_key(name);
                let holds = |(bit, test): &(Mask, TextTest)| if test.holds(&name) { *bit } else { 0 };
                (!name.is_empty()).then(|| tests.iter().map(holds).fold(0, |mask, bit| mask | bit))
            });
            (field, masks)
        };
        let asked = NAME_FIELDS.into_iter().zip(self.tests).filter(|(_, tests)| !tests.is_empty());
        Facts { masks: asked.map(of_field).collect(), variables: self.variables }
    }
}

/// What a table wants to know of every candidate.
#[derive(Debug)]
pub struct Facts {
    /// Which tests each name satisfies, for the fields that any test asks about.
    masks: Vec<(Field, PerName<Mask>)>,
    /// The names that expressions use.
    pub variables: Vec<Variable>,
}

impl Facts {
    /// All tests that the names of `candidate` satisfy.
    pub fn mask(&self, candidate: &Candidate<'_>) -> Mask {
        self.masks.iter().map(|(field, masks)| mask_of(candidate, *field, masks)).fold(0, either)
    }
}

fn mask_of(candidate: &Candidate<'_>, field: Field, masks: &PerName<Mask>) -> Mask {
    match field {
        Field::Label => candidate.fold_labels(masks, 0, either),
        Field::Assignee => candidate.fold_assignees(masks, 0, either),
        Field::Topic => candidate.fold_topics(masks, 0, either),
        Field::BlockedBy => candidate.fold_open_blockers(masks, 0, either),
        Field::Area => candidate.fold_areas(masks, 0, either),
        Field::Reviewer => candidate.fold_reviewers(masks, 0, either),
        Field::Author => candidate.author_as(masks).unwrap_or(0),
        Field::AuthorAssociation => candidate.author_association_as(masks).unwrap_or(0),
        Field::Milestone => candidate.milestone_as(masks).unwrap_or(0),
        Field::Approval => candidate.approval_as(masks).unwrap_or(0),
        _ => candidate.repo_as(masks).unwrap_or(0),
    }
}

fn either(mask: Mask, bits: Mask) -> Mask {
    mask | bits
}

fn text_test(op: Op, value: Option<&Value>, key: &str) -> Result<TextTest, String> {
    Ok(match op {
        Op::Contains => TextTest::Contains(lower_texts(op, value, key)?),
        Op::Glob => TextTest::Glob(lower_texts(op, value, key)?),
        Op::Matches => {
            let patterns = texts(op, value, key)?;
            TextTest::Matches(patterns.iter().map(|text| pattern(text, key)).collect::<Result<_, _>>()?)
        }
        Op::Present | Op::Absent => {
            refuse_value(op, value, key)?;
            TextTest::Present
        }
        _ => TextTest::Is(lower_texts(op, value, key)?),
    })
}

/// A regular expression. It is put to texts in lower case, and has no case itself.
fn pattern(text: &str, key: &str) -> Result<Regex, String> {
    if text.len() > PATTERN_BYTES_MAX {
        return Err(format!("{key}.value: {} bytes, at most {PATTERN_BYTES_MAX} are allowed", text.len()));
    }
    let mut builder = RegexBuilder::new(text);
    builder.case_insensitive(true).nest_limit(PATTERN_DEPTH_MAX).size_limit(PATTERN_COMPILED_BYTES_MAX);
    builder.build().map_err(|error| format!("{key}.value: {text:?} is no regular expression: {error}"))
}

fn lower_texts(op: Op, value: Option<&Value>, key: &str) -> Result<Vec<String>, String> {
    Ok(texts(op, value, key)?.iter().map(|text| name_key(text)).collect())
}

fn texts<'v>(op: Op, value: Option<&'v Value>, key: &str) -> Result<Vec<&'v str>, String> {
    let wanted = || format!("{key}.value: \"{}\" takes a text, or a list of texts of which one suffices", op.as_str());
    let list = match value {
        Some(text @ Value::String(_)) => std::slice::from_ref(text),
        Some(Value::Array(list)) if !list.is_empty() => list.as_slice(),
        _ => return Err(wanted()),
    };
    let text_of = |text: &'v Value| text.as_str().filter(|text| !text.trim().is_empty());
    list.iter().map(text_of).collect::<Option<_>>().ok_or_else(wanted)
}

fn bound(op: Op, value: Option<&Value>, key: &str) -> Result<Bound, String> {
    let number = value.and_then(Value::as_f64).filter(|number| *number >= 0.0);
    let number = number.ok_or_else(|| format!("{key}.value: \"{}\" takes a number, 0 or more", op.as_str()))?;
    Ok(if op == Op::AtLeast { Bound::AtLeast(number) } else { Bound::AtMost(number) })
}

/// Refuses a value where there is nothing to compare.
///
/// # Errors
/// When there is one.
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
