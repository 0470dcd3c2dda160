//! `issuecommand agents`: who works, and who asked and got nothing.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use issuecommand::api::{Call, DECISION_COUNT_MAX};
use issuecommand::claims::DecisionSummary;
use issuecommand::domain::{AgentId, Claim, ClaimStatus, Clock, FollowUp, SystemClock, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::claims::Claims;
use super::door::{Door, DoorArgs, read};
use super::runtime;
use super::show::{BAD, Format, span};
use super::table::{Cell, Table, number, place, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand agents
  issuecommand agents --json | jq -r '.agents[] | select(.claims == 0).agent_id'     who is idle

An agent is told if it holds anything, or asked for work within the newest recorded decisions.")]
pub struct AgentsArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Deserialize)]
struct FollowUps {
    followups: Vec<FollowUp>,
}

#[derive(Debug, Deserialize)]
struct Decisions {
    decisions: Vec<DecisionSummary>,
}

/// One agent, by what it holds and what it got last.
#[derive(Debug, Serialize)]
struct Agent {
    agent_id: AgentId,
    claims: usize,
    stale_claims: usize,
    followups: usize,
    /// Of the claim that it has held for the longest.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_since: Option<Timestamp>,
    /// When it last asked for work.
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_at: Option<Timestamp>,
    /// What it got then; absent for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    got: Option<String>,
}

impl Agent {
    fn named(agent_id: AgentId) -> Self {
        let (claims, stale_claims, followups, held_since, asked_at, got) = Default::default();
        Self { agent_id, claims, stale_claims, followups, held_since, asked_at, got }
    }

    fn holds(&mut self, claim: &Claim) {
        self.claims += 1;
        self.stale_claims += usize::from(claim.status() == ClaimStatus::Stale);
        let since = self.held_since.unwrap_or(claim.claimed_at);
        self.held_since = Some(since.min(claim.claimed_at));
    }
}

pub fn run(args: &AgentsArgs) -> anyhow::Result<ExitCode> {
    let agents = runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        present(&door).await
    })?;
    args.format.show(&json!({ "agents": agents }), || tell(&agents));
    Ok(ExitCode::SUCCESS)
}

/// Every agent that there is a sign of, by name.
async fn present(door: &Door) -> anyhow::Result<Vec<Agent>> {
    let Claims { claims } = door.ask_for(Call::Claims, Value::Null).await?;
    let FollowUps { followups } = door.ask_for(Call::FollowUps, Value::Null).await?;
    let newest = door.ask(Call::Decisions, json!({ "limit": DECISION_COUNT_MAX })).await?;
    let Decisions { decisions } = read(&newest)?;
    let mut agents = BTreeMap::new();
    let mut agent = |agent_id: &AgentId, note: &dyn Fn(&mut Agent)| {
        note(agents.entry(agent_id.clone()).or_insert_with(|| Agent::named(agent_id.clone())));
    };
    for claim in &claims {
        agent(&claim.agent_id, &|agent| agent.holds(claim));
    }
    for holder in followups.iter().filter_map(FollowUp::holder) {
        agent(holder, &|agent| agent.followups += 1);
    }
    // Oldest first: the newest has the last word.
    for decision in decisions.iter().rev() {
        agent(&decision.agent_id, &|agent| {
            agent.asked_at = Some(decision.decided_at);
            agent.got.clone_from(&decision.chosen);
        });
    }
    Ok(agents.into_values().collect())
}

fn tell(agents: &[Agent]) {
    if agents.is_empty() {
        return tell!("no agent holds anything, and none has asked");
    }
    let now = SystemClock.now();
    let since = |at: Option<Timestamp>| at.map_or_else(String::new, |at| span(now - at));
    let columns = ["claims", "stale", "reviews", "longest", "asked"].map(number);
    let mut table = Table::of([text("agent")].into_iter().chain(columns).chain([place("got")]));
    for agent in agents {
        let stale = match agent.stale_claims {
            0 => Cell::from("0"),
            count => Cell::styled(&count.to_string(), BAD),
        };
        let got = agent.asked_at.map_or("", |_| agent.got.as_deref().unwrap_or("nothing"));
        table.row([
            Cell::from(agent.agent_id.as_str()),
            agent.claims.to_string().into(),
            stale,
            agent.followups.to_string().into(),
            since(agent.held_since).into(),
            since(agent.asked_at).into(),
            got.into(),
        ]);
    }
    table.print();
}
