//! The oracle: a model of what was acknowledged, and of what may have happened besides. It knows nothing of how the
//! server works; it holds what the database says before and after a step against what was asked and answered in it.

mod memory;

use std::collections::{BTreeMap, BTreeSet};

use issuecommand::domain::{ClaimStatus, IssueRef};

use crate::calls::{Answer, Call, Called};
use crate::clock::Moment;
use crate::ledger::{Ledger, Place, Row};
use crate::told::Being;
use crate::watch::Announced;

/// After how long the calls of owners are written down for sure, where the disk is well.
const CALLS_WRITTEN_MS: u64 = 15_000;
/// The leases of the simulation.
pub const LEASE_MINUTES: u64 = 3;
pub const AUTO_RELEASE_MINUTES: u64 = 2;

/// What GitHub told of each issue.
pub type Beings = BTreeMap<IssueRef, BTreeSet<Being>>;

/// What happened in one step.
#[derive(Debug)]
pub struct Evidence {
    pub called: Vec<Called>,
    pub announced: Vec<Announced>,
    pub after: Ledger,
    /// All that the server may have gone by in this step.
    pub beings: Beings,
    /// The repositories that the policies in force admit.
    pub admitted: Vec<String>,
    /// Issues that the ranker in force must keep back, before and after the step.
    pub kept_back: BTreeSet<Place>,
}

impl Evidence {
    /// Whether GitHub may have been understood so.
    fn said(&self, place: &Place, being: Being) -> bool {
        self.beings.iter().any(|(issue, beings)| place_of(issue) == *place && beings.contains(&being))
    }
}

/// The model.
#[derive(Debug, Default)]
pub struct Oracle {
    pub ledger: Ledger,
    /// When each holder was last heard of; by the wall's clock the latest that it ever was.
    heard: BTreeMap<String, Moment>,
    /// When each claim went stale, by the wall's clock.
    stale_at: BTreeMap<String, u64>,
    /// What each request got.
    requests: BTreeMap<(String, String), String>,
    /// The highest epoch ever granted on each issue.
    epochs: BTreeMap<Place, u64>,
    /// When something last was wrong with the server, its clock or its store, by the steady clock.
    trouble_ms: u64,
    pub last_event: u64,
    /// From when to when the disk was last ill, by the steady clock.
    ill: Option<(u64, u64)>,
    /// What GitHub had told at the end of the last step.
    pub beings: Beings,
}

impl Oracle {
    /// Notes that from here on agents are to have two minutes.
    pub fn note_trouble(&mut self, at: Moment) {
        self.trouble_ms = self.trouble_ms.max(at.steady_ms);
    }

    /// Notes that a failure of the server's own was seen.
    pub fn note_failure_at(&mut self, steady_ms: Option<u64>) {
        self.trouble_ms = self.trouble_ms.max(steady_ms.unwrap_or(0));
    }

    /// Notes that the disk takes nothing from here on, or takes all again.
    pub fn note_disk(&mut self, is_well: bool, at: Moment) {
        match (is_well, self.ill) {
            (false, None) => self.ill = Some((at.steady_ms, u64::MAX)),
            (true, Some((since, u64::MAX))) => self.ill = Some((since, at.steady_ms)),
            (false, Some((since, to))) if at.steady_ms < to.saturating_add(CALLS_WRITTEN_MS) => {
                self.ill = Some((since, u64::MAX))
            }
            (false, Some((_, to))) if to < u64::MAX => self.ill = Some((at.steady_ms, u64::MAX)),
            _ => {}
        }
    }

    /// Calls that were only in memory are forgotten.
    pub fn note_crash(&mut self, at: Moment) {
        let ill = self.ill.take().filter(|(_, to)| at.steady_ms < to.saturating_add(CALLS_WRITTEN_MS));
        let written_to = ill.map_or(at.steady_ms, |(since, _)| since);
        self.heard.retain(|_, heard| heard.steady_ms + CALLS_WRITTEN_MS < written_to);
    }

    /// Whether an agent holds anything.
    pub fn is_holder(&self, agent: &str) -> bool {
        self.ledger.claims.values().any(|claim| claim.active && claim.agent == agent)
    }

    /// Whether an agent held something all the time from the last step to the end of this one.
    pub fn held_through(&self, agent: &str, after: &Ledger) -> bool {
        let held = |ledger: &Ledger, id: &String| {
            ledger.claims.get(id).is_some_and(|claim| claim.active && claim.agent == agent)
        };
        self.ledger.claims.keys().any(|id| held(&self.ledger, id) && held(after, id))
    }

    /// Notes that a holder called.
    pub fn note_call(&mut self, agent: &str, at: Moment) {
        if self.is_holder(agent) {
            let before = self.heard.get(agent).map_or(0, |heard| heard.wall_ms);
            self.heard.insert(agent.to_owned(), Moment { wall_ms: at.wall_ms.max(before), ..at });
        }
    }

    /// Holds a step against the model, and goes on from there.
    pub fn judge(&mut self, step: Evidence) -> Result<(), String> {
        one_claim_an_issue(&step.after)?;
        self.events_are_whole(&step)?;
        self.answers_are_true(&step)?;
        self.issues_are_by_githubs_word(&step)?;
        for (id, row) in &step.after.claims {
            match self.ledger.claims.get(id) {
                None => self.grant_has_a_cause(&step, id, row)?,
                Some(before) if before != row => self.change_has_a_cause(&step, id, before, row)?,
                Some(_) => {}
            }
        }
        if let Some(lost) = self.ledger.claims.keys().find(|id| !step.after.claims.contains_key(*id)) {
            return Err(format!("claim {lost} was acknowledged, and is not there any more"));
        }
        self.sweeps_kept_the_grace(&step)?;
        self.epochs_only_grow(&step)?;
        self.requests_are_remembered(&step)?;
        self.go_on(step);
        Ok(())
    }

    fn events_are_whole(&self, step: &Evidence) -> Result<(), String> {
        let mut expected = self.last_event;
        for event in &step.after.events {
            expected += 1;
            if event.seq != expected {
                return Err(format!("event {} comes where event {expected} was due", event.seq));
            }
        }
        let told = step.announced.iter().map(|it| (it.seq, it.kind, it.claim.as_deref()));
        let kept = step.after.events.iter().map(|it| (it.seq, it.kind.as_str(), it.claim.as_deref()));
        let (told, kept): (Vec<_>, Vec<_>) = (told.collect(), kept.collect());
        if told != kept {
            return Err(format!("announced was {told:?}, and kept is {kept:?}"));
        }
        let created = step.after.events.iter().filter(|event| event.kind == "claim.created").count();
        let granted = step.after.claims.keys().filter(|id| !self.ledger.claims.contains_key(*id)).count();
        if created != granted {
            return Err(format!("{granted} claims are new, and {created} events say so"));
        }
        let has_event = |id: &String| step.after.events.iter().any(|event| event.claim.as_ref() == Some(id));
        let changed = |(id, row): &(&String, &Row)| self.ledger.claims.get(*id).is_some_and(|before| before != *row);
        match step.after.claims.iter().filter(changed).find(|(id, _)| !has_event(id)) {
            Some((id, row)) => Err(format!("claim {id} changed to {row:?}, and no event says so")),
            None => Ok(()),
        }
    }

    /// What an answer said is what the store says, unless something else of the same step changed it again.
    fn answers_are_true(&self, step: &Evidence) -> Result<(), String> {
        for called in &step.called {
            let (claim, agent) = match (&called.answer, &called.call) {
                (Some(Answer::Granted { claim, .. } | Answer::Moved(claim)), call) => (claim, call.agent()),
                (Some(Answer::Holds(is_held)), Call::Holds { agent, claim, epoch }) => {
                    holds_is_true(self, step, *is_held, (agent.as_str(), &claim.to_string(), *epoch))?;
                    continue;
                }
                _ => continue,
            };
            if let Call::Update { epoch: Some(epoch), .. } = &called.call
                && *epoch != claim.lease.epoch
            {
                return Err(format!("answered was {called}, by the word of epoch {epoch}"));
            }
            let id = claim.claim_id.to_string();
            let Some(row) = step.after.claims.get(&id) else {
                return Err(format!("answered was {called}, and no such claim is kept"));
            };
            let place = (claim.repo.to_string(), claim.issue_number.get());
            let was_closed = || row.status == "closed" && step.said(&row.place, Being::Closed);
            let is_alone = !self.others_touched(step, called, &id) && !was_closed();
            let is_same = row.place == place
                && (!is_alone
                    || (Some(row.agent.as_str()) == agent.map(|agent| agent.as_str())
                        && row.epoch == claim.lease.epoch
                        && row.status == claim.status().as_str()));
            if !is_same {
                return Err(format!("answered was {called}, and kept is {row:?}"));
            }
        }
        Ok(())
    }

    /// Whether anything besides this call may have changed a claim in this step.
    fn others_touched(&self, step: &Evidence, call: &Called, id: &str) -> bool {
        let touches = |other: &&Called| match &other.call {
            Call::Update { claim, .. } | Call::Overrule { claim, .. } => claim.to_string() == id,
            _ => false,
        };
        let others = step.called.iter().filter(|other| !std::ptr::eq(*other, call));
        let swept = |it: &&Announced| it.claim.as_deref() == Some(id) && it.kind != "claim.created";
        let own = usize::from(matches!(call.call, Call::Update { .. }));
        others.filter(touches).count() > 0 || step.announced.iter().filter(swept).count() > own
    }

    /// What failed, was late or was cut short closes, opens and removes nothing.
    fn issues_are_by_githubs_word(&self, step: &Evidence) -> Result<(), String> {
        let being = |ledger: &Ledger, place: &Place| match ledger.issues.get(place) {
            Some(true) => Being::Open,
            Some(false) => Being::Closed,
            None => Being::Gone,
        };
        for place in self.ledger.issues.keys().chain(step.after.issues.keys()) {
            let (before, after) = (being(&self.ledger, place), being(&step.after, place));
            if before != after && !step.said(place, after) {
                return Err(format!("{place:?} went from {before:?} to {after:?}, and GitHub did not say so"));
            }
        }
        Ok(())
    }

    fn grant_has_a_cause(&self, step: &Evidence, id: &str, row: &Row) -> Result<(), String> {
        let was_told = |called: &&Called| match &called.answer {
            Some(Answer::Granted { claim, idempotent: false }) => claim.claim_id.to_string() == id,
            _ => false,
        };
        let may_be = |called: &&Called| match (&called.answer, &called.call) {
            (None, Call::Next { agent, .. } | Call::Claim { agent, .. }) => agent.as_str() == row.agent,
            _ => false,
        };
        let told: Vec<&Called> = step.called.iter().filter(was_told).collect();
        let asked = if told.is_empty() { step.called.iter().filter(may_be).collect() } else { told };
        if asked.is_empty() {
            return Err(format!("{id} was granted and nobody asked: {row:?}"));
        }
        if !step.admitted.contains(&row.place.0) {
            return Err(format!("{id} is on {}, which the policies in force do not admit", row.place.0));
        }
        if !step.said(&row.place, Being::Open) {
            return Err(format!("{:?} was given out, and GitHub did not say that it is open", row.place));
        }
        // Who names an issue gets it; only what is next is the ranker's to say.
        if asked.iter().all(|called| matches!(called.call, Call::Next { .. })) && step.kept_back.contains(&row.place) {
            return Err(format!("{:?} was given out, and the ranker in force keeps it back", row.place));
        }
        let (known, kept) = (self.epochs.get(&row.place), self.ledger.epochs.get(&row.place));
        if known.max(kept).is_some_and(|last| row.epoch <= *last) {
            return Err(format!("{:?} was granted under epoch {}, after {known:?}", row.place, row.epoch));
        }
        Ok(())
    }

    fn change_has_a_cause(&self, step: &Evidence, id: &str, before: &Row, row: &Row) -> Result<(), String> {
        let wrong = |why: &str| Err(format!("claim {id} {why}: {before:?} became {row:?}"));
        if !before.active {
            return wrong("had ended and changed");
        }
        if before.place != row.place || row.epoch < before.epoch {
            return wrong("cannot change so");
        }
        if row.active == matches!(row.status.as_str(), "closed" | "released") {
            return wrong("is active by one word and not by the other");
        }
        let done = step.called.iter().filter(|called| called.may_be_done());
        let owners =
            |to: &ClaimStatus, agent: &str| to.as_str() == row.status && (agent == before.agent || agent == row.agent);
        let is_asked_for = done.clone().any(|called| match &called.call {
            Call::Update { agent, claim, to, .. } => claim.to_string() == id && owners(to, agent.as_str()),
            _ => false,
        });
        let overruled = |to: Option<&str>| {
            done.clone().any(|called| match &called.call {
                Call::Overrule { claim, to: given } => {
                    claim.to_string() == id && given.as_ref().map(|agent| agent.as_str()) == to
                }
                _ => false,
            })
        };
        if before.agent != row.agent || before.epoch != row.epoch {
            return if overruled(Some(&row.agent)) {
                Ok(())
            } else {
                wrong("changed its owner, and no operator wished it")
            };
        }
        let swept = |kind: &str| step.announced.iter().any(|it| it.kind == kind && it.claim.as_deref() == Some(id));
        let is_explained = is_asked_for
            || match row.status.as_str() {
                "stale" => swept("claim.stale"),
                "released" => swept("claim.auto_released") || overruled(None),
                "closed" => step.said(&row.place, Being::Closed),
                _ => false,
            };
        if is_explained { Ok(()) } else { wrong("changed without a cause") }
    }

    fn go_on(&mut self, step: Evidence) {
        for row in step.after.claims.values() {
            let epoch = self.epochs.entry(row.place.clone()).or_insert(0);
            *epoch = row.epoch.max(*epoch);
        }
        self.last_event = step.after.events.last().map_or(self.last_event, |event| event.seq);
        let mut heard = std::mem::take(&mut self.heard);
        heard.retain(|agent, _| self.held_through(agent, &step.after));
        self.heard = heard;
        self.ledger = step.after;
    }
}

fn one_claim_an_issue(after: &Ledger) -> Result<(), String> {
    let mut held = BTreeMap::new();
    for (id, row) in after.claims.iter().filter(|(_, row)| row.active) {
        if let Some(other) = held.insert(&row.place, id) {
            return Err(format!("{:?} has two active claims, {other} and {id}", row.place));
        }
    }
    Ok(())
}

/// A token is good exactly while its claim is active, its holder's, and under its epoch.
fn holds_is_true(oracle: &Oracle, step: &Evidence, said: bool, token: (&str, &str, u64)) -> Result<(), String> {
    let (agent, id, epoch) = token;
    let is_held = |ledger: &Ledger| {
        let row = ledger.claims.get(id);
        row.is_some_and(|row| row.active && row.agent == agent && row.epoch == epoch)
    };
    let (before, after) = (is_held(&oracle.ledger), is_held(&step.after));
    if before == after && said != after {
        return Err(format!("told was that {agent} holds {id} under {epoch}: {said}, and it is {after}"));
    }
    Ok(())
}

/// How the ledger names an issue.
pub fn place_of(issue: &IssueRef) -> Place {
    (issue.repo.to_string(), issue.number.get())
}
