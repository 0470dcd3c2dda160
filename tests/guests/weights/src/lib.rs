//! Weighs labels, comments and reactions, and adds a point for each week of waiting.

use std::collections::BTreeMap;

use issuecommand_policy::{Candidate, Instant, NameWeights, Ranker, Score};

/// Weighs labels, comments and reactions.
pub struct Weights(NameWeights);

issuecommand_policy::export_ranker!(Weights);

impl Ranker for Weights {
    type Settings = BTreeMap<String, f64>;

    fn new(weights: Self::Settings) -> Result<Self, String> {
        Ok(Self(NameWeights::of(weights)))
    }

    fn score(&self, issue: &Candidate<'_>, now: Instant, score: &mut Score<'_>) {
        score.add("labels", issue.label_sum(&self.0));
        score.add("comments", f64::from(issue.comment_count().min(20)) * 0.5);
        score.add("reactions", f64::from(issue.reaction_count()));
        let weeks = now.whole_days_since(issue.created_at()) / 7;
        score.add("waiting", weeks as f64);
        score.valid_until(issue.created_at().plus_days(7 * (weeks + 1)));
    }
}
