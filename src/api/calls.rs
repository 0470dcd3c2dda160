//! The calls there are, and the one way through them.

use std::sync::Arc;
use std::time::Instant;

use arc_swap::ArcSwap;
use serde_json::Value;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

use super::{
    Answer, Failure, Fields, Identity, RateLimits, claims, dispatch, explain, follow_ups, issues, operator, policies,
};
use crate::claims::{ClaimManager, HealthState, ManagerError};
use crate::config::Config;
use crate::dispatch::{Dispatcher, RunCounts};
use crate::domain::{AccessScope, AgentId, ClaimId, Skills};
use crate::metrics::metrics;
use crate::telemetry::TARGET;

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// The next issue, by policy.
    Next,
    /// The next piece of work: feedback to answer, or an issue by policy.
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
    /// Why one issue was given out, or was not, and what it would take.
    Explain,
    /// Recorded decisions.
    Decisions,
    /// One recorded decision.
    Decision,
    /// How the server is doing.
    Health,
    /// What decides for a repository and an agent.
    PolicyEffective,
    /// How a candidate's trial goes.
    PolicyCandidate,
    /// The sets of policies that were in force.
    PolicyHistory,
    /// A component that was in force, piece by piece.
    PolicyComponent,
    /// Somebody has said which ranker is in force, or on trial.
    PolicyAudit,
    /// How dispatch stands.
    DispatchStatus,
    /// An issue is to be worked on here.
    DispatchIssue,
    /// The queue of runs; one may be put at another place.
    DispatchQueue,
    /// Runs.
    DispatchRuns,
    /// One run.
    DispatchRun,
    /// A run is ended.
    DispatchCancel,
    /// The question of a run is answered.
    DispatchAnswer,
    /// Nothing more is begun.
    DispatchPause,
    /// Work is begun again.
    DispatchResume,
    /// What a run did, line by line.
    DispatchLogs,
    /// The settings of dispatch; one may be changed.
    DispatchConfig,
    /// The repositories that let the dispatcher in; one may be added or removed.
    DispatchRepos,
    /// Any claim is taken back.
    OperatorRelease,
    /// Any claim is given to another agent.
    OperatorReassign,
    /// An issue is approved as it reads, or its approval taken back.
    OperatorApprove,
    /// An access token is made.
    TokenCreate,
    /// The access tokens there are.
    TokenList,
    /// An access token is ended.
    TokenRevoke,
    /// Every claim that is kept.
    Export,
    /// Claims from elsewhere are taken in.
    Import,
}

impl Call {
    /// As in the names of its tools: `next_work` for `NextWork`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_ascii_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }

    /// Whether an agent makes it for itself: then it hears of its claims with the answer.
    fn is_an_agents_own(self) -> bool {
        matches!(
            self,
            Self::Next
                | Self::NextWork
                | Self::Claim
                | Self::Update
                | Self::Release
                | Self::MyClaims
                | Self::MyWork
                | Self::UpdateFollowUp
        )
    }

    /// Whether it asks why, which takes the policies and all that is known, and changes nothing.
    pub fn is_of_reasons(self) -> bool {
        matches!(self, Self::Explain | Self::Decisions | Self::Decision)
    }

    /// Whether it only looks at claims, repositories and issues, which a store that nobody serves tells as well.
    pub fn is_of_kept_claims(self) -> bool {
        matches!(self, Self::Claims | Self::ClaimHistory | Self::FollowUps | Self::Repos | Self::OpenIssues)
    }

    /// Whether it is about runs in a way that needs no server which works on them: a look at what is kept, or a word
    /// for the next one that starts.
    pub fn is_of_kept_runs(self) -> bool {
        matches!(
            self,
            Self::DispatchStatus
                | Self::DispatchQueue
                | Self::DispatchRuns
                | Self::DispatchRun
                | Self::DispatchLogs
                | Self::DispatchPause
                | Self::DispatchResume
        )
    }

    /// Whether it is for servers that work on runs, and reaches them through the database too.
    pub fn is_word_to_runs(self) -> bool {
        matches!(self, Self::DispatchIssue | Self::DispatchCancel | Self::DispatchAnswer)
    }

    /// Whether only a server that works on runs can answer it.
    pub(super) fn is_of_work(self) -> bool {
        matches!(
            self,
            Self::DispatchIssue
                | Self::DispatchCancel
                | Self::DispatchAnswer
                | Self::DispatchConfig
                | Self::DispatchRepos
        )
    }
}

/// The agent that a call is of: the one it names, or the one it comes from. Only who may claim for an agent hears
/// what is told to it.
fn agent_of(caller: &Caller, fields: &Fields) -> Option<AgentId> {
    let named = fields.get("agent_id").and_then(Value::as_str).and_then(|name| name.parse().ok());
    named.or_else(|| caller.agent.clone()).filter(|_| caller.identity.scope >= AccessScope::Claim)
}

/// What is known of the one who asks, besides the fields.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose credential the request carries.
    pub identity: Identity,
    /// The agent that the connection or a header names: it stands in for an absent `agent_id`.
    pub agent: Option<AgentId>,
    /// What that agent can do, as the connection or a header says: stands in for absent `skills`.
    pub skills: Skills,
    /// How many issues to list when the fields do not say: what a model can read. `None`: all.
    pub list_count_default: Option<usize>,
}

/// The door's inside: the claim manager, and how much may be asked of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api {
    manager: Arc<ClaimManager>,
    limits: Arc<ArcSwap<RateLimits>>,
    /// What works on issues here; a server at rest has none.
    dispatcher: Option<Arc<Dispatcher>>,
}

impl Api {
    /// An API over `manager`, limited as `config` says.
    pub fn new(manager: Arc<ClaimManager>, config: &Config) -> Self {
        Self {
            manager,
            limits: Arc::new(ArcSwap::from_pointee(RateLimits::new(&config.rate_limits))),
            dispatcher: None,
        }
    }

    /// How the server is, in a word.
    pub fn health_state(&self) -> HealthState {
        self.manager.health().state
    }

    /// How many runs there are, and slots; `None` without a dispatcher, or while the store fails.
    pub async fn run_counts(&self) -> Option<RunCounts> {
        self.dispatcher.as_ref()?.counts().await.ok()
    }

    /// How many other servers there are of this database; `None` where nobody knows.
    pub async fn other_server_count(&self) -> Option<usize> {
        self.dispatcher.as_ref()?.count_others().await.ok()
    }

    /// The same, with what works on issues.
    #[must_use]
    pub fn with_dispatcher(self, dispatcher: Arc<Dispatcher>) -> Self {
        Self { dispatcher: Some(dispatcher), ..self }
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

    /// Has the dispatcher look for news.
    pub(super) fn wake_dispatcher(&self) {
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.wake();
        }
    }

    /// Answers one call. Failures of the server are logged here, once.
    pub async fn answer(&self, call: Call, caller: &Caller, fields: Fields) -> Answer {
        let begun = Instant::now();
        let span = info_span!(
            target: TARGET, "call", otel.name = %call.name(), call.status = Empty, otel.status_code = Empty
        );
        let answer = self.answer_untimed(call, caller, fields).instrument(span.clone()).await;
        span.record("call.status", i64::from(answer.status));
        if answer.status >= 500 {
            span.record("otel.status_code", "ERROR");
        }
        metrics().call_answered(call, answer.status, begun.elapsed());
        answer
    }

    async fn answer_untimed(&self, call: Call, caller: &Caller, mut fields: Fields) -> Answer {
        if let Err(no_such_claim) = self.write_out_claim_id(caller, &mut fields).await {
            return no_such_claim;
        }
        let caller = match self.admit(call, caller, &fields) {
            Ok(caller) => caller,
            Err(failure) => return failure.told(),
        };
        let agent = call.is_an_agents_own().then(|| agent_of(&caller, &fields)).flatten();
        match self.perform(call, &caller, fields).await {
            Ok(answer) => self.with_notice(agent, answer).await,
            Err(failure) => {
                if matches!(failure, Failure::Manager(ManagerError::Store(_))) {
                    self.manager.note_unwell("the store failed");
                }
                failure.told()
            }
        }
    }

    /// The same answer, with what the agent is to be told of its claims since its last call, if anything.
    async fn with_notice(&self, agent: Option<AgentId>, answer: Answer) -> Answer {
        let Some(told) = agent.and_then(|agent| self.manager.notice_for(&agent)) else { return answer };
        let answer = answer.with("notice", told.line());
        self.manager.told(told).await;
        answer
    }

    /// Lets a call in, or says what forbids it. The caller goes on as the agent that it speaks for, which
    /// is heard of by any call, except of somebody who may only look.
    pub(super) fn admit(&self, call: Call, caller: &Caller, fields: &Fields) -> Result<Caller, Failure> {
        let agent = caller.identity.speaks_for(caller.agent.as_ref())?;
        caller.identity.admit(call, fields)?;
        let caller = Caller { agent, ..caller.clone() };
        if let Some(agent) = &caller.agent {
            self.hear(&caller, agent);
        }
        Ok(caller)
    }

    /// Notes that an agent was heard of.
    pub(super) fn hear(&self, caller: &Caller, agent: &AgentId) {
        if caller.identity.scope >= AccessScope::Claim {
            self.manager.heard_from(agent);
        }
    }

    async fn perform(&self, call: Call, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        match call {
            Call::Next => self.next(caller, fields).await,
            Call::NextWork => self.next_work(caller, fields).await,
            Call::Claim => self.claim(caller, fields).await,
            Call::Update => self.update(caller, fields).await,
            Call::Release => self.release(caller, fields).await,
            Call::MyClaims => self.my_claims(caller, fields).await,
            Call::Claims => claims::list(&self.manager, fields).await,
            Call::ClaimDetails => claims::details(&self.manager, fields).await,
            Call::ClaimHistory => operator::history(&self.manager, fields).await,
            Call::MyWork => self.my_work(caller, fields).await,
            Call::FollowUps => follow_ups::list(&self.manager, fields),
            Call::UpdateFollowUp => self.update_follow_up(caller, fields).await,
            Call::Repos => issues::repos(&self.manager, fields).await,
            Call::OpenIssues => issues::open(&self.manager, caller, fields).await,
            Call::IssueDetails => issues::details(&self.manager, fields).await,
            Call::Explain => explain::issue(&self.manager, caller, fields).await,
            Call::Decisions => explain::decisions(&self.manager, fields).await,
            Call::Decision => explain::decision(&self.manager, fields).await,
            Call::Health => issues::health(&self.manager, fields).await,
            Call::PolicyEffective => policies::effective(&self.manager, fields),
            Call::PolicyCandidate => policies::candidate(&self.manager, fields).await,
            Call::DispatchStatus
            | Call::DispatchIssue
            | Call::DispatchQueue
            | Call::DispatchRuns
            | Call::DispatchRun
            | Call::DispatchCancel
            | Call::DispatchAnswer
            | Call::DispatchPause
            | Call::DispatchResume
            | Call::DispatchLogs
            | Call::DispatchConfig
            | Call::DispatchRepos => match &self.dispatcher {
                Some(hub) => dispatch::perform(hub, call, caller, fields).await,
                None => Ok(dispatch::nobody_works()),
            },
            Call::PolicyHistory
            | Call::PolicyComponent
            | Call::PolicyAudit
            | Call::OperatorRelease
            | Call::OperatorReassign
            | Call::OperatorApprove
            | Call::TokenCreate
            | Call::TokenList
            | Call::TokenRevoke
            | Call::Export
            | Call::Import => operator::perform(&self.manager.operations(), call, &caller.identity.name, fields).await,
        }
    }

    /// Puts the whole id in the place of a short one, so that whoever reads the field finds one form.
    ///
    /// # Errors
    /// The answer, when no claim bears it that could be meant.
    async fn write_out_claim_id(&self, caller: &Caller, fields: &mut Fields) -> Result<(), Answer> {
        let Some(short) = fields.get("claim_id").and_then(Value::as_str).map(str::trim) else { return Ok(()) };
        if !ClaimId::is_short(short) {
            return Ok(());
        }
        let named = fields.get("agent_id").and_then(Value::as_str).and_then(|name| name.parse().ok());
        let agent = named.or_else(|| caller.agent.clone());
        let whole = match self.manager.claim_by_short_id(short, agent.as_ref()).await {
            Ok(found) => found.ok_or_else(|| claims::no_such_claim(short))?,
            Err(error) => return Err(Failure::from(error).told()),
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
