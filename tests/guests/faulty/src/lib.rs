//! A policy of all three kinds that misbehaves on demand. Its settings say what it does (`do`), in which
//! function (`at`), and from which present on (`from`, in milliseconds since the Unix epoch).

wit_bindgen::generate!({
    path: "wit",
    inline: "
        package stranger:faulty;
        world everything {
            include issuecommand:policy/ranker-with-work-order@0.1.0;
            include issuecommand:policy/stale-rule-policy@0.1.0;
            include issuecommand:policy/repo-filter-policy@0.1.0;
        }
    ",
    world: "stranger:faulty/everything",
    generate_all,
});

use std::cell::RefCell;
use std::hint::black_box;

use exports::issuecommand::policy::{ranker, repo_filter, stale_rule};
use issuecommand::policy::types::Exclusion;
use issuecommand::policy::{candidates, claims, log, repositories, request};

thread_local! {
    static SETTINGS: RefCell<String> = const { RefCell::new(String::new()) };
}

struct Faulty;

export!(Faulty);

/// The value of `key` in a flat JSON object, without quotes; empty if absent.
fn setting(key: &str) -> String {
    SETTINGS.with_borrow(|settings| {
        let Some((_, rest)) = settings.split_once(&format!("\"{key}\":")) else { return String::new() };
        rest.split([',', '}']).next().unwrap_or_default().trim_matches('"').to_string()
    })
}

/// The fault that is due in this function at this time; empty for none.
fn fault(at: &str, now: u64) -> String {
    let due = setting("at") == at && now >= setting("from").parse().unwrap_or(0);
    if due { setting("do") } else { String::new() }
}

fn recurse(depth: u64) -> u64 {
    if black_box(depth) == u64::MAX { 0 } else { recurse(depth + 1) + black_box(depth) }
}

/// Reaches for what this server may not offer; tests put a body here.
fn probe() {}

/// Faults that need no part of the answer.
fn misbehave(fault: &str) -> Result<(), String> {
    match fault {
        "loop" => loop {
            black_box(0);
        },
        "panic" => panic!("the issue tracker is full of bees"),
        "trap" => std::process::abort(),
        "recurse" => {
            black_box(recurse(0));
        }
        "allocate" => loop {
            std::mem::forget(black_box(vec![1u8; 1 << 20]));
        },
        "leak" => std::mem::forget(black_box(vec![1u8; 1 << 20])),
        "log_flood" => (0..10_000).for_each(|n| log::write(log::Level::Info, &format!("line {n}"))),
        "log_controls" => log::write(log::Level::Warn, &format!("red\u{1b}[31m\nforged line {}", "x".repeat(5_000))),
        "log_huge" => log::write(log::Level::Info, &"x".repeat(1 << 20)),
        "fact_bytes" => (0..900).for_each(|_| drop(black_box(candidates::titles()))),
        "fact_calls" => (0..10_000_000).for_each(|_| {
            black_box(candidates::count());
        }),
        "refuse" => return Err("I will not\nrank on a Sunday".into()),
        "refuse_huge" => return Err("x".repeat(1 << 20)),
        "probe" => probe(),
        _ => {}
    }
    Ok(())
}

fn skip(row: u32, reason: impl Into<String>) -> Exclusion {
    Exclusion { row, reason: reason.into() }
}

/// The exclusions that a fault asks for.
fn exclusions(fault: &str, rows: u32) -> Vec<Exclusion> {
    match fault {
        _ if rows == 0 => Vec::new(),
        "skip_last" => vec![skip(rows - 1, "not this one")],
        "skip_unknown" => vec![skip(rows, "who?")],
        "skip_twice" => vec![skip(0, "once"), skip(0, "twice")],
        "skip_long" => vec![skip(0, "long\n".repeat(1_000))],
        "skip_huge" => vec![skip(0, "x".repeat(1 << 20))],
        _ => Vec::new(),
    }
}

impl ranker::Guest for Faulty {
    fn settings_schema() -> String {
        "{}".into()
    }

    fn configure(settings: String) -> Result<(), String> {
        SETTINGS.set(settings);
        std::panic::set_hook(Box::new(|info| log::write(log::Level::Error, &info.to_string())));
        misbehave(&fault("configure", 0))
    }

    /// By comments; holds for an hour.
    fn score(now: u64) -> Result<ranker::Scores, String> {
        let fault = fault("score", now);
        misbehave(&fault)?;
        let rows = candidates::count();
        let mut values: Vec<f64> = candidates::comment_counts().into_iter().map(f64::from).collect();
        let mut valid_until = vec![now + 3_600_000; values.len()];
        match fault.as_str() {
            "nan" => values.iter_mut().take(1).for_each(|value| *value = f64::NAN),
            "infinite" => values.iter_mut().take(1).for_each(|value| *value = f64::INFINITY),
            "short" => drop(values.pop()),
            "lapsed" => valid_until.fill(0),
            "for_ever" => valid_until.fill(u64::MAX),
            "silent" => (values, valid_until) = (Vec::new(), Vec::new()),
            _ => {}
        }
        Ok(ranker::Scores { values, valid_until, skipped: exclusions(&fault, rows) })
    }

    /// Turns the list round, but names only its second half.
    fn choose(now: u64) -> Result<ranker::Choice, String> {
        let fault = fault("choose", now);
        misbehave(&fault)?;
        let rows = candidates::count();
        let order = match fault.as_str() {
            "unknown_row" => vec![rows],
            "twice" if rows > 0 => vec![0, 0],
            _ => (rows / 2..rows).rev().collect(),
        };
        Ok(ranker::Choice { order, skipped: exclusions(&fault, rows) })
    }

    /// Tells everything it sees.
    fn explain(now: u64) -> Result<Vec<Vec<ranker::Reason>>, String> {
        let fault = fault("explain", now);
        misbehave(&fault)?;
        let (scores, numbers, titles) = (candidates::scores(), candidates::numbers(), candidates::titles());
        let (repos, labels, milestones) = (candidates::repos(), candidates::labels(), candidates::milestones());
        let (authors, ties, assignees) =
            (candidates::authors(), candidates::author_associations(), candidates::assignees());
        let (reactions, comments) = (candidates::reaction_counts(), candidates::comment_counts());
        let (created, updated) = (candidates::created_at(), candidates::updated_at());
        let name = |column: &issuecommand::policy::types::TextColumn, row: usize| {
            column.names[column.ids[row] as usize].clone()
        };
        let list = |table: &issuecommand::policy::types::LabelTable, row: usize| {
            let ids = &table.ids[table.starts[row] as usize..table.starts[row + 1] as usize];
            ids.iter().map(|id| table.names[*id as usize].as_str()).collect::<Vec<_>>().join("+")
        };
        let reason = |row: usize| ranker::Reason {
            rule: format!("{}#{}", name(&repos, row), numbers[row]),
            amount: if fault == "nan" { f64::NAN } else { scores[row] },
            text: [
                titles[row].clone(),
                list(&labels, row),
                list(&assignees, row),
                name(&milestones, row),
                name(&authors, row),
                name(&ties, row),
                comments[row].to_string(),
                reactions[row].to_string(),
                created[row].to_string(),
                updated[row].to_string(),
                format!("{}{}", request::agent(), request::agent_claim_count()),
                format!("{:?}{:?}", request::agent_claim_repos(), request::repo_claim_counts()),
            ]
            .join("|"),
        };
        let rows = if fault == "short" { 0..numbers.len().saturating_sub(1) } else { 0..numbers.len() };
        Ok(rows.map(|row| vec![reason(row)]).collect())
    }
}

/// What a ranker may leave out; a test does.
#[cfg(all())]
mod work_order {
    use super::exports::issuecommand::policy::work_order as wit;
    use super::issuecommand::policy::{follow_ups, request};
    use super::{Faulty, exclusions, fault, misbehave, skip};

    impl wit::Guest for Faulty {
        /// Turns the feedback round; what is not from a claim of the agent waits for the issues.
        fn choose_work(now: u64) -> Result<wit::WorkChoice, String> {
            let fault = fault("choose-work", now);
            misbehave(&fault)?;
            let rows = follow_ups::count();
            let own = follow_ups::from_own_claim();
            let mut choice = wit::WorkChoice {
                order: (0..rows).rev().collect(),
                after_issues: (0..rows).filter(|row| !own[*row as usize]).collect(),
                skipped: exclusions(&fault, rows),
            };
            match fault.as_str() {
                "trap_alone" if rows == 1 => misbehave("trap")?,
                "unknown_row" => choice.order = vec![rows],
                "twice" => choice.order = vec![0, 0],
                "unknown_row_after" => choice.after_issues = vec![rows],
                "twice_after" => choice.after_issues = vec![0, 0],
                "tell" => choice.skipped = (0..rows).map(|row| skip(row, told(row as usize))).collect(),
                _ => {}
            }
            Ok(choice)
        }
    }

    /// Everything that is to be seen of a row.
    fn told(row: usize) -> String {
        let (repos, kinds, logins) = (follow_ups::repos(), follow_ups::kinds(), follow_ups::requested_by());
        let name = |column: &super::issuecommand::policy::types::TextColumn| {
            column.names[column.ids[row] as usize].clone()
        };
        [
            format!("{}#{}", name(&repos), follow_ups::numbers()[row]),
            name(&kinds),
            name(&logins),
            follow_ups::from_own_claim()[row].to_string(),
            follow_ups::created_at()[row].to_string(),
            follow_ups::pushed()[row].to_string(),
            format!("{}{}{:?}", request::agent(), request::agent_claim_count(), request::agent_claim_repos()),
        ]
        .join("|")
    }
}

impl stale_rule::Guest for Faulty {
    fn settings_schema() -> String {
        "{}".into()
    }

    fn configure(settings: String) -> Result<(), String> {
        <Self as ranker::Guest>::configure(settings)
    }

    /// Stale after a day of silence; released when the owner is called `gone`.
    fn assess(now: u64) -> Result<Vec<stale_rule::Verdict>, String> {
        let fault = fault("assess", now);
        misbehave(&fault)?;
        let (agents, statuses, calls) = (claims::agents(), claims::statuses(), claims::last_call_at());
        let verdict = |row: usize| match agents.names[agents.ids[row] as usize].as_str() {
            "gone" => stale_rule::Verdict::Release,
            _ if statuses.names[statuses.ids[row] as usize] == "pr_submitted" => stale_rule::Verdict::Waiting,
            _ if now - calls[row] > 86_400_000 => stale_rule::Verdict::Stale,
            _ => stale_rule::Verdict::Healthy,
        };
        let mut verdicts: Vec<_> = (0..calls.len()).map(verdict).collect();
        if fault == "short" {
            verdicts.pop();
        }
        Ok(verdicts)
    }
}

impl repo_filter::Guest for Faulty {
    fn settings_schema() -> String {
        "{}".into()
    }

    fn configure(settings: String) -> Result<(), String> {
        <Self as ranker::Guest>::configure(settings)
    }

    /// Leaves forks and archives out.
    fn exclude() -> Result<Vec<Exclusion>, String> {
        let names = repositories::names();
        // There is no time here: faults wait for a repository that the server's trial does not have.
        let fault =
            if names.iter().any(|name| name == "acme/trigger") { fault("exclude", u64::MAX) } else { String::new() };
        misbehave(&fault)?;
        let (forks, archived) = (repositories::forks(), repositories::archived());
        let why = |row: usize| match (forks[row], archived[row]) {
            (true, _) => Some(skip(row as u32, format!("{} is a fork", names[row]))),
            (_, true) => Some(skip(row as u32, format!("{} is archived", names[row]))),
            _ => None,
        };
        let mut excluded: Vec<Exclusion> = (0..names.len()).filter_map(why).collect();
        excluded.extend(exclusions(&fault, names.len() as u32));
        Ok(excluded)
    }
}
