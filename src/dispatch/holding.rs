//! What runs hold, and how it is given back: claims, and the feedback that they answer.

use tracing::warn;

use super::attempt::chain;
use super::dispatcher::Dispatcher;
use crate::claims::{FollowUpUpdate, UpdateRequest};
use crate::domain::{AgentId, ClaimStatus, FollowUpStatus, Run, RunHold};

impl Dispatcher {
    /// The name under which it holds claims.
    pub fn agent_id(&self) -> AgentId {
        let name = &self.config().dispatch.agent_name;
        name.parse().unwrap_or_else(|_| "dispatch".parse().expect("a name"))
    }

    /// Gives back what a run held that is over: its claims, or for a review the feedback that it was to answer.
    pub(super) async fn give_back(&self, run: &Run, why: &str) {
        if run.parent.is_some() {
            // Back on offer is what stale means; the sweep would say so later, a person or agent sees it now.
            return self.move_feedback(run, FollowUpStatus::Stale, why).await;
        }
        // Claimed, and a crash came before that was written down: the board knows.
        let own = run.hold.clone().or_else(|| self.hold_of(run));
        for hold in own.into_iter().chain(run.with_issues.iter().filter_map(|other| other.hold.clone())) {
            self.release(run, hold, why).await;
        }
    }

    /// Moves the feedback that a run answers.
    pub(super) async fn move_feedback(&self, run: &Run, status: FollowUpStatus, note: &str) {
        for work_item_id in &run.follow_ups {
            let note = Some(format!("run {}: {note}", run.run_id.short()));
            let update = FollowUpUpdate { work_item_id: *work_item_id, agent: self.agent_id(), status, note };
            if let Err(error) = self.manager().update_follow_up(update).await {
                warn!(run.id = %run.run_id, "the review's feedback stays as it is: {}", chain(&error));
            }
        }
    }

    /// Gives a claim back: the issue is for others again.
    async fn release(&self, run: &Run, hold: RunHold, why: &str) {
        let wish = UpdateRequest {
            claim_id: hold.claim_id,
            agent: hold.agent_id,
            epoch: Some(hold.epoch),
            status: ClaimStatus::Released,
            note: Some(format!("run {}: {why}", run.run_id.short())),
            pr_url: None,
        };
        if let Err(error) = self.manager().update(wish).await {
            warn!(run.id = %run.run_id, "the claim of {} was not given back: {}", run.issue_ref(), chain(&error));
        }
    }

    /// The claim that it holds on a run's issue.
    pub(super) fn hold_of(&self, run: &Run) -> Option<RunHold> {
        self.manager().hold_on(&run.issue_ref(), &self.agent_id())
    }
}
