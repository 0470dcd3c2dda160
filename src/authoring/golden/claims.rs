//! Cases of live claims: how a stale rule says that they are doing.

use std::fmt;

use serde::Deserialize;

use super::case::{Case, IssueName, default_repo, default_status};
use super::facts;
use super::moment::Moment;
use super::verdict::{AnswerRow, Played};
use crate::authoring::live;
use crate::domain::{
    AgentId, CiSignal, Claim, ClaimSignals, ClaimStatus, ContainerSignal, IssueRef, PullSignal, ReviewSignal, Timestamp,
};
use crate::policy::{LiveClaim, PolicySet, Verdict};

/// A live claim of a case, and what is known of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimCase {
    #[serde(default = "default_repo")]
    repo: String,
    number: u64,
    #[serde(default = "default_agent")]
    agent: String,
    #[serde(default = "default_status")]
    status: ClaimStatus,
    /// When it was granted.
    #[serde(default)]
    claimed: Moment,
    /// When it entered its status; when it was granted, if left out.
    since: Option<Moment>,
    /// When its owner last called; when it entered its status, if left out.
    last_call: Option<Moment>,
    last_commit: Option<Moment>,
    last_push: Option<Moment>,
    #[serde(default)]
    pull: PullSignal,
    #[serde(default)]
    review: ReviewSignal,
    #[serde(default)]
    ci: CiSignal,
    #[serde(default)]
    container: ContainerSignal,
}

/// A verdict, as cases write it: by the word that policies use, or by that of people who watch agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum VerdictWord {
    Healthy,
    #[serde(alias = "waiting-on-human")]
    Waiting,
    #[serde(alias = "suspect")]
    Stale,
    #[serde(alias = "dead")]
    Release,
}

impl VerdictWord {
    fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Waiting => "waiting (on a human)",
            Self::Stale => "stale (suspect)",
            Self::Release => "release (dead)",
        }
    }
}

impl From<Verdict> for VerdictWord {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Healthy,
            Verdict::Waiting => Self::Waiting,
            Verdict::Stale => Self::Stale,
            Verdict::Release => Self::Release,
        }
    }
}

impl fmt::Display for VerdictWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is known of a claim, as the server would have it.
struct Known {
    claim: Claim,
    last_call_at: Timestamp,
    signals: ClaimSignals,
}

impl Known {
    fn live(&self) -> LiveClaim<'_> {
        LiveClaim { claim: &self.claim, last_call_at: self.last_call_at, signals: self.signals }
    }
}

/// Plays a case. The inner error is the policy's.
///
/// # Errors
/// What in the case cannot be.
pub(super) fn play(case: &Case, now: Timestamp, set: &PolicySet) -> Result<Result<Played, String>, String> {
    let known = case.claims.iter().map(|claim| known(claim, now)).collect::<Result<Vec<_>, _>>()?;
    let issues: Vec<IssueRef> = known.iter().map(|it| it.claim.issue_ref()).collect();
    let rows: Vec<LiveClaim<'_>> = known.iter().map(Known::live).collect();
    let (verdicts, fault) = set.stale_rule.assess(&rows, now);
    if let Some(fault) = fault {
        return Ok(Err(fault.to_string()));
    }
    let verdicts: Vec<VerdictWord> = verdicts.into_iter().map(VerdictWord::from).collect();
    let row = |(issue, verdict): (&IssueRef, &VerdictWord)| AnswerRow::Claim {
        issue: issue.to_string(),
        verdict: verdict.as_str(),
    };
    let mut played = Played { answer: issues.iter().zip(&verdicts).map(row).collect(), ..Played::default() };
    for (key, expected) in &case.expect.verdicts {
        let row = IssueName::of_key(key).row_in(issues.iter(), "claims")?;
        played.compare(format!("verdicts.{key}"), expected.to_string(), verdicts[row].to_string());
    }
    Ok(Ok(played))
}

fn known(case: &ClaimCase, now: Timestamp) -> Result<Known, String> {
    let issue = facts::issue_ref(&case.repo, case.number)?;
    let agent: AgentId = case.agent.parse().map_err(|error| format!("agent {:?}: {error}", case.agent))?;
    let at = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.at(now)).transpose();
    let claimed = case.claimed.at(now)?;
    let since = at(&case.since)?.unwrap_or(claimed);
    let claim = live::claim(&agent, &issue, case.status, [claimed, since], now)?;
    let signals = ClaimSignals {
        last_commit_at: at(&case.last_commit)?,
        last_push_at: at(&case.last_push)?,
        pull: case.pull,
        review: case.review,
        ci: case.ci,
        container: case.container,
    };
    Ok(Known { claim, last_call_at: at(&case.last_call)?.unwrap_or(since), signals })
}

fn default_agent() -> String {
    "agent-1".into()
}
