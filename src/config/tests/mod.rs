//! The configuration as its users meet it: files, variables, reports, changes.

mod dispatch;
mod errors;
mod examples;
mod reloading;
mod variables;
mod watching;

use std::path::{Path, PathBuf};

use super::{ConfigReport, ConfigSource, LiveConfig, Loaded, Replaced, load};

/// A folder of its own with an issuecommand.toml in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn empty() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(text: &str) -> Self {
        let folder = Self::empty();
        std::fs::write(folder.file(), text).unwrap();
        folder
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self) -> PathBuf {
        self.path().join("issuecommand.toml")
    }

    fn source(&self, env: &[(&str, &str)]) -> ConfigSource {
        let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        ConfigSource { file: Some(self.file()), env, dotenv: Some(self.path().join(".env")) }
    }

    fn load(&self, env: &[(&str, &str)]) -> Result<Loaded, ConfigReport> {
        load(&self.source(env))
    }

    /// The report of a load that must fail, with this folder's name taken out.
    fn report(&self, env: &[(&str, &str)]) -> String {
        let report = self.load(env).expect_err("the configuration is wrong");
        report.to_string().replace(&format!("{}/", self.path().display()), "")
    }
}

/// Reads the folder's configuration again and puts it in force.
fn reload(live: &LiveConfig, folder: &Folder) -> Replaced {
    live.replace(live.read_again(&folder.source(&[])).unwrap().config)
}
