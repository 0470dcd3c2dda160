//! From the course of a simulation to what can be said of it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::cast::SimulatedAgent;
use super::course::{Course, Fate, Pick};
use super::report::{
    Changed, ChangedPick, Fairness, NamedWaits, Outcome, Overlap, Overtaken, PickRow, Skipped, Starved, Waits,
};
use super::timeline::Timeline;
use crate::domain::{Issue, PolicyStamp, Timestamp, label_key};

const DAY_MS: f64 = 86_400_000.0;
/// Labels by which waiting is told, the most frequent ones.
const LABEL_COUNT: usize = 8;
/// Smallest group whose mean wait says something.
const GROUP_COUNT_MIN: usize = 3;
/// Differing picks that a report lists.
const CHANGED_LISTED_COUNT: usize = 50;

/// What is told of a course, and by which measure.
#[derive(Debug)]
pub(super) struct Measure<'a> {
    pub(super) timeline: &'a Timeline,
    pub(super) agents: &'a [SimulatedAgent],
    pub(super) priorities: &'a [Vec<String>],
    pub(super) starved_after_days: f64,
}

/// How one issue waited.
struct Wait<'a> {
    row: usize,
    issue: &'a Issue,
    opened_at: Timestamp,
    days: f64,
    fate: &'a Fate,
}

impl Measure<'_> {
    pub(super) fn outcome(&self, name: &str, ranker: &PolicyStamp, course: &Course) -> Outcome {
        let all = self.waits(course);
        // People's closing ended the wait of some: what it would have been nobody knows.
        let told: Vec<&Wait<'_>> =
            all.iter().filter(|wait| wait.fate.picked_at.is_some() || wait.fate.closed_at.is_none()).collect();
        let merged = course.fates.iter().filter(|fate| fate.merged_at.is_some()).count();
        let span_ms = (self.timeline.ends - self.timeline.begins).num_milliseconds().max(1) as f64;
        let agents_ms = span_ms * course.busy_ms.len().max(1) as f64;
        let overtaken = overtakings(course);
        Outcome {
            name: name.to_owned(),
            ranker: ranker.clone(),
            picked: all.iter().filter(|wait| wait.fate.picked_at.is_some()).count(),
            merged,
            merged_per_week: rounded(merged as f64 / (span_ms / DAY_MS / 7.0)),
            closed_unpicked: all.len() - told.len(),
            work_lost: course.lost,
            busy_share: rounded(course.busy_ms.iter().sum::<u64>() as f64 / agents_ms),
            held_back_share: rounded(course.held_back_ms as f64 / agents_ms),
            empty_asks: course.empty_asks.len(),
            waiting: waits_of(told.iter().copied()),
            by_priority: self.by_priority(&told),
            by_label: by_label(&told),
            by_year: by_year(&told),
            starved: self.starved(&all, course, &overtaken),
            overtaken_max: overtaken.values().copied().max().unwrap_or(0),
            furthest_overtaken: self.furthest_overtaken(course),
            overlap: self.overlap(course),
            fairness: fairness(&told),
            skipped: skipped(course),
            picks: self.picks(course),
        }
    }

    fn waits<'c>(&self, course: &'c Course) -> Vec<Wait<'c>> {
        let wait = |(row, fate): (usize, &'c Fate)| {
            let (opened_at, issue) = (fate.opened_at?, fate.issue.as_deref()?);
            let until = fate.picked_at.or(fate.closed_at).unwrap_or(self.timeline.ends);
            Some(Wait { row, issue, opened_at, days: days_between(opened_at, until), fate })
        };
        course.fates.iter().enumerate().filter_map(wait).collect()
    }

    /// The tier of an issue's labels, from 0; as many as there are tiers for none.
    fn priority(&self, issue: &Issue) -> usize {
        let keys: HashSet<String> = issue.labels.iter().map(|label| label_key(label)).collect();
        let of_tier = |tier: &Vec<String>| tier.iter().any(|label| keys.contains(&label_key(label)));
        self.priorities.iter().position(of_tier).unwrap_or(self.priorities.len())
    }

    fn by_priority(&self, told: &[&Wait<'_>]) -> Vec<NamedWaits> {
        let group = |tier: usize| {
            let name = self.priorities.get(tier).map_or_else(|| "none of these".into(), |labels| labels.join(", "));
            let waits = waits_of(told.iter().copied().filter(|wait| self.priority(wait.issue) == tier));
            NamedWaits { name, waits }
        };
        (0..=self.priorities.len())
            .map(group)
            .filter(|group| group.waits.picked + group.waits.still_waiting > 0)
            .collect()
    }

    fn starved(&self, all: &[Wait<'_>], course: &Course, overtaken: &HashMap<usize, usize>) -> Vec<Starved> {
        let never = |wait: &&Wait<'_>| wait.fate.picked_at.is_none() && wait.days > self.starved_after_days;
        let mut starved: Vec<Starved> = all
            .iter()
            .filter(never)
            .filter_map(|wait| {
                let overtaken = overtaken.get(&wait.row).copied().unwrap_or(0);
                let withheld = empty_asks_during(course, wait);
                if overtaken == 0 && withheld == 0 {
                    return None;
                }
                let reason = course.skipped.iter().find(|(_, rows)| rows.contains(&wait.row));
                Some(Starved {
                    issue: self.timeline.issues[wait.row].to_string(),
                    title: wait.issue.title.clone(),
                    days: rounded(wait.days),
                    overtaken,
                    withheld,
                    skipped: reason.map(|(reason, _)| reason.clone()),
                })
            })
            .collect();
        starved.sort_by(|a, b| b.days.total_cmp(&a.days).then_with(|| a.issue.cmp(&b.issue)));
        starved
    }

    fn furthest_overtaken(&self, course: &Course) -> Option<Overtaken> {
        let overtakings = course.picks.iter().filter_map(|pick| Some((pick, pick.overtook?)));
        // Of several as far, the first.
        let (pick, overtook) = overtakings.rev().max_by_key(|(_, overtook)| overtook.younger_ms)?;
        let name = |row: usize| self.timeline.issues[row].to_string();
        let younger_days = rounded(overtook.younger_ms as f64 / DAY_MS);
        Some(Overtaken { issue: name(overtook.row), by: name(pick.row), younger_days })
    }

    fn overlap(&self, course: &Course) -> Overlap {
        let beside: Vec<_> = course.picks.iter().filter(|pick| pick.beside > 0).collect();
        let overlapping = beside.iter().filter(|pick| pick.overlaps).count();
        Overlap {
            picks_beside_others: beside.len(),
            picks_overlapping: overlapping,
            share: share(overlapping, beside.len()),
            issues_with_areas: course.with_areas,
            picks_with_known_files: beside.iter().filter(|pick| pick.truly_overlaps.is_some()).count(),
            picks_sharing_files: beside.iter().filter(|pick| pick.truly_overlaps == Some(true)).count(),
        }
    }

    fn picks(&self, course: &Course) -> Vec<PickRow> {
        let row = |pick: &Pick| {
            let fate = &course.fates[pick.row];
            PickRow {
                at: pick.at,
                agent: self.agents[pick.agent].name.to_string(),
                issue: self.timeline.issues[pick.row].to_string(),
                score: pick.score,
                waited_days: rounded(days_between(pick.since, pick.at)),
                priority: fate.issue.as_deref().map_or(self.priorities.len(), |issue| self.priority(issue)),
                overlaps: pick.overlaps,
            }
        };
        course.picks.iter().map(row).collect()
    }

    /// Where two policies differ: `course` is that of the first, with the other asked at each pick.
    pub(super) fn changed(&self, course: &Course, other: &Course) -> Changed {
        let differing: Vec<_> =
            course.picks.iter().filter_map(|pick| pick.otherwise.as_ref().map(|other| (pick, other))).collect();
        let name = |row: usize| self.timeline.issues[row].to_string();
        let one_only = course.fates.iter().zip(&other.fates);
        let first = differing.iter().take(CHANGED_LISTED_COUNT).map(|(pick, otherwise)| ChangedPick {
            at: pick.at,
            agent: self.agents[pick.agent].name.to_string(),
            picked: name(pick.row),
            why: otherwise.why.clone(),
            other: otherwise.row.map(name),
            why_other: otherwise.why_other.clone(),
        });
        Changed {
            picks: course.picks.len(),
            differing: differing.len(),
            share: share(differing.len(), course.picks.len()),
            picked_by_one_only: one_only.filter(|(a, b)| a.picked_at.is_some() != b.picked_at.is_some()).count(),
            first: first.collect(),
        }
    }
}

/// How often agents asked and got nothing while an issue that was never picked was open.
fn empty_asks_during(course: &Course, wait: &Wait<'_>) -> usize {
    let asks = &course.empty_asks;
    let before = |at: Timestamp| asks.partition_point(|ask| *ask < at);
    wait.fate.closed_at.map_or(asks.len(), before) - before(wait.opened_at)
}

fn days_between(from: Timestamp, to: Timestamp) -> f64 {
    (to - from).num_milliseconds() as f64 / DAY_MS
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { rounded(part as f64 / whole as f64) }
}

/// Three digits behind the point: finer says nothing.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn waits_of<'w>(waits: impl Iterator<Item = &'w Wait<'w>>) -> Waits {
    let (mut picked, mut days) = (0, Vec::new());
    for wait in waits {
        picked += usize::from(wait.fate.picked_at.is_some());
        days.push(wait.days);
    }
    days.sort_by(f64::total_cmp);
    // The nearest rank: the smallest wait that so many did not exceed.
    let at = |share: f64| {
        let rank = (share * days.len() as f64).ceil() as usize;
        rounded(days.get(rank.saturating_sub(1)).copied().unwrap_or(0.0))
    };
    Waits {
        picked,
        still_waiting: days.len() - picked,
        p50_days: at(0.5),
        p95_days: at(0.95),
        max_days: at(1.0),
        mean_days: mean(&days).map_or(0.0, rounded),
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn by_label(told: &[&Wait<'_>]) -> Vec<NamedWaits> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    told.iter().flat_map(|wait| &wait.issue.labels).for_each(|label| *counts.entry(label).or_default() += 1);
    let mut labels: Vec<_> = counts.into_iter().collect();
    labels.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    labels.truncate(LABEL_COUNT);
    let group = |(label, _): (&str, usize)| {
        let bears = |wait: &&Wait<'_>| wait.issue.labels.iter().any(|known| known == label);
        NamedWaits { name: label.to_owned(), waits: waits_of(told.iter().copied().filter(bears)) }
    };
    labels.into_iter().map(group).collect()
}

fn by_year(told: &[&Wait<'_>]) -> Vec<NamedWaits> {
    let mut years: BTreeMap<String, Vec<&Wait<'_>>> = BTreeMap::new();
    told.iter().for_each(|wait| years.entry(wait.opened_at.format("%Y").to_string()).or_default().push(wait));
    years.into_iter().map(|(name, waits)| NamedWaits { name, waits: waits_of(waits.into_iter()) }).collect()
}

/// For each issue how many, opened later, were picked while it waited. One that was opened again is as old as it was.
fn overtakings(course: &Course) -> HashMap<usize, usize> {
    let created_at = |fate: &Fate| fate.issue.as_ref().map(|issue| issue.created_at);
    let picks: Vec<(Timestamp, Timestamp)> =
        course.fates.iter().filter_map(|fate| created_at(fate).zip(fate.picked_at)).collect();
    let overtaken = |fate: &Fate| {
        let (created_at, since) = created_at(fate).zip(fate.opened_at)?;
        let until = fate.picked_at.or(fate.closed_at).unwrap_or(Timestamp::MAX_UTC);
        let meanwhile = |picked: Timestamp| since < picked && picked < until;
        Some(picks.iter().filter(|(created, picked)| *created > created_at && meanwhile(*picked)).count())
    };
    course.fates.iter().enumerate().filter_map(|(row, fate)| Some((row, overtaken(fate)?))).collect()
}

/// Jain's index of the mean waits of groups.
fn jain(groups: impl Iterator<Item = (String, f64)>) -> Option<f64> {
    let mut waits: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    groups.for_each(|(group, days)| waits.entry(group).or_default().push(days));
    let means: Vec<f64> =
        waits.values().filter(|days| days.len() >= GROUP_COUNT_MIN).filter_map(|days| mean(days)).collect();
    let (sum, squares) = (means.iter().sum::<f64>(), means.iter().map(|mean| mean * mean).sum::<f64>());
    (means.len() > 1 && squares > 0.0).then(|| rounded(sum * sum / (means.len() as f64 * squares)))
}

fn fairness(told: &[&Wait<'_>]) -> Fairness {
    let labels = told.iter().flat_map(|wait| wait.issue.labels.iter().map(|label| (label.clone(), wait.days)));
    Fairness {
        between_authors: jain(told.iter().map(|wait| (wait.issue.author.clone(), wait.days))),
        between_labels: jain(labels),
        between_repos: jain(told.iter().map(|wait| (wait.issue.repo.to_string(), wait.days))),
    }
}

fn skipped(course: &Course) -> Vec<Skipped> {
    let mut skipped: Vec<_> = course
        .skipped
        .iter()
        .map(|(reason, rows)| Skipped {
            reason: reason.clone(),
            issues: rows.len(),
            never_picked: rows.iter().filter(|row| course.fates[**row].picked_at.is_none()).count(),
        })
        .collect();
    skipped.sort_by(|a, b| b.issues.cmp(&a.issues).then_with(|| a.reason.cmp(&b.reason)));
    skipped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jains_index_is_one_when_all_wait_the_same_and_falls_to_one_over_n() {
        let groups = |waits: [f64; 2]| {
            jain(["a", "b"].into_iter().zip(waits).flat_map(|(name, days)| vec![(name.to_owned(), days); 3]))
        };
        assert_eq!((groups([4.0, 4.0]), groups([4.0, 0.0])), (Some(1.0), Some(0.5)));
        assert_eq!(groups([0.0, 0.0]), None);
        assert_eq!(jain([("a".to_owned(), 1.0), ("b".to_owned(), 9.0)].into_iter()), None, "too few in each");
    }
}
