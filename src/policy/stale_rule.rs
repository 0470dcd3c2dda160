//! Stale rules: how live claims are doing.

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::bindings::stale_rule::exports::issuecommand::policy::stale_rule as wit;
use super::bindings::stale_rule::{StaleRulePolicy, StaleRulePolicyPre};
use super::effective::Told;
use super::error::PolicyError;
use super::facts::{ClaimRow, Facts};
use super::instance::{Answer, Function, Kind, Policy};
use super::sample;
use super::state::CallState;
use crate::domain::{Claim, ClaimSignals, PolicyStamp, Timestamp, unix_ms};

/// A verdict is one byte; rows come back packed.
const ASSESS: Function = Function { name: "assess", output_bytes_per_row: 8, waited_for: false };

/// A claim that has not ended, and when its owner was last heard of.
#[derive(Debug, Clone, Copy)]
pub struct LiveClaim<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// When its owner last called; any call counts.
    pub last_call_at: Timestamp,
    /// What else is known of it.
    pub signals: ClaimSignals,
}

/// How a claim is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Its owner is at work.
    Healthy,
    /// It waits for a person or a review; leave it alone.
    Waiting,
    /// It has lapsed: mark it, and let it go on blocking others.
    Stale,
    /// Take it back, so that others can have the issue.
    Release,
}

/// The policy that says when a claim has lapsed.
#[derive(Debug)]
pub struct StaleRule(Policy<StaleRuleKind>);

impl StaleRule {
    /// Which component, with which settings.
    pub fn stamp(&self) -> &PolicyStamp {
        &self.0.stamp
    }

    pub(super) fn policy(&self) -> &Policy<StaleRuleKind> {
        &self.0
    }

    /// The same, with the settings themselves.
    pub(super) fn with_settings(&self) -> Told {
        Told::new(&self.0.stamp, self.0.settings())
    }

    /// One verdict for each claim, in their order.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or does not judge every claim.
    pub fn assess(&self, rows: &[LiveClaim<'_>], now: Timestamp) -> Result<Vec<Verdict>, PolicyError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.assess_rows(rows.iter().map(|row| ClaimRow::new(row.claim, row.last_call_at, row.signals)).collect(), now)
    }

    /// Takes a policy into service if it passes a trial on nothing and on a small sample.
    pub(super) fn accept(policy: Policy<StaleRuleKind>) -> Result<Self, PolicyError> {
        let rule = Self(policy);
        rule.assess_rows(Vec::new(), sample::now())?;
        rule.assess_rows(sample::claims(), sample::now())?;
        Ok(rule)
    }

    fn assess_rows(&self, rows: Vec<ClaimRow>, now: Timestamp) -> Result<Vec<Verdict>, PolicyError> {
        let count = rows.len();
        let verdicts = self.0.call(ASSESS, Facts::Claims(rows), |guest, store| {
            guest.issuecommand_policy_stale_rule().call_assess(store, unix_ms(now))
        })?;
        if verdicts.len() != count {
            let why = format!("there are {} verdicts for {count} claims: give one for each", verdicts.len());
            return Err(PolicyError::BadOutput { call: ASSESS.name, why });
        }
        Ok(verdicts.into_iter().map(Verdict::from).collect())
    }
}

impl From<wit::Verdict> for Verdict {
    fn from(verdict: wit::Verdict) -> Self {
        match verdict {
            wit::Verdict::Healthy => Self::Healthy,
            wit::Verdict::Waiting => Self::Waiting,
            wit::Verdict::Stale => Self::Stale,
            wit::Verdict::Release => Self::Release,
        }
    }
}

pub(super) struct StaleRuleKind;

impl Kind for StaleRuleKind {
    const NOUN: &'static str = "a stale rule";
    const INTERFACE: &'static str = "stale-rule";
    type Pre = StaleRulePolicyPre<CallState>;
    type Guest = StaleRulePolicy;

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        StaleRulePolicy::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
    }

    fn prepare(pre: InstancePre<CallState>) -> wasmtime::Result<Self::Pre> {
        StaleRulePolicyPre::new(pre)
    }

    fn instantiate(pre: &Self::Pre, store: &mut Store<CallState>) -> wasmtime::Result<Self::Guest> {
        pre.instantiate(store)
    }

    fn settings_schema(guest: &Self::Guest, store: &mut Store<CallState>) -> wasmtime::Result<String> {
        guest.issuecommand_policy_stale_rule().call_settings_schema(store)
    }

    fn configure(guest: &Self::Guest, store: &mut Store<CallState>, settings: &str) -> Answer<()> {
        guest.issuecommand_policy_stale_rule().call_configure(store, settings)
    }
}
