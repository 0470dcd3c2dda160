//! The client of one token, as it is now: a token that stays, or an installation's, which is renewed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use octocrab::Octocrab;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::debug;

use super::transport::{Ask, Transport};
use super::{SourceError, models};
use crate::config::Secret;
use crate::domain::Timestamp;

/// How long before its end a token is replaced, in seconds: longer than any request lasts.
const TOKEN_MARGIN_SECONDS: u64 = 300;
/// How long an installation's token lives when GitHub does not say, in seconds: one hour.
const TOKEN_SECONDS_DEFAULT: u64 = 3_600;

/// How requests get their token.
pub(super) enum Access {
    /// The same client for ever, and the token that it carries, if it carries one.
    Fixed(Octocrab, Option<Secret>),
    /// A client whose token an app renews.
    Installation(Installation),
}

/// Which of several tokens a client carries: the first, the second, ...
pub(super) type TokenSerial = u64;

/// The tokens of one installation of an app.
pub(super) struct Installation {
    app: Arc<Transport>,
    id: u64,
    present: Mutex<Present>,
}

#[derive(Default)]
struct Present {
    minted: Option<Minted>,
    serial: TokenSerial,
}

struct Minted {
    client: Octocrab,
    token: Secret,
    replace_at: Instant,
}

/// An installation's token, as GitHub hands it out.
#[derive(Deserialize)]
struct RawToken {
    token: Secret,
    expires_at: Option<Timestamp>,
}

impl Access {
    /// A token that stays, in the client.
    pub(super) fn fixed(client: Octocrab, token: Option<Secret>) -> Self {
        Self::Fixed(client, token)
    }

    /// Tokens of the installation `id`, which `app` asks for.
    pub(super) fn installation(app: Arc<Transport>, id: u64) -> Self {
        Self::Installation(Installation { app, id, present: Mutex::default() })
    }

    /// The client to use now, and which token it carries.
    pub(super) async fn client(&self) -> Result<(Octocrab, TokenSerial), SourceError> {
        match self {
            Self::Fixed(client, _) => Ok((client.clone(), 0)),
            Self::Installation(installation) => {
                installation.with(|minted, serial| (minted.client.clone(), serial)).await
            }
        }
    }

    /// The token to use now, where it is not the client's own business.
    pub(super) async fn token(&self) -> Result<Option<Secret>, SourceError> {
        match self {
            Self::Fixed(_, token) => Ok(token.clone()),
            Self::Installation(installation) => installation.with(|minted, _| Some(minted.token.clone())).await,
        }
    }

    /// Lets go of a token that GitHub did not accept. Whether another one can be had.
    pub(super) async fn forget(&self, serial: TokenSerial) -> bool {
        let Self::Installation(installation) = self else { return false };
        let mut present = installation.present.lock().await;
        if present.serial == serial {
            present.minted = None;
        }
        true
    }
}

impl Installation {
    /// What `read` takes of the present token. The lock is held while one is asked for: a hundred waiting requests
    /// need one token.
    async fn with<T>(&self, read: impl FnOnce(&Minted, TokenSerial) -> T) -> Result<T, SourceError> {
        let mut present = self.present.lock().await;
        if let Some(minted) = present.minted.as_ref().filter(|minted| Instant::now() < minted.replace_at) {
            return Ok(read(minted, present.serial));
        }
        let minted = Box::pin(self.mint()).await?;
        present.serial += 1;
        let serial = present.serial;
        Ok(read(present.minted.insert(minted), serial))
    }

    async fn mint(&self) -> Result<Minted, SourceError> {
        let ask = Ask::to("get a token of the installation", self.id);
        let path = format!("/app/installations/{}/access_tokens", self.id);
        let answer = match self.app.post(&ask, &path, &json!({})).await {
            Ok(answer) => answer,
            // Not "not found": what the installation could read is out of reach, not gone.
            Err(SourceError::NotFound { .. }) => {
                return Err(SourceError::Denied { what: ask.to_string(), status: 404 });
            }
            Err(error) => return Err(error),
        };
        let raw: RawToken = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        // Measured on GitHub's own clock, so that ours may be wrong.
        let seconds = match (raw.expires_at, answer.date) {
            (Some(end), Some(now)) => u64::try_from((end - now).num_seconds()).unwrap_or(0),
            _ => TOKEN_SECONDS_DEFAULT,
        };
        let good = seconds.saturating_sub(TOKEN_MARGIN_SECONDS).max(seconds / 2);
        debug!("got a token of the installation {}, good for {good} s", self.id);
        let client = self.app.client().await?.user_access_token(raw.token.expose());
        let client = client.map_err(|_| ask.unavailable("the token cannot be used"))?;
        Ok(Minted { client, token: raw.token, replace_at: Instant::now() + Duration::from_secs(good) })
    }
}
