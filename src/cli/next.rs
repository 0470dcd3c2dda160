//! `issuecommand next` and `claim`: work for an agent, by the team's policy or by its number.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{
    AgentId, Claim, Clock, FollowUp, Issue, IssueRef, RepoName, RequestId, SystemClock, in_one_line,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::door::{DoorArgs, read};
use super::refused::refusal;
use super::show::{BOLD, Format, print_json, span};
use super::table::Table;
use super::{HELD_BY_ANOTHER, NOTHING_TO_DO, output, runtime, serve};

/// Who asks.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The agent's name [default: ISSUECOMMAND_AGENT_ID, else the agent that the token is of]
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
}

impl AgentArgs {
    /// The name, if one was given.
    fn name(&self) -> anyhow::Result<Option<AgentId>> {
        self.agent.clone().map_or_else(serve::agent_of_client, |agent| Ok(Some(agent)))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand next --agent alice
  issuecommand next --agent alice --repo acme/webshop --label bug
  issuecommand next --agent alice --json | jq -r .claim.issue_number

The issue is the agent's alone until it is released or its lease lapses; a heartbeat, or any
other call of the agent, renews the lease. Whoever asks again gets the next one.

Exit codes: 0 there is one, 3 there is nothing to do now, 1 anything else.")]
pub struct NextArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    agent: AgentArgs,
    /// Only from this repository
    #[arg(long, value_name = "OWNER/REPO")]
    repo: Option<RepoName>,
    /// Only with this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only of this milestone
    #[arg(long, value_name = "TITLE")]
    milestone: Option<String>,
    /// What the agent can do, for policies that ask: short words, separated by commas
    #[arg(long, value_name = "SKILLS")]
    skills: Option<String>,
    /// Asked again with the same id, it gets the same claim
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
    /// Review feedback too, where the policy puts it first
    #[arg(long)]
    work: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand claim acme/webshop#7 --agent alice
  issuecommand claim acme/webshop#7 --agent alice --json | jq -r .claim.claim_id

Exit codes: 0 it is the agent's (also if it was before), 4 another agent holds it, 1 anything else.")]
pub struct ClaimArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which, as in owner/repo#7
    #[arg(value_name = "ISSUE")]
    issue: IssueRef,
    #[command(flatten)]
    agent: AgentArgs,
    /// Asked again with the same id, it gets the same claim
    #[arg(long, value_name = "ID")]
    request_id: Option<RequestId>,
    #[command(flatten)]
    format: Format,
}

pub fn next(args: &NextArgs) -> anyhow::Result<ExitCode> {
    let agent = args.agent.name()?;
    let fields = json!({
        "agent_id": agent, "repo": args.repo, "label": args.label, "milestone": args.milestone,
        "skills": args.skills, "request_id": args.request_id,
    });
    let call = if args.work { Call::NextWork } else { Call::Next };
    take(&args.door, call, fields, args.format)
}

pub fn claim(args: &ClaimArgs) -> anyhow::Result<ExitCode> {
    let IssueRef { repo, number } = &args.issue;
    let fields = json!({
        "agent_id": args.agent.name()?, "repo": repo, "issue_number": number, "request_id": args.request_id,
    });
    take(&args.door, Call::Claim, fields, args.format)
}

/// What is taken.
#[derive(Debug, Deserialize)]
struct Taken {
    #[serde(default)]
    idempotent: bool,
    #[serde(default)]
    claim: Option<Claim>,
    #[serde(default)]
    issue: Option<Issue>,
    #[serde(default)]
    work_item: Option<FollowUp>,
    #[serde(default)]
    why: Option<String>,
    #[serde(default)]
    notice: Option<String>,
}

impl Taken {
    /// In one line, for who could not be told more.
    fn in_short(&self) -> String {
        match (&self.claim, &self.work_item) {
            (Some(claim), _) => {
                format!("{} is held by {}, `issuecommand claims` shows it", claim.issue_ref(), claim.agent_id)
            }
            (None, Some(item)) => {
                let holder = item.holder().map_or("its agent", AgentId::as_str);
                format!("follow-up {} on {}#{} is held by {holder}", item.work_item_id, item.repo, item.pr_number)
            }
            (None, None) => "nothing was given out".to_owned(),
        }
    }
}

fn take(door: &DoorArgs, call: Call, fields: Value, format: Format) -> anyhow::Result<ExitCode> {
    let is_named = !fields["agent_id"].is_null();
    let (status, answer) = runtime()?.block_on(async { door.server()?.answer(call, fields).await })?;
    if format.json {
        print_json(&answer);
    }
    let reason = answer["reason"].as_str().unwrap_or_default();
    let told = |field: &str| in_one_line(answer[field].as_str().unwrap_or_default());
    match (status, reason) {
        (200, _) => {
            let taken: Taken = read(&answer)?;
            if !format.json {
                tell(&taken);
            }
            output::check().with_context(|| taken.in_short())?;
            Ok(ExitCode::SUCCESS)
        }
        // The counts come with "nothing", not with a wish that makes no sense.
        (409, "invalid_issue") if answer["counts"].is_object() => {
            let retry = answer["retry_after_seconds"].as_i64().map(chrono::TimeDelta::seconds);
            let retry = retry.map(|after| format!("; ask again in {}", span(after))).unwrap_or_default();
            tell!("nothing to do: {}{retry}", told("why"));
            Ok(NOTHING_TO_DO.into())
        }
        (409, "already_claimed") => {
            tell!("{}", told("message"));
            Ok(HELD_BY_ANOTHER.into())
        }
        (400, _) if !is_named && told("message").contains("agent_id") => {
            bail!("say which agent asks: --agent NAME, or ISSUECOMMAND_AGENT_ID")
        }
        _ => Err(refusal(call, status, &answer)),
    }
}

fn tell(taken: &Taken) {
    let mut facts = Table::of_facts();
    let (head, title) = match (&taken.claim, &taken.work_item) {
        (Some(claim), _) => {
            let left = span(claim.lease.expires_at - SystemClock.now());
            let again = if taken.idempotent { ", as before" } else { "" };
            let status = format!("{} by {}{again}; lapses in {left} without a call", claim.status(), claim.agent_id);
            facts.row(["claim", &claim.claim_id.to_string()]);
            facts.row(["status", &status]);
            (claim.issue_ref().to_string(), claim.issue_title.as_str())
        }
        (None, Some(item)) => {
            facts.row(["follow-up", &item.work_item_id.to_string()]);
            facts.row(["asked for", &item.summary]);
            facts.row(["page", &item.pr_url]);
            (format!("{}#{}", item.repo, item.pr_number), item.pr_title.as_str())
        }
        (None, None) => (String::new(), ""),
    };
    for (name, text) in [
        ("why", taken.why.as_deref()),
        ("labels", taken.claim.as_ref().map(|claim| claim.issue_labels.join(", ")).as_deref()),
        ("page", taken.issue.as_ref().map(|issue| issue.url.as_str())),
        ("notice", taken.notice.as_deref()),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            facts.row([name, text]);
        }
    }
    say!("{BOLD}{head}{BOLD:#}  {}", in_one_line(title));
    facts.print();
}
