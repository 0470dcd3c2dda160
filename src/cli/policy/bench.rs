//! `issuecommand policy bench`: what a policy costs.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use issuecommand::authoring::{
    Measurement, PolicyKind, Specimen, SweepMeasurement, measure, measure_filter, measure_stale_rule, policies_of,
};
use issuecommand::config::PoliciesConfig;
use issuecommand::policy::PolicySet;
use serde_json::json;

use super::super::progress::Step;
use super::super::table::Table;
use super::{Target, host, patient, short};

/// The sizes that backlogs have.
const ISSUE_COUNTS: [u32; 3] = [1_000, 10_000, 100_000];
/// The sizes that sweeps have: live claims, or repositories.
const ROW_COUNTS: [u32; 3] = [100, 1_000, 10_000];

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    target: Target,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

/// What was measured of a component, as far as it is a policy of that kind.
#[derive(Default)]
struct Measured {
    ranker: Vec<Measurement>,
    stale_rule: Vec<SweepMeasurement>,
    repo_filter: Vec<SweepMeasurement>,
}

pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.target.choose()?;
    let kinds = Specimen::read(&chosen.file)?.kinds();
    let host = host()?;
    let measured = {
        let step = Step::begin("measuring");
        let set = policies_of(&host, &chosen.file, &chosen.settings, &patient(PoliciesConfig::default()))?;
        measured(&set, &kinds, &step)?
    };
    let Measured { ranker, stale_rule, repo_filter } = &measured;
    if args.json {
        let rows = |of: &[SweepMeasurement]| of.iter().map(sweep_row).collect::<Vec<_>>();
        let all = json!({
            "file": chosen.file, "measured": ranker.iter().map(row).collect::<Vec<_>>(),
            "stale_rule": rows(stale_rule), "repo_filter": rows(repo_filter),
        });
        say!("{all}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("{}, in milliseconds of one processor:", short(&chosen.file));
    if !ranker.is_empty() {
        print_ranker(ranker);
    }
    if !stale_rule.is_empty() {
        print_sweep("claims", "assess all", stale_rule);
        say!("The server asks about all live claims every leases.sweep_seconds; no agent waits for it.");
    }
    if !repo_filter.is_empty() {
        print_sweep("repositories", "exclude all", repo_filter);
        say!("The server asks when repositories or the filter change; no agent waits for it.");
    }
    Ok(ExitCode::SUCCESS)
}

fn measured(set: &PolicySet, kinds: &[PolicyKind], step: &Step) -> anyhow::Result<Measured> {
    let mut measured = Measured::default();
    if kinds.contains(&PolicyKind::Ranker) {
        for count in ISSUE_COUNTS {
            step.say(&format!("{count} issues"));
            measured.ranker.push(measure(&set.ranker, count)?);
        }
    }
    for count in ROW_COUNTS {
        step.say(&format!("{count} rows"));
        if kinds.contains(&PolicyKind::StaleRule) {
            measured.stale_rule.push(measure_stale_rule(&set.stale_rule, count)?);
        }
        if kinds.contains(&PolicyKind::RepoFilter) {
            measured.repo_filter.push(measure_filter(&set.repo_filter, count)?);
        }
    }
    Ok(measured)
}

fn print_ranker(measured: &[Measurement]) {
    let head = ["issues", "score all", "per 1,000", "score 10", "choose of 32", "explain of 32", "memory"];
    let mut table = Table::of_numbers(&head);
    for it in measured {
        let ms = [it.score, per_thousand(it), it.score_ten, it.choose, it.explain].map(in_ms);
        let memory = format!("{} MiB", it.memory_bytes >> 20);
        table.row([it.issue_count.to_string()].into_iter().chain(ms).chain([memory]));
    }
    table.print();
    say!("The server scores changed issues only, off the request path; choose and explain are waited for.");
}

fn print_sweep(rows: &str, call: &str, measured: &[SweepMeasurement]) {
    let mut table = Table::of_numbers(&[rows, call, "per 1,000"]);
    for it in measured {
        table.row([it.row_count.to_string(), in_ms(it.call), in_ms(it.call * 1000 / it.row_count)]);
    }
    table.print();
}

fn per_thousand(it: &Measurement) -> Duration {
    it.score * 1000 / it.issue_count
}

fn in_ms(took: Duration) -> String {
    format!("{:.3}", took.as_secs_f64() * 1000.0)
}

fn row(it: &Measurement) -> serde_json::Value {
    let micros = |took: Duration| took.as_micros() as u64;
    json!({
        "issues": it.issue_count, "score_us": micros(it.score), "score_per_1000_us": micros(per_thousand(it)),
        "score_ten_us": micros(it.score_ten), "choose_us": micros(it.choose), "explain_us": micros(it.explain),
        "memory_bytes": it.memory_bytes,
    })
}

fn sweep_row(it: &SweepMeasurement) -> serde_json::Value {
    json!({ "rows": it.row_count, "call_us": it.call.as_micros() as u64 })
}
