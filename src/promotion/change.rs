//! The change itself: the file is written, the server takes it up or refuses it, and who wished it is noted.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Ground, Way, Word, is_same};
use crate::api::Call;
use crate::config::{not_replaceable, replace_file};
use crate::domain::PolicyStamp;

/// How long a server gets to put an edit in force: compiling a large component takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it gets to judge the file that is as it was. It may refuse that with the same words.
const PATIENCE_AFTERWARDS: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);

/// What is to hold when it is done; rankers are known by their components and settings.
pub(super) enum Wished {
    /// This ranker is in force.
    Ranker {
        ranker: PolicyStamp,
        /// `promoted` or `rolled_back`.
        action: &'static str,
    },
    /// This one is on trial, or none.
    OnTrial(Option<PolicyStamp>),
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A server has it in force.
    InForce,
    /// It will be in force when a server starts.
    AtNextStart,
}

impl Outcome {
    /// What it means for agents, in half a sentence.
    pub fn told(self) -> &'static str {
        match self {
            Self::InForce => "in force now",
            Self::AtNextStart => "no server runs, so it is in force at the next start",
        }
    }
}

/// Gives the configuration another text, for what is wished. A server that refuses it, or does not take it up, leaves
/// the file as it was.
pub(super) async fn make(
    way: &dyn Way,
    ground: &Ground,
    (before, text): (&str, &str),
    wished: &Wished,
    word: &Word,
) -> anyhow::Result<Outcome> {
    let file = ground.file()?;
    let known = if way.is_served() { present(way).await?.rejected } else { None };
    write_over(file, before, text)?;
    let outcome = if way.is_served() {
        if let Err(error) = wait_for(way, wished, known.as_deref()).await {
            let refused = present(way).await.ok().and_then(|present| present.rejected);
            let error = put_back(file, (before, text), error);
            wait_past(way, refused).await;
            return Err(error);
        }
        Outcome::InForce
    } else {
        Outcome::AtNextStart
    };
    note(way, wished, word).await.context("it is done, but nobody noted who did it")?;
    Ok(outcome)
}

/// Notes whose word it was, with the set that has the ranker.
async fn note(way: &dyn Way, wished: &Wished, word: &Word) -> anyhow::Result<()> {
    let (action, ranker) = match wished {
        Wished::Ranker { ranker, action } => (*action, ranker.clone()),
        Wished::OnTrial(on_trial) => {
            let newest = newest(way).await?;
            let ranker = serde_json::from_value(newest["ranker_stamp"].clone()).context("the history has no set")?;
            (if on_trial.is_some() { "put_on_trial" } else { "given_up" }, ranker)
        }
    };
    let PolicyStamp { source, digest, settings_digest } = ranker;
    let fields = json!({
        "action": action, "who": word.who, "note": word.note,
        "source": source, "digest": digest, "settings_digest": settings_digest,
    });
    way.ask(Call::PolicyAudit, fields).await.map(drop)
}

/// The newest set of the history.
async fn newest(way: &dyn Way) -> anyhow::Result<Value> {
    Ok(way.ask(Call::PolicyHistory, Value::Null).await?["sets"][0].take())
}

/// Writes the file, if it says what it did when the new text was made of it.
fn write_over(file: &Path, before: &str, text: &str) -> anyhow::Result<()> {
    let failed = || format!("failed to write {}", file.display());
    if let Some(why) = not_replaceable(file) {
        bail!("{why}: nothing was changed; edit it where it comes from");
    }
    if std::fs::read_to_string(file).with_context(failed)? != before {
        bail!("{} was edited meanwhile: nothing was changed; look at it and try again", file.display());
    }
    replace_file(file, text).with_context(failed)
}

/// The file as it was, unless somebody else has edited it since; `error` says why, and what became of that.
fn put_back(file: &Path, (before, text): (&str, &str), error: anyhow::Error) -> anyhow::Error {
    let attempt = || match std::fs::read_to_string(file) {
        Ok(now) if now == text => replace_file(file, before),
        // A newer edit is not ours to undo.
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    match attempt() {
        Ok(()) => error,
        Err(trouble) => {
            error.context(format!("{} could not be put back as it was: {trouble}; mend it", file.display()))
        }
    }
}

/// What a server says of the policies it has in force.
struct Present {
    /// The ranker; `None` where an override that names every repository decides, and hides it.
    ranker: Option<PolicyStamp>,
    on_trial: Option<PolicyStamp>,
    /// Why its newest edit is not.
    rejected: Option<String>,
}

impl Present {
    fn has(&self, wished: &Wished) -> bool {
        match wished {
            Wished::Ranker { ranker, .. } => self.ranker.as_ref().is_none_or(|it| is_same(it, ranker)),
            Wished::OnTrial(wished) => is_alike(self.on_trial.as_ref(), wished.as_ref()),
        }
    }
}

async fn present(way: &dyn Way) -> anyhow::Result<Present> {
    let answer = way.ask(Call::PolicyEffective, Value::Null).await?;
    let policy = &answer["policy"];
    let stamp = |of: &Value| serde_json::from_value(of.clone()).context("the server named no ranker");
    Ok(Present {
        ranker: if policy["override"].is_object() { None } else { Some(stamp(&policy["ranker"])?) },
        on_trial: policy.get("candidate").map(|candidate| stamp(&candidate["ranker"])).transpose()?,
        rejected: answer["rejected"].as_str().map(str::to_owned),
    })
}

async fn wait_for(way: &dyn Way, wished: &Wished, known: Option<&str>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let present = present(way).await?;
        match &present.rejected {
            // The history comes a moment later, and is what the name of who wished it is written into.
            None if present.has(wished) && is_kept(way, wished).await? => return Ok(()),
            Some(why) if known != Some(why.as_str()) => bail!("the server refused it, the file is as it was: {why}"),
            _ => {}
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "the server did not take it up within {} s, the file is as it was: does it run with this file?",
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until the server has judged the file as it is again. Whoever edits next would take the word on this edit, or one
/// that the file of before brings, for the word on theirs.
async fn wait_past(way: &dyn Way, refused: Option<String>) {
    let begun = Instant::now();
    while refused.is_some() && begun.elapsed() < PATIENCE_AFTERWARDS {
        match present(way).await {
            Ok(present) if present.rejected == refused => tokio::time::sleep(PAUSE).await,
            _ => return,
        }
    }
}

/// Whether the newest set in the history is as wished.
async fn is_kept(way: &dyn Way, wished: &Wished) -> anyhow::Result<bool> {
    let newest = newest(way).await?;
    let stamp = |name: &str| serde_json::from_value::<PolicyStamp>(newest[name].clone()).ok();
    Ok(match wished {
        Wished::Ranker { ranker, .. } => is_alike(stamp("ranker_stamp").as_ref(), Some(ranker)),
        Wished::OnTrial(wished) => is_alike(stamp("candidate").as_ref(), wished.as_ref()),
    })
}

fn is_alike(a: Option<&PolicyStamp>, b: Option<&PolicyStamp>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => is_same(a, b),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_file_that_somebody_else_edited_meanwhile_is_neither_written_over_nor_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuecommand.toml");
        let says = || std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, "newer").unwrap();
        let why = write_over(&file, "before", "ours").unwrap_err().to_string();
        assert!(why.contains("was edited meanwhile: nothing was changed") && says() == "newer", "{why}");
        assert_eq!(put_back(&file, ("before", "ours"), anyhow!("refused")).to_string(), "refused");
        assert_eq!(says(), "newer");

        write_over(&file, "newer", "ours").unwrap();
        assert_eq!(says(), "ours");
        assert_eq!(put_back(&file, ("newer", "ours"), anyhow!("refused")).to_string(), "refused");
        assert_eq!(says(), "newer");

        std::fs::remove_file(&file).unwrap();
        let gone = put_back(&file, ("before", "ours"), anyhow!("refused"));
        assert!(format!("{gone:#}").contains("could not be put back as it was"), "{gone:#}");
        assert!(format!("{gone:#}").ends_with("refused"), "{gone:#}");
    }
}
