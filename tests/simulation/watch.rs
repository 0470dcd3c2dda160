//! What the store announces, on its way to the index: kept with the moment, for the oracle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use issuecommand::claims::Index;
use issuecommand::store::{Change, CommitObserver, KeptToken, Snapshot};
use parking_lot::Mutex;

use crate::clock::Moment;
use crate::gate::Gate;
use crate::planted::Fault;

/// An event as it was announced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    pub seq: u64,
    pub kind: &'static str,
    pub claim: Option<String>,
    pub at: Moment,
}

/// The observer of a store, in front of the index.
#[derive(Debug)]
pub struct Watch {
    index: Arc<Index>,
    /// When the call under way was made: this runs on the writer's thread, which has no clock.
    pub moment: Arc<Mutex<Moment>>,
    pub gate: Arc<Gate>,
    announced: Mutex<Vec<Announced>>,
    fault: Option<Fault>,
    ends: AtomicU64,
}

impl Watch {
    pub fn new(index: Arc<Index>, begun_at: Moment, fault: Option<Fault>) -> Self {
        let moment = Arc::new(Mutex::new(begun_at));
        Self { index, moment, gate: Arc::default(), announced: Mutex::default(), fault, ends: AtomicU64::new(0) }
    }

    /// What was announced since this was last asked.
    pub fn take(&self) -> Vec<Announced> {
        std::mem::take(&mut self.announced.lock())
    }

    /// What a life before announced last.
    pub fn put_before(&self, earlier: Vec<Announced>) {
        self.announced.lock().splice(0..0, earlier);
    }

    fn note(&self, changes: &[Change]) {
        let at = *self.moment.lock();
        let mut announced = self.announced.lock();
        for change in changes {
            if let Change::Event(event) = change {
                let claim = event.draft.claim_id.map(|id| id.to_string());
                announced.push(Announced { seq: event.event_id.0, kind: event.draft.kind.as_str(), claim, at });
            }
        }
    }

    /// Whether a planted fault takes this change away: every third end of a claim.
    fn is_lost(&self, change: &Change) -> bool {
        let ends = matches!(change, Change::ClaimSet(claim) if claim.status().is_terminal());
        self.fault == Some(Fault::ChangeLostToIndex) && ends && self.ends.fetch_add(1, Ordering::Relaxed) % 3 == 2
    }
}

impl CommitObserver for Watch {
    fn committed(&self, changes: Vec<Change>) {
        self.committed_as(0, changes);
    }

    fn committed_as(&self, seq: u64, mut changes: Vec<Change>) {
        self.gate.pass();
        self.note(&changes);
        changes.retain(|change| !self.is_lost(change));
        self.index.committed_as(seq, changes);
    }

    fn replaced(&self, snapshot: Snapshot, tokens: Vec<KeptToken>) {
        self.index.replaced(snapshot, tokens);
    }
}
