//! `issuecommand policy explain`: why an issue was given out, or was not, as a table; and the last decision.

use std::fmt::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::bail;
use clap::Args;
use issuecommand::api::Call;
use issuecommand::claims::{DecisionSummary, Explanation, IssueStanding, nth, points};
use issuecommand::domain::{AgentId, Decision, IssueRef, PolicyStamp, Reason, Timestamp, in_one_line};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::door::{Door, DoorArgs};
use crate::cli::runtime;

/// Why there will never be a decision to look at.
pub const NOT_RECORDING: &str = "decisions are not recorded: store.decision_max_entries is 0";
/// Widest bar, in characters.
const BAR_WIDTH: usize = 30;
/// Candidates of a decision that are told; `--json` has all.
const CANDIDATE_COUNT: usize = 12;
/// Digits of a digest that tell it from others.
const DIGEST_DIGIT_COUNT: usize = 12;

const BOLD: Style = Style::new().bold();
const SOFT: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const MARK: Style = AnsiColor::Yellow.on_default();

#[derive(Debug, Args)]
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
    /// Print it as JSON, for programs
    #[arg(long)]
    json: bool,
}

pub fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open_existing().await?;
        let (answer, field) = match &args.issue {
            Some(issue) => {
                let fields = json!({ "repo": issue.repo, "issue_number": issue.number, "agent_id": args.agent });
                (door.ask(Call::Explain, fields).await?, "explanation")
            }
            None => (last(&door, args.agent.as_ref()).await?, "decision"),
        };
        let found = &answer[field];
        if args.json {
            anstream::println!("{found:#}");
        } else if field == "decision" {
            anstream::print!("{}", decision_told(&Decision::deserialize(found)?));
        } else {
            anstream::print!("{}", issue_told(&Explanation::deserialize(found)?));
        }
        Ok(ExitCode::SUCCESS)
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
        told.push_str(&terms_told(&explanation.reasons, score));
    }
    if explanation.skip_reasons.len() > 1 {
        _ = writeln!(told, "\n{SOFT}every reason for which it is skipped{SOFT:#}");
        for reason in &explanation.skip_reasons {
            _ = writeln!(told, "  {}", in_one_line(reason));
        }
    }
    if !explanation.first.is_empty() {
        _ = writeln!(told, "\n{SOFT}first of {} on offer{SOFT:#}", explanation.ready_count);
        let rows = explanation.first.iter().enumerate().map(|(index, rival)| {
            let own = rival.repo == issue.repo && rival.number == issue.number;
            let name = format!("{}#{}", rival.repo, rival.number);
            ([format!("{}.", index + 1), name, points(rival.score), in_one_line(&rival.title)], own)
        });
        told.push_str(&aligned(&rows.collect::<Vec<_>>(), [Side::Right, Side::Left, Side::Right, Side::Left]));
    }
    if let Some(decision) = &explanation.given_out {
        _ = writeln!(told, "\n{SOFT}last given out{SOFT:#}");
        told.push_str(&summary_told(decision));
    }
    if !explanation.not_chosen.is_empty() {
        _ = writeln!(told, "\n{SOFT}considered, and not given out{SOFT:#}");
        let rows = explanation.not_chosen.iter().map(|not| {
            let why = match (&not.passed_over, not.place) {
                (Some(reason), _) => in_one_line(reason),
                (None, Some(place)) => format!("{} in the policy's order", nth(place)),
                (None, None) => String::new(),
            };
            let got = not.decision.chosen.as_deref().unwrap_or("nothing");
            let who = format!("{} got {got}", not.decision.agent_id);
            ([minute(not.decision.decided_at), who, points(not.score), why], false)
        });
        told.push_str(&aligned(&rows.collect::<Vec<_>>(), [Side::Left, Side::Left, Side::Right, Side::Left]));
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
    let rows = decision.considered.iter().enumerate().take(CANDIDATE_COUNT).map(|(index, row)| {
        let (place, why) = match &row.passed_over {
            Some(reason) => ("-".to_owned(), format!("passed over: {}", in_one_line(reason))),
            None if row.reasons.is_empty() => (format!("{}.", index + 1), String::new()),
            None => (format!("{}.", index + 1), in_one_line(&row.why())),
        };
        let issue = row.issue().to_string();
        let own = chosen == Some(issue.as_str());
        ([place, issue, points(row.score), why], own)
    });
    told.push_str(&aligned(&rows.collect::<Vec<_>>(), [Side::Right, Side::Left, Side::Right, Side::Left]));
    if summary.considered_count > CANDIDATE_COUNT {
        _ = writeln!(told, "{SOFT}and {} more; --json tells all{SOFT:#}", summary.considered_count - CANDIDATE_COUNT);
    }
    told
}

/// The terms of a score, each with a bar.
fn terms_told(reasons: &[Reason], score: f64) -> String {
    let widest = reasons.iter().map(|reason| reason.amount.abs()).fold(0.0, f64::max);
    let mut lines: Vec<[String; 4]> = Vec::new();
    for reason in reasons {
        let share = if widest > 0.0 { reason.amount.abs() / widest } else { 0.0 };
        // At most BAR_WIDTH, so the cast loses nothing but the fraction.
        let bar = "█".repeat((share * BAR_WIDTH as f64).round() as usize);
        lines.push([in_one_line(&reason.rule), signed(reason.amount), in_one_line(&reason.text), bar]);
    }
    let mut rows: Vec<_> = lines.into_iter().map(|line| (line, false)).collect();
    rows.push((["score".into(), points(score), String::new(), String::new()], true));
    aligned(&rows, [Side::Left, Side::Right, Side::Left, Side::Left])
}

fn summary_told(decision: &DecisionSummary) -> String {
    let got = decision.chosen.as_deref().unwrap_or("nothing");
    format!("  {}  {} got {got}: {}\n", minute(decision.decided_at), decision.agent_id, in_one_line(&decision.why))
}

/// At which side of its column a text stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

/// Rows in columns; those that are marked stand out.
fn aligned(rows: &[([String; 4], bool)], sides: [Side; 4]) -> String {
    let mut widths = [0; 4];
    for (cells, _) in rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut told = String::new();
    for (cells, is_marked) in rows {
        let padded = cells.iter().zip(widths).zip(sides).map(|((cell, width), side)| match side {
            Side::Left => format!("{cell:<width$}"),
            Side::Right => format!("{cell:>width$}"),
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        let style = if *is_marked { BOLD } else { Style::new() };
        _ = writeln!(told, "  {style}{}{style:#}", line.trim_end());
    }
    told
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
        let told = terms_told(&[reason("tier", 10.0, "label p0"), reason("aging", -2.5, "")], 7.5);
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
