//! Steps that end work are checked against GitHub: "merged" and "closed" are not taken on an agent's word
//! where GitHub says otherwise. Where GitHub does not answer, work goes on, and the answer says so.

use std::time::Duration;

use tracing::debug;

use super::{ClaimManager, CloseError, ManagerError, UpdateRequest, Verification};
use crate::domain::{Claim, ClaimStatus, IssueNumber, IssueRef, Merged, PullRequest, RepoName};

/// How long an agent waits for GitHub's word, which it can do without.
const PATIENCE: Duration = Duration::from_secs(5);

/// What GitHub makes of an agent's word.
pub(super) enum Verdict {
    /// It does not contradict.
    Verified(Option<Verification>),
    /// It says that the pull request of this claim is not merged.
    Refuted(Box<Claim>),
}

impl ClaimManager {
    /// Checks a step to `pr_merged` or `closed` of its owner. Other steps need no check, and steps that are
    /// refused anyway get none.
    pub(super) async fn verify(&self, request: &UpdateRequest) -> Result<Verdict, ManagerError> {
        let UpdateRequest { claim_id, agent, epoch, status, pr_url, .. } = request;
        let unchecked = Verdict::Verified(None);
        if !matches!(status, ClaimStatus::PrMerged | ClaimStatus::Closed) {
            return Ok(unchecked);
        }
        let is_next = |claim: &Claim| {
            matches!((claim.status(), status), (ClaimStatus::PrSubmitted, ClaimStatus::PrMerged))
                || matches!((claim.status(), status), (ClaimStatus::PrMerged, ClaimStatus::Closed))
        };
        let claim = self.store.claim_get(*claim_id).await?;
        let is_its = |claim: &Claim| claim.agent_id == *agent && epoch.is_none_or(|epoch| epoch == claim.lease.epoch);
        let Some(claim) = claim.filter(|claim| is_its(claim) && is_next(claim)) else {
            return Ok(unchecked);
        };
        let page = pr_url.as_deref().or(claim.pr_url());
        Ok(match self.was_merged(&claim, page).await? {
            Merged::Yes => Verdict::Verified(Some(Verification::Confirmed)),
            Merged::Unknown => Verdict::Verified(Some(Verification::Unknown)),
            Merged::No => Verdict::Refuted(Box::new(claim)),
        })
    }

    /// What GitHub says of the pull request behind `page`. Only one that can be this claim's counts: in an
    /// admitted repository, on the page that GitHub itself names, and opened after the claim was granted.
    async fn was_merged(&self, claim: &Claim, page: Option<&str>) -> Result<Merged, ManagerError> {
        let Some((page, named)) = page.and_then(|page| Some((page, pull_of_page(page)?))) else {
            return Ok(Merged::Unknown);
        };
        if self.admit(&named.repo).is_err() {
            return Ok(Merged::Unknown);
        }
        let is_claims = |pull: &PullRequest| pull.opened_at >= claim.claimed_at && is_same_host(&pull.url, page);
        // A merge is never undone: once seen, GitHub need not be asked again.
        let known = self.store.pull_get(named.clone()).await?;
        if let Some(known) = known.filter(|known| known.merged == Merged::Yes) {
            return Ok(if is_claims(&known) { Merged::Yes } else { Merged::Unknown });
        }
        match tokio::time::timeout(PATIENCE, self.source.pull_get(&named)).await {
            Ok(Ok(Some(present))) if !is_claims(&present) => Ok(Merged::Unknown),
            Ok(Ok(Some(present))) => {
                let merged = present.merged;
                if merged == Merged::Yes {
                    self.store.pull_apply(present).await?;
                }
                Ok(merged)
            }
            // The token may not see it: that says nothing of the pull request.
            Ok(Ok(None)) => Ok(Merged::Unknown),
            Ok(Err(error)) => {
                debug!("could not check whether {named} was merged: {error}");
                Ok(Merged::Unknown)
            }
            Err(_) => {
                debug!("GitHub did not say in time whether {named} was merged");
                Ok(Merged::Unknown)
            }
        }
    }

    /// Closes the issue of a claim that ended as closed, where the setting says so and GitHub has confirmed
    /// the merge.
    pub(super) async fn close_issue(
        &self,
        claim: &Claim,
        verified: Option<Verification>,
    ) -> Option<Result<(), CloseError>> {
        if claim.status() != ClaimStatus::Closed || !self.config.current().github.auto_close_issue {
            return None;
        }
        if verified != Some(Verification::Confirmed) {
            return Some(Err(CloseError::NotConfirmed));
        }
        Some(self.source.issue_close(&claim.issue_ref()).await.map_err(CloseError::from))
    }
}

/// Whether two addresses name one host; `www.` is the same, and so is the scheme.
fn is_same_host(one: &str, other: &str) -> bool {
    let host = |page: &str| {
        let host = page.split_once("://").map_or("", |(_, rest)| rest).split('/').next().unwrap_or_default();
        host.trim_start_matches("www.").to_ascii_lowercase()
    };
    host(one) == host(other)
}

/// The pull request whose page this is: `https://<host>/<owner>/<name>/pull/<number>`.
pub(super) fn pull_of_page(page: &str) -> Option<IssueRef> {
    let path = page.split_once("://")?.1.split_once('/')?.1;
    let mut parts = path.split(['/', '?', '#']);
    let (owner, name, kind, number) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let repo: RepoName = format!("{owner}/{name}").parse().ok()?;
    let number = IssueNumber::new(number.parse().ok()?).ok()?;
    (kind == "pull").then(|| IssueRef::new(repo, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_a_pull_request_names_it() {
        let named = |page: &str| pull_of_page(page).map(|pull| pull.to_string());
        assert_eq!(named("https://github.com/Acme/Small/pull/7").as_deref(), Some("acme/small#7"));
        assert_eq!(named("https://ghe.example.org/acme/small/pull/7/files#r1").as_deref(), Some("acme/small#7"));
        for page in ["https://github.com/acme/small/issues/7", "https://github.com/acme", "x", "https://x/pull/1"] {
            assert_eq!(named(page), None, "{page}");
        }
    }
}
