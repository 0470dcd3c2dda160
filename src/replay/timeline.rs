//! What a server would have been told of a history, and when.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::history::History;
use crate::domain::{Happening, Issue, IssueRef, IssueState, Record, Timestamp};
use crate::policy::BodySource;

/// Something that people did to an issue.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) at: Timestamp,
    /// Which issue of the timeline.
    pub(super) row: usize,
    pub(super) change: Change,
}

#[derive(Debug)]
pub(super) enum Change {
    /// It is open, as described here: new, changed or opened again.
    Open(Box<Issue>),
    /// People closed it without a pull request that fixed it: answered, a duplicate, not planned.
    ClosedByPeople,
}

/// Everything that happened, in order.
#[derive(Debug)]
pub(super) struct Timeline {
    pub(super) issues: Vec<IssueRef>,
    pub(super) moments: Vec<Moment>,
    pub(super) begins: Timestamp,
    pub(super) ends: Timestamp,
    /// For each issue the files that its fix really touched, where the history knows them.
    pub(super) true_files: Vec<Vec<Arc<str>>>,
}

impl Timeline {
    pub(super) fn of(history: &History) -> Self {
        let merged: Vec<&Record> = history.pulls.iter().filter(|pull| pull.merged_at.is_some()).collect();
        let mut files: HashMap<IssueRef, Vec<Arc<str>>> = HashMap::new();
        for pull in &merged {
            for number in &pull.fixes {
                let touched = files.entry(IssueRef::new(pull.repo.clone(), *number)).or_default();
                touched.extend(pull.files.iter().map(|file| Arc::from(file.as_str())));
            }
        }
        let fixed: HashSet<IssueRef> = files.keys().cloned().collect();
        let mut moments = Vec::new();
        for (row, record) in history.issues.iter().enumerate() {
            let by_work = fixed.contains(&record.issue_ref());
            moments.extend(life_of(record, by_work).into_iter().map(|(at, change)| Moment { at, row, change }));
        }
        // Stable: what happened to one issue in one second stays in order.
        moments.sort_by_key(|moment| moment.at);
        let issues: Vec<_> = history.issues.iter().map(Record::issue_ref).collect();
        let begins = moments.first().map_or(Timestamp::UNIX_EPOCH, |moment| moment.at);
        let last_pull = merged.iter().filter_map(|pull| pull.merged_at).max();
        let ends = moments.last().map(|moment| moment.at).max(last_pull).unwrap_or(begins);
        let true_files = issues.iter().map(|issue| files.remove(issue).unwrap_or_default()).collect();
        Self { issues, moments, begins, ends, true_files }
    }
}

/// One issue, from the state in which it was opened.
fn life_of(record: &Record, by_work: bool) -> Vec<(Timestamp, Change)> {
    let happenings = record.happenings();
    let mut issue = as_opened(record, &happenings);
    let (mut moments, mut open) = (Vec::new(), true);
    let (opening, later): (Vec<_>, Vec<_>) = happenings.into_iter().partition(|(at, _)| *at <= record.created_at);
    opening.iter().for_each(|(_, happening)| _ = apply(&mut issue, happening));
    moments.push((record.created_at, Change::Open(Box::new(issue.clone()))));
    let mut closes = false;
    for (at, happening) in later {
        issue.updated_at = at;
        match happening.event.as_str() {
            // The agents do this work instead: it stays open until one of them has.
            "closed" if by_work => {}
            "closed" if open => {
                (open, closes) = (false, true);
                moments.push((at, Change::ClosedByPeople));
            }
            "reopened" if !open => {
                open = true;
                moments.push((at, Change::Open(Box::new(issue.clone()))));
            }
            _ => {
                if apply(&mut issue, happening) && open {
                    moments.push((at, Change::Open(Box::new(issue.clone()))));
                }
            }
        }
    }
    if let (Some(at), true, false, false) = (record.closed_at, open, by_work, closes) {
        moments.retain(|(changed, _)| *changed <= at);
        moments.push((at, Change::ClosedByPeople));
    }
    moments
}

/// The issue as it was before anything happened to it: its last state with everything undone, newest first.
fn as_opened(record: &Record, happenings: &[(Timestamp, &Happening)]) -> Issue {
    let (mut labels, mut assignees, mut milestone) =
        (record.labels.clone(), record.assignees.clone(), record.milestone.clone());
    let mut comment_count = record.comments;
    for (_, happening) in happenings.iter().rev() {
        match happening.event.as_str() {
            "labeled" => take_away(&mut labels, happening.label.as_deref()),
            "unlabeled" => put(&mut labels, happening.label.as_deref()),
            "assigned" => take_away(&mut assignees, happening.assignee.as_deref()),
            "unassigned" => put(&mut assignees, happening.assignee.as_deref()),
            "milestoned" => milestone = None,
            "demilestoned" => milestone.clone_from(&happening.milestone),
            "commented" => comment_count = comment_count.saturating_sub(1),
            _ => {}
        }
    }
    Issue {
        repo: record.repo.clone(),
        number: record.number,
        title: record.title.clone(),
        body: record.body.clone(),
        state: IssueState::Open,
        labels,
        assignees,
        milestone,
        comments: Vec::new(),
        created_at: record.created_at,
        updated_at: record.created_at,
        url: String::new(),
        author: record.user.clone(),
        author_association: record.author_association.clone(),
        comment_count,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

/// Whether the happening changed a fact.
fn apply(issue: &mut Issue, happening: &Happening) -> bool {
    match happening.event.as_str() {
        "labeled" => put(&mut issue.labels, happening.label.as_deref()),
        "unlabeled" => take_away(&mut issue.labels, happening.label.as_deref()),
        "assigned" => put(&mut issue.assignees, happening.assignee.as_deref()),
        "unassigned" => take_away(&mut issue.assignees, happening.assignee.as_deref()),
        "milestoned" => issue.milestone.clone_from(&happening.milestone),
        "demilestoned" => issue.milestone = None,
        "commented" => issue.comment_count += 1,
        _ => return false,
    }
    true
}

fn put(names: &mut Vec<String>, name: Option<&str>) {
    if let Some(name) = name
        && !names.iter().any(|known| known == name)
    {
        names.push(name.to_owned());
    }
}

fn take_away(names: &mut Vec<String>, name: Option<&str>) {
    names.retain(|known| Some(known.as_str()) != name);
}

/// The texts of a history's issues.
#[derive(Debug)]
pub(super) struct Texts(HashMap<IssueRef, String>);

impl Texts {
    pub(super) fn of(history: &History) -> Self {
        Self(history.issues.iter().map(|record| (record.issue_ref(), record.body.clone())).collect())
    }
}

impl BodySource for Texts {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        Ok(issues.iter().map(|issue| self.0.get(issue).cloned().unwrap_or_default()).collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn history(events: &str, rest: &str) -> History {
        let issue = format!(
            r#"{{"repo":"acme/small","kind":"issue","number":1,"created_at":"2024-01-01T00:00:00Z","events":[{events}],{rest}}}"#
        );
        let pull = r#"{"repo":"acme/small","kind":"pull","number":2,"created_at":"2024-01-02T00:00:00Z",
            "merged_at":"2024-01-09T00:00:00Z","fixes":[9],"files":["src/a.rs"]}"#;
        History::parse(&format!("{issue}\n{}", pull.replace('\n', ""))).unwrap()
    }

    fn told(history: &History) -> Vec<String> {
        let tell = |moment: &Moment| match &moment.change {
            Change::Open(issue) => {
                format!("{} {} {}", moment.at.format("%d"), issue.labels.join("+"), issue.comment_count)
            }
            Change::ClosedByPeople => format!("{} closed", moment.at.format("%d")),
        };
        Timeline::of(history).moments.iter().map(tell).collect()
    }

    #[test]
    fn labels_and_comments_are_those_of_their_time() {
        let events = r#"{"event":"labeled","at":"2024-01-01T00:00:00Z","label":"bug"},
            {"event":"commented","at":"2024-01-03T00:00:00Z"},
            {"event":"unlabeled","at":"2024-01-04T00:00:00Z","label":"bug"},
            {"event":"labeled","at":"2024-01-05T00:00:00Z","label":"docs"},{"event":"locked","at":"2024-01-06T00:00:00Z"}"#;
        let history = history(&events.replace('\n', ""), r#""labels":["old","docs"],"comments":1"#);
        assert_eq!(told(&history), ["01 old+bug 0", "03 old+bug 1", "04 old 1", "05 old+docs 1"]);
    }

    #[test]
    fn a_closed_issue_closes_then_and_may_open_again() {
        let events = r#"{"event":"closed","at":"2024-01-03T00:00:00Z"},{"event":"labeled","at":"2024-01-04T00:00:00Z","label":"x"},
            {"event":"reopened","at":"2024-01-05T00:00:00Z"},{"event":"closed","at":"2024-01-07T00:00:00Z"}"#;
        let history = history(&events.replace('\n', ""), r#""labels":["x"],"closed_at":"2024-01-07T00:00:00Z""#);
        assert_eq!(told(&history), ["01  0", "03 closed", "05 x 0", "07 closed"]);
        assert_eq!(told(&self::history("", r#""closed_at":"2024-01-07T00:00:00Z""#)), ["01  0", "07 closed"]);
    }

    #[test]
    fn what_a_pull_request_fixed_is_left_to_the_agents() {
        let mut history =
            history(r#"{"event":"closed","at":"2024-01-09T00:00:00Z"}"#, r#""closed_at":"2024-01-09T00:00:00Z""#);
        assert_eq!(told(&history).last().unwrap(), "09 closed");
        history.pulls[0].fixes = vec![history.issues[0].number];
        assert_eq!(told(&history), ["01  0"]);
        assert_eq!(&*Timeline::of(&history).true_files[0][0], "src/a.rs");
    }
}
