//! The follow-ups that are not ended, in the order in which they are given out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::domain::{AgentId, FeedbackKind, FollowUp, FollowUpStatus, RepoName, Timestamp, WorkItemId};

/// Most urgent first, then oldest.
type Place = (FeedbackKind, Timestamp, WorkItemId);

/// Every active follow-up. Like the board it decides nothing: it says what to try, the store decides.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    in_order: BTreeMap<Place, Arc<FollowUp>>,
    held_count: HashMap<AgentId, usize>,
}

impl Shelf {
    /// Takes note of a follow-up as it stands now.
    pub(super) fn set(&mut self, item: FollowUp) {
        let place = (item.source_event_type, item.created_at, item.work_item_id);
        if let Some(before) = self.in_order.remove(&place)
            && let Some(agent) = before.holder()
        {
            self.count(agent, false);
        }
        if !item.status().is_terminal() {
            if let Some(agent) = item.holder().cloned() {
                self.count(&agent, true);
            }
            self.in_order.insert(place, Arc::new(item));
        }
    }

    fn count(&mut self, agent: &AgentId, more: bool) {
        let count = self.held_count.entry(agent.clone()).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.held_count.remove(agent);
        }
    }

    /// Whether `agent` has one.
    pub(super) fn is_holder(&self, agent: &AgentId) -> bool {
        self.held_count.contains_key(agent)
    }

    /// Every active follow-up, most urgent first, then oldest.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<FollowUp>> {
        self.in_order.values()
    }

    /// Those on offer to `agent`, most urgent first: its own pull requests' before others.
    pub(super) fn offers(&self, agent: &AgentId, repo: Option<&RepoName>, now: Timestamp) -> Vec<Arc<FollowUp>> {
        let on_offer = self.all().filter(|item| item.is_for(agent, now) && repo.is_none_or(|repo| *repo == item.repo));
        let (own, others): (Vec<_>, Vec<_>) = on_offer.cloned().partition(|item| item.is_own_of(agent));
        own.into_iter().chain(others).collect()
    }

    /// Those that have lain for too long at `now`: not moved since `before`.
    pub(super) fn lapsed(&self, before: Timestamp) -> Vec<Arc<FollowUp>> {
        let lapsed = |item: &&Arc<FollowUp>| item.last_updated() <= before && item.status() != FollowUpStatus::Stale;
        self.all().filter(lapsed).cloned().collect()
    }
}
