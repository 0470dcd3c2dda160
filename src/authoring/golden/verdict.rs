//! What a case expected beside what came out.

use serde::Serialize;

use super::case::{Case, IssueName};
use super::facts::Scene;
use super::stage::{Answer, Played};
use crate::domain::Reason;

/// How a case went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseOutcome {
    /// The case.
    pub name: String,
    /// What was otherwise than expected; nothing where it passed.
    pub differences: Vec<Difference>,
    /// All that came out, for a reader who wonders.
    pub answer: Vec<AnswerRow>,
}

/// One thing that was otherwise than expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `order`, `skip.12`, ...
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What the policy says.
    pub got: String,
}

/// What was said of one issue, offered ones first and in their order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerRow {
    /// The issue, as `owner/name#number`.
    pub issue: String,
    /// Its score; none where it was skipped ahead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Why it was left out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// The terms of its score.
    pub reasons: Vec<String>,
}

impl CaseOutcome {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares.
///
/// # Errors
/// When the case expects something of an issue that it does not have.
pub(super) fn judge(case: &Case, scene: &Scene, played: Played) -> Result<CaseOutcome, String> {
    let outcome = |differences, answer| CaseOutcome { name: case.name.clone(), differences, answer };
    let differs = |what: &str, expected: String, got: String| Difference { what: what.into(), expected, got };
    match (played, &case.expect.refused) {
        (Ok(answer), None) => Ok(outcome(differences(case, scene, &answer)?, rows(scene, &answer))),
        (Ok(answer), Some(words)) => {
            let difference = differs("refused", format!("… {words} …"), "the settings were taken".into());
            Ok(outcome(vec![difference], rows(scene, &answer)))
        }
        (Err(message), Some(words)) if message.contains(words.as_str()) => Ok(outcome(Vec::new(), Vec::new())),
        (Err(message), Some(words)) => {
            Ok(outcome(vec![differs("refused", format!("… {words} …"), message)], Vec::new()))
        }
        (Err(message), None) => Ok(outcome(vec![differs("an answer", "one".into(), message)], Vec::new())),
    }
}

fn differences(case: &Case, scene: &Scene, answer: &Answer) -> Result<Vec<Difference>, String> {
    let expect = &case.expect;
    let mut found = Vec::new();
    let mut compare = |what: String, expected: String, got: String| {
        if expected != got {
            found.push(Difference { what, expected, got });
        }
    };
    let names = |rows: &[usize]| named(scene, rows);
    if let Some(order) = &expect.order {
        let rows = order.iter().map(|name| scene.row(name)).collect::<Result<Vec<_>, _>>()?;
        compare("order".into(), names(&rows), names(&answer.order));
    }
    if let Some(first) = &expect.first {
        let row = scene.row(first)?;
        compare("first".into(), names(&[row]), names(&answer.order[..answer.order.len().min(1)]));
    }
    if let Some(seconds) = expect.retry_after_seconds {
        let got = answer.retry_after_ms.map_or_else(|| "none".into(), |ms| ms.div_ceil(1000).to_string());
        compare("retry_after_seconds".into(), seconds.to_string(), got);
    }
    for (key, words) in &expect.skip {
        let row = scene.row(&IssueName::of_key(key))?;
        let reason = answer.skipped.iter().find(|(skipped, _)| *skipped == row).map(|(_, reason)| reason);
        if !reason.is_some_and(|reason| reason.contains(words.as_str())) {
            let got = reason.cloned().unwrap_or_else(|| "it is not left out".into());
            found.push(Difference { what: format!("skip.{key}"), expected: format!("… {words} …"), got });
        }
    }
    for (key, terms) in &expect.reasons {
        let row = scene.row(&IssueName::of_key(key))?;
        let got = terms_of(answer, row);
        for words in terms.iter().filter(|words| !got.iter().any(|term| term.contains(words.as_str()))) {
            let got = if got.is_empty() { "none".into() } else { got.join(", ") };
            found.push(Difference { what: format!("reasons.{key}"), expected: format!("… {words} …"), got });
        }
    }
    Ok(found)
}

fn rows(scene: &Scene, answer: &Answer) -> Vec<AnswerRow> {
    let offered = answer.order.iter().map(|row| (*row, None));
    let skipped = answer.skipped.iter().map(|(row, reason)| (*row, Some(reason.clone())));
    let row = |(row, skipped): (usize, Option<String>)| AnswerRow {
        issue: scene.issues[row].issue.to_string(),
        score: answer.explained.iter().find(|(explained, ..)| *explained == row).map(|(_, score, _)| *score),
        skipped,
        reasons: terms_of(answer, row),
    };
    offered.chain(skipped).map(row).collect()
}

fn terms_of(answer: &Answer, row: usize) -> Vec<String> {
    let terms = answer.explained.iter().find(|(explained, ..)| *explained == row);
    terms.map_or_else(Vec::new, |(_, _, terms)| terms.iter().map(term).collect())
}

/// `label +10 (bug)`. Amounts are rounded as people would write them.
fn term(Reason { rule, amount, text }: &Reason) -> String {
    let amount = format!("{:+}", (amount * 1e6).round() / 1e6);
    if text.is_empty() { format!("{rule} {amount}") } else { format!("{rule} {amount} ({text})") }
}

/// Numbers where all issues are of one repository, full names elsewhere.
fn named(scene: &Scene, rows: &[usize]) -> String {
    let issues = || scene.issues.iter().map(|facts| &facts.issue);
    let one_repo = issues().all(|issue| Some(&issue.repo) == issues().next().map(|first| &first.repo));
    let name = |row: &usize| match &scene.issues[*row].issue {
        issue if one_repo => issue.number.to_string(),
        issue => issue.to_string(),
    };
    if rows.is_empty() { "nothing".into() } else { rows.iter().map(name).collect::<Vec<_>>().join(", ") }
}
