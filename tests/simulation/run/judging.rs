//! After a step: what happened in it, put before the oracle.

use std::time::Duration;

use issuecommand::domain::IssueRef;

use super::Run;
use crate::calls::{Answer, Call, Called};
use crate::ledger::{Ledger, Place};
use crate::oracle::{Beings, Evidence};
use crate::panics;
use crate::told::{Being, Word};

impl Run {
    /// Waits until all that a step began has been done, and asks the oracle.
    pub fn judge(&mut self) -> Result<(), String> {
        self.life().pass(Duration::ZERO);
        let called = std::mem::take(&mut self.called);
        self.oracle.note_failure_at(self.life().seam.beat_failed_ms());
        for failed in called.iter().filter(|it| matches!(it.answer, Some(Answer::Failed { by_store: true, .. }))) {
            self.oracle.note_trouble(failed.at);
        }
        let after = self.life().book.read(self.oracle.last_event);
        self.name_claims(&after);
        let announced = self.life().watch.take();
        let mut told: Vec<_> = announced
            .iter()
            .map(|it| format!("   {} {}", it.kind, it.claim.as_deref().unwrap_or("-")))
            .map(|line| self.names.iter().fold(line, |line, (id, name)| line.replace(id, name)))
            .collect();
        // Claims that a sweep finds together have no order among themselves.
        told.sort();
        told.into_iter().for_each(|line| self.line(line));
        let held_back = self.policies.holds_back();
        let kept_back =
            self.oracle.ledger.on_hold.intersection(&after.on_hold).filter(|_| held_back).cloned().collect();
        let evidence = Evidence {
            beings: self.beings(&called),
            admitted: self.policies.admitted(),
            called,
            announced,
            after,
            kept_back,
        };
        let heard = evidence.called.iter().filter(|it| it.is_heard);
        let mut heard: Vec<_> = heard.filter_map(|it| Some((it.call.agent()?.clone(), it.at))).collect();
        // Who lost its last claim in between may have been heard of as nobody.
        heard.retain(|(agent, _)| self.oracle.held_through(agent.as_str(), &evidence.after));
        self.note_tokens(&evidence.called);
        self.oracle.judge(evidence)?;
        heard.iter().for_each(|(agent, at)| self.oracle.note_call(agent.as_str(), *at));
        self.index_is_the_store()?;
        panics::none()
    }

    /// Words that came by a delivery.
    pub(super) fn note_words(&self, called: &Called) {
        let (issue, word) = match &called.call {
            Call::Deliver { issue } => (issue.issue_ref(), Word::of(issue)),
            Call::Forget { issue } => (issue.clone(), Word::gone()),
            _ => return,
        };
        match called.answer {
            Some(Answer::Noted) => self.github.told(|told| told.word(&issue, word)),
            None => self.github.told(|told| told.perhaps(&issue, word)),
            _ => {}
        }
    }

    /// All that the server may have gone by since the last step.
    fn beings(&mut self, called: &[Called]) -> Beings {
        let now = self.github.told(|told| told.beings());
        let mut all = std::mem::replace(&mut self.oracle.beings, now.clone());
        for (issue, beings) in now {
            all.entry(issue).or_default().extend(beings);
        }
        for call in called {
            match &call.call {
                Call::Deliver { issue } => _ = all.entry(issue.issue_ref()).or_default().insert(Word::of(issue).being),
                Call::Forget { issue } => _ = all.entry(issue.clone()).or_default().insert(Being::Gone),
                _ => {}
            }
        }
        all
    }

    fn note_tokens(&mut self, called: &[Called]) {
        for call in called {
            if let (Some(Answer::Granted { claim, .. } | Answer::Moved(claim)), Some(agent)) =
                (&call.answer, call.call.agent())
            {
                let token = (agent.clone(), claim.claim_id, claim.lease.epoch);
                if !self.tokens.contains(&token) {
                    self.tokens.push(token);
                }
            }
        }
    }

    pub(super) fn name_claims(&mut self, ledger: &Ledger) {
        let mut new: Vec<_> = ledger.claims.iter().filter(|(id, _)| !self.names.contains_key(*id)).collect();
        new.sort_by_key(|(_, row)| (row.place.clone(), row.epoch));
        for (id, _) in new {
            let name = format!("claim-{}", self.names.len() + 1);
            self.names.insert(id.clone(), name);
        }
    }

    /// The index in memory says what the database says.
    fn index_is_the_store(&self) -> Result<(), String> {
        let (manager, ledger) = (&self.life().manager, &self.oracle.ledger);
        let issue_at = |place: &Place| -> IssueRef { format!("{}#{}", place.0, place.1).parse().unwrap() };
        for (id, row) in &ledger.claims {
            let hold = manager.hold_on(&issue_at(&row.place), &row.agent.parse().unwrap());
            let held = hold.filter(|hold| hold.claim_id.to_string() == *id).map(|hold| hold.epoch);
            if held != row.active.then_some(row.epoch) {
                return Err(format!("the index holds {held:?} of {id}, and kept is {row:?}"));
            }
        }
        for (place, open) in &ledger.issues {
            let is_known = manager.labels_of(&issue_at(place)).is_some();
            if is_known != *open {
                return Err(format!("{place:?}: open to the index {is_known}, to the store {open}"));
            }
        }
        let (health, active) = (manager.health(), ledger.claims.values().filter(|row| row.active));
        let stale = active.clone().filter(|row| row.status == "stale").count();
        let counted = (health.active_claims, health.stale_claims, health.open_issues);
        let kept = (active.count(), stale, ledger.issues.values().filter(|open| **open).count());
        if counted == kept { Ok(()) } else { Err(format!("the index counts {counted:?}, the store {kept:?}")) }
    }
}
