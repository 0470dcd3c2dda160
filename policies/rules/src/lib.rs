//! The built-in ranker: a table in issuecommand.toml (tiers of labels, rules, skips, aging, gates, caps,
//! needs), compiled once and interpreted here, so that most teams never need a toolchain.
//!
//! Without settings it ranks as IssueCommand always did: two tiers of labels, then the rest, and the
//! oldest first among equals. A tier is worth more points than all rules together can make up for:
//! the smallest power of ten above the sum of their sizes.
//!
//! A table has two parts. [`table`] makes scores, ahead of any request and from issues alone: `row` puts one
//! issue to its `condition`s and `expression`s, and `points` come of it. [`door`] is looked at while an agent
//! waits: caps, `needs`, shares.

mod condition;
mod door;
mod expression;
mod needs;
mod points;
mod row;
mod settings;
mod table;
mod words;

use issuecommand_policy::{
    Candidate, Candidates, Choice, FollowUps, Instant, Ranker, Request, Score, WorkChoice, WorkOrder,
};

use door::Door;
use row::Row;
use settings::{Approval, Settings, Turn};
use table::{Table, Tiers};

/// GitHub's words for authors who belong to the repository.
const INSIDERS: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];

/// The ranker that interprets a table.
#[derive(Debug)]
pub struct Rules {
    table: Table,
    door: Door,
    follow_ups: Turn,
}

issuecommand_policy::export_ranker!(Rules, work_order);

impl Ranker for Rules {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        let (table, door) = (Table::compile(&settings)?, Door::compile(&settings)?);
        Ok(Self { table, door, follow_ups: settings.follow_ups })
    }

    fn score(&self, candidate: &Candidate<'_>, now: Instant, score: &mut Score<'_>) {
        self.table.gate(candidate, score);
        if score.is_settled() {
            return;
        }
        let row = Row::new(candidate, &self.table.facts, now);
        for skip in &self.table.skips {
            if row.satisfies(&skip.conditions, score) {
                score.skip(&skip.reason);
                if score.is_settled() {
                    return;
                }
            }
        }
        if score.is_skipped() {
            return;
        }
        self.table.tiers.add(candidate, now, score);
        for rule in &self.table.rules {
            if row.satisfies(&rule.conditions, score) {
                rule.points.add(&rule.name, rule.field, &row, score);
            }
        }
    }

    fn choose(&self, request: &Request, shortlist: &Candidates) -> Choice {
        self.door.choose(&self.table.tiers, request, shortlist)
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

impl WorkOrder for Rules {
    fn choose_work(&self, _request: &Request, follow_ups: &FollowUps) -> WorkChoice {
        let mut choice = WorkChoice::keep();
        for follow_up in follow_ups.iter() {
            match self.follow_ups {
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

impl Table {
    /// Leaves `candidate` out while it waits for an approval or for other issues.
    fn gate(&self, candidate: &Candidate<'_>, score: &mut Score<'_>) {
        if self.needs_approval(candidate) {
            match candidate.approval() {
                "approved" => {}
                "edited" => score.skip("edited after approval: waits for a maintainer to approve it again"),
                _ => score.skip("waits for a maintainer's approval"),
            }
        }
        if self.skip_blocked {
            let blockers: Vec<_> = candidate.open_blockers().collect();
            if !blockers.is_empty() {
                score.skip(&format!("blocked by {}", blockers.join(" and ")));
            }
        }
    }

    fn needs_approval(&self, candidate: &Candidate<'_>) -> bool {
        match self.require_approval {
            Approval::None => false,
            Approval::Outsiders => !INSIDERS.contains(&candidate.author_association()),
            Approval::All => true,
        }
    }
}

impl Tiers {
    /// Adds what the tier of `candidate` is worth, and what it gained by waiting.
    fn add(&self, candidate: &Candidate<'_>, now: Instant, score: &mut Score<'_>) {
        let none = self.count;
        let labelled = candidate.fold_labels(&self.of_label, none, usize::min);
        let tier = if labelled == none { self.otherwise } else { labelled };
        if tier < self.count {
            score.add("tier", (self.count - tier) as f64 * self.points);
            score.note(|| match candidate.labels().find(|label| self.of_label.get(label) == Some(labelled)) {
                Some(label) => format!("tier {tier}: label {label}"),
                None => format!("tier {tier}: no label of any tier"),
            });
        }
        if let Some(days_per_tier) = self.days_per_tier {
            let opened = candidate.created_at();
            let tiers = now.whole_days_since(opened) / days_per_tier;
            score.add("waiting", tiers as f64 * self.points);
            score.note(|| format!("tiers gained: {tiers}, one for each {days_per_tier} days"));
            score.valid_until(opened.plus_days((tiers + 1) * days_per_tier));
        }
    }

    /// The tier that a score stands for, counted from below: rules never move a score out of its own.
    fn of_score(&self, score: f64) -> i64 {
        ((score + self.most_taken) / self.points).floor() as i64
    }
}

#[cfg(test)]
mod tests;
