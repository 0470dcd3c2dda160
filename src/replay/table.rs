//! A report for the terminal: aligned columns, one for each policy.

use std::fmt;

use anstyle::{AnsiColor, Style};

use super::report::{Changed, NamedWaits, Outcome, Report, Starved, Waits};

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const BAD: Style = AnsiColor::Red.on_default();
/// Starved issues, and differing picks, that are listed here; all stand in the JSON.
const LISTED_COUNT: usize = 5;
/// Longest name of a row, in characters.
const NAME_WIDTH_MAX: usize = 34;

/// A report, written for the terminal. Print it with colours, or through a writer that takes them out.
#[derive(Debug)]
pub struct Table<'a>(pub &'a Report);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(report) = self;
        head(f, report)?;
        let rows = rows(&report.outcomes);
        let first = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or(0);
        let cells = |row: &(String, Vec<String>)| row.1.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let wide = rows.iter().map(cells).max().unwrap_or(0);
        for (name, cells) in &rows {
            if cells.is_empty() {
                writeln!(f, "\n{BOLD}{name}{BOLD:#}")?;
                continue;
            }
            write!(f, "  {name:first$}")?;
            cells.iter().try_for_each(|cell| write!(f, "  {cell:>wide$}"))?;
            writeln!(f)?;
        }
        report.outcomes.iter().try_for_each(|outcome| starved(f, outcome))?;
        report.outcomes.iter().try_for_each(|outcome| skipped(f, outcome))?;
        report.changed.as_ref().map_or(Ok(()), |changed| differing(f, changed))
    }
}

fn head(f: &mut fmt::Formatter<'_>, report: &Report) -> fmt::Result {
    let (history, setting) = (&report.history, &report.setting);
    let (from, to) = (history.from.format("%Y-%m-%d"), history.to.format("%Y-%m-%d"));
    writeln!(
        f,
        "{BOLD}{}{BOLD:#}: {} issues and {} pull requests, {from} to {to}",
        history.repos.join(", "),
        history.issues,
        history.pulls
    )?;
    let half = |hours: f64, samples: usize| match samples {
        0 => format!("{hours} h at the median (a stand-in: the history shows too little)"),
        _ => format!("{hours} h at the median of {samples}"),
    };
    writeln!(f, "{} agents, seed {}, speed {}", setting.agents, setting.seed, setting.speed)?;
    writeln!(
        f,
        "{DIM}work {}, review {}{DIM:#}",
        half(history.work_hours_p50, history.work_samples),
        half(history.review_hours_p50, history.review_samples)
    )?;
    for (letter, outcome) in ('A'..).zip(&report.outcomes) {
        let stamp = &outcome.ranker;
        let (digest, settings) = (short(&stamp.digest), short(&stamp.settings_digest));
        writeln!(f, "{BOLD}{letter}{BOLD:#}  {}  {DIM}{digest}, settings {settings}{DIM:#}", outcome.name)?;
    }
    Ok(())
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Names of rows with a cell for each policy; a row without cells begins a section.
fn rows(outcomes: &[Outcome]) -> Vec<(String, Vec<String>)> {
    let row = |name: &str, cell: &dyn Fn(&Outcome) -> String| (name.to_owned(), outcomes.iter().map(cell).collect());
    let section = |name: &str| (name.to_owned(), Vec::new());
    let letters = ('A'..).take(outcomes.len()).map(String::from).collect();
    let mut rows = vec![
        section("What was done"),
        (String::new(), letters),
        row("issues picked", &|o| o.picked.to_string()),
        row("issues merged", &|o| o.merged.to_string()),
        row("merged a week", &|o| format!("{:.2}", o.merged_per_week)),
        row("closed by people, never picked", &|o| o.closed_unpicked.to_string()),
        row("work lost to people's closing", &|o| o.work_lost.to_string()),
        row("agents at work", &|o| percent(o.busy_share)),
        row("agents held back by the policy", &|o| percent(o.held_back_share)),
        section("Waiting, in days: half | 95 in 100 | longest (still waiting)"),
        row("all", &|o| waits(&o.waiting)),
    ];
    let groups: [fn(&Outcome) -> &Vec<NamedWaits>; 3] = [|o| &o.by_priority, |o| &o.by_label, |o| &o.by_year];
    for (group, word) in groups.into_iter().zip(["priority", "label", "opened in"]) {
        let mut names: Vec<&str> = outcomes.iter().flat_map(group).map(|named| named.name.as_str()).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        if word == "priority" && names.len() < 2 {
            continue;
        }
        for name in names {
            let cell = |outcome: &Outcome| {
                let found = group(outcome).iter().find(|named| named.name == name);
                found.map_or_else(|| "-".to_owned(), |named| waits(&named.waits))
            };
            rows.push(row(&cut(&format!("{word} {name}")), &cell));
        }
    }
    rows.extend([
        section("Starvation, overlap, fairness"),
        row("issues that starved", &|o| o.starved.len().to_string()),
        row("one issue overtaken at most by", &|o| o.overtaken_max.to_string()),
        row("by at most so many days younger", &|o| {
            o.furthest_overtaken.as_ref().map_or_else(|| "-".to_owned(), |overtaken| days(overtaken.younger_days))
        }),
        row("picks beside other agents' work", &|o| o.overlap.picks_beside_others.to_string()),
        row("of these in the same area", &|o| {
            format!("{} ({})", o.overlap.picks_overlapping, percent(o.overlap.share))
        }),
    ]);
    if outcomes.iter().any(|outcome| outcome.overlap.picks_with_known_files > 0) {
        let cell = |o: &Outcome| format!("{} of {}", o.overlap.picks_sharing_files, o.overlap.picks_with_known_files);
        rows.push(row("in truth on the same files", &cell));
    }
    let fairness = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.2}"));
    rows.extend([
        row("fairness between authors (1 is even)", &|o| fairness(o.fairness.between_authors)),
        row("fairness between labels", &|o| fairness(o.fairness.between_labels)),
    ]);
    if outcomes.iter().any(|outcome| outcome.fairness.between_repos.is_some()) {
        rows.push(row("fairness between repositories", &|o| fairness(o.fairness.between_repos)));
    }
    rows
}

fn starved(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    if outcome.starved.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{BAD}{} issues starved{BAD:#} under {}:", outcome.starved.len(), outcome.name)?;
    for starved in outcome.starved.iter().take(LISTED_COUNT) {
        let why = starved.skipped.as_ref().map_or_else(String::new, |why| format!("  skipped: {why}"));
        let (days, by) = (starved.days.round(), fate(starved));
        writeln!(f, "  {}  {days} days, {by}{why}  {DIM}{}{DIM:#}", starved.issue, cut(&starved.title))?;
    }
    more(f, outcome.starved.len())
}

/// What others got while it waited: another issue, or nothing.
fn fate(starved: &Starved) -> String {
    let Starved { overtaken, withheld, .. } = starved;
    match withheld {
        0 => format!("overtaken by {overtaken}"),
        _ => format!("overtaken by {overtaken}, and {withheld} times agents asked and got nothing"),
    }
}

fn skipped(f: &mut fmt::Formatter<'_>, outcome: &Outcome) -> fmt::Result {
    if outcome.skipped.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{BOLD}Not given out{BOLD:#} under {}, issues by reason:", outcome.name)?;
    for skipped in outcome.skipped.iter().take(LISTED_COUNT) {
        writeln!(f, "  {:>5}  {} ({} never picked)", skipped.issues, skipped.reason, skipped.never_picked)?;
    }
    more(f, outcome.skipped.len())
}

fn differing(f: &mut fmt::Formatter<'_>, changed: &Changed) -> fmt::Result {
    let (differing, picks, share) = (changed.differing, changed.picks, percent(changed.share));
    writeln!(
        f,
        "\n{BOLD}Changed picks{BOLD:#}: from the same state B would have picked another in {differing} of {picks} ({share})"
    )?;
    writeln!(f, "{} issues were picked in one of the two replays only", changed.picked_by_one_only)?;
    for pick in changed.first.iter().take(LISTED_COUNT) {
        let other = pick.other.as_deref().unwrap_or("nothing");
        writeln!(f, "  {} {}", pick.at.format("%Y-%m-%d"), pick.agent)?;
        writeln!(f, "    A  {}  {DIM}{}{DIM:#}", pick.picked, pick.why)?;
        writeln!(f, "    B  {other}  {DIM}{}{DIM:#}", pick.why_other)?;
    }
    more(f, changed.differing)
}

fn more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.saturating_sub(LISTED_COUNT) {
        0 => Ok(()),
        rest => writeln!(f, "  {DIM}and {rest} more: --json has them{DIM:#}"),
    }
}

fn waits(waits: &Waits) -> String {
    let still = if waits.still_waiting > 0 { format!(" ({})", waits.still_waiting) } else { String::new() };
    format!("{} | {} | {}{still}", days(waits.p50_days), days(waits.p95_days), days(waits.max_days))
}

/// Days with as many digits as say something.
pub(super) fn days(days: f64) -> String {
    if days >= 10.0 { format!("{days:.0}") } else { format!("{days:.1}") }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(NAME_WIDTH_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
