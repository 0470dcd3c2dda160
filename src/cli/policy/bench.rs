//! `issuecommand policy bench`: what a ranker costs.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use issuecommand::authoring::{Measurement, PolicyKind, Specimen, measure, ranker_of};
use issuecommand::config::PoliciesConfig;
use serde_json::json;

use super::progress::Step;
use super::table::Table;
use super::{Target, host, patient, short};

/// The sizes that backlogs have.
const ISSUE_COUNTS: [u32; 3] = [1_000, 10_000, 100_000];

#[derive(Debug, Args)]
pub struct BenchArgs {
    #[command(flatten)]
    target: Target,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.target.choose()?;
    if !Specimen::read(&chosen.file)?.kinds().contains(&PolicyKind::Ranker) {
        bail!("{} is no ranker: only rankers are measured", chosen.file.display());
    }
    let host = host()?;
    let mut measured: Vec<Measurement> = Vec::new();
    {
        let step = Step::begin("measuring");
        let ranker = ranker_of(&host, &chosen.file, &chosen.settings, &patient(PoliciesConfig::default()))?;
        for count in ISSUE_COUNTS {
            step.say(&format!("{count} issues"));
            measured.push(measure(&ranker, count)?);
        }
    }
    if args.json {
        anstream::println!(
            "{}",
            json!({ "file": chosen.file, "measured": measured.iter().map(row).collect::<Vec<_>>() })
        );
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!("{}, in milliseconds of one processor:", short(&chosen.file));
    let head = ["issues", "score all", "per 1,000", "score 10", "choose of 32", "explain of 32", "memory"];
    let mut table = Table::of_numbers(&head);
    for it in &measured {
        let ms = [it.score, per_thousand(it), it.score_ten, it.choose, it.explain].map(in_ms);
        let memory = format!("{} MiB", it.memory_bytes >> 20);
        table.row([it.issue_count.to_string()].into_iter().chain(ms).chain([memory]));
    }
    anstream::print!("{table}");
    anstream::println!(
        "The server scores changed issues only, off the request path; choose and explain are waited for."
    );
    Ok(ExitCode::SUCCESS)
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
