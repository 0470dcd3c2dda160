//! Replay over recorded decisions: what a server was asked is asked again, of the same policy or of another.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

use super::report::ChangedPick;
use super::table::percent;
use super::{Contender, ReplayError};
use crate::claims::rehearsal::why;
use crate::claims::{Answers, Recorded, RecordedBodies};
use crate::domain::{Decision, DecisionRow, IssueRef, PolicyStamp};
use crate::policy::{BodySource, PolicyError, Ranking, Shortlisted};

/// Differing picks that a report lists.
const LISTED_COUNT: usize = 50;
/// Of these, how many are printed.
const PRINTED_COUNT: usize = 10;

/// What the same requests get under other policies. The same inputs give the same report, byte for byte.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionsReport {
    /// Decisions that were looked at.
    pub decisions: usize,
    /// Of these, those that can be made again.
    pub replayed: usize,
    /// Why others cannot, and how many.
    pub left_out: BTreeMap<String, usize>,
    /// What each policy makes of them.
    pub outcomes: Vec<DecisionsOutcome>,
}

/// What one policy makes of recorded decisions.
#[derive(Debug, Clone, Serialize)]
pub struct DecisionsOutcome {
    /// What it was called.
    pub name: String,
    /// Which component, with which settings, where no override names another.
    pub ranker: PolicyStamp,
    /// Decisions that were made by the very rankers that this policy has for the agent, with these settings.
    pub own: usize,
    /// Of its own, those to which it gives the same answer again, byte for byte: order, skips, scores, reasons.
    pub own_same: usize,
    /// Decisions in which it picks another issue, out of those that were recorded.
    pub differing: usize,
    /// The first of these.
    pub first: Vec<ChangedPick>,
}

/// The texts of issues as they were for one decision after the other.
#[derive(Debug, Default)]
pub struct DecisionTexts(Mutex<Option<RecordedBodies>>);

impl BodySource for DecisionTexts {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        match &*self.0.lock() {
            Some(bodies) => bodies.bodies(issues),
            None => Ok(vec![String::new(); issues.len()]),
        }
    }
}

/// Asks every policy what it makes of `decisions`. The policies must read issues' texts from `texts`. A policy
/// other than the one that decided is shown what was recorded, scored anew: what that one left further down is
/// not known any more. `goes_on` is told how many are done before each; where it says no, the report is of those.
/// Blocking.
///
/// # Errors
/// [`ReplayError`] when a policy fails.
pub fn replay_decisions(
    decisions: &[Decision],
    contenders: &[Contender],
    texts: &DecisionTexts,
    goes_on: &dyn Fn(usize) -> bool,
) -> Result<DecisionsReport, ReplayError> {
    let begun = |contender: &Contender| DecisionsOutcome {
        name: contender.name.clone(),
        ranker: contender.policies.ranker.main_stamp().clone(),
        own: 0,
        own_same: 0,
        differing: 0,
        first: Vec::new(),
    };
    let mut report = DecisionsReport {
        decisions: decisions.len(),
        replayed: 0,
        left_out: BTreeMap::new(),
        outcomes: contenders.iter().map(begun).collect(),
    };
    for (done, decision) in decisions.iter().enumerate() {
        if !goes_on(done) {
            report.decisions = done;
            break;
        }
        let recorded = match Recorded::of(decision) {
            Ok(recorded) => recorded,
            Err(why) => {
                *report.left_out.entry(why.to_string()).or_default() += 1;
                continue;
            }
        };
        report.replayed += 1;
        *texts.0.lock() = Some(recorded.bodies());
        for (contender, outcome) in contenders.iter().zip(&mut report.outcomes) {
            let policies = &contender.policies;
            outcome
                .take_in(decision, &recorded, policies.ranking_of(&policies.view_of(&decision.agent_id)))
                .map_err(|fault| ReplayError { name: contender.name.clone(), fault })?;
        }
    }
    Ok(report)
}

impl DecisionsOutcome {
    fn take_in(&mut self, decision: &Decision, recorded: &Recorded, ranker: &Ranking) -> Result<(), PolicyError> {
        let picked = decision.considered.iter().find(|row| row.passed_over.is_none());
        let other = if recorded.ranker == *ranker.stamp() {
            let answers = recorded.asked_of(ranker)?;
            self.own += 1;
            self.own_same += usize::from(bytes_of(&answers) == bytes_of(&recorded.answers()));
            let mut pages = recorded.pages.iter().zip(&answers.pages);
            pages.find_map(|(page, answer)| answer.order.first().map(|row| page.rows[*row].clone()))
        } else {
            picked_anew(recorded, ranker)?
        };
        let (was, is) = (picked.map(DecisionRow::issue), other.as_ref().map(|row| row.facts.issue.clone()));
        if was == is {
            return Ok(());
        }
        self.differing += 1;
        if self.first.len() < LISTED_COUNT {
            let nothing = || "nothing".to_owned();
            self.first.push(ChangedPick {
                at: decision.decided_at,
                agent: decision.agent_id.to_string(),
                picked: was.map_or_else(nothing, |issue| issue.to_string()),
                why: picked.map_or_else(nothing, DecisionRow::why),
                other: is.map(|issue| issue.to_string()),
                why_other: why(ranker, other.as_ref(), recorded.now)?,
            });
        }
        Ok(())
    }
}

fn bytes_of(answers: &Answers) -> String {
    serde_json::to_string(answers).expect("answers are plain values")
}

/// What a policy picks out of the rows that were recorded, when it scores them itself.
fn picked_anew(recorded: &Recorded, ranker: &Ranking) -> Result<Option<Shortlisted>, PolicyError> {
    let Some(page) = recorded.pages.first() else { return Ok(None) };
    let facts: Vec<_> = recorded.rows().map(|row| Arc::clone(&row.facts)).collect();
    let scored = ranker.score(&facts, recorded.now)?;
    let offered = recorded.rows().zip(scored).filter(|(_, scored)| scored.skip.is_none());
    let mut rows: Vec<_> = offered.map(|(row, scored)| Shortlisted { score: scored.value, ..row.clone() }).collect();
    // As the board orders them.
    rows.sort_by(|a, b| {
        let older = (a.facts.created_at, a.facts.issue.number).cmp(&(b.facts.created_at, b.facts.issue.number));
        b.score.total_cmp(&a.score).then(older)
    });
    let choice = ranker.choose(&page.request, &rows, recorded.now)?;
    Ok(choice.order.first().map(|row| rows[*row].clone()))
}

impl fmt::Display for DecisionsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} of {} recorded decisions can be made again", self.replayed, self.decisions)?;
        for (why, count) in &self.left_out {
            writeln!(f, "  {count} cannot: {why}")?;
        }
        if self.outcomes.iter().any(|outcome| outcome.own < self.replayed) {
            writeln!(
                f,
                "\nWhere another policy decided, a policy chooses here among the issues that decision considered, its"
            )?;
            writeln!(f, "short list, scored anew: what it would have brought up from further down nobody recorded.")?;
        }
        for outcome in &self.outcomes {
            let share = percent(outcome.differing as f64 / self.replayed.max(1) as f64);
            writeln!(f, "\n{}", outcome.name)?;
            writeln!(f, "  picks another issue in   {} ({share})", outcome.differing)?;
            writeln!(f, "  made by itself           {}", outcome.own)?;
            writeln!(f, "  of these, the same again {}", outcome.own_same)?;
            for pick in outcome.first.iter().take(PRINTED_COUNT) {
                writeln!(f, "  {} {}", pick.at.format("%Y-%m-%d %H:%M"), pick.agent)?;
                writeln!(f, "    got      {}  {}", pick.picked, pick.why)?;
                writeln!(f, "    instead  {}  {}", pick.other.as_deref().unwrap_or("nothing"), pick.why_other)?;
            }
            if outcome.differing > PRINTED_COUNT {
                writeln!(f, "  and {} more: --json lists {LISTED_COUNT}", outcome.differing - PRINTED_COUNT)?;
            }
        }
        Ok(())
    }
}
