//! `issuecommand policy candidate`: how its trial goes.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::claims::TrialReport;
use issuecommand::domain::Preference;
use serde::Deserialize;
use serde_json::Value;

use super::super::door::{DoorArgs, read};
use super::super::runtime;
use super::super::show::Format;
use super::super::table::{Table, long, text};

/// Disagreements that are printed unless somebody asks for more.
const SHOWN_COUNT: usize = 10;

#[derive(Debug, Args)]
pub struct CandidateArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// How many disagreements to print, newest first
    #[arg(long, value_name = "COUNT", default_value_t = SHOWN_COUNT)]
    limit: usize,
    #[command(flatten)]
    format: Format,
}

pub fn run(args: &CandidateArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async {
        let door = args.door.server()?;
        let mut answer = door.ask(Call::PolicyCandidate, Value::Null).await?;
        // Why there is none may be that it was refused, which is told with what is in force.
        let mut effective = door.ask(Call::PolicyEffective, Value::Null).await?;
        if effective["rejected"].is_string() {
            answer["rejected"] = effective["rejected"].take();
        }
        anyhow::Ok(answer)
    })?;
    let told: Told = read(&answer)?;
    args.format.show(&answer, || tell(&told, args.limit));
    Ok(ExitCode::SUCCESS)
}

/// What is told of the trial, and why there may be none.
#[derive(Debug, Deserialize)]
struct Told {
    #[serde(default)]
    trial: Option<TrialReport>,
    #[serde(default)]
    rejected: Option<String>,
}

fn tell(told: &Told, limit: usize) {
    match (&told.trial, &told.rejected) {
        (None, None) => say!("There is no candidate: set [policies.candidate] in issuecommand.toml."),
        (None, Some(_)) => say!("No candidate is on trial."),
        (Some(trial), _) => print(trial, limit),
    }
    if let Some(why) = &told.rejected {
        say!("The newest edit is not in force: {why}");
    }
}

fn print(trial: &TrialReport, limit: usize) {
    let TrialReport { candidate, is_well, counts, agreement, disagreements, .. } = trial;
    let digest = candidate.ranker.digest.get(..12).unwrap_or(&candidate.ranker.digest);
    let share = match candidate.mode.as_str() {
        "canary" => format!(" for {:.0} % of agents", candidate.share * 100.0),
        _ => String::new(),
    };
    say!("{}  {digest}  {}{share}", candidate.ranker.source, candidate.mode.as_str());
    if !is_well {
        say!(
            "It failed over and over and is left alone until the next edit; `issuecommand policy show` and the log say why."
        );
    }
    match agreement {
        Some(agreement) => {
            let compared = counts.agreed + counts.disagreed;
            say!("agreed on {} of {compared} requests ({:.1} %)", counts.agreed, agreement * 100.0);
        }
        None => say!("No request has been compared yet."),
    }
    let others = [
        (counts.undecided, "undecided: the other passed over all that it was shown"),
        (counts.failed, "failed"),
        (counts.dropped, "not looked at: too many came at once"),
    ];
    for (count, what) in others.into_iter().filter(|(count, _)| *count > 0) {
        say!("{count} {what}");
    }
    let mut table = Table::of([text("when"), text("agent"), text("picked"), long("would have picked")]);
    for it in disagreements.iter().take(limit) {
        let at = it.at.format("%Y-%m-%d %H:%M:%S").to_string();
        let by = if it.by_candidate { " by the candidate" } else { "" };
        let picked = told(it.picked.as_ref());
        table.row([at, it.agent_id.to_string(), format!("{picked}{by}"), told(it.would_have_picked.as_ref())]);
    }
    if !table.is_empty() {
        table.print();
    }
}

/// `acme/app#7 (12.5: tier +10)`, with the term that says most.
fn told(preference: Option<&Preference>) -> String {
    let Some(Preference { repo, number, score, reasons }) = preference else { return "nothing".to_owned() };
    let number = number.get();
    let most = reasons.iter().max_by(|a, b| a.amount.abs().total_cmp(&b.amount.abs()));
    match most.filter(|term| term.amount != 0.0) {
        Some(term) => format!("{repo}#{number} ({score}: {} {:+})", term.rule, term.amount),
        None => format!("{repo}#{number} ({score})"),
    }
}
