//! The table of routes: the router and the description of the API are both made from it, so neither
//! can know a route that the other does not.

use axum::http::Method;

use crate::api::Call;

/// One route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    pub(super) method: fn() -> Method,
    /// `{owner}`, `{repo}` and `{number}` stand for what their names say; every other part is the field
    /// of its name.
    pub(super) path: &'static str,
    pub(super) call: Call,
    /// The group in which people find it.
    pub(super) group: &'static str,
    pub(super) summary: &'static str,
}

macro_rules! routes {
    ($($group:literal { $($method:ident $path:literal $call:ident $summary:literal)+ })+) => {
        &[$($(Route {
            method: || Method::$method,
            path: $path,
            call: Call::$call,
            group: $group,
            summary: $summary,
        }),+),+]
    };
}

/// Every route that carries its fields to one call.
pub(super) const ROUTES: &[Route] = routes! {
    "Work" {
        POST "/api/next-work" NextWork "The next piece of work: review feedback to answer, or an issue to begin"
        POST "/api/next" Next "The next issue by the team's policy, exclusively the agent's"
        GET "/api/my-work" MyWork "Everything that an agent has in hand"
    }
    "Claims" {
        GET "/api/claims" Claims "Active claims, oldest first"
        POST "/api/claims" Claim "Claim one named issue"
        GET "/api/claims/history" ClaimHistory "Claims that ended, newest end first, a page at a time"
        PATCH "/api/claims/{claim_id}" Update "Report how far a claim has come; the present status renews it"
        DELETE "/api/claims/{claim_id}" Release "Give a claim back"
    }
    "Reasons" {
        GET "/api/explain" Explain "Why an issue was given out, or was not, and what it would take"
        GET "/api/decisions" Decisions "Recorded decisions in short, newest first"
        GET "/api/decisions/{decision_id}" Decision "One recorded decision: every candidate, and what the policy saw"
    }
    "Follow-ups" {
        GET "/api/followups" FollowUps "Active follow-ups, most urgent first"
        PATCH "/api/followups/{work_item_id}" UpdateFollowUp "Take a follow-up, or report how far it has come"
    }
    "Issues" {
        GET "/api/repos" Repos "Repositories that take part, by name"
        GET "/api/repos/{owner}/{repo}/issues" OpenIssues "Open issues that nobody holds"
        GET "/api/issues/{owner}/{repo}/{number}" IssueDetails "One issue with its comments"
    }
    "Policies" {
        GET "/api/policies/effective" PolicyEffective "What decides for a repository and an agent"
        GET "/api/policies/candidate" PolicyCandidate "How the trial of the candidate goes"
        GET "/api/policies/history" PolicyHistory "The sets of policies that were in force, newest first"
    }
    "Dispatch" {
        GET "/api/dispatch" DispatchStatus "How dispatch stands: slots, runs under way, what they use"
        GET "/api/dispatch/queue" DispatchQueue "Runs that wait, in the order in which they begin"
        POST "/api/dispatch/queue" DispatchQueue "Put a run at another place of the queue"
        GET "/api/dispatch/runs" DispatchRuns "Runs, oldest first"
        POST "/api/dispatch/runs" DispatchIssue "Work on an issue here"
        GET "/api/dispatch/runs/{run}" DispatchRun "One run, with its journal"
        DELETE "/api/dispatch/runs/{run}" DispatchCancel "End a run: what it began is undone"
        GET "/api/dispatch/runs/{run}/logs" DispatchLogs "What a run did, line by line; waits for news if asked to"
        POST "/api/dispatch/runs/{run}/answer" DispatchAnswer "Answer the question of a run"
        POST "/api/dispatch/pause" DispatchPause "Begin nothing more; what is under way goes on"
        POST "/api/dispatch/resume" DispatchResume "Begin work again"
        GET "/api/dispatch/config" DispatchConfig "The settings of dispatch"
        PATCH "/api/dispatch/config" DispatchConfig "Change one setting of dispatch, in issuecommand.toml"
        GET "/api/dispatch/repos" DispatchRepos "Repositories that let the dispatcher in"
        PATCH "/api/dispatch/repos" DispatchRepos "Let the dispatcher into a repository, or keep it out, by its topic"
    }
    "Operators" {
        POST "/api/admin/claims/{claim_id}/release" OperatorRelease "Take any claim back"
        POST "/api/admin/claims/{claim_id}/reassign" OperatorReassign "Give any claim to another agent"
        POST "/api/admin/issues/{owner}/{repo}/{number}/approve" OperatorApprove "Approve an issue as it reads now, or take that back"
        GET "/api/admin/tokens" TokenList "Access tokens, without the tokens themselves"
        POST "/api/admin/tokens" TokenCreate "Make an access token; the only answer that ever holds it"
        DELETE "/api/admin/tokens/{token_id}" TokenRevoke "End an access token at once"
        GET "/api/admin/policies/component" PolicyComponent "A component that was in force, piece by piece"
        POST "/api/admin/policies/audit" PolicyAudit "Note who said which ranker decides, or is on trial"
        GET "/api/admin/export" Export "Every claim, as an import takes them"
        POST "/api/admin/import" Import "Take in an export; what is here is never changed"
    }
    "Server" {
        GET "/api/health" Health "How the server is doing, and what works only in part"
    }
};
