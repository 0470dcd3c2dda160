//! The claims of an attempt: of its issue, of those that share its pull request, and the feedback that it answers.

use super::super::intake;
use super::{Attempt, Setback};
use crate::claims::{ClaimOutcome, ClaimRequest, UpdateOutcome, UpdateRequest};
use crate::domain::{AgentId, Claim, ClaimStatus, Companion, IssueRef, LogKind, RunHold};

impl Attempt {
    /// The claim: that of the issue, under an epoch of this attempt.
    pub(super) async fn claim(&mut self) -> Result<(), Setback> {
        let agent = self.hub.agent_id();
        let note = format!("run {}, attempt {}", self.run.run_id.short(), self.run.attempts);
        let held = self.run.hold.clone().or_else(|| self.hub.hold_of(&self.run));
        let claim = match held {
            // Under the name that it was taken by: the setting may have changed since.
            Some(hold) => self.hub.manager().reissue(hold.claim_id, hold.agent_id, note.clone()).await?,
            None => None,
        };
        let claim = match claim {
            Some(claim) => claim,
            None if self.run.parent.is_some() => {
                return Err(Setback::Lost("the claim behind the pull request is no longer ours".into()));
            }
            None => self.claim_anew(&agent).await?,
        };
        self.run.hold =
            Some(RunHold { claim_id: claim.claim_id, agent_id: claim.agent_id.clone(), epoch: claim.lease.epoch });
        if self.run.parent.is_none() {
            self.run.branch = Some(self.run.branch_under(claim.lease.epoch));
            // Before the move: it takes all of the run's claims to in progress.
            self.claim_companions(&agent).await?;
            self.move_claim(ClaimStatus::InProgress, note, None).await?;
        }
        self.read_issue().await?;
        self.save().await?;
        self.tell().await;
        Ok(())
    }

    async fn claim_anew(&self, agent: &AgentId) -> Result<Claim, Setback> {
        let request_id = format!("run-{}-{}", self.run.run_id, self.run.attempts).parse().ok();
        let wish = ClaimRequest { agent: agent.clone(), issue: self.run.issue_ref(), request_id };
        match self.hub.manager().claim(wish).await? {
            ClaimOutcome::Granted { claim, .. } => Ok(claim),
            ClaimOutcome::HeldBy(claim) => Err(Setback::Lost(format!("{} holds the issue", claim.agent_id))),
            ClaimOutcome::RequestIdUsed(_) => Err(Setback::Lost("the claim ended meanwhile".into())),
            ClaimOutcome::NotOpen(issue) => Err(Setback::Lost(format!("{issue} is no open issue"))),
        }
    }

    /// Claims the other issues of the run; one that another agent has is left to it.
    async fn claim_companions(&mut self, agent: &AgentId) -> Result<(), Setback> {
        let mut held = Vec::new();
        for companion in std::mem::take(&mut self.run.with_issues) {
            let issue = IssueRef::new(self.run.repo.clone(), companion.issue_number);
            let request_id =
                format!("run-{}-{}-{}", self.run.run_id, self.run.attempts, companion.issue_number).parse().ok();
            let wish = ClaimRequest { agent: agent.clone(), issue: issue.clone(), request_id };
            match self.hub.manager().claim(wish).await? {
                ClaimOutcome::Granted { claim, .. } => {
                    let hold = RunHold { claim_id: claim.claim_id, agent_id: agent.clone(), epoch: claim.lease.epoch };
                    held.push(Companion { hold: Some(hold), ..companion });
                }
                ClaimOutcome::HeldBy(claim) => {
                    self.say(LogKind::Step, &format!("{issue} is left to {}, which has it", claim.agent_id));
                }
                ClaimOutcome::RequestIdUsed(_) | ClaimOutcome::NotOpen(_) => {
                    self.say(LogKind::Step, &format!("{issue} is left out: it is no longer open"));
                }
            }
        }
        self.run.with_issues = held;
        Ok(())
    }

    /// The issue as it reads now: what was queued may have been edited since.
    async fn read_issue(&mut self) -> Result<(), Setback> {
        if self.run.parent.is_none()
            && let Some(issue) = self.hub.store().issue_get(self.run.issue_ref()).await?
        {
            (self.run.title, self.run.body) = (issue.title, intake::cut(issue.body));
        }
        Ok(())
    }

    /// Moves the claim, and those of the other issues of the run.
    pub(super) async fn move_claim(
        &self,
        status: ClaimStatus,
        note: String,
        pr_url: Option<String>,
    ) -> Result<(), Setback> {
        let own = self.run.hold.as_ref().ok_or_else(|| Setback::Lost("there is no claim".into()))?;
        self.move_one(own, status, note.clone(), pr_url.clone()).await?;
        for hold in self.run.with_issues.iter().filter_map(|other| other.hold.as_ref()) {
            // One that ended meanwhile, its issue closed perhaps, stops nobody.
            if let Err(Setback::Lost(why)) = self.move_one(hold, status, note.clone(), pr_url.clone()).await {
                self.say(LogKind::Trouble, &format!("another issue of the run stays as it is: {why}"));
            }
        }
        Ok(())
    }

    async fn move_one(
        &self,
        hold: &RunHold,
        status: ClaimStatus,
        note: String,
        pr_url: Option<String>,
    ) -> Result<(), Setback> {
        let (claim_id, agent, epoch) = (hold.claim_id, hold.agent_id.clone(), Some(hold.epoch));
        let wish = UpdateRequest { claim_id, agent, epoch, status, note: Some(note), pr_url };
        let mut moved = self.hub.manager().update(wish.clone()).await?;
        // It lapsed while no server ran: one word of its owner, and it is in progress again.
        if let UpdateOutcome::Refused(claim, _) = &moved
            && claim.status() == ClaimStatus::Stale
        {
            self.hub
                .manager()
                .update(UpdateRequest { status: ClaimStatus::InProgress, pr_url: None, ..wish.clone() })
                .await?;
            moved = self.hub.manager().update(wish).await?;
        }
        match moved {
            UpdateOutcome::Moved { .. } => Ok(()),
            // After a crash it may stand there, or further, already.
            UpdateOutcome::Refused(claim, _) if claim.pr_url() == self.run.pr_url.as_deref() => Ok(()),
            UpdateOutcome::Ended(claim, _) if claim.pr_url().is_some() => Ok(()),
            UpdateOutcome::Refused(claim, why) => Err(Setback::Lost(format!("the claim is {}: {why}", claim.status()))),
            _ => Err(Setback::Lost(format!("the claim is no longer ours, and did not go to {status}"))),
        }
    }
}
