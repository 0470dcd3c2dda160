//! A configuration file, and a `.env` beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use issuecommand::config::{Config, ConfigSource, load, load_in_part, values, with_value};
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// Reads the text as `issuecommand.toml`, and what follows a NUL as `.env`.
///
/// # Panics
/// When a refusal says nothing, or an edit by a command makes what was accepted unreadable, or does not do what it says.
pub fn config(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (file, dotenv) = (FOLDER.path().join("issuecommand.toml"), FOLDER.path().join(".env"));
    let text = parts.next().unwrap_or_default();
    fs::write(&file, text).unwrap();
    fs::write(&dotenv, parts.next().unwrap_or_default()).unwrap();
    let source = ConfigSource { file: Some(file.clone()), env: BTreeMap::new(), dotenv: Some(dotenv.clone()) };
    match load(&source) {
        Err(report) => {
            assert!(!report.to_string().is_empty() && !report.first().is_empty(), "a refusal without a word");
            let _ = load_in_part(&source);
        }
        Ok(loaded) => {
            assert!(!values(&loaded.config).is_empty());
            let _ = (loaded.store(), loaded.log(), loaded.watched_files());
            fs::write(&dotenv, "").unwrap();
            let text = std::str::from_utf8(text).expect("what was read is text");
            if let Some(before) = of_file_alone(&source) {
                edited(text, &file, &source, &before);
            }
        }
    }
}

/// What the file says without the `.env` beside it.
fn of_file_alone(source: &ConfigSource) -> Option<Config> {
    load(source).ok().map(|loaded| loaded.config)
}

/// An edit changes its value, and nothing else.
fn edited(text: &str, file: &PathBuf, source: &ConfigSource, before: &Config) {
    const KEY: &str = "containers.max_concurrent";
    let Ok(edited) = with_value(text, KEY, "7") else { return };
    fs::write(file, &edited).unwrap();
    let after = load(source).unwrap_or_else(|report| panic!("{text:?} became {edited:?}: {report}"));
    let (mut before, mut after) = (values(before), values(&after.config));
    assert_eq!(after.remove(KEY), Some(7.into()), "{edited:?}");
    before.remove(KEY);
    assert_eq!(before, after, "{text:?} became {edited:?}");
}
