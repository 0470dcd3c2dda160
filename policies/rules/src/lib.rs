//! The built-in ranker: a table in issuecommand.toml (tiers of labels, rules, skips, aging, caps),
//! compiled once and interpreted here, so that most teams never need a toolchain.
//!
//! Without settings it ranks as IssueCommand always did: two tiers of labels, then the rest, and the
//! oldest first among equals. A tier is worth more points than all rules together can make up for:
//! the smallest power of ten above the sum of their sizes.

mod condition;
mod settings;
mod table;

use issuecommand_policy::{
    Candidate, Candidates, Choice, FollowUps, Instant, Ranker, Request, Score, WorkChoice, WorkOrder,
};

use condition::Row;
use settings::{Field, Settings, Turn};
use table::{CompiledRule, Points, Table, Tiers};

/// The ranker that interprets a table.
#[derive(Debug)]
pub struct Rules(Table);

issuecommand_policy::export_ranker!(Rules, work_order);

impl Ranker for Rules {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Table::compile(settings).map(Self)
    }

    fn score(&self, candidate: &Candidate<'_>, now: Instant, score: &mut Score<'_>) {
        let row = Row::new(candidate, &self.0.names, now);
        for skip in &self.0.skips {
            if row.satisfies(&skip.conditions, score) {
                return score.skip(&skip.reason);
            }
        }
        add_tier(&self.0.tiers, candidate, score);
        for rule in &self.0.rules {
            if row.satisfies(&rule.conditions, score) {
                add_rule(rule, &row, score);
            }
        }
    }

    fn choose(&self, request: &Request, shortlist: &Candidates) -> Choice {
        let mut choice = Choice::keep();
        for candidate in shortlist.iter() {
            if let Some(reason) = self.refusal(request, &candidate) {
                choice.skip(&candidate, reason);
            }
        }
        choice
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

impl WorkOrder for Rules {
    fn choose_work(&self, _request: &Request, follow_ups: &FollowUps) -> WorkChoice {
        let mut choice = WorkChoice::keep();
        for follow_up in follow_ups.iter() {
            match self.0.follow_ups {
                // All is as it should be: no fact needs to be read.
                Turn::First => break,
                Turn::UrgentFirst if follow_up.requests_changes() => {}
                Turn::UrgentFirst | Turn::Last => choice.after_issues(&follow_up),
                Turn::Never => choice.skip(&follow_up, "follow_ups = \"never\""),
            }
        }
        choice
    }
}

impl Rules {
    /// Why a cap keeps `candidate` from the asking agent.
    fn refusal(&self, request: &Request, candidate: &Candidate<'_>) -> Option<String> {
        if let Some(most) = self.0.max_claims_per_agent
            && request.claim_count() >= most.get()
        {
            return Some(format!("agent holds {} of at most {most} claims", request.claim_count()));
        }
        let most = self.0.max_claims_per_repo?;
        let held = candidate.repo_claim_count();
        (held >= most.get()).then(|| format!("{} has {held} of at most {most} claims", candidate.repo()))
    }
}

fn add_tier(tiers: &Tiers, candidate: &Candidate<'_>, score: &mut Score<'_>) {
    let none = tiers.count;
    let labelled = candidate.fold_labels(&tiers.of_label, none, usize::min);
    let tier = if labelled == none { tiers.otherwise } else { labelled };
    if tier < tiers.count {
        score.add("tier", (tiers.count - tier) as f64 * tiers.points);
        score.note(|| match candidate.labels().find(|label| tiers.of_label.get(label) == Some(labelled)) {
            Some(label) => format!("tier {tier}: label {label}"),
            None => format!("tier {tier}: no label of any tier"),
        });
    }
}

fn add_rule(rule: &CompiledRule, row: &Row<'_>, score: &mut Score<'_>) {
    match rule.points {
        Points::Flat(weight) => {
            score.add(&rule.name, weight);
            if matches!(rule.field, Field::Comments | Field::Reactions | Field::AgeDays | Field::IdleDays) {
                score.note(|| format!("{} {}", rule.field.as_str(), row.amount(rule.field).0));
            }
        }
        Points::Each { weight, most } => {
            let (amount, until) = row.amount(rule.field);
            let points = weight * amount;
            score.add(&rule.name, points.clamp(-most, most));
            score.note(|| format!("{} {amount}", rule.field.as_str()));
            // At the most it stays there: time only adds.
            if points.abs() < most && weight != 0.0 {
                score.valid_until(until);
            }
        }
    }
}

#[cfg(test)]
mod tests;
