//! Putting another ranker in force: the configuration is edited, the running server takes it up and says so,
//! and who wished it is noted.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use issuecommand::api::Call;
use issuecommand::config::{Loaded, PoliciesConfig, RankerConfig, replace_file};
use issuecommand::domain::PolicyStamp;
use issuecommand::policy::PolicyHost;
use issuecommand::store::SqlStore;
use serde_json::{Value, json};

use super::super::door::Door;

/// How long a server gets to put an edit in force: compiling a large component takes seconds.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);

/// Another ranker for a configuration.
pub struct Change<'a> {
    pub loaded: &'a Loaded,
    /// The configuration's new text.
    pub text: String,
    /// The new ranker, as it is known by its components and settings.
    pub ranker: PolicyStamp,
    /// `promoted` or `rolled_back`.
    pub action: &'static str,
    pub note: Option<String>,
}

/// What became of it.
pub enum Outcome {
    /// A server has it in force.
    InForce,
    /// It will be in force when a server starts.
    AtNextStart,
}

/// The file of the configuration.
pub fn file_of(loaded: &Loaded) -> anyhow::Result<&Path> {
    loaded.file.as_deref().context("there is no configuration file: create issuecommand.toml, or give --config")
}

/// Loads a ranker as the server would, and says what it is.
///
/// # Errors
/// When it does not load.
pub fn stamp_of(loaded: &Loaded, ranker: &RankerConfig) -> anyhow::Result<PolicyStamp> {
    let policies = PoliciesConfig {
        ranker: ranker.clone(),
        candidate: None,
        overrides: Vec::new(),
        ..loaded.config.effective_policies()
    };
    let set = PolicyHost::new(None)?.load(&policies, &loaded.folder)?;
    Ok(set.ranker.main_stamp().clone())
}

/// Whether these are the same components with the same settings, wherever they came from.
pub fn is_same(a: &PolicyStamp, b: &PolicyStamp) -> bool {
    (&a.digest, &a.settings_digest) == (&b.digest, &b.settings_digest)
}

impl Change<'_> {
    /// Makes the change. A server that refuses it, or does not take it up, leaves the file as it was.
    ///
    /// # Errors
    /// When the file cannot be written, or the server does not put it in force.
    pub async fn make(self, door: &Door) -> anyhow::Result<Outcome> {
        let file = file_of(self.loaded)?.to_owned();
        runs_with(self.loaded, door)?;
        let before = std::fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
        let known = match door {
            Door::Server(_) => in_force(door).await?.1,
            Door::Store(..) => None,
        };
        replace_file(&file, &self.text).with_context(|| format!("failed to write {}", file.display()))?;
        let outcome = match door {
            Door::Store(..) => Outcome::AtNextStart,
            Door::Server(_) => {
                if let Err(error) = wait_for(door, &self.ranker, known.as_deref()).await {
                    put_back(&file, &before);
                    return Err(error);
                }
                Outcome::InForce
            }
        };
        let PolicyStamp { source, digest, settings_digest } = &self.ranker;
        let fields = json!({
            "action": self.action, "who": who(), "note": self.note,
            "source": source, "digest": digest, "settings_digest": settings_digest,
        });
        door.ask(Call::PolicyAudit, fields).await.context("it is done, but nobody noted who did it")?;
        Ok(outcome)
    }
}

impl Outcome {
    /// What it means for agents, in half a sentence.
    pub fn told(&self) -> &'static str {
        match self {
            Self::InForce => "in force now",
            Self::AtNextStart => "no server runs, so it is in force at the next start",
        }
    }
}

/// Whether the server that is asked runs with this configuration. Another one that does would take up the edit, and
/// nobody would be told.
fn runs_with(loaded: &Loaded, door: &Door) -> anyhow::Result<()> {
    let Door::Server(asked) = door else { return Ok(()) };
    match SqlStore::address_in_use(&loaded.store()) {
        Some(own) if !asked.is_at(&own) => {
            bail!(
                "the server that runs with this file is at {own}, not at {asked}: leave --url and ISSUECOMMAND_URL out"
            )
        }
        _ => Ok(()),
    }
}

/// The ranker that a server has in force, and why its newest edit is not. An override that names every repository is
/// what decides then, and hides the ranker.
async fn in_force(door: &Door) -> anyhow::Result<(Option<PolicyStamp>, Option<String>)> {
    let answer = door.ask(Call::PolicyEffective, Value::Null).await?;
    let (policy, rejected) = (&answer["policy"], answer["rejected"].as_str().map(str::to_owned));
    if policy["override"].is_object() {
        return Ok((None, rejected));
    }
    let ranker = serde_json::from_value(policy["ranker"].clone()).context("the server named no ranker")?;
    Ok((Some(ranker), rejected))
}

async fn wait_for(door: &Door, wanted: &PolicyStamp, known: Option<&str>) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let (present, rejected) = in_force(door).await?;
        match rejected {
            // The history comes a moment later, and is what the name of who wished it is written into.
            None if present.as_ref().is_none_or(|it| is_same(it, wanted)) && is_kept(door, wanted).await? => {
                return Ok(());
            }
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

/// Whether the newest set in the history has this ranker.
async fn is_kept(door: &Door, wanted: &PolicyStamp) -> anyhow::Result<bool> {
    let history = door.ask(Call::PolicyHistory, Value::Null).await?;
    let newest: Option<PolicyStamp> = serde_json::from_value(history["sets"][0]["ranker_stamp"].clone()).ok();
    Ok(newest.is_some_and(|newest| is_same(&newest, wanted)))
}

fn put_back(file: &Path, text: &str) {
    if let Err(error) = replace_file(file, text) {
        anstream::eprintln!("{} could not be put back as it was: {error}", file.display());
    }
}

/// Who types: the system's word for it.
fn who() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|who| !who.trim().is_empty())
}
