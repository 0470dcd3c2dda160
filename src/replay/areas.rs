//! Where work was likely to go, as it could have been known at the time.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::sync::Arc;
use std::vec::IntoIter;

use super::history::History;
use crate::areas::{AreaModel, LabelAreas, PastWork, predict};
use crate::domain::{Issue, Record, RepoName, Timestamp};

/// The areas of issues: a model for each repository, which learns each pull request when it is merged.
#[derive(Debug)]
pub(super) struct Areas<'a> {
    merged: Peekable<IntoIter<(Timestamp, &'a Record)>>,
    models: BTreeMap<RepoName, AreaModel>,
}

impl<'a> Areas<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut merged: Vec<_> = history.pulls.iter().filter_map(|pull| Some((pull.merged_at?, pull))).collect();
        merged.sort_by_key(|(at, pull)| (*at, pull.number));
        Self { merged: merged.into_iter().peekable(), models: BTreeMap::new() }
    }

    /// Where `issue` was likely to go at `now`, by what was merged before. Time must not go back.
    pub(super) fn of_issue(&mut self, issue: &Issue, now: Timestamp) -> Box<[Arc<str>]> {
        while let Some((_, pull)) = self.merged.next_if(|(at, _)| *at < now) {
            let past = PastWork { title: &pull.title, body: &pull.body, labels: &pull.labels, files: &pull.files };
            self.models.entry(pull.repo.clone()).or_insert_with(untaught).learn(&past);
        }
        let model = self.models.entry(issue.repo.clone()).or_insert_with(untaught);
        predict(model, &issue.title, &issue.body, &issue.labels).into()
    }
}

fn untaught() -> AreaModel {
    AreaModel::new(&LabelAreas::default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_merged_later_teaches_nothing_earlier() {
        let pull = |number: u64, day: u64| {
            format!(
                r#"{{"repo":"acme/small","kind":"pull","number":{number},"title":"parser: stop at the end","created_at":"2024-01-01T00:00:00Z","merged_at":"2024-01-{day:02}T00:00:00Z","files":["src/parser/read.rs"]}}"#
            )
        };
        let lines: Vec<String> = (1..=3).map(|n| pull(n, 10)).collect();
        let history = History::parse(&lines.join("\n")).unwrap();
        let issue = History::parse(
            r#"{"repo":"acme/small","kind":"issue","number":9,"title":"parser: stop at the end","created_at":"2024-01-01T00:00:00Z"}"#,
        );
        let timeline = super::super::timeline::Timeline::of(&issue.unwrap());
        let super::super::timeline::Change::Open(issue) = &timeline.moments[0].change else { panic!("it was opened") };
        let on = |day: &str| format!("2024-01-{day}T00:00:00Z").parse().unwrap();
        let folder: Arc<str> = "src/parser/".into();
        assert!(!Areas::of(&history).of_issue(issue, on("09")).contains(&folder));
        assert!(Areas::of(&history).of_issue(issue, on("11")).contains(&folder));
    }
}
