//! What GitHub says of pull requests, whichever way it came: it moves claims, makes follow-ups, and
//! settles them.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::TimeDelta;
use globset::Glob;
use tracing::{info, warn};

use super::truth::pull_of_page;
use super::{ClaimManager, ManagerError};
use crate::config::{FollowUpConfig, FollowUpPulls, OnClosedPull, OnPush};
use crate::domain::{
    Claim, ClaimStatus, Feedback, FollowUp, FollowUpStatus, IssueRef, Merged, PullRequest, PullState, RepoName,
    Reservation, Timestamp, WorkItemId,
};
use crate::store::{ClaimFollow, FollowUpInserted, Settlement, Settles};
use crate::sync::PullWatch;

/// What made somebody describe a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullChange {
    /// Commits were pushed to it.
    Pushed,
    /// Anything else, or nobody knows: it is compared with what was known.
    Seen,
}

/// What became of a description of a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullOutcome {
    /// Follow-ups that ended by it.
    pub resolved_followups: usize,
    /// The claims it came from, as they stand now.
    pub claims: Vec<Claim>,
    /// It was older than what is known, and changed nothing.
    pub outdated: bool,
}

/// What became of a piece of feedback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedbackOutcome {
    /// It is a new follow-up.
    Created(Box<FollowUp>),
    /// It made this one before.
    Known(WorkItemId),
    /// It makes none, and why.
    Ignored(&'static str),
}

impl ClaimManager {
    /// Takes in a description of a pull request: links it to its claim, moves the claim as far as GitHub
    /// says, and settles follow-ups.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_pull(&self, pull: PullRequest, change: PullChange) -> Result<PullOutcome, ManagerError> {
        let _alone = self.taking_in_pull.lock().await;
        let before = self.store.pull_get(pull.pull_ref()).await?;
        if before.as_ref().is_some_and(|before| before.updated_at > pull.updated_at) {
            return Ok(PullOutcome { outdated: true, ..PullOutcome::default() });
        }
        let behind = self.claims_behind_pull(&pull);
        let was_known = before.is_some();
        let mut claims = Vec::new();
        for claim in &behind {
            let followed = self.follow_pull(claim, &pull).await?;
            // Of a new one everything is read anyway.
            if was_known && claim.pr_url().is_none() && followed.is_some() {
                self.links.note(claim.claim_id);
            }
            claims.extend(followed);
        }
        let pushed_at = match change {
            PullChange::Pushed => Some(pull.updated_at),
            // Nobody said when: not before it was last described.
            PullChange::Seen => before
                .filter(|before| before.head_sha != pull.head_sha && !before.head_sha.is_empty())
                .map(|before| before.updated_at),
        };
        self.note_pull_signs(&claims, &pull, pushed_at).await?;
        let resolved_followups = self.settle_by(&pull, pushed_at).await?;
        // Noted last: of what ends halfway here the next reading must still see that it is new.
        let is_newest = self.store.pull_apply(pull).await?;
        Ok(PullOutcome { resolved_followups, claims, outdated: !is_newest })
    }

    /// The active claims that a pull request came from: those whose agents reported its page, or else those
    /// that its branch and its closing words name. What a stranger wrote links nothing; branch and words
    /// link only claims that named no page, to a pull request that was opened after the claim was granted
    /// (an older one is somebody else's work), and never to one that ended without a merge.
    fn claims_behind_pull(&self, pull: &PullRequest) -> Vec<Claim> {
        let board = self.index.board.read();
        let page = page_key(&pull.url);
        let is_reported = |claim: &&Arc<Claim>| claim.pr_url().is_some_and(|url| page_key(url) == page);
        let mut behind: Vec<Claim> = board.claims().filter(is_reported).map(|claim| Claim::clone(claim)).collect();
        if !pull.trusted || (pull.state == PullState::Closed && pull.merged != Merged::Yes) {
            return behind;
        }
        let closes = pull.closing_refs();
        let is_named = |claim: &&Arc<Claim>| {
            claim.pr_url().is_none()
                && claim.claimed_at <= pull.opened_at
                && (closes.contains(&claim.issue_ref())
                    || (claim.repo == pull.repo && branch_names(&pull.head_branch, claim)))
        };
        behind.extend(board.claims().filter(is_named).map(|claim| Claim::clone(claim)));
        behind
    }

    async fn follow_pull(&self, claim: &Claim, pull: &PullRequest) -> Result<Option<Claim>, ManagerError> {
        let config = self.config.current();
        let named = pull.pull_ref();
        let (to, note) = match (pull.state, pull.merged) {
            (PullState::Open, _) => (ClaimStatus::PrSubmitted, format!("GitHub shows pull request {named}")),
            (PullState::Closed, Merged::Yes) => (ClaimStatus::PrMerged, format!("GitHub merged {named}")),
            (PullState::Closed, Merged::No)
                if config.follow_ups.on_closed_pull == OnClosedPull::Release && is_claims_own(claim, pull) =>
            {
                (ClaimStatus::Released, format!("{named} was closed without a merge"))
            }
            // Not known to be merged is not known to be refused.
            (PullState::Closed, Merged::No | Merged::Unknown) => return Ok(Some(claim.clone())),
        };
        let wish = ClaimFollow { claim_id: claim.claim_id, to, pr_url: pull.url.clone(), note, now: self.clock.now() };
        let followed = self.store.claim_follow(wish).await?;
        if let Some(after) = followed.as_ref().filter(|after| after.status() != claim.status()) {
            info!(claim.id = %claim.claim_id, "claim on {} is {} by pull request {named}", claim.issue_ref(), after.status());
        }
        Ok(followed)
    }

    /// Settles what the state of a pull request settles; `pushed_at`: commits came at that time, or later.
    async fn settle_by(&self, pull: &PullRequest, pushed_at: Option<Timestamp>) -> Result<usize, ManagerError> {
        let now = self.clock.now();
        let settles = match (pull.state, pull.merged) {
            (PullState::Closed, Merged::Yes) => {
                Settles::All { to: FollowUpStatus::Done, note: "the pull request was merged" }
            }
            (PullState::Closed, Merged::No) => {
                Settles::All { to: FollowUpStatus::Dismissed, note: "the pull request was closed" }
            }
            (PullState::Closed, Merged::Unknown) => return Ok(0),
            (PullState::Open, _) => {
                let Some(at) = pushed_at else { return Ok(0) };
                Settles::Pushed { at, resolve: self.config.current().follow_ups.on_push == OnPush::Resolve }
            }
        };
        Ok(self.store.follow_up_settle(Settlement { pull: pull.pull_ref(), settles, now }).await?)
    }

    /// Takes in a piece of feedback: it becomes a follow-up, once, unless a setting leaves it out.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_feedback(
        &self,
        feedback: &Feedback,
        pull_author: &str,
        delivery_id: Option<&str>,
    ) -> Result<FeedbackOutcome, ManagerError> {
        if self.admit(&feedback.pull.repo).is_err() {
            return Ok(FeedbackOutcome::Ignored("repo_not_allowed"));
        }
        let config = self.config.current();
        if let Some(why) = left_out(&config.follow_ups, feedback, pull_author) {
            return Ok(FeedbackOutcome::Ignored(why));
        }
        let claim = self.claim_behind_feedback(feedback);
        if claim.is_none() && config.follow_ups.pulls == FollowUpPulls::Claimed {
            return Ok(FeedbackOutcome::Ignored("not_a_claims_pull_request"));
        }
        let now = self.clock.now();
        let mut item = FollowUp::of(feedback, now);
        item.source_delivery_id = delivery_id.map(str::to_owned);
        item.claim_id = claim.as_ref().map(|claim| claim.claim_id);
        item.reserved = claim.and_then(|claim| reservation(&claim, &config.follow_ups, now));
        Ok(match self.store.follow_up_insert(item).await? {
            FollowUpInserted::Created(item) => FeedbackOutcome::Created(item),
            FollowUpInserted::Known(work_item_id) => FeedbackOutcome::Known(work_item_id),
            FollowUpInserted::Full => FeedbackOutcome::Ignored("too_many_follow_ups"),
        })
    }

    /// Reads what changed in pull requests wherever something is at work, and takes it in: what a webhook
    /// that was lost, or never set up, would have told.
    ///
    /// # Errors
    /// When the store fails; what was read is read again then.
    pub(super) async fn read_pulls(&self, watch: &PullWatch) -> Result<(), ManagerError> {
        let repos = self.repos_at_work();
        if repos.is_empty() {
            return Ok(());
        }
        let reading = watch.read(&repos, |pull| self.matters(pull)).await?;
        for news in &reading.news {
            self.take_in_pull(news.pull.clone(), PullChange::Seen).await?;
            if news.pull.state == PullState::Open {
                for feedback in &news.feedback {
                    self.take_in_feedback(feedback, &news.pull.author, None).await?;
                }
            }
        }
        watch.keep(&reading).await?;
        let unread = self.read_earlier_feedback(&reading.news).await?;
        self.link_follow_ups().await?;
        let failure = reading.failures.first().map(|(repo, error)| format!("pull requests of {repo}: {error}"));
        let failure = failure.or(unread).or(self.read_signs().await?);
        if let Some(failure) = &failure {
            warn!("{failure}");
        }
        self.status.report("pull requests", failure);
        Ok(())
    }

    /// Admitted repositories with claims or follow-ups.
    fn repos_at_work(&self) -> Vec<RepoName> {
        let board = self.index.board.read();
        let claimed = board.claims().map(|claim| claim.repo.clone());
        let all: BTreeSet<_> = claimed.chain(board.shelf.all().map(|item| item.repo.clone())).collect();
        all.into_iter().filter(|repo| board.exclusion(repo).is_none()).collect()
    }

    /// Whether feedback on a pull request is wanted.
    fn matters(&self, pull: &PullRequest) -> bool {
        self.config.current().follow_ups.pulls == FollowUpPulls::All || !self.claims_behind_pull(pull).is_empty()
    }

    /// Settles follow-ups whose feedback GitHub says is answered (`Done`) or withdrawn (`Dismissed`).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_feedback(
        &self,
        pull: IssueRef,
        sources: Vec<String>,
        to: FollowUpStatus,
        note: &'static str,
    ) -> Result<usize, ManagerError> {
        let settles = Settles::Sources { sources, to, note };
        Ok(self.store.follow_up_settle(Settlement { pull, settles, now: self.clock.now() }).await?)
    }

    /// The active claim that the pull request of `feedback` came from.
    fn claim_behind_feedback(&self, feedback: &Feedback) -> Option<Claim> {
        let board = self.index.board.read();
        let page = page_key(&feedback.pull_url);
        let mut claims = board.claims();
        claims.find(|claim| claim.pr_url().is_some_and(|url| page_key(url) == page)).map(|claim| Claim::clone(claim))
    }
}

/// For whom feedback on the pull request of `claim` is kept first.
pub(super) fn reservation(claim: &Claim, config: &FollowUpConfig, now: Timestamp) -> Option<Reservation> {
    let grace = TimeDelta::try_minutes(i64::try_from(config.grace_minutes).ok()?)?;
    // Who let the claim lapse is not waited for.
    (grace > TimeDelta::zero() && claim.status() != ClaimStatus::Stale)
        .then(|| Reservation { agent_id: claim.agent_id.clone(), until: now + grace })
}

/// Why the settings leave a piece of feedback out, if they do.
fn left_out(config: &FollowUpConfig, feedback: &Feedback, pull_author: &str) -> Option<&'static str> {
    let matches = |pattern: &String| {
        let glob = Glob::new(&pattern.to_lowercase()).map(|glob| glob.compile_matcher());
        glob.is_ok_and(|glob| glob.is_match(feedback.author.to_lowercase()))
    };
    if config.ignore_bots && feedback.by_bot {
        Some("author_is_a_bot")
    } else if config.ignore_authors.iter().any(matches) {
        Some("author_is_ignored")
    } else if config.ignore_pull_author && pull_author.eq_ignore_ascii_case(&feedback.author) {
        Some("author_opened_the_pull_request")
    } else {
        None
    }
}

/// Whether a pull request is the claim's beyond doubt: its agent reported it, or its branch holds the
/// claim's id. Only then its end ends the claim.
fn is_claims_own(claim: &Claim, pull: &PullRequest) -> bool {
    !claim.pr_found() || pull.head_branch.contains(&claim.claim_id.to_string())
}

/// The same for addresses that are one page. Of a pull request only repository and number count: agents
/// report its tabs too, and write hosts in their own ways.
pub(super) fn page_key(address: &str) -> String {
    match pull_of_page(address) {
        Some(pull) => pull.to_string(),
        None => address.trim_end_matches('/').to_ascii_lowercase(),
    }
}

/// Whether a branch is named for a claim: for its id (`agent/<claim id>`), or for its issue as people and
/// GitHub itself do (`12-fix-it`, `issue-12`, `fix/12`, `gh-12-fix`).
pub(super) fn branch_names(branch: &str, claim: &Claim) -> bool {
    if branch.contains(&claim.claim_id.to_string()) {
        return true;
    }
    let last = branch.rsplit('/').next().unwrap_or(branch).to_ascii_lowercase();
    let words = ["issue-", "issue_", "issue", "gh-", "#"];
    let rest = words.iter().find_map(|word| last.strip_prefix(word)).unwrap_or(&last);
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let ends = rest[digits..].chars().next().is_none_or(|next| matches!(next, '-' | '_'));
    digits > 0 && ends && rest[..digits] == claim.issue_number.to_string()
}
