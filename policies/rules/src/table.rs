//! The part of the table that makes scores, compiled: what `configure` makes of the settings. It knows
//! issues only; who asks is the matter of [`door`](crate::door).

use issuecommand_policy::{PerName, name_key};

use crate::condition::{Compiler, Conditions, DAY_MS, Facts, Mask, TIER_COUNT_MAX, Test, describe, refuse_value};
use crate::expression::Gives;
use crate::points::Points;
use crate::remembered::Remembered;
use crate::settings::{Aging, Approval, Condition, Rule, Settings, Skip};
use crate::words::{Field, Op};

/// Most rules, and most skips, of one table.
const ROW_COUNT_MAX: usize = 256;
/// Largest weight, and largest `max_points`, in points. With the two bounds above every score is
/// exact to a millionth of a point.
const POINTS_MAX: f64 = 1_000_000.0;
/// Shortest and longest half-life, in days: steps of an hour and a half, and no overflow.
const HALF_LIFE_DAYS: std::ops::RangeInclusive<f64> = 0.25..=3650.0;

/// A compiled table.
#[derive(Debug)]
pub struct Table {
    /// What is to be known of every candidate.
    pub facts: Facts,
    /// What must not be given out, in order.
    pub skips: Vec<CompiledSkip>,
    /// Whether issues wait for the open issues that block them.
    pub skip_blocked: bool,
    /// Which issues wait for a maintainer's approval.
    pub require_approval: Approval,
    /// Tiers of labels, and what one is worth.
    pub tiers: Tiers,
    /// What adds to a score by names alone, in order.
    pub by_name: Vec<NameRule>,
    /// What tiers and those add up to.
    pub remembered: Remembered,
    /// What else adds to a score, in order.
    pub rules: Vec<CompiledRule>,
}

/// Tiers of labels.
#[derive(Debug)]
pub struct Tiers {
    /// The tier that a label gives, for explanations.
    pub of_label: PerName<usize>,
    /// How many there are.
    pub count: usize,
    /// The tier of an issue to which no label gives one; `count` when it comes after all tiers.
    pub otherwise: usize,
    /// Points between two tiers: more than all rules can differ by.
    pub points: f64,
    /// The most points that all rules together can take.
    pub most_taken: f64,
    /// After each so many days an issue counts as one tier better.
    pub days_per_tier: Option<u64>,
}

/// A compiled reason to leave an issue out.
#[derive(Debug)]
pub struct CompiledSkip {
    /// All must hold.
    pub conditions: Conditions,
    /// What agents and people read.
    pub reason: String,
}

/// A compiled rule.
#[derive(Debug)]
pub struct CompiledRule {
    /// All must hold.
    pub conditions: Conditions,
    /// What explanations call it.
    pub name: String,
    /// The fact it looks at, if it is not an expression alone.
    pub field: Option<Field>,
    /// What it adds.
    pub points: Points,
}

/// A compiled rule that adds a number by names alone.
#[derive(Debug)]
pub struct NameRule {
    /// What names it asks for; all must hold.
    pub conditions: Conditions,
    /// What explanations call it.
    pub name: String,
    /// What it adds.
    pub weight: f64,
}

impl Table {
    /// Compiles settings.
    ///
    /// # Errors
    /// Which key cannot work, and what would.
    pub fn compile(settings: &Settings) -> Result<Self, String> {
        for (key, count, most) in [
            ("tiers", settings.tiers.len(), TIER_COUNT_MAX),
            ("rules", settings.rules.len(), ROW_COUNT_MAX),
            ("skip", settings.skip.len(), ROW_COUNT_MAX),
        ] {
            if count > most {
                return Err(format!("{key}: {count} entries, at most {most} are allowed"));
            }
        }
        let mut compiler = Compiler::default();
        let skips = each(&settings.skip, "skip", |skip, key| compile_skip(&mut compiler, skip, key))?;
        let mut rules = each(&settings.rules, "rules", |rule, key| compile_rule(&mut compiler, rule, key))?;
        if let Some(aging) = &settings.aging {
            rules.extend(compile_aging(aging)?);
        }
        let tiers = compile_tiers(settings, &rules)?;
        compiler.tiers(&settings.tiers);
        let (mut by_name, mut others) = (Vec::new(), Vec::new());
        for rule in rules {
            match rule.weight_by_name() {
                Some(weight) => by_name.push(NameRule { conditions: rule.conditions, name: rule.name, weight }),
                None => others.push(rule),
            }
        }
        Ok(Self {
            facts: compiler.finish(),
            skips,
            skip_blocked: settings.skip_blocked,
            require_approval: settings.require_approval,
            tiers,
            by_name,
            remembered: Remembered::default(),
            rules: others,
        })
    }
}

impl Table {
    /// What the tier and the rules by name alone add up to.
    #[inline]
    pub fn points_by_name(&self, mask: Mask) -> f64 {
        self.remembered.points(mask, || {
            let suiting = self.by_name.iter().filter(|rule| rule.conditions.suit(mask));
            suiting.fold(self.tiers.points_of(mask), |sum, rule| sum + rule.weight)
        })
    }
}

impl CompiledRule {
    /// What it adds, if that is one number and names alone decide.
    fn weight_by_name(&self) -> Option<f64> {
        match self.points {
            Points::Flat(weight) if self.conditions.others.is_empty() => Some(weight),
            _ => None,
        }
    }
}

/// Compiles a list, giving each entry its key.
fn each<T, C>(list: &[T], key: &str, mut compile: impl FnMut(&T, &str) -> Result<C, String>) -> Result<Vec<C>, String> {
    list.iter().enumerate().map(|(at, entry)| compile(entry, &format!("{key}[{at}]"))).collect()
}

fn compile_tiers(settings: &Settings, rules: &[CompiledRule]) -> Result<Tiers, String> {
    let tiers = &settings.tiers;
    if let Some(tier) = settings.default_tier
        && tier >= tiers.len()
    {
        return Err(format!("default_tier: {tier} is none of the {} tiers, which count from 0", tiers.len()));
    }
    for (at, tier) in tiers.iter().enumerate() {
        if let Some(label) = tier.iter().position(|label| name_key(label).is_empty()) {
            return Err(format!("tiers[{at}][{label}]: a label has a name"));
        }
    }
    let spread: f64 = rules.iter().map(|rule| rule.points.most()).sum();
    let labels = tiers.iter().enumerate().flat_map(|(tier, labels)| labels.iter().map(move |label| (label, tier)));
    Ok(Tiers {
        of_label: PerName::of(labels),
        count: tiers.len(),
        otherwise: settings.default_tier.unwrap_or(tiers.len()),
        points: power_of_ten_above(spread),
        most_taken: rules.iter().map(|rule| rule.points.most_taken()).sum(),
        days_per_tier: settings.aging.and_then(|aging| aging.days_per_tier).map(|days| u64::from(days.get())),
    })
}

/// The smallest power of ten above `spread`, at least 1: round numbers read well in explanations.
fn power_of_ten_above(spread: f64) -> f64 {
    let mut power = 1.0;
    while power <= spread {
        power *= 10.0;
    }
    power
}

fn compile_aging(aging: &Aging) -> Result<Option<CompiledRule>, String> {
    let (weight, most) = match (aging.points_per_day, aging.max_points, aging.days_per_tier) {
        (Some(weight), Some(most), _) => (weight, most),
        (None, None, Some(_)) => return Ok(None),
        (Some(_), None, _) => return Err("aging.max_points: points_per_day needs the most points to add".into()),
        (None, Some(_), _) => return Err("aging.points_per_day: max_points needs the points to add each day".into()),
        (None, None, None) => return Err("aging: give points_per_day and max_points, or days_per_tier, or all".into()),
    };
    let weight = points(weight, "aging.points_per_day")?;
    let most = size(most, "aging.max_points")?;
    let points = Points::Each { weight, most };
    let conditions = Conditions::default();
    Ok(Some(CompiledRule { conditions, name: "aging".into(), field: Some(Field::AgeDays), points }))
}

fn compile_skip(compiler: &mut Compiler, skip: &Skip, key: &str) -> Result<CompiledSkip, String> {
    let first = first_condition(skip.field, skip.op, skip.value.as_ref(), key)?;
    if first.is_none() && skip.when.is_none() {
        return Err(format!("{key}: give field and op, or when"));
    }
    let conditions = compile_conditions(compiler, first.as_ref(), &skip.and, skip.when.as_deref(), key)?;
    let reason = match &skip.reason {
        Some(reason) if reason.trim().is_empty() => return Err(format!("{key}.reason: say why, or leave it out")),
        Some(reason) => reason.clone(),
        None => describe_all(first.as_ref(), &skip.and, skip.when.as_deref()),
    };
    Ok(CompiledSkip { conditions, reason })
}

fn compile_rule(compiler: &mut Compiler, rule: &Rule, key: &str) -> Result<CompiledRule, String> {
    let first = first_condition(rule.field, rule.op, rule.value.as_ref(), key)?;
    if first.is_none() && rule.when.is_none() && rule.points.is_none() {
        return Err(format!("{key}: give field and op, or when, or points"));
    }
    let points = compile_points(compiler, rule, key)?;
    // These two say how much, not whether.
    let asked = first.as_ref().filter(|it| !matches!(it.op, Op::Each | Op::Decay));
    let conditions = compile_conditions(compiler, asked, &rule.and, rule.when.as_deref(), key)?;
    let described = || match describe_all(first.as_ref(), &rule.and, rule.when.as_deref()) {
        nothing if nothing.is_empty() => rule.points.clone().unwrap_or_default(),
        conditions => conditions,
    };
    let name = rule.name.clone().unwrap_or_else(described);
    Ok(CompiledRule { conditions, name, field: rule.field, points })
}

fn compile_points(compiler: &mut Compiler, rule: &Rule, key: &str) -> Result<Points, String> {
    let weight = || {
        let weight = rule.weight.ok_or_else(|| format!("{key}: missing field `weight`"))?;
        points(weight, &format!("{key}.weight"))
    };
    let most = |why: &str| {
        let most = rule.max_points.ok_or_else(|| format!("{key}.max_points: {why} needs the most points to add"))?;
        size(most, &format!("{key}.max_points"))
    };
    let refused = |what: bool, name: &str, with: &str| {
        if what { Err(format!("{key}.{name}: goes with {with} only")) } else { Ok(()) }
    };
    refused(rule.half_life_days.is_some() && rule.op != Some(Op::Decay), "half_life_days", "\"decay\"")?;
    if let Some(text) = &rule.points {
        refused(rule.weight.is_some(), "weight", "rules that have no points, which say it all,")?;
        refused(matches!(rule.op, Some(Op::Each | Op::Decay)), "op", "weight, and here are points: it")?;
        let most = most("points")?;
        let expression = compiler.expression(text, Gives::Number, format!("{key}.points"))?;
        return Ok(Points::Expression { expression, most });
    }
    match rule.op {
        Some(Op::Each) => {
            refuse_value(Op::Each, rule.value.as_ref(), key)?;
            if !rule.field.is_some_and(Field::is_number) {
                return Err(format!("{key}.op: \"each\" suits comments, reactions, age_days and idle_days only"));
            }
            Ok(Points::Each { weight: weight()?, most: most("\"each\"")? })
        }
        Some(Op::Decay) => {
            refuse_value(Op::Decay, rule.value.as_ref(), key)?;
            refused(rule.max_points.is_some(), "max_points", "\"each\" and points")?;
            if !rule.field.is_some_and(Field::is_time) {
                return Err(format!("{key}.op: \"decay\" suits age_days and idle_days only"));
            }
            Ok(Points::decay(weight()?, half_life_ms(rule.half_life_days, key)?))
        }
        _ => {
            refused(rule.max_points.is_some(), "max_points", "\"each\" and points")?;
            Ok(Points::Flat(weight()?))
        }
    }
}

fn half_life_ms(days: Option<f64>, key: &str) -> Result<u64, String> {
    let key = format!("{key}.half_life_days");
    let days = days.ok_or_else(|| format!("{key}: \"decay\" needs the days after which half is left"))?;
    if !HALF_LIFE_DAYS.contains(&days) {
        let (least, most) = (HALF_LIFE_DAYS.start(), HALF_LIFE_DAYS.end());
        return Err(format!("{key}: {days} is not between {least} and {most} days"));
    }
    Ok((days * DAY_MS) as u64)
}

/// The condition that stands in an entry itself, if there is one.
fn first_condition(
    field: Option<Field>,
    op: Option<Op>,
    value: Option<&serde_json::Value>,
    key: &str,
) -> Result<Option<Condition>, String> {
    match (field, op) {
        (Some(field), Some(op)) => Ok(Some(Condition { field, op, value: value.cloned() })),
        (Some(field), None) => Err(format!("{key}.op: missing: how to look at {}", field.as_str())),
        (None, Some(op)) => Err(format!("{key}.field: missing: what \"{}\" is to look at", op.as_str())),
        (None, None) if value.is_some() => Err(format!("{key}.field: missing: what the value is compared with")),
        (None, None) => Ok(None),
    }
}

fn compile_conditions(
    compiler: &mut Compiler,
    first: Option<&Condition>,
    and: &[Condition],
    when: Option<&str>,
    key: &str,
) -> Result<Conditions, String> {
    let mut conditions = Conditions::default();
    if let Some(first) = first {
        compiler.add(first, key, &mut conditions)?;
    }
    for (at, condition) in and.iter().enumerate() {
        compiler.add(condition, &format!("{key}.and[{at}]"), &mut conditions)?;
    }
    if let Some(when) = when {
        let expression = compiler.expression(when, Gives::Truth, format!("{key}.when"))?;
        conditions.others.push(Test::Expression(expression));
    }
    Ok(conditions)
}

fn describe_all(first: Option<&Condition>, and: &[Condition], when: Option<&str>) -> String {
    let all: Vec<_> = first.into_iter().chain(and).map(describe).chain(when.map(str::to_owned)).collect();
    all.join(" and ")
}

fn points(number: f64, key: &str) -> Result<f64, String> {
    if number.abs() <= POINTS_MAX {
        return Ok(number);
    }
    Err(format!("{key}: {number} is not between -{POINTS_MAX} and {POINTS_MAX} points"))
}

fn size(number: f64, key: &str) -> Result<f64, String> {
    if (0.0..=POINTS_MAX).contains(&number) {
        return Ok(number);
    }
    Err(format!("{key}: {number} is not between 0 and {POINTS_MAX} points"))
}
