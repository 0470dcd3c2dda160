//! Which way leads to a repository, and which repositories there are.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;
use tokio::sync::Mutex;
use tracing::warn;

use super::installations::Installations;
use super::kept_list::KeptList;
use super::models::{self, RawRepo};
use super::transport::{Ask, Transport};
use super::{Credentials, RepoList, SourceError};
use crate::config::GithubConfig;
use crate::domain::{Repo, RepoName};

/// Most pages of repositories read: 100 each.
const REPO_PAGE_COUNT_MAX: usize = 500;

/// The ways to GitHub: one for a token, one for each installation of an app.
pub(super) struct Ways {
    kind: Kind,
    /// Of an app: its id.
    app_id: Option<u64>,
    configured: Vec<RepoName>,
    /// What is known of configured repositories, each a list of one.
    singles: Mutex<HashMap<RepoName, KeptList<RawRepo>>>,
}

enum Kind {
    Anonymous(Arc<Transport>),
    Token { transport: Arc<Transport>, repos: Mutex<KeptList<RawRepo>> },
    App(Installations),
}

impl Ways {
    /// The ways that `credentials` open. Sends nothing yet.
    pub(super) fn new(
        config: &GithubConfig,
        credentials: Credentials,
        configured: Vec<RepoName>,
    ) -> Result<Self, SourceError> {
        let transport = Transport::new(config, &credentials)?;
        let app_id = if let Credentials::App(app) = &credentials { Some(app.id) } else { None };
        let kind = match credentials {
            Credentials::None => Kind::Anonymous(Arc::new(transport)),
            Credentials::Token(_) | Credentials::GhToken(_) => {
                Kind::Token { transport: Arc::new(transport), repos: Mutex::default() }
            }
            Credentials::App(app) => Kind::App(Installations::new(transport, app.installation_ids)),
        };
        Ok(Self { kind, app_id, configured, singles: Mutex::default() })
    }

    /// The way to one repository.
    pub(super) async fn to(&self, repo: &RepoName) -> Result<Arc<Transport>, SourceError> {
        match &self.kind {
            Kind::Anonymous(transport) | Kind::Token { transport, .. } => Ok(Arc::clone(transport)),
            Kind::App(installations) => installations.way_to(repo).await,
        }
    }

    /// The way of an account, if there is one: its lists go across repositories.
    pub(super) fn of_account(&self) -> Option<&Transport> {
        match &self.kind {
            Kind::Token { transport, .. } => Some(transport),
            Kind::Anonymous(_) | Kind::App(_) => None,
        }
    }

    /// The id of the app that asks, if it is one.
    pub(super) fn app_id(&self) -> Option<u64> {
        self.app_id
    }

    /// Every repository that the credentials reach, and the configured ones.
    pub(super) async fn repo_list(&self) -> Result<RepoList, SourceError> {
        let mut list = match &self.kind {
            Kind::Anonymous(_) => RepoList::default(),
            Kind::Token { transport, repos } => self.of_token(transport, &mut *repos.lock().await).await?,
            Kind::App(installations) => installations.repo_list().await?,
        };
        for name in &self.configured {
            if list.repos.iter().all(|repo| repo.full_name != *name) {
                list.repos.extend(self.configured_repo(name).await?);
            }
        }
        list.repos.sort_by(|a, b| a.full_name.cmp(&b.full_name));
        list.repos.dedup_by(|a, b| a.full_name == b.full_name);
        Ok(list)
    }

    /// The repositories that the token's account belongs to.
    async fn of_token(&self, transport: &Transport, kept: &mut KeptList<RawRepo>) -> Result<RepoList, SourceError> {
        let ask = Ask::to("list", "the repositories of the token's account");
        let first = "/user/repos?per_page=100&affiliation=owner,collaborator,organization_member";
        let rows_of = |body: &[u8]| models::rows(body, "the repositories of the token's account");
        match kept.read(transport, &ask, first, REPO_PAGE_COUNT_MAX, rows_of).await {
            Ok(rows) => {
                let repos: Vec<Repo> = rows.into_iter().filter_map(RawRepo::into_repo).collect();
                let followed = repos.iter().map(|repo| repo.full_name.clone()).collect();
                Ok(RepoList { repos, followed, incomplete: None })
            }
            // A token that belongs to no account: what the configuration names is left.
            Err(error @ SourceError::Denied { .. }) if !self.configured.is_empty() && !is_unauthorized(&error) => {
                warn!("only the repositories that github.repositories names are read: {error}");
                Ok(RepoList::default())
            }
            Err(error) => Err(error),
        }
    }

    /// One repository named in the configuration; `None` when it cannot be read now.
    async fn configured_repo(&self, name: &RepoName) -> Result<Option<Repo>, SourceError> {
        let ask = Ask::to("read the repository", name);
        let left_out = |error| match error {
            error @ SourceError::Paused { .. } => Err(error),
            error => {
                warn!(repo = %name, "left out {name}, which github.repositories names: {error}");
                Ok(None)
            }
        };
        let transport = match self.to(name).await {
            Ok(transport) => transport,
            Err(error) => return left_out(error),
        };
        let mut singles = self.singles.lock().await;
        let kept = singles.entry(name.clone()).or_default();
        let rows_of = |body: &[u8]| models::single(body).map(|repo| vec![repo]);
        match kept.read(&transport, &ask, &format!("/repos/{name}"), 1, rows_of).await {
            // A renamed repository answers under its new name; the configured one is what was asked for.
            Ok(rows) => {
                Ok(rows.into_iter().find_map(RawRepo::into_repo).map(|repo| Repo { full_name: name.clone(), ..repo }))
            }
            Err(error) => left_out(error),
        }
    }
}

fn is_unauthorized(error: &SourceError) -> bool {
    matches!(error, SourceError::Denied { status, .. } if *status == StatusCode::UNAUTHORIZED.as_u16())
}
