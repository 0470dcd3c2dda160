//! Cases of issues: which order, which skips and which reasons a ranker gives an agent.

use std::sync::Arc;

use super::case::{Case, IssueName};
use super::facts::Scene;
use super::verdict::{AnswerRow, Played};
use crate::authoring::backlog;
use crate::domain::Reason;
use crate::policy::{Choice, PolicyError, Ranking, Shortlisted};

/// What a ranker says.
#[derive(Debug)]
struct Answer {
    /// The rows that are offered, best first.
    order: Vec<usize>,
    /// The rows that are left out, and why.
    skipped: Vec<(usize, String)>,
    /// The score and its terms, for the rows that are not skipped by `score`.
    explained: Vec<(usize, f64, Vec<Reason>)>,
    retry_after_ms: Option<u64>,
}

/// Plays a case. The inner error is the policy's.
///
/// # Errors
/// When the case expects something of an issue that it does not have.
pub(super) fn play(case: &Case, scene: &Scene, ranking: &Ranking) -> Result<Result<Played, String>, String> {
    match ask(ranking, scene) {
        Ok(answer) => compared(case, scene, &answer).map(Ok),
        Err(error) => Ok(Err(error.to_string())),
    }
}

/// Asks as the server does: scores ahead, then the last word on the best, then the reasons.
fn ask(ranking: &Ranking, scene: &Scene) -> Result<Answer, PolicyError> {
    let scored = ranking.score(&scene.issues, scene.now)?;
    let rows = backlog::best(&scene.issues, &scored, backlog::SHORTLIST_COUNT);
    let shortlisted = |row: usize| {
        let [repo_claim_count, repo_review_count, reviewer_load] = scene.loads[row];
        let facts = Arc::clone(&scene.issues[row]);
        Shortlisted { facts, score: scored[row].value, repo_claim_count, repo_review_count, reviewer_load }
    };
    let shortlist: Vec<Shortlisted> = rows.iter().map(|row| shortlisted(*row)).collect();
    // Where nothing is left the server asks no ranker.
    let choice = match shortlist.len() {
        0 => Choice::keep(0),
        _ => ranking.choose(&scene.request, &shortlist, scene.now)?,
    };
    let explained = ranking.explain(&shortlist, scene.now)?;
    let by_score = scored.iter().enumerate().filter_map(|(row, it)| Some((row, it.skip.as_deref()?.to_owned())));
    let by_choice = choice.skipped.into_iter().map(|(place, why)| (rows[place], why));
    Ok(Answer {
        order: choice.order.into_iter().map(|place| rows[place]).collect(),
        skipped: by_score.chain(by_choice).collect(),
        explained: rows.iter().zip(explained).map(|(row, terms)| (*row, scored[*row].value, terms)).collect(),
        retry_after_ms: choice.retry_after_ms,
    })
}

fn compared(case: &Case, scene: &Scene, answer: &Answer) -> Result<Played, String> {
    let expect = &case.expect;
    let mut played = Played { answer: rows(scene, answer), ..Played::default() };
    let names = |rows: &[usize]| named(scene, rows);
    if let Some(order) = &expect.order {
        let rows = order.iter().map(|name| scene.row(name)).collect::<Result<Vec<_>, _>>()?;
        played.compare("order".into(), names(&rows), names(&answer.order));
    }
    if let Some(first) = &expect.first {
        let row = scene.row(first)?;
        played.compare("first".into(), names(&[row]), names(&answer.order[..answer.order.len().min(1)]));
    }
    if let Some(seconds) = expect.retry_after_seconds {
        let got = answer.retry_after_ms.map_or_else(|| "none".into(), |ms| ms.div_ceil(1000).to_string());
        played.compare("retry_after_seconds".into(), seconds.to_string(), got);
    }
    for (key, words) in &expect.skip {
        let row = scene.row(&IssueName::of_key(key))?;
        let reason = answer.skipped.iter().find(|(skipped, _)| *skipped == row).map(|(_, reason)| reason.as_str());
        played.look_for(format!("skip.{key}"), words, reason, "it is not left out");
    }
    for (key, terms) in &expect.reasons {
        let row = scene.row(&IssueName::of_key(key))?;
        let got = terms_of(answer, row);
        let all = (!got.is_empty()).then(|| got.join(", "));
        for words in terms.iter().filter(|words| !got.iter().any(|term| term.contains(words.as_str()))) {
            played.look_for(format!("reasons.{key}"), words, all.as_deref(), "none");
        }
    }
    Ok(played)
}

fn rows(scene: &Scene, answer: &Answer) -> Vec<AnswerRow> {
    let offered = answer.order.iter().map(|row| (*row, None));
    let skipped = answer.skipped.iter().map(|(row, reason)| (*row, Some(reason.clone())));
    let row = |(row, skipped): (usize, Option<String>)| AnswerRow::Issue {
        issue: scene.issues[row].issue.to_string(),
        score: answer.explained.iter().find(|(explained, ..)| *explained == row).map(|(_, score, _)| *score),
        skipped,
        reasons: terms_of(answer, row),
    };
    offered.chain(skipped).map(row).collect()
}

fn terms_of(answer: &Answer, row: usize) -> Vec<String> {
    let terms = answer.explained.iter().find(|(explained, ..)| *explained == row);
    terms.map_or_else(Vec::new, |(_, _, terms)| terms.iter().map(ToString::to_string).collect())
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
