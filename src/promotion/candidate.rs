//! From a trial to the ranker in force: put on trial, promoted, or given up; and a ranker that is told something else.

use std::sync::Arc;

use anyhow::Context;
use serde_json::{Map, Value};

use super::change::{Outcome, Wished, make};
use super::{Ground, Way, Word};
use crate::config::{CandidateConfig, RankerConfig, with_candidate, with_candidate_promoted, with_ranker};
use crate::domain::PolicyStamp;

/// What events call a ranker that somebody put in force.
const PROMOTED: &str = "promoted";

/// Makes the candidate the ranker; which one that is.
///
/// # Errors
/// When there is none, it does not load, the file cannot be written, or the server refuses it.
pub async fn promote(way: &dyn Way, ground: &Arc<Ground>, word: &Word) -> anyhow::Result<(PolicyStamp, Outcome)> {
    let before = ground.text()?;
    let text = with_candidate_promoted(&before)?;
    let candidate = ground.loaded.config.policies.candidate.as_ref().context("there is no candidate")?;
    let ranker = ground.stamp_of(&candidate.ranker).await?;
    let wished = Wished::Ranker { ranker: ranker.clone(), action: PROMOTED };
    Ok((ranker, make(way, ground, (&before, &text), &wished, word).await?))
}

/// Has the ranker told `settings`, all else as it is.
///
/// # Errors
/// As [`promote`].
pub async fn put_in_force(
    way: &dyn Way,
    ground: &Arc<Ground>,
    settings: Map<String, Value>,
    word: &Word,
) -> anyhow::Result<Outcome> {
    let before = ground.text()?;
    let ranker = told(ground, settings);
    let text = with_ranker(&before, &ranker)?;
    let wished = Wished::Ranker { ranker: ground.stamp_of(&ranker).await?, action: PROMOTED };
    make(way, ground, (&before, &text), &wished, word).await
}

/// Puts the ranker on trial in shadow, told `settings`, in the place of whatever is on trial.
///
/// # Errors
/// As [`promote`].
pub async fn put_on_trial(
    way: &dyn Way,
    ground: &Arc<Ground>,
    settings: Map<String, Value>,
    word: &Word,
) -> anyhow::Result<Outcome> {
    let before = ground.text()?;
    let ranker = told(ground, settings);
    let stamp = ground.stamp_of(&ranker).await?;
    let text = with_candidate(&before, Some(&CandidateConfig::in_shadow(ranker)))?;
    make(way, ground, (&before, &text), &Wished::OnTrial(Some(stamp)), word).await
}

/// Ends the trial; the ranker in force stays.
///
/// # Errors
/// When the file cannot be written, or the server refuses it.
pub async fn give_up(way: &dyn Way, ground: &Arc<Ground>, word: &Word) -> anyhow::Result<Outcome> {
    let before = ground.text()?;
    let text = with_candidate(&before, None)?;
    make(way, ground, (&before, &text), &Wished::OnTrial(None), word).await
}

/// The configured ranker with other settings of its base.
fn told(ground: &Ground, settings: Map<String, Value>) -> RankerConfig {
    let mut ranker = ground.loaded.config.policies.ranker.clone();
    ranker.base.settings = settings;
    ranker
}
