//! Quick wins first. A label that says so counts most, then a talk that is short: an issue with forty comments is
//! seldom small. An issue that waited long catches up, so that large work is done in the end.

use issuecommand_policy::{Candidate, Instant, NameSet, Ranker, Score};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Settings {
    /// Labels that say that an issue is small.
    small_labels: Vec<String>,
    /// Points a day of waiting.
    patience: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { small_labels: vec!["good first issue".into()], patience: 0.2 }
    }
}

struct QuickWins {
    small: NameSet,
    patience: f64,
}

impl Ranker for QuickWins {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if !(0.0..=10.0).contains(&settings.patience) {
            return Err(format!("patience: {} is not between 0 and 10 points a day", settings.patience));
        }
        Ok(Self { small: NameSet::set(settings.small_labels), patience: settings.patience })
    }

    fn score(&self, issue: &Candidate<'_>, now: Instant, score: &mut Score<'_>) {
        if issue.assignees().next().is_some() {
            return score.skip("somebody is assigned to it");
        }
        if issue.has_label_in(&self.small) {
            score.add("small", 10.0);
        }
        let comments = f64::from(issue.comment_count().min(20));
        score.add("short talk", 5.0 - comments * 0.25);
        score.note(|| format!("{} comments", issue.comment_count()));
        let days = now.days_since(issue.created_at()).floor();
        score.add("patience", days * self.patience);
        score.note(|| format!("open for {days} days"));
        score.valid_until(issue.created_at().plus_days(days as u64 + 1));
    }

    fn settings_schema() -> String {
        r#"{"type":"object","additionalProperties":false,"properties":{
            "small_labels":{"type":"array","items":{"type":"string"},"default":["good first issue"],
                "description":"Labels that say that an issue is small"},
            "patience":{"type":"number","minimum":0,"maximum":10,"default":0.2,
                "description":"Points a day of waiting"}}}"#
            .into()
    }
}

issuecommand_policy::export_ranker!(QuickWins);

#[cfg(test)]
mod tests {
    use super::*;
    use issuecommand_policy::testing::{NOW, candidate, candidates, score};

    #[test]
    fn a_long_talk_costs_what_a_month_of_waiting_gives() {
        let policy = QuickWins::new(Settings::default()).unwrap();
        let issues = candidates([candidate(), candidate().comments(24).opened_days_ago(25)]);
        let scored = score(&policy, &issues, NOW);
        assert_eq!(scored[0].value, 5.0);
        assert_eq!(scored[1].value, 5.0);
        assert_eq!(scored[0].valid_until, Some(NOW.plus_days(1)));
    }
}
