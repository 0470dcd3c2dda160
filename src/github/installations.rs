//! The installations of a GitHub App: one token, one budget and one list of repositories each.

use std::sync::Arc;

use serde::Deserialize;
use tokio::sync::Mutex;
use tracing::warn;

use super::kept_list::KeptList;
use super::models::{self, RawRepo};
use super::transport::{Ask, Transport};
use super::{RepoList, SourceError};
use crate::domain::{Repo, RepoName};

/// Most pages of installations read: 100 each.
const INSTALLATION_PAGE_COUNT_MAX: usize = 100;
/// Most pages of repositories read for one installation: 100 each.
const REPO_PAGE_COUNT_MAX: usize = 500;

/// Every installation of an app, as GitHub lists them.
pub(super) struct Installations {
    app: Arc<Transport>,
    /// Only these; empty: all.
    wanted: Vec<u64>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    list: KeptList<RawInstallation>,
    /// `None` before the first reading.
    installed: Option<Vec<Arc<Installed>>>,
}

/// The app on one account.
struct Installed {
    id: u64,
    /// The account's login, in lower case: it owns every repository of the installation.
    account: String,
    suspended: bool,
    transport: Arc<Transport>,
    repos: Mutex<KeptList<RawRepo>>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawInstallation {
    id: u64,
    account: Option<RawAccount>,
    suspended_at: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawAccount {
    login: Option<String>,
    /// An enterprise has a slug instead of a login.
    slug: Option<String>,
}

impl Installations {
    /// The installations of the app whose own way is `app`; of these only the `wanted` ones, if there are
    /// any. Sends nothing yet.
    pub(super) fn new(app: Transport, wanted: Vec<u64>) -> Self {
        Self { app: Arc::new(app), wanted, known: Mutex::default() }
    }

    /// The way to `repo`: that of the installation on its owner's account. For a repository of somebody
    /// else, that of any installation: it may be public.
    pub(super) async fn way_to(&self, repo: &RepoName) -> Result<Arc<Transport>, SourceError> {
        let installed = self.installed().await?;
        let of_owner = installed.iter().find(|installed| installed.account == repo.owner());
        let chosen = of_owner.or_else(|| installed.iter().find(|installed| !installed.suspended));
        match chosen {
            Some(installed) if installed.suspended => Err(SourceError::Unsupported {
                what: format!("read {repo}"),
                why: format!("the app's installation on {} is suspended", installed.account),
            }),
            Some(installed) => Ok(Arc::clone(&installed.transport)),
            None => Err(SourceError::Unsupported {
                what: format!("read {repo}"),
                why: "the app is installed nowhere; install it on an account, or look at github.app.installation_ids"
                    .into(),
            }),
        }
    }

    /// The repositories of all installations. One that fails costs its own only.
    pub(super) async fn repo_list(&self) -> Result<RepoList, SourceError> {
        let mut list = RepoList::default();
        for installed in self.refreshed().await? {
            if installed.suspended {
                warn!("left out the suspended installation on {}", installed.account);
                continue;
            }
            match installed.repo_list().await {
                Ok(repos) => list.repos.extend(repos),
                Err(error) => {
                    warn!("left out the installation {} on {}: {error}", installed.id, installed.account);
                    list.incomplete.get_or_insert(error);
                }
            }
        }
        Ok(list)
    }

    async fn installed(&self) -> Result<Vec<Arc<Installed>>, SourceError> {
        let mut known = self.known.lock().await;
        match &known.installed {
            Some(installed) => Ok(installed.clone()),
            None => self.read(&mut known).await,
        }
    }

    async fn refreshed(&self) -> Result<Vec<Arc<Installed>>, SourceError> {
        self.read(&mut *self.known.lock().await).await
    }

    async fn read(&self, known: &mut Known) -> Result<Vec<Arc<Installed>>, SourceError> {
        let ask = Ask::to("list", "the installations of the app");
        let rows_of = |body: &[u8]| models::rows(body, "the installations of the app");
        let first = "/app/installations?per_page=100";
        let rows = known.list.read(&self.app, &ask, first, INSTALLATION_PAGE_COUNT_MAX, rows_of).await?;
        let before = known.installed.take().unwrap_or_default();
        let wanted = |row: &RawInstallation| self.wanted.is_empty() || self.wanted.contains(&row.id);
        let installed: Vec<_> = rows.into_iter().filter(wanted).map(|row| self.take_in(row, &before)).collect();
        for id in self.wanted.iter().filter(|id| installed.iter().all(|installed| installed.id != **id)) {
            warn!("github.app.installation_ids names {id}, which is no installation of the app");
        }
        known.installed = Some(installed.clone());
        Ok(installed)
    }

    /// An installation known from before keeps its token, its pause and its lists.
    fn take_in(&self, row: RawInstallation, before: &[Arc<Installed>]) -> Arc<Installed> {
        let account = row.account.and_then(|account| account.login.or(account.slug)).unwrap_or_default();
        let (account, suspended) = (account.to_ascii_lowercase(), row.suspended_at.is_some());
        let same =
            |known: &&Arc<Installed>| known.id == row.id && known.account == account && known.suspended == suspended;
        before.iter().find(same).cloned().unwrap_or_else(|| {
            let transport = Arc::new(Transport::of_installation(&self.app, row.id));
            Arc::new(Installed { id: row.id, account, suspended, transport, repos: Mutex::default() })
        })
    }
}

impl Installed {
    async fn repo_list(&self) -> Result<Vec<Repo>, SourceError> {
        let ask = Ask::to("list the repositories of the installation on", &self.account);
        let rows_of = |body: &[u8]| models::rows_in(body, "repositories", "an installation's repositories");
        let first = "/installation/repositories?per_page=100";
        let rows = self.repos.lock().await.read(&self.transport, &ask, first, REPO_PAGE_COUNT_MAX, rows_of).await?;
        Ok(rows.into_iter().filter_map(RawRepo::into_repo).collect())
    }
}
