//! Who asks: whose credential a request carries, for which agent it speaks, and how much it may ask.

use super::{Call, Failure, Fields, Principal};
use crate::claims::ClaimManager;
use crate::domain::{AccessScope, AccessToken, AgentId, Timestamp, looks_like_token};

/// Whose credential a request carries, and what that lets it do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Whose credential it is.
    pub principal: Principal,
    /// How much it may ask.
    pub scope: AccessScope,
    /// The agent it speaks for; `None` where it may name any.
    pub agent: Option<AgentId>,
    /// What events call it: never the credential itself.
    pub name: String,
    /// When it is over, whatever becomes of the credential: a person's session in a browser.
    pub until: Option<Timestamp>,
}

impl Identity {
    /// A program of this machine, where nothing asks for a key: standard input, a private socket, or
    /// loopback without `API_KEY`. It may do everything.
    pub fn local() -> Self {
        Self { principal: Principal::Local, scope: AccessScope::Admin, agent: None, name: "local".into(), until: None }
    }

    /// The holder of the server's key, who may do everything.
    pub fn of_key() -> Self {
        Self { principal: Principal::Key, scope: AccessScope::Admin, agent: None, name: "api key".into(), until: None }
    }

    /// The holder of the access token `sent`; `None` when there never was such a token.
    ///
    /// # Errors
    /// [`Failure::TokenEnded`] when it was revoked or has expired.
    pub fn of_token(manager: &ClaimManager, sent: &str) -> Result<Option<Self>, Failure> {
        if !looks_like_token(sent) {
            return Ok(None);
        }
        manager.token(sent).map(|token| Self::with(token, manager.now())).transpose()
    }

    /// The holder of `token`, at `now`.
    ///
    /// # Errors
    /// [`Failure::TokenEnded`] when it was revoked or has expired.
    pub(crate) fn with(token: AccessToken, now: Timestamp) -> Result<Self, Failure> {
        if let Some(end) = token.end_at(now) {
            return Err(Failure::TokenEnded(end));
        }
        let name = match &token.label {
            Some(label) => format!("token {} ({label})", token.token_id),
            None => format!("token {}", token.token_id),
        };
        let principal = Principal::Token(token.token_id);
        Ok(Self { principal, scope: token.scope, agent: token.agent_id, name, until: None })
    }

    /// Whether its credential still opens anything: for what goes on long after it was shown, as a
    /// stream does.
    pub fn still_holds(&self, manager: &ClaimManager) -> bool {
        if self.until.is_some_and(|until| manager.now() >= until) {
            return false;
        }
        match self.principal {
            Principal::Token(token_id) => manager.is_live(token_id),
            Principal::Local | Principal::Key => true,
        }
    }

    /// The agent that a call speaks for, `named` being what the connection or a header says.
    ///
    /// # Errors
    /// [`Failure::AgentForbidden`] when that is another than the credential's own.
    pub fn speaks_for(&self, named: Option<&AgentId>) -> Result<Option<AgentId>, Failure> {
        match (&self.agent, named) {
            (Some(own), Some(named)) if own != named => {
                Err(Failure::AgentForbidden { own: own.clone(), named: named.clone() })
            }
            (Some(own), _) => Ok(Some(own.clone())),
            (None, named) => Ok(named.cloned()),
        }
    }

    /// Whether the identity may ask `call` with these fields.
    ///
    /// # Errors
    /// What forbids it.
    pub(super) fn admit(&self, call: Call, fields: &Fields) -> Result<(), Failure> {
        let needs = call.scope_with(fields);
        if self.scope < needs {
            return Err(Failure::ScopeTooNarrow { has: self.scope, needs });
        }
        if call.names_another() {
            return Ok(());
        }
        // What is no agent's name at all is refused with the other fields.
        let named = fields.get("agent_id").and_then(|value| value.as_str()?.parse().ok());
        self.speaks_for(named.as_ref()).map(drop)
    }
}

impl Call {
    /// The fields with which a call that shows something changes it.
    pub(crate) fn changing_fields(self) -> &'static [&'static str] {
        match self {
            Self::DispatchQueue => &["run", "place"],
            Self::DispatchConfig => &["value"],
            Self::DispatchRepos => &["add", "remove"],
            _ => &[],
        }
    }

    /// The narrowest scope that may ask it with these fields: some calls show, and change what they are told to.
    fn scope_with(self, fields: &Fields) -> AccessScope {
        let changes = self.changing_fields().iter().any(|name| fields.contains_key(*name));
        if changes { AccessScope::Admin } else { self.scope() }
    }

    /// The narrowest scope that may ask it.
    pub fn scope(self) -> AccessScope {
        match self {
            Self::MyClaims
            | Self::Claims
            | Self::ClaimDetails
            | Self::ClaimHistory
            | Self::FollowUps
            | Self::MyWork
            | Self::Repos
            | Self::OpenIssues
            | Self::IssueDetails
            | Self::Explain
            | Self::Decisions
            | Self::Decision
            | Self::PolicyEffective
            | Self::PolicyCandidate
            | Self::PolicyHistory
            | Self::DispatchStatus
            | Self::DispatchQueue
            | Self::DispatchRuns
            | Self::DispatchRun
            | Self::DispatchLogs
            | Self::DispatchConfig
            | Self::DispatchRepos
            | Self::Health => AccessScope::Read,
            Self::Next | Self::NextWork | Self::Claim | Self::Update | Self::Release | Self::UpdateFollowUp => {
                AccessScope::Claim
            }
            Self::DispatchIssue
            | Self::DispatchCancel
            | Self::DispatchAnswer
            | Self::DispatchPause
            | Self::DispatchResume
            | Self::OperatorRelease
            | Self::OperatorReassign
            | Self::OperatorApprove
            | Self::TokenCreate
            | Self::TokenList
            | Self::TokenRevoke
            | Self::Export
            | Self::PolicyComponent
            | Self::PolicyAudit
            | Self::Import => AccessScope::Admin,
        }
    }

    /// Whether its `agent_id` is somebody else than the one who asks: a filter, a new owner.
    fn names_another(self) -> bool {
        matches!(
            self,
            Self::Claims
                | Self::ClaimHistory
                | Self::Explain
                | Self::Decisions
                | Self::OperatorReassign
                | Self::TokenCreate
                | Self::PolicyEffective
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn identity(scope: AccessScope, agent: Option<&str>) -> Identity {
        Identity { scope, agent: agent.map(|name| name.parse().unwrap()), ..Identity::local() }
    }

    fn refused(identity: &Identity, call: Call, agent_id: &str) -> bool {
        let fields = json!({ "agent_id": agent_id }).as_object().unwrap().clone();
        identity.admit(call, &fields).is_err()
    }

    #[test]
    fn each_scope_opens_its_own_calls_and_those_of_the_narrower_ones() {
        let calls = [(Call::Claims, 0), (Call::Next, 1), (Call::OperatorApprove, 2), (Call::TokenList, 2)];
        for (call, needs) in calls {
            for (width, scope) in AccessScope::ALL.into_iter().enumerate() {
                assert_eq!(refused(&identity(scope, None), call, "a"), width < needs, "{call:?} with {scope}");
            }
        }
    }

    #[test]
    fn a_bound_identity_acts_as_its_own_agent_only_and_may_look_at_others() {
        let bound = identity(AccessScope::Admin, Some("a"));
        for call in [Call::Next, Call::Claim, Call::Update, Call::Release, Call::MyClaims] {
            assert!(!refused(&bound, call, "a") && !refused(&bound, call, " a ") && !refused(&bound, call, ""));
            assert!(refused(&bound, call, "b"), "{call:?}");
        }
        for call in [Call::Claims, Call::Explain, Call::Decisions, Call::OperatorReassign, Call::TokenCreate] {
            assert!(!refused(&bound, call, "b"), "{call:?}");
        }
        assert!(!refused(&identity(AccessScope::Claim, None), Call::Next, "b"), "bound to nobody");
    }

    #[test]
    fn the_agent_of_a_connection_must_be_the_credentials_own() {
        let a: AgentId = "a".parse().unwrap();
        let b: AgentId = "b".parse().unwrap();
        let bound = identity(AccessScope::Claim, Some("a"));
        assert_eq!(bound.speaks_for(None).unwrap(), Some(a.clone()));
        assert_eq!(bound.speaks_for(Some(&a)).unwrap(), Some(a.clone()));
        assert!(bound.speaks_for(Some(&b)).is_err());
        assert_eq!(identity(AccessScope::Claim, None).speaks_for(Some(&b)).unwrap(), Some(b));
    }
}
