//! When owners were last heard of. Every call of an owner renews its leases, and calls are many, so
//! they are noted in memory and written down in bulk.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use crate::domain::{AgentId, Timestamp};

/// The last call of each agent that holds a claim.
#[derive(Debug, Default)]
pub(super) struct Presence(Mutex<Calls>);

#[derive(Debug, Default)]
struct Calls {
    last: HashMap<AgentId, Timestamp>,
    unwritten: HashSet<AgentId>,
}

impl Presence {
    pub(super) fn load(last_calls: Vec<(AgentId, Timestamp)>) -> Self {
        Self(Mutex::new(Calls { last: last_calls.into_iter().collect(), unwritten: HashSet::new() }))
    }

    /// Notes a call. Time never runs backwards for an agent, even if the clock does.
    pub(super) fn note(&self, agent: &AgentId, now: Timestamp) {
        let mut calls = self.0.lock();
        match calls.last.get_mut(agent) {
            Some(last) if *last >= now => return,
            Some(last) => *last = now,
            None => _ = calls.last.insert(agent.clone(), now),
        }
        calls.unwritten.insert(agent.clone());
    }

    /// Takes in calls that are written down, of other servers too.
    pub(super) fn learn(&self, calls: Vec<(AgentId, Timestamp)>) {
        let mut known = self.0.lock();
        for (agent, at) in calls {
            let last = known.last.entry(agent).or_insert(at);
            *last = at.max(*last);
        }
    }

    pub(super) fn last_call(&self, agent: &AgentId) -> Option<Timestamp> {
        self.0.lock().last.get(agent).copied()
    }

    /// Takes back calls that could not be written down.
    pub(super) fn put_back(&self, calls: Vec<(AgentId, Timestamp)>) {
        self.0.lock().unwritten.extend(calls.into_iter().map(|(agent, _)| agent));
    }

    /// Takes the calls that are not written down yet, and forgets agents that hold nothing.
    pub(super) fn take_unwritten(&self, is_holder: impl Fn(&AgentId) -> bool) -> Vec<(AgentId, Timestamp)> {
        let mut calls = self.0.lock();
        calls.last.retain(|agent, _| is_holder(agent));
        let unwritten = std::mem::take(&mut calls.unwritten);
        unwritten.into_iter().filter_map(|agent| calls.last.get(&agent).map(|at| (agent.clone(), *at))).collect()
    }
}
