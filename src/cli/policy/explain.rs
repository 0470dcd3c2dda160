//! `issuecommand policy explain`: why an issue was given out, or was not, as a table; and the last decision.

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::Style;
use anyhow::bail;
use clap::Args;
use issuecommand::api::Call;
use issuecommand::claims::{DecisionSummary, Explanation, IssueStanding, nth, points};
use issuecommand::domain::{AgentId, Decision, IssueRef, PolicyStamp, Reason, Timestamp, in_one_line};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::door::{Door, DoorArgs};
use crate::cli::show::{BAD, BOLD, Format, GOOD, MARK, SOFT, print_json};
use crate::cli::table::{Table, long, number, text};
use crate::cli::{output, runtime};

/// Why there will never be a decision to look at.
pub const NOT_RECORDING: &str = "decisions are not recorded: store.decision_max_entries is 0";
/// Widest bar, in characters.
const BAR_WIDTH: usize = 30;
/// Candidates of a decision that are told; `--json` has all.
const CANDIDATE_COUNT: usize = 12;
/// Digits of a digest that tell it from others.
const DIGEST_DIGIT_COUNT: usize = 12;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand explain acme/webshop#7 --agent alice     why it is hers next, or is not
  issuecommand explain --last                           the last pick, or why there was nothing

Exit codes: 0 it is explained, 1 there is no such issue here or its repository takes no part, or it failed.

`issuecommand explain` and `issuecommand policy explain` are the same.")]
pub struct ExplainArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which issue, as in owner/repo#7
    #[arg(value_name = "ISSUE", required_unless_present = "last", conflicts_with = "last")]
    issue: Option<IssueRef>,
    /// The last decision instead: what was given out, or why nothing was
    #[arg(long)]
    last: bool,
    /// For this agent
    #[arg(long, value_name = "AGENT")]
    agent: Option<AgentId>,
    #[command(flatten)]
    format: Format,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let (answer, field) = match &args.issue {
            Some(issue) => {
                let fields = json!({ "repo": issue.repo, "issue_number": issue.number, "agent_id": args.agent });
                (door.ask(Call::Explain, fields).await?, "explanation")
            }
            None => (last(&door, args.agent.as_ref()).await?, "decision"),
        };
        let found = &answer[field];
        let explanation = (field == "explanation").then(|| Explanation::deserialize(found)).transpose()?;
        match &explanation {
            _ if args.format.json => print_json(found),
            Some(explanation) => output::print(issue_told(explanation)),
            None => output::print(decision_told(&Decision::deserialize(found)?)),
        }
        let is_unknown = |it: Explanation| matches!(it.standing, IssueStanding::Unknown | IssueStanding::NotAdmitted);
        let is_known = !explanation.is_some_and(is_unknown);
        Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// The newest decision, whole.
async fn last(door: &Door, agent: Option<&AgentId>) -> anyhow::Result<Value> {
    let newest = door.ask(Call::Decisions, json!({ "agent_id": agent, "limit": 1 })).await?;
    match newest["decisions"][0]["decision_id"].as_str() {
        Some(decision_id) => door.ask(Call::Decision, json!({ "decision_id": decision_id })).await,
        None if newest["is_recording"] == false => bail!(NOT_RECORDING),
        None => match agent {
            Some(agent) => bail!("no decision about {agent} is recorded"),
            None => bail!("no decision is recorded yet"),
        },
    }
}

/// An explanation as people read it.
fn issue_told(explanation: &Explanation) -> String {
    let mut told = String::new();
    let issue = IssueRef::new(explanation.repo.clone(), explanation.number);
    let title = explanation.title.as_deref().map(|title| format!(" {}", in_one_line(title))).unwrap_or_default();
    let style = match explanation.standing {
        IssueStanding::OnOffer => GOOD,
        IssueStanding::Held | IssueStanding::Unscored | IssueStanding::NotReadYet => MARK,
        _ => BAD,
    };
    _ = writeln!(told, "{BOLD}{issue}{BOLD:#}{title}");
    _ = writeln!(told, "{style}{}{style:#}", in_one_line(&explanation.why));
    _ = writeln!(told, "{SOFT}{}{SOFT:#}", stamp_told(&explanation.ranker));
    if let Some(why) = &explanation.rejected {
        _ = writeln!(
            told,
            "{MARK}the configured policy was refused, and {}: {}{MARK:#}",
            explanation.instead(),
            in_one_line(why.lines().next().unwrap_or_default())
        );
    }
    if let Some(score) = explanation.score {
        _ = writeln!(told);
        told.push_str(&terms_told(&explanation.reasons, score).fitted());
    }
    if explanation.skip_reasons.len() > 1 {
        _ = writeln!(told, "\n{SOFT}every reason for which it is skipped{SOFT:#}");
        for reason in &explanation.skip_reasons {
            _ = writeln!(told, "  {}", in_one_line(reason));
        }
    }
    if !explanation.first.is_empty() {
        _ = writeln!(told, "\n{SOFT}first of {} on offer{SOFT:#}", explanation.ready_count);
        let mut table = Table::of([number(""), text(""), number(""), long("")]);
        for (index, rival) in explanation.first.iter().enumerate() {
            let is_own = rival.repo == issue.repo && rival.number == issue.number;
            let name = format!("{}#{}", rival.repo, rival.number);
            let place = format!("{}.", index + 1);
            table.marked_row(mark(is_own), [place, name, points(rival.score), rival.title.to_string()]);
        }
        told.push_str(&table.fitted());
    }
    if let Some(decision) = &explanation.given_out {
        _ = writeln!(told, "\n{SOFT}last given out{SOFT:#}");
        told.push_str(&summary_told(decision));
    }
    if !explanation.not_chosen.is_empty() {
        _ = writeln!(told, "\n{SOFT}considered, and not given out{SOFT:#}");
        let mut table = Table::of([text(""), text(""), number(""), long("")]);
        for not in &explanation.not_chosen {
            let why = match (&not.passed_over, not.place) {
                (Some(reason), _) => reason.clone(),
                (None, Some(place)) => format!("{} in the policy's order", nth(place)),
                (None, None) => String::new(),
            };
            let got = not.decision.chosen.as_deref().unwrap_or("nothing");
            let who = format!("{} got {got}", not.decision.agent_id);
            table.row([minute(not.decision.decided_at), who, points(not.score), why]);
        }
        told.push_str(&table.fitted());
    }
    told
}

/// A recorded decision as people read it.
fn decision_told(decision: &Decision) -> String {
    let mut told = String::new();
    let summary = DecisionSummary::of(decision);
    let chosen = decision.chosen.as_deref();
    let style = if chosen.is_some() { GOOD } else { MARK };
    _ = writeln!(told, "{BOLD}{} got {}{BOLD:#}", decision.agent_id, chosen.unwrap_or("nothing"));
    _ = writeln!(told, "{style}{}{style:#}", in_one_line(&summary.why));
    _ = writeln!(told, "{SOFT}{}, {}{SOFT:#}", minute(decision.decided_at), stamp_told(&decision.ranker));
    if decision.considered.is_empty() {
        return told;
    }
    _ = writeln!(told, "\n{SOFT}{} considered{SOFT:#}", summary.considered_count);
    let mut table = Table::of([number(""), text(""), number(""), long("")]);
    for (index, row) in decision.considered.iter().enumerate().take(CANDIDATE_COUNT) {
        let (place, why) = match &row.passed_over {
            Some(reason) => ("-".to_owned(), format!("passed over: {reason}")),
            None if row.reasons.is_empty() => (format!("{}.", index + 1), String::new()),
            None => (format!("{}.", index + 1), row.why()),
        };
        let issue = row.issue().to_string();
        let is_own = chosen == Some(issue.as_str());
        table.marked_row(mark(is_own), [place, issue, points(row.score), why]);
    }
    told.push_str(&table.fitted());
    if summary.considered_count > CANDIDATE_COUNT {
        _ = writeln!(told, "{SOFT}and {} more; --json tells all{SOFT:#}", summary.considered_count - CANDIDATE_COUNT);
    }
    told
}

/// The terms of a score, each with a bar.
fn terms_told(reasons: &[Reason], score: f64) -> Table {
    let widest = reasons.iter().map(|reason| reason.amount.abs()).fold(0.0, f64::max);
    let mut table = Table::of([text(""), number(""), text(""), long("")]);
    for reason in reasons {
        let share = if widest > 0.0 { reason.amount.abs() / widest } else { 0.0 };
        // At most BAR_WIDTH, so the cast loses nothing but the fraction.
        let bar = "█".repeat((share * BAR_WIDTH as f64).round() as usize);
        table.row([reason.rule.clone(), signed(reason.amount), reason.text.clone(), bar]);
    }
    table.marked_row(BOLD, ["score", &points(score)]);
    table
}

fn summary_told(decision: &DecisionSummary) -> String {
    let got = decision.chosen.as_deref().unwrap_or("nothing");
    format!("  {}  {} got {got}: {}\n", minute(decision.decided_at), decision.agent_id, in_one_line(&decision.why))
}

/// The style of a row: one that is marked stands out.
fn mark(is_marked: bool) -> Style {
    if is_marked { BOLD } else { Style::new() }
}

fn stamp_told(stamp: &PolicyStamp) -> String {
    let short = |digest: &str| digest.get(..DIGEST_DIGIT_COUNT).unwrap_or(digest).to_owned();
    format!("under {} {}, settings {}", in_one_line(&stamp.source), short(&stamp.digest), short(&stamp.settings_digest))
}

fn signed(amount: f64) -> String {
    let text = points(amount);
    if amount > 0.0 { format!("+{text}") } else { text }
}

fn minute(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_stand_in_columns_with_bars_in_proportion() {
        let reason = |rule: &str, amount, text: &str| Reason { rule: rule.into(), amount, text: text.into() };
        let told = terms_told(&[reason("tier", 10.0, "label p0"), reason("aging", -2.5, "")], 7.5).to_string();
        let told = anstream::adapter::strip_str(&told).to_string();
        let bar = |width: usize| "█".repeat(width);
        let lines = [
            format!("  tier    +10  label p0  {}", bar(30)),
            format!("  aging  -2.5            {}", bar(8)),
            "  score   7.5".to_owned(),
        ];
        assert_eq!(told, lines.map(|line| line + "\n").concat());
    }
}
