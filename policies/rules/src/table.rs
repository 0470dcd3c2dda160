//! The table, compiled: what `configure` makes of the settings.

use std::num::NonZeroU32;

use issuecommand_policy::{PerName, name_key};

use crate::condition::{Compiler, Conditions, Names, describe, refuse_value};
use crate::settings::{Condition, Field, Op, Rule, Settings, Skip, Turn};

/// Most rules, and most skips, of one table.
const ROW_COUNT_MAX: usize = 256;
/// Most tiers.
const TIER_COUNT_MAX: usize = 32;
/// Largest weight, and largest `max_points`, in points. With the two bounds above every score is
/// exact to a millionth of a point.
const POINTS_MAX: f64 = 1_000_000.0;

/// A compiled table.
#[derive(Debug)]
pub struct Table {
    /// Which tests the names of a row satisfy.
    pub names: Names,
    /// What must not be given out, in order.
    pub skips: Vec<CompiledSkip>,
    /// Tiers of labels, and what one is worth.
    pub tiers: Tiers,
    /// What adds to a score, in order.
    pub rules: Vec<CompiledRule>,
    /// Most active claims of one agent.
    pub max_claims_per_agent: Option<NonZeroU32>,
    /// Most active claims within one repository.
    pub max_claims_per_repo: Option<NonZeroU32>,
    /// When review feedback comes.
    pub follow_ups: Turn,
}

/// Tiers of labels.
#[derive(Debug)]
pub struct Tiers {
    /// The tier that a label gives.
    pub of_label: PerName<usize>,
    /// How many there are.
    pub count: usize,
    /// The tier of an issue to which no label gives one; `count` when it comes after all tiers.
    pub otherwise: usize,
    /// Points between two tiers: more than all rules can differ by.
    pub points: f64,
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
    /// The fact it looks at.
    pub field: Field,
    /// What it adds.
    pub points: Points,
}

/// What a rule adds.
#[derive(Debug, Clone, Copy)]
pub enum Points {
    /// So many.
    Flat(f64),
    /// So many for each one, in total at most `most`, whichever their sign.
    Each { weight: f64, most: f64 },
}

impl Points {
    /// The largest size of what a rule adds.
    fn most(self) -> f64 {
        match self {
            Self::Flat(weight) => weight.abs(),
            Self::Each { most, .. } => most,
        }
    }
}

impl Table {
    /// Compiles settings, or says which key cannot work and what would.
    pub fn compile(settings: Settings) -> Result<Self, String> {
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
        let mut skips = Vec::new();
        for (at, skip) in settings.skip.iter().enumerate() {
            skips.push(compile_skip(&mut compiler, skip, &format!("skip[{at}]"))?);
        }
        let mut rules = Vec::new();
        for (at, rule) in settings.rules.iter().enumerate() {
            rules.push(compile_rule(&mut compiler, rule, &format!("rules[{at}]"))?);
        }
        if let Some(aging) = settings.aging {
            let weight = points(aging.points_per_day, "aging.points_per_day")?;
            let most = size(aging.max_points, "aging.max_points")?;
            let points = Points::Each { weight, most };
            rules.push(CompiledRule {
                conditions: Conditions::default(),
                name: "aging".into(),
                field: Field::AgeDays,
                points,
            });
        }
        Ok(Self {
            names: compiler.finish(),
            skips,
            tiers: compile_tiers(&settings.tiers, settings.default_tier, &rules)?,
            rules,
            max_claims_per_agent: settings.max_claims_per_agent,
            max_claims_per_repo: settings.max_claims_per_repo,
            follow_ups: settings.follow_ups,
        })
    }
}

fn compile_tiers(tiers: &[Vec<String>], default_tier: Option<usize>, rules: &[CompiledRule]) -> Result<Tiers, String> {
    if let Some(tier) = default_tier
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
        otherwise: default_tier.unwrap_or(tiers.len()),
        points: power_of_ten_above(spread),
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

fn compile_skip(compiler: &mut Compiler, skip: &Skip, key: &str) -> Result<CompiledSkip, String> {
    let condition = Condition { field: skip.field, op: skip.op, value: skip.value.clone() };
    let mut conditions = Conditions::default();
    compiler.add(&condition, key, &mut conditions)?;
    add_all(compiler, &skip.and, key, &mut conditions)?;
    let reason = match &skip.reason {
        Some(reason) if reason.trim().is_empty() => return Err(format!("{key}.reason: say why, or leave it out")),
        Some(reason) => reason.clone(),
        None => describe_all(&condition, &skip.and),
    };
    Ok(CompiledSkip { conditions, reason })
}

fn compile_rule(compiler: &mut Compiler, rule: &Rule, key: &str) -> Result<CompiledRule, String> {
    let condition = Condition { field: rule.field, op: rule.op, value: rule.value.clone() };
    let weight = points(rule.weight, &format!("{key}.weight"))?;
    let mut conditions = Conditions::default();
    let points = if rule.op == Op::Each {
        refuse_value(rule.op, rule.value.as_ref(), key)?;
        if !matches!(rule.field, Field::Comments | Field::Reactions | Field::AgeDays | Field::IdleDays) {
            return Err(format!("{key}.op: \"each\" suits comments, reactions, age_days and idle_days only"));
        }
        let most = rule.max_points.ok_or_else(|| format!("{key}.max_points: \"each\" needs the most points to add"))?;
        Points::Each { weight, most: size(most, &format!("{key}.max_points"))? }
    } else {
        if rule.max_points.is_some() {
            return Err(format!("{key}.max_points: goes with \"each\" only"));
        }
        compiler.add(&condition, key, &mut conditions)?;
        Points::Flat(weight)
    };
    add_all(compiler, &rule.and, key, &mut conditions)?;
    let name = rule.name.clone().unwrap_or_else(|| describe_all(&condition, &rule.and));
    Ok(CompiledRule { conditions, name, field: rule.field, points })
}

fn add_all(compiler: &mut Compiler, and: &[Condition], key: &str, all: &mut Conditions) -> Result<(), String> {
    let mut conditions = and.iter().enumerate();
    conditions.try_for_each(|(at, condition)| compiler.add(condition, &format!("{key}.and[{at}]"), all))
}

fn describe_all(first: &Condition, rest: &[Condition]) -> String {
    let all: Vec<_> = std::iter::once(first).chain(rest).map(describe).collect();
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
