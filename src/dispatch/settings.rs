//! The settings of dispatch, as people see and change them while it works; and which repositories let it in.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value;

use super::dispatcher::Dispatcher;
use super::intake::topics;
use crate::claims::ManagerError;
use crate::config::{
    Config, ConfigSource, EDIT_TURN, Loaded, Origin, load, not_replaceable, replace_file, values, with_value,
};
use crate::domain::RepoName;
use crate::github::SourceError;

/// Sections that are shown.
const SHOWN: [&str; 7] =
    ["dispatch", "containers", "secrets", "agents", "github.poll_interval", "github.topic", "github.trigger_label"];

/// Keys that may be changed from afar: numbers and switches. What names a program, a folder, an image or an address of
/// this machine is changed in the file by who may write there.
const CHANGEABLE: [&str; 24] = [
    "containers.cpu_limit",
    "containers.heartbeat",
    "containers.max_concurrent",
    "containers.memory_limit",
    "containers.pids_limit",
    "containers.priority.",
    "containers.stuck_timeout",
    "containers.task_timeout",
    "dispatch.attempt_count_max",
    "dispatch.budget.",
    "dispatch.comment",
    "dispatch.draft",
    "dispatch.enabled",
    "dispatch.issues_per_pull",
    "dispatch.labels",
    "dispatch.log_bytes_max",
    "dispatch.on_failing_checks",
    "dispatch.preempt",
    "dispatch.question_timeout",
    "dispatch.retry_wait",
    "dispatch.review_rounds_max",
    "dispatch.run_max_entries",
    "github.poll_interval",
    "github.trigger_label",
];

impl Dispatcher {
    /// The settings in force by their dotted keys: all that are set, or those at and below `key`. Secrets are
    /// references here.
    pub fn shown_config(&self, key: Option<&str>) -> BTreeMap<String, Value> {
        shown(&self.config(), key)
    }

    /// Changes one setting in issuecommand.toml, from where it comes in force as any edit does.
    ///
    /// # Errors
    /// Why it was not changed, for people; the file is then as it was.
    pub async fn change_config(&self, key: &str, value: &str) -> Result<(), String> {
        let allowed = |name: &&'static str| *name == key || (name.ends_with('.') && key.starts_with(*name));
        if !CHANGEABLE.iter().any(allowed) {
            return Err(format!(
                "{key} is not changed from afar: edit issuecommand.toml (these may: {})",
                CHANGEABLE.join(", ")
            ));
        }
        let Some(file) = self.config_file() else {
            return Err("the server runs without an issuecommand.toml: there is nothing to write to".into());
        };
        if let Some(why) = not_replaceable(file) {
            return Err(format!("{why}: nothing was changed; edit it where it comes from"));
        }
        let _turn = EDIT_TURN.lock().await;
        let before = fs::read_to_string(file).map_err(|error| format!("failed to read {}: {error}", file.display()))?;
        let after = with_value(&before, key, value).map_err(|error| error.to_string())?;
        // The watch on the file, and a server that starts just now, must never see a wrong one.
        let edited = try_out(file, &after)?;
        let Origin::File { .. } = edited.origin(key) else {
            return Err(format!("it would have no effect: {key} is set by {}", edited.origin(key)));
        };
        replace_file(file, &after).map_err(|error| format!("failed to write {}: {error}", file.display()))?;
        self.in_force(key, &edited).await
    }

    /// Waits until the edit is in force. The watch on the file brings it, within a second as a rule.
    async fn in_force(&self, key: &str, edited: &Loaded) -> Result<(), String> {
        const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
        let wanted = shown(&edited.config, Some(key));
        let mut live = self.live_config();
        let waiting = async {
            while self.shown_config(Some(key)) != wanted {
                live.changed().await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        waited.map_err(|_| "it is written, and not in force yet: see the server's log".to_owned())
    }

    /// Repositories that let the dispatcher in, by name.
    pub fn repos(&self) -> Vec<RepoName> {
        let topics = topics(&self.config());
        let takes_part =
            |entry: &crate::claims::RepoEntry| entry.repo.topics.iter().any(|topic| topics.contains(topic));
        self.manager().repos().into_iter().filter(takes_part).map(|entry| entry.repo.full_name).collect()
    }

    /// Lets the dispatcher into a repository, or keeps it out, by its topic on GitHub.
    ///
    /// # Errors
    /// When GitHub does not do it.
    pub async fn set_topic(&self, repo: &RepoName, takes_part: bool) -> Result<(), ManagerError> {
        let no_github =
            || SourceError::Unsupported { what: "change topics".into(), why: "issues come from a file here".into() };
        let forge = self.forge().ok_or_else(no_github)?;
        let config = self.config();
        let changed = if takes_part { vec![config.github.topic.clone()] } else { topics(&config) };
        for topic in changed {
            forge.topic_set(repo, &topic, takes_part).await?;
        }
        self.manager().wish_sync();
        Ok(())
    }
}

/// Reads `text` as if it stood in `file` already; or what is wrong with it.
fn try_out(file: &Path, text: &str) -> Result<Loaded, String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: io::Error| format!("failed to try the edit in {}: {error}", folder.display());
    // Only its owner reads it, and it goes with its handle.
    let mut trial = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    trial.write_all(text.as_bytes()).map_err(failed)?;
    let read = load(&ConfigSource::from_process(Some(trial.path().to_owned())));
    let named_rightly = |told: String| told.replace(&trial.path().display().to_string(), &file.display().to_string());
    read.map_err(|report| named_rightly(report.first()))
}

/// What is shown of the settings: those at and below `key`, as far as they are of dispatch and set.
fn shown(config: &Config, key: Option<&str>) -> BTreeMap<String, Value> {
    let below =
        |name: &str, key: &str| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let is_shown =
        |name: &String| SHOWN.iter().any(|section| below(name, section)) && key.is_none_or(|key| below(name, key));
    values(config).into_iter().filter(|(name, value)| is_shown(name) && !value.is_null()).collect()
}
