//! What a server starts with where a policy is refused: nothing is in force then that could stay.

use std::path::Path;

use tracing::error;

use crate::config::{BUILTIN_RANKER, BUILTIN_STALE_RULE, PoliciesConfig, PolicyConfig, RankerConfig, StageRole};
use crate::policy::{PolicyHost, PolicyRejected, PolicySet};

/// Loads a set, with a stand-in for what cannot be loaded, and the configuration that it then is of, and what was
/// refused: the built-in for a ranker's base or a stale rule, nothing for a stage that only adds to the order. There is
/// none for what keeps work back, the repository filter and the stages that filter: without those nobody knows what is
/// allowed. There is none either for what must be signed: who takes a signature away must not gain a server without
/// the policy.
pub(super) fn load_or_stand_in(
    host: &PolicyHost,
    config: PoliciesConfig,
    base_dir: &Path,
) -> Result<(PolicySet, PoliciesConfig, Option<String>), PolicyRejected> {
    load_or_stand_in_by(&|config| host.load(config, base_dir), host, config, base_dir)
}

/// The same, with what loads a whole set.
fn load_or_stand_in_by(
    load: &dyn Fn(&PoliciesConfig) -> Result<PolicySet, PolicyRejected>,
    host: &PolicyHost,
    mut config: PoliciesConfig,
    base_dir: &Path,
) -> Result<(PolicySet, PoliciesConfig, Option<String>), PolicyRejected> {
    let (mut faults, mut is_looked_at_again) = (Vec::new(), false);
    loop {
        let rejected = match load(&config) {
            Ok(set) => return Ok((set, config, (!faults.is_empty()).then(|| faults.join("; ")))),
            Err(rejected) => rejected,
        };
        match do_without(&mut config, &rejected, host, base_dir) {
            StandIn::Found => {}
            // The fault has passed: a file that was being written, a folder that was being mounted.
            StandIn::NotNeeded if !is_looked_at_again => {
                is_looked_at_again = true;
                continue;
            }
            StandIn::NotNeeded | StandIn::None => return Err(rejected),
        }
        let instead = match rejected.policy {
            "candidate.ranker" => "nothing is on trial",
            _ if rejected.stage.is_some() => "the server starts without this stage",
            _ => "the server starts, and the built-in one stands in for it",
        };
        error!("policy refused, {instead}: {rejected}");
        faults.push(rejected.to_string());
    }
}

/// Whether there is something for what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StandIn {
    Found,
    /// Nothing is refused any more.
    NotNeeded,
    /// Nothing can stand in for it.
    None,
}

/// Takes what was refused out of the configuration, and nothing else that has the same source.
fn do_without(config: &mut PoliciesConfig, rejected: &PolicyRejected, host: &PolicyHost, base_dir: &Path) -> StandIn {
    let all = config.clone();
    let found = |is_any: bool| if is_any { StandIn::Found } else { StandIn::NotNeeded };
    match rejected.policy {
        "candidate.ranker" => found(config.candidate.take().is_some()),
        "ranker" | "override.ranker" => {
            let is_refused = |it: &PolicyConfig| it.source == rejected.source && !host.takes_ranker(it, &all, base_dir);
            let mended: Option<Vec<bool>> = config.rankers_mut().map(|ranker| mend(ranker, is_refused)).collect();
            mended.map_or(StandIn::None, |mended| found(mended.contains(&true)))
        }
        "stale_rule" | "override.stale_rule" => {
            let stand_in = PolicyConfig::builtin(BUILTIN_STALE_RULE);
            let is_refused = |it: &PolicyConfig| {
                it.source == rejected.source && *it != stand_in && !host.takes_stale_rule(it, &all, base_dir)
            };
            let refused: Vec<_> = config.stale_rules_mut().filter(|rule| is_refused(rule)).collect();
            if refused.iter().any(|rule| rule.signed_by.is_some()) {
                return StandIn::None;
            }
            let is_any = !refused.is_empty();
            refused.into_iter().for_each(|rule| *rule = stand_in.clone());
            found(is_any)
        }
        _ => StandIn::None,
    }
}

/// Leaves out of a ranker what is refused; whether anything was, or `None` where that keeps work back or must be signed.
fn mend(ranker: &mut RankerConfig, is_refused: impl Fn(&PolicyConfig) -> bool) -> Option<bool> {
    let (refused, kept): (Vec<_>, Vec<_>) = ranker.stage.drain(..).partition(|stage| is_refused(&stage.policy));
    ranker.stage = kept;
    let is_signed = |it: &PolicyConfig| it.signed_by.is_some();
    let is_base_refused = ranker.base != PolicyConfig::builtin(BUILTIN_RANKER) && is_refused(&ranker.base);
    if is_base_refused && is_signed(&ranker.base) {
        return None;
    }
    if is_base_refused {
        ranker.base = PolicyConfig::builtin(BUILTIN_RANKER);
    }
    let keeps_work_back = refused.iter().any(|stage| stage.role == StageRole::Filter || is_signed(&stage.policy));
    (!keeps_work_back).then_some(is_base_refused || !refused.is_empty())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
