//! What the live view shows: a server's claims and how it is doing, as of one moment.

use std::cmp::Reverse;

use issuecommand::api::Call;
use issuecommand::domain::{AgentId, Claim, ClaimStatus, Clock, IssueRef, SystemClock, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::claims::Claims;
use super::super::door::Door;
use super::super::health::Health;

/// Claims that ended of which the last steps are told.
const PAST_COUNT: usize = 20;
/// Steps that are told.
const STEP_COUNT_MAX: usize = 50;

/// A server, as it was at one moment.
#[derive(Debug)]
pub struct Picture {
    pub at: Timestamp,
    pub health: Health,
    /// Oldest first.
    pub claims: Vec<Claim>,
    /// What happened to claims, newest first.
    pub steps: Vec<Step>,
}

/// A claim came to a status.
#[derive(Debug, PartialEq)]
pub struct Step {
    pub at: Timestamp,
    pub agent: AgentId,
    pub issue: IssueRef,
    pub status: ClaimStatus,
    pub note: String,
}

#[derive(Debug, Deserialize)]
struct Past {
    items: Vec<Claim>,
}

impl Picture {
    /// Asks the server.
    ///
    /// # Errors
    /// When it does not answer, or says no.
    pub async fn of(door: &Door) -> anyhow::Result<Self> {
        let health = Health::of(&door.ask(Call::Health, Value::Null).await?)?;
        let Claims { claims } = door.ask_for(Call::Claims, Value::Null).await?;
        let Past { items } = door.ask_for(Call::ClaimHistory, json!({ "limit": PAST_COUNT })).await?;
        Ok(Self { at: SystemClock.now(), health, steps: steps(claims.iter().chain(&items)), claims })
    }
}

/// The last steps of these claims.
fn steps<'c>(claims: impl Iterator<Item = &'c Claim>) -> Vec<Step> {
    let of = |claim: &'c Claim| {
        claim.status_history().iter().map(|entry| Step {
            at: entry.timestamp,
            agent: claim.agent_id.clone(),
            issue: claim.issue_ref(),
            status: entry.status,
            note: entry.note.clone().unwrap_or_default(),
        })
    };
    let mut steps: Vec<Step> = claims.flat_map(of).collect();
    steps.sort_by_key(|step| Reverse(step.at));
    steps.truncate(STEP_COUNT_MAX);
    steps
}
