//! Which run begins next: the order of the queue, and who gets a slot. Pure.

use std::collections::HashMap;

use super::limits::slots_of;
use crate::config::ContainersConfig;
use crate::domain::{IssueRef, Run, RunId, RunPriority, RunStatus, Timestamp};

/// Where an issue stands in the ranker's order, best first.
pub type Ranks = HashMap<IssueRef, usize>;

/// Puts queued runs in their order: critical ones that came since an operator placed others, then what was placed, then
/// what somebody waits for and what was begun before, then answers to reviews, then issues as the ranker has them; the
/// oldest first among equals.
pub fn in_order(mut runs: Vec<Run>, ranks: &Ranks) -> Vec<Run> {
    let turn = |run: &Run| match run {
        run if run.attempts > 0 || !matches!(run.requested_by.as_str(), BY_LABEL | BY_REVIEW) => 0,
        run if run.parent.is_some() => 1,
        _ => 2,
    };
    let rank = |run: &Run| ranks.get(&run.issue_ref()).copied().unwrap_or(usize::MAX);
    runs.sort_by_key(|run| {
        let came_since = run.pinned.is_none() && run.priority == RunPriority::Critical;
        (!came_since, run.pinned.is_none(), run.pinned, turn(run), rank(run), run.run_id)
    });
    runs
}

/// Who asks for a run: a label on the issue.
pub const BY_LABEL: &str = "label";
/// Who asks for a run: a review of its pull request.
pub const BY_REVIEW: &str = "review";

/// What to do about the queue now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This one gets a slot.
    Begin(RunId),
    /// This one is stopped, so that a critical one gets its slot.
    Preempt {
        /// Which is stopped.
        victim: RunId,
        /// For which.
        critical: RunId,
    },
    /// Nothing can begin.
    Wait,
}

/// What there is beside this server's own slots.
#[derive(Debug, Default)]
pub struct Beside {
    /// Whether another server has a slot free: nobody is stopped then.
    pub has_room: bool,
    /// Runs under way on other servers.
    pub runs: Vec<Run>,
}

/// Issues that are worked on, or that a run in the queue will take along, and by which.
pub fn taken(active: &[Run]) -> HashMap<IssueRef, RunId> {
    // Its own issue is not what a queued run takes from anybody.
    let first = |run: &Run| usize::from(run.status() == RunStatus::Queued);
    let of = |run: &Run| run.issues().into_iter().skip(first(run)).map(|issue| (issue, run.run_id)).collect::<Vec<_>>();
    active.iter().flat_map(of).collect()
}

/// Slots taken.
pub fn busy(active: &[Run]) -> u32 {
    u32::try_from(active.iter().filter(|run| holds_slot(run)).count()).unwrap_or(u32::MAX)
}

/// How many more critical runs could begin beside these.
pub fn free_for_critical(active: &[Run], config: &ContainersConfig) -> u32 {
    let alike = active.iter().filter(|run| holds_slot(run) && run.priority == RunPriority::Critical).count();
    let critical = slots_of(config, RunPriority::Critical);
    let left = if critical >= config.max_concurrent { u32::MAX } else { critical.saturating_sub(alike as u32) };
    config.max_concurrent.saturating_sub(busy(active)).min(left)
}

/// Says what to do, with `queue` in its order and `active` those under way here. Runs that wait for people hold no slot.
pub fn next(
    queue: &[Run],
    active: &[Run],
    beside: &Beside,
    config: &ContainersConfig,
    preempt: bool,
    now: Timestamp,
) -> Next {
    let busy: Vec<&Run> = active.iter().filter(|run| holds_slot(run)).collect();
    let is_due = |run: &&Run| run.not_before.is_none_or(|at| at <= now);
    let slots = config.max_concurrent as usize;
    let fits_its_priority = |run: &&Run| {
        let alike = busy.iter().filter(|other| other.priority == run.priority).count();
        let most = slots_of(config, run.priority) as usize;
        most >= slots || alike < most
    };
    // Whoever would get the next slot; nobody is stopped for one that would not.
    let first = queue.iter().filter(is_due).find(fits_its_priority);
    if let Some(run) = first.filter(|_| busy.len() < slots) {
        return Next::Begin(run.run_id);
    }
    let critical = first.filter(|run| run.priority == RunPriority::Critical);
    // With no slots of its own, stopping what still works here frees none.
    let own = busy.iter().copied().filter(|_| slots > 0);
    let theirs = beside.runs.iter().filter(|run| holds_slot(run));
    let less_urgent = own.chain(theirs).filter(|run| run.priority > RunPriority::Critical);
    let victim = less_urgent.max_by_key(|run| (run.priority, run.begun_at));
    match (critical, victim) {
        (Some(critical), Some(victim)) if preempt && !beside.has_room && busy.len() >= slots => {
            Next::Preempt { victim: victim.run_id, critical: critical.run_id }
        }
        _ => Next::Wait,
    }
}

/// Whether a run that is under way takes a slot: from its very beginning, when it is still written down as queued.
pub fn holds_slot(run: &Run) -> bool {
    matches!(run.status(), RunStatus::Queued | RunStatus::Dispatched | RunStatus::Running)
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
