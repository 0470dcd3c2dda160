//! Which credentials GitHub is asked with: what is configured decides, and it is said in the log.

use std::fmt;
use std::path::Path;

use tracing::info;

use super::{SourceError, gh};
use crate::config::{GithubConfig, Secret};

/// Largest file taken for a private key, in bytes: real ones have about 1,700.
const KEY_BYTES_MAX: u64 = 64 * 1024;

/// What the server shows GitHub. Says of itself which kind it is, and never what it holds.
#[derive(Clone)]
pub enum Credentials {
    /// Nothing: only public repositories can be read.
    None,
    /// A personal access token, as configured.
    Token(Secret),
    /// The token that GitHub's command line keeps.
    GhToken(Secret),
    /// A GitHub App.
    App(AppKey),
}

/// What a GitHub App proves itself with.
#[derive(Clone)]
pub struct AppKey {
    /// The app's id.
    pub id: u64,
    /// Its private key, as PEM.
    pub private_key: Secret,
    /// Only these installations; empty: all of them.
    pub installation_ids: Vec<u64>,
}

impl Credentials {
    /// What `config` asks for: an app before a token, a token before that of `gh`. `folder` is where
    /// relative paths start. Reads the key's file, and may run `gh`: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`] when the key's file cannot be read, or holds no key.
    pub fn of(config: &GithubConfig, folder: &Path) -> Result<Self, SourceError> {
        if let Some(id) = config.app.id {
            let private_key = match &config.app.private_key_file {
                Some(file) => key_in(&folder.join(file))?,
                None => Secret::new(config.app.private_key.expose().replace("\\n", "\n")),
            };
            return Ok(Self::App(AppKey { id, private_key, installation_ids: config.app.installation_ids.clone() }));
        }
        if !config.token.is_empty() {
            return Ok(Self::Token(config.token.clone()));
        }
        if !config.use_gh_token {
            return Ok(Self::None);
        }
        Ok(gh::token(&config.api_url).map_or_else(
            |why| {
                info!("no token of GitHub's command line is used: {why}");
                Self::None
            },
            Self::GhToken,
        ))
    }
}

fn key_in(path: &Path) -> Result<Secret, SourceError> {
    let refused = |why: String| SourceError::Unsupported {
        what: format!("read github.app.private_key_file, {}", path.display()),
        why,
    };
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?.len();
    if size > KEY_BYTES_MAX {
        return Err(refused(format!("it is larger than {KEY_BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
    if !text.contains("PRIVATE KEY") {
        return Err(refused("it holds no private key; GitHub's page of the app generates one".into()));
    }
    Ok(Secret::new(text))
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("without a token: public repositories only"),
            Self::Token(_) => f.write_str("with a personal access token"),
            Self::GhToken(_) => f.write_str("with the token of GitHub's command line (gh)"),
            Self::App(app) => write!(f, "as the GitHub App {}", app.id),
        }
    }
}

/// As [`Display`](fmt::Display): a secret never shows.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppKey").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::GithubAppConfig;

    fn config() -> GithubConfig {
        GithubConfig { use_gh_token: false, ..GithubConfig::default() }
    }

    fn of(config: &GithubConfig) -> String {
        Credentials::of(config, Path::new("/nowhere")).map_or_else(|error| error.to_string(), |it| it.to_string())
    }

    #[test]
    fn an_app_goes_before_a_token_and_a_token_before_nothing() {
        let mut config = config();
        assert_eq!(of(&config), "without a token: public repositories only");
        config.token = Secret::new("ghp_x");
        assert_eq!(of(&config), "with a personal access token");
        config.app = GithubAppConfig { id: Some(7), private_key: Secret::new("a\\nb"), ..GithubAppConfig::default() };
        assert_eq!(of(&config), "as the GitHub App 7");
        let Credentials::App(app) = Credentials::of(&config, Path::new("")).unwrap() else { panic!("no app") };
        assert_eq!(app.private_key.expose(), "a\nb", "line ends may be written out");
    }

    #[test]
    fn the_keys_file_is_relative_to_the_configuration_and_must_hold_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config();
        config.app.id = Some(7);
        config.app.private_key_file = Some("app.pem".into());
        let missing = of(&config);
        assert!(missing.starts_with("cannot read github.app.private_key_file, /nowhere/app.pem: "), "{missing}");
        std::fs::write(folder.path().join("app.pem"), "hunter2").unwrap();
        let wrong = Credentials::of(&config, folder.path()).unwrap_err().to_string();
        assert!(wrong.contains("no private key") && !wrong.contains("hunter2"), "{wrong}");
        std::fs::write(folder.path().join("app.pem"), "-----BEGIN RSA PRIVATE KEY-----").unwrap();
        let debug = format!("{:?}", Credentials::of(&config, folder.path()).unwrap());
        assert_eq!(debug, "as the GitHub App 7");
    }
}
