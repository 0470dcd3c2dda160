//! The calls there are, and the one way through them.

use std::sync::Arc;

use arc_swap::ArcSwap;
use serde_json::Value;

use super::{Answer, Failure, Fields, RateLimits, claims, issues};
use crate::claims::{ClaimManager, ManagerError};
use crate::config::Config;
use crate::domain::{AgentId, ClaimId};
use crate::github::SourceError;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The next issue, by policy.
    Next,
    /// The next work: feedback on a pull request, or the next issue.
    NextWork,
    /// One named issue.
    Claim,
    /// A claim has come so far.
    Update,
    /// A claim is given back.
    Release,
    /// The claims of the one who asks.
    MyClaims,
    /// Active claims.
    Claims,
    /// One claim, active or past.
    ClaimDetails,
    /// Claims that have ended.
    ClaimHistory,
    /// Feedback on pull requests that waits or is being answered.
    FollowUps,
    /// A follow-up has come so far.
    UpdateFollowUp,
    /// The claims and follow-ups of the one who asks.
    MyWork,
    /// Admitted repositories.
    Repos,
    /// Open, unclaimed issues of a repository.
    OpenIssues,
    /// One issue with its comments.
    IssueDetails,
    /// The recorded reasons of one pick.
    Decision,
    /// How the server is doing.
    Health,
}

/// What is known of the one who asks, besides the fields.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The agent that the connection or a header names: it stands in for an absent `agent_id`.
    pub agent: Option<AgentId>,
    /// How many issues to list when the fields do not say: what a model can read. `None`: all.
    pub list_count_default: Option<usize>,
}

/// The door's inside: the claim manager, and how much may be asked of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    manager: Arc<ClaimManager>,
    limits: Arc<ArcSwap<RateLimits>>,
}

impl Api {
    /// An API over `manager`, limited as `config` says.
    pub fn new(manager: Arc<ClaimManager>, config: &Config) -> Self {
        Self { manager, limits: Arc::new(ArcSwap::from_pointee(RateLimits::new(&config.rate_limits))) }
    }

    /// Puts a changed configuration in force. Buckets are kept unless their settings changed.
    pub fn apply(&self, config: &Config) {
        if *self.limits.load().config() != config.rate_limits {
            self.limits.store(Arc::new(RateLimits::new(&config.rate_limits)));
        }
    }

    /// The limits in force.
    pub fn limits(&self) -> Arc<RateLimits> {
        self.limits.load_full()
    }

    /// The claim manager, for what is no call: the stream of events.
    pub fn manager(&self) -> &ClaimManager {
        &self.manager
    }

    /// Answers one call. Failures of the server are logged here, once.
    pub async fn answer(&self, call: Call, caller: &Caller, mut fields: Fields) -> Answer {
        if let Err(no_such_claim) = self.write_out_claim_id(caller, &mut fields) {
            return no_such_claim;
        }
        if let Some(agent) = &caller.agent {
            self.manager.heard_from(agent);
        }
        let answer = match call {
            Call::Next => self.next(caller, fields).await,
            Call::NextWork => self.next_work(caller, fields).await,
            Call::Claim => self.claim(caller, fields).await,
            Call::Update => self.update(caller, fields).await,
            Call::Release => self.release(caller, fields).await,
            Call::MyClaims => self.my_claims(caller, fields).await,
            Call::Claims => claims::list(&self.manager, fields).await,
            Call::ClaimDetails => claims::details(&self.manager, fields).await,
            Call::ClaimHistory | Call::FollowUps | Call::UpdateFollowUp | Call::MyWork => Err(unsupported(call)),
            Call::Repos => issues::repos(&self.manager, fields).await,
            Call::OpenIssues => issues::open(&self.manager, caller, fields).await,
            Call::IssueDetails => issues::details(&self.manager, fields).await,
            Call::Decision => issues::decision(&self.manager, fields).await,
            Call::Health => issues::health(&self.manager, fields).await,
        };
        answer.unwrap_or_else(|failure| {
            failure.log();
            failure.into()
        })
    }

    /// Puts the whole id in the place of a short one, so that whoever reads the field finds one form.
    ///
    /// # Errors
    /// The answer, when no active claim bears it.
    fn write_out_claim_id(&self, caller: &Caller, fields: &mut Fields) -> Result<(), Answer> {
        let Some(short) = fields.get("claim_id").and_then(Value::as_str).map(str::trim) else { return Ok(()) };
        if !ClaimId::is_short(short) {
            return Ok(());
        }
        let named = fields.get("agent_id").and_then(Value::as_str).and_then(|name| name.parse().ok());
        let agent = named.or_else(|| caller.agent.clone());
        let Some(whole) = self.manager.claim_by_short_id(short, agent.as_ref()) else {
            return Err(claims::no_such_claim(short));
        };
        fields.insert("claim_id".into(), whole.to_string().into());
        Ok(())
    }

    /// Lets an agent's claim, update or release in, and notes that the agent was heard of.
    pub(super) fn admit_mutation(&self, agent: &AgentId) -> Result<(), Failure> {
        // Who asks too often is alive all the same.
        self.manager.heard_from(agent);
        Ok(self.limits.load().agent_mutation(agent)?)
    }
}

/// A call that is named, but not connected yet.
fn unsupported(call: Call) -> Failure {
    let why = "this version does not answer it yet".to_owned();
    ManagerError::Source(SourceError::Unsupported { what: format!("{call:?}"), why }).into()
}
