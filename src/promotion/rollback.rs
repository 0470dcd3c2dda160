//! A ranker that was in force before is so again, and the trial that a promotion had ended goes on. A trial that
//! somebody gave up does not.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::Value;

use super::change::{Outcome, Wished, make};
use super::kept::with_components;
use super::{Ground, Way, Word, ask_for, is_same};
use crate::api::Call;
use crate::config::{CandidateConfig, EditError, with_candidate, with_ranker};
use crate::domain::{PolicyStamp, Timestamp};
use crate::store::{OnTrialRecord, PolicySetKept, PolicySetRecord};

/// What a rollback did.
#[derive(Debug)]
pub struct RolledBack {
    /// The ranker that was put back.
    pub ranker: PolicyStamp,
    /// When the set that it is of came in force.
    pub of: Timestamp,
    /// What became of it.
    pub outcome: Outcome,
    /// What else is another now: files, and the trial. A sentence each, for people.
    pub said: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct History {
    sets: Vec<PolicySetKept>,
}

/// Puts the ranker of the set `to` back, or of the newest that had another one than the present.
///
/// # Errors
/// When there is no such set, its components are not kept or load no more, the file cannot be written, or the server
/// refuses it.
pub async fn roll_back(
    way: &dyn Way,
    ground: &Arc<Ground>,
    to: Option<u64>,
    word: &Word,
) -> anyhow::Result<RolledBack> {
    let History { sets } = ask_for(way, Call::PolicyHistory, Value::Null).await?;
    let present = if way.is_served() {
        sets.first().map(|set| set.record.ranker_stamp.clone())
    } else {
        // What the file names may never have been in force.
        ground.stamp_of(&ground.loaded.config.policies.ranker).await.ok()
    };
    let target = chosen(&sets, to, present.as_ref())?;
    let (record, mut said) = (&target.record, Vec::new());
    let ranker = with_components(way, ground, record, &record.ranker, &record.parts, &mut said).await?;
    let stamp = ground.stamp_of(&ranker).await.with_context(|| {
        format!("set {} cannot be put back, nothing was changed (the history has others)", target.set_id)
    })?;
    let trial = Trial::after(way, ground, &stamp, present.as_ref(), record, &mut said).await;
    if !is_same(&stamp, &record.ranker_stamp) {
        bail!("a built-in policy is another in this version of the server: set {} cannot be put back", target.set_id);
    }
    let before = ground.text()?;
    let text = trial.put_in(with_ranker(&before, &ranker)?)?;
    let place = format!("to set {}", target.set_id);
    let note = word.note.as_ref().map_or_else(|| place.clone(), |note| format!("{place}; {note}"));
    let word = Word { note: Some(note), ..word.clone() };
    let wished = Wished::Ranker { ranker: stamp.clone(), action: "rolled_back" };
    let outcome = make(way, ground, (&before, &text), &wished, &word).await?;
    said.extend(trial.told());
    Ok(RolledBack { ranker: stamp, of: target.at, outcome, said })
}

/// The set to put back, instead of what is `present`: a second rollback undoes the first.
fn chosen<'s>(
    sets: &'s [PolicySetKept],
    to: Option<u64>,
    present: Option<&PolicyStamp>,
) -> anyhow::Result<&'s PolicySetKept> {
    if let Some(set_id) = to {
        let found = sets.iter().find(|set| set.set_id == set_id);
        return found.with_context(|| format!("there is no set {set_id} in the history"));
    }
    if sets.is_empty() {
        bail!("no policy has been in force yet");
    }
    let other = sets.iter().find(|set| present.is_none_or(|present| !is_same(&set.record.ranker_stamp, present)));
    other.context("no other ranker has been in force, as far back as the history goes")
}

/// What becomes of the trial.
enum Trial {
    /// It is as the configuration says.
    AsItIs,
    /// The candidate is the ranker now: there is nothing to try.
    Over,
    /// The promotion had ended it; the candidate is on trial again.
    GoesOn(CandidateConfig),
    /// The same, but for this reason it is not.
    Lost(String),
    /// No promotion had ended it: this was on trial then, and stays off it.
    GivenUp(String),
}

impl Trial {
    /// With the ranker of `stamp` put back from `record`. A candidate that was configured since then stays; the one
    /// of then comes back where it is the ranker that is replaced now, `present`.
    async fn after(
        way: &dyn Way,
        ground: &Arc<Ground>,
        stamp: &PolicyStamp,
        present: Option<&PolicyStamp>,
        record: &PolicySetRecord,
        said: &mut Vec<String>,
    ) -> Self {
        if let Some(on_trial) = &ground.loaded.config.policies.candidate {
            let is_put_back = ground.stamp_of(&on_trial.ranker).await.is_ok_and(|it| is_same(&it, stamp));
            return if is_put_back { Self::Over } else { Self::AsItIs };
        }
        let Some(before) = &record.candidate else { return Self::AsItIs };
        if !present.is_some_and(|replaced| is_same(replaced, before)) {
            return Self::GivenUp(before.source.clone());
        }
        let Some(OnTrialRecord { config, parts }) = &record.on_trial else {
            return Self::Lost("the history does not say how it was configured".to_owned());
        };
        let ranker = match with_components(way, ground, record, &config.ranker, parts, said).await {
            Ok(ranker) => ranker,
            Err(error) => return Self::Lost(format!("{error:#}")),
        };
        match ground.stamp_of(&ranker).await {
            Ok(it) if is_same(&it, before) => Self::GoesOn(CandidateConfig { ranker, ..config.clone() }),
            Ok(_) => Self::Lost("a built-in policy is another in this version of the server".to_owned()),
            Err(error) => Self::Lost(format!("{error:#}")),
        }
    }

    /// The configuration's text, with the trial as it is to be.
    fn put_in(&self, text: String) -> Result<String, EditError> {
        match self {
            Self::AsItIs | Self::Lost(_) | Self::GivenUp(_) => Ok(text),
            Self::Over => with_candidate(&text, None),
            Self::GoesOn(candidate) => with_candidate(&text, Some(candidate)),
        }
    }

    fn told(&self) -> Option<String> {
        Some(match self {
            Self::AsItIs => return None,
            Self::Over => "the candidate is the ranker now, so its trial is over".to_owned(),
            Self::GoesOn(it) => {
                format!("{} is on trial again ({}), as it was then", it.ranker.source, it.mode.as_str())
            }
            Self::GivenUp(source) => {
                format!("{source} was on trial then and is not now; set [policies.candidate] to try it again")
            }
            Self::Lost(why) => {
                format!("the candidate of then is not on trial again: {why}; set [policies.candidate]")
            }
        })
    }
}
