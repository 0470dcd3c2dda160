//! How a command reaches the claims: through the server that has them open, or, when none has, by
//! opening the store itself. The lock on the database says which.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::Args;
use issuecommand::api::{Api, Call, Caller, Fields, Identity, operate};
use issuecommand::claims::Operations;
use issuecommand::config::{
    CONFIG_FILE_NAME, ConfigReport, ConfigSource, InPart, LiveConfig, Loaded, Secret, StoreConfig, load, load_in_part,
};
use issuecommand::domain::{Claim, ClaimId, IssueRef, RepoName, Skills, SystemClock};
use issuecommand::http::OperatorClient;
use issuecommand::server::at_rest;
use issuecommand::store::{Change, ClaimFilter, CommitObserver, RoleStore, SqlStore, Store, StoreError};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::ConfigFile;
use super::refused::refusal;

/// The variable with the address of a server, for who gives no --url.
const URL_VARIABLE: &str = "ISSUECOMMAND_URL";
/// The variable with an access token for the server, for who has no `API_KEY`.
pub const TOKEN_VARIABLE: &str = "ISSUECOMMAND_TOKEN";
/// What events say of a command that opened the store itself.
const BY: &str = "command line";
/// How long a server that has just taken the store gets to say where it listens.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);
const ADDRESS_PAUSE: Duration = Duration::from_millis(50);

/// A server that was heard of within this time runs.
const SERVED_WITHIN: TimeDelta = TimeDelta::minutes(1);

/// What to say of an answer that cannot be read.
pub const UNKNOWN_FORM: &str = "the server answered in a form that this build does not know";

/// Which server, or which store.
#[derive(Debug, Args)]
pub struct DoorArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask the server at this address, as in http://127.0.0.1:3100, instead of the one that has the
    /// configured store open [default: ISSUECOMMAND_URL]. It gets ISSUECOMMAND_TOKEN, or else the
    /// configured API_KEY, if there is one; nothing else of the configuration is needed
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// An open way to the claims.
#[derive(Debug)]
pub enum Door {
    /// Through a running server.
    Server(OperatorClient),
    /// Past servers: the store is ours for as long as this lives, or, where it is PostgreSQL, ours too.
    Store(Box<Kept>),
}

/// A store that a command opened itself.
#[derive(Debug)]
pub struct Kept {
    pub store: Arc<SqlStore>,
    operations: Operations,
    loaded: Loaded,
    /// Whether servers of the same PostgreSQL database run somewhere.
    is_served: bool,
    /// What answers as a server would that has just started; made when it is first asked.
    api: OnceCell<Api>,
}

impl Kept {
    async fn api(&self) -> anyhow::Result<&Api> {
        self.api.get_or_try_init(|| at_rest(Arc::clone(&self.store) as Arc<dyn Store>, &self.loaded)).await
    }
}

impl DoorArgs {
    /// The configuration, for a command that writes it.
    ///
    /// # Errors
    /// When it is not valid; what is wrong with it is printed.
    pub fn load_to_edit(&self) -> anyhow::Result<Loaded> {
        load(&self.source()).or_else(|report| {
            report.print();
            bail!("mend the file first: this command edits it")
        })
    }

    /// The configuration file, if there is one.
    pub fn file(&self) -> Option<PathBuf> {
        let file = self.file.config.clone().unwrap_or_else(|| CONFIG_FILE_NAME.into());
        file.is_file().then_some(file)
    }

    /// Finds the way: to the server that is named, else to the one that has the configured store open, else into
    /// that store. A wrong line in the configuration keeps nobody from the running server that it is of, but opens no
    /// store; one that leaves open which server that is leads to none.
    ///
    /// # Errors
    /// When neither the server nor the store can be reached, or there is no store yet: a new one would not be the
    /// server's. And when the configuration is not valid and no server has its store open, or does not say which server
    /// is meant.
    pub async fn open(&self) -> anyhow::Result<Door> {
        if let Some(file) = self.missing_database() {
            bail!(
                "there is no database at {}: go to the folder of your {CONFIG_FILE_NAME}, or name it with --config, and \
                 set SQLITE_PATH if the server has it",
                file.display()
            );
        }
        self.find().await
    }

    /// As [`DoorArgs::open`], for what a store may begin with: makes the database where there is none, and says so.
    ///
    /// # Errors
    /// As [`DoorArgs::open`], but for the missing store.
    pub async fn open_or_begin(&self) -> anyhow::Result<Door> {
        let missing = self.missing_database();
        let door = self.find().await?;
        if let (Some(file), Door::Store(_)) = (missing, &door) {
            tell!("there was no database: {} is a new one", file.display());
        }
        Ok(door)
    }

    /// As [`DoorArgs::open`], for who only tries something: where there is no database, in an empty one in a folder that
    /// goes when it is dropped.
    ///
    /// # Errors
    /// As [`DoorArgs::open`], but for the missing store, and when there can be no such folder.
    pub async fn open_to_try(&self) -> anyhow::Result<(Door, Option<TempDir>)> {
        match self.way()? {
            Way::Store(mut loaded) if self.missing_database().is_some() => {
                let folder = tempfile::tempdir().context("failed to make a folder for the trial")?;
                loaded.config.store.path = folder.path().join("trial.db");
                Ok((open_store(*loaded).await?, Some(folder)))
            }
            _ => Ok((self.open().await?, None)),
        }
    }

    /// The database that the configuration names, if it is a file that is not there.
    fn missing_database(&self) -> Option<PathBuf> {
        let StoreConfig { path, url, .. } = load(&self.source()).ok().filter(|_| self.url().is_none())?.store();
        (url.is_empty() && !path.exists()).then(|| std::path::absolute(&path).unwrap_or(path))
    }

    async fn find(&self) -> anyhow::Result<Door> {
        match self.way()? {
            Way::Server(client) => Ok(Door::Server(client)),
            Way::Store(loaded) => open_store(*loaded).await,
        }
    }

    /// The way to a running server, for what nobody else can answer. Opens no store: whoever looks again and again for
    /// a server that restarts keeps none from starting.
    ///
    /// # Errors
    /// When none runs, and as [`DoorArgs::open`].
    pub fn server(&self) -> anyhow::Result<Door> {
        match self.server_or_configuration()? {
            Way::Server(client) => Ok(Door::Server(client)),
            Way::Store(_) => {
                bail!(
                    "no server runs here: start one with `issuecommand serve`, or name one with --url or {URL_VARIABLE}"
                )
            }
        }
    }

    /// The way to a running server, or, where none runs, the configuration that one would have. Opens no store.
    ///
    /// # Errors
    /// As [`DoorArgs::open`], but for the store.
    pub fn server_or_configuration(&self) -> anyhow::Result<Way> {
        let way = self.way()?;
        match &way {
            Way::Store(loaded) if let Some(url) = address_of(&loaded.store()) => {
                Ok(Way::Server(OperatorClient::new(&url, key(loaded))?))
            }
            _ => Ok(way),
        }
    }

    fn way(&self) -> anyhow::Result<Way> {
        let InPart { loaded, report, unplaced } = load_in_part(&self.source());
        match (self.url(), unplaced, report) {
            (Some(url), ..) => Ok(Way::Server(OperatorClient::new(&url, key(&loaded))?)),
            (None, Some(open), _) => bail!("{open}: mend that, or name the server by --url or {URL_VARIABLE}"),
            (None, None, Some(report)) => Ok(Way::Server(running_despite(&loaded, &report)?)),
            (None, None, None) => Ok(Way::Store(Box::new(loaded))),
        }
    }

    /// Whether nobody named the server.
    pub fn finds_by_itself(&self) -> bool {
        self.url().is_none()
    }

    fn source(&self) -> ConfigSource {
        ConfigSource::from_process(self.file.config.clone())
    }

    fn url(&self) -> Option<String> {
        self.url.clone().or_else(|| variable(URL_VARIABLE))
    }
}

/// What names the other end: a server, or the configuration of a store.
pub enum Way {
    Server(OperatorClient),
    Store(Box<Loaded>),
}

/// Where the server of a store is reached; one that has it and is only starting is waited for.
fn address_of(store: &StoreConfig) -> Option<String> {
    let begun = Instant::now();
    while SqlStore::is_in_use(store) && begun.elapsed() < ADDRESS_PATIENCE {
        if let Some(url) = SqlStore::noted_address(store) {
            return Some(url);
        }
        std::thread::sleep(ADDRESS_PAUSE);
    }
    None
}

/// The server that has the store open, or the store, if none has.
async fn open_store(loaded: Loaded) -> anyhow::Result<Door> {
    // A PostgreSQL database takes in who asks beside its servers; one on this machine knows more than the database.
    if !loaded.store().url.is_empty()
        && let Some(url) = SqlStore::address_in_use(&loaded.store())
    {
        return Ok(Door::Server(OperatorClient::new(&url, key(&loaded))?));
    }
    let begun = Instant::now();
    loop {
        let (config, observer) = (loaded.store(), Arc::new(Nobody));
        match tokio::task::spawn_blocking(move || SqlStore::open_for_command(&config, observer)).await? {
            Ok(store) => return Door::of_store(store, loaded).await,
            Err(in_use @ StoreError::InUse { .. }) => {
                if let Some(url) = SqlStore::noted_address(&loaded.store()) {
                    return Ok(Door::Server(OperatorClient::new(&url, key(&loaded))?));
                }
                if begun.elapsed() > ADDRESS_PATIENCE {
                    return Err(in_use).context("the server that has it does not say where it listens; give --url");
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ADDRESS_PAUSE).await;
    }
}

/// The server that has the store open, as far as a wrong configuration says which: it goes on with the last good one.
fn running_despite(loaded: &Loaded, report: &ConfigReport) -> anyhow::Result<OperatorClient> {
    let (fault, store) = (report.first(), loaded.store());
    let port = loaded.config.server.port;
    let Some(url) = SqlStore::address_in_use(&store) else {
        bail!(
            "{fault}; no server was found that has {} open: mend the file, or name the server, as in --url \
             http://127.0.0.1:{}",
            store.path.display(),
            if port == 0 { "PORT".to_owned() } else { port.to_string() }
        );
    };
    tell!("{fault}; asking the server at {url}, which has {} open", store.path.display());
    Ok(OperatorClient::new(&url, key(loaded))?)
}

/// Whoever shows a token wants its bounds, so it comes before the key of the configuration.
fn key(loaded: &Loaded) -> Secret {
    variable(TOKEN_VARIABLE).map_or_else(|| loaded.config.server.api_key.clone(), Secret::new)
}

/// What a variable of the process says, unless that is nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

impl Door {
    async fn of_store(store: SqlStore, loaded: Loaded) -> anyhow::Result<Self> {
        let store = Arc::new(store);
        let operations =
            Operations::new(Arc::clone(&store) as Arc<dyn Store>, Arc::new(SystemClock), LiveConfig::new(&loaded));
        // One that ended properly has no address any more.
        let is_served = !loaded.store().url.is_empty()
            && store.server_list(SERVED_WITHIN).await?.iter().any(|server| !server.url.is_empty());
        Ok(Self::Store(Box::new(Kept { store, operations, loaded, is_served, api: OnceCell::new() })))
    }

    /// Whether no server runs, so that only what is kept can be looked at.
    pub fn is_at_rest(&self) -> bool {
        matches!(self, Self::Store(kept) if !kept.is_served)
    }

    /// Says on standard error that nobody works, where that is so: what follows is what was kept.
    pub fn say_if_at_rest(&self) {
        if self.is_at_rest() {
            tell!("no server runs here: this is what is kept (`issuecommand serve` starts one)");
        }
    }

    /// Asks one call; the answer, if it is what was asked for.
    ///
    /// # Errors
    /// The answer's own words when it is a refusal.
    pub async fn ask(&self, call: Call, fields: Value) -> anyhow::Result<Value> {
        match self.answer(call, fields).await? {
            (200, body) => Ok(body),
            (status, body) => Err(refusal(call, status, &body)),
        }
    }

    /// Asks one call; the answer with its status, whatever it is.
    ///
    /// # Errors
    /// When nobody answers.
    pub async fn answer(&self, call: Call, fields: Value) -> anyhow::Result<(u16, Value)> {
        let fields: Fields = match fields {
            Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
            _ => Fields::new(),
        };
        let kept = match self {
            Self::Server(client) => return Ok(client.ask(call, fields).await?),
            Self::Store(kept) => kept,
        };
        let is_look = call.is_of_reasons() || call.is_of_kept_claims() || call.is_of_kept_runs();
        let answer = if is_look || kept.is_served && call.is_word_to_runs() {
            let caller = Caller {
                identity: Identity::local(),
                agent: None,
                skills: Skills::default(),
                list_count_default: None,
            };
            kept.api().await?.answer(call, &caller, fields).await
        } else {
            operate(&kept.operations, call, BY, fields).await
        };
        Ok((answer.status, answer.body))
    }

    /// Asks one call; the answer, as far as the command reads it.
    ///
    /// # Errors
    /// As [`Door::ask`], and when the answer is not what this build knows.
    pub async fn ask_for<T: DeserializeOwned>(&self, call: Call, fields: Value) -> anyhow::Result<T> {
        read(&self.ask(call, fields).await?)
    }

    /// The active claim that is named by its id, by the last digits of it, or by the issue it holds.
    ///
    /// # Errors
    /// When nobody holds the issue, there is no such claim, or the text names neither.
    pub async fn claim_named(&self, text: &str) -> anyhow::Result<ClaimId> {
        if let Ok(claim_id) = text.parse() {
            return Ok(claim_id);
        }
        if ClaimId::is_short(text) {
            let claims = self.claims(None).await?;
            let mut named = claims.iter().filter(|claim| claim.claim_id.short() == text);
            return match (named.next(), named.next()) {
                (Some(claim), None) => Ok(claim.claim_id),
                (None, _) => bail!("there is no active claim {text}"),
                (Some(_), Some(_)) => bail!("{text} names two claims: name the issue, as in owner/repo#7"),
            };
        }
        let issue: IssueRef = text.parse().context("expected a claim id, or owner/repo#number")?;
        let held = self.claims(Some(&issue.repo)).await?.into_iter().find(|claim| claim.issue_ref() == issue);
        held.map(|claim| claim.claim_id).with_context(|| format!("nobody holds {issue}"))
    }

    /// Active claims, where no policy is needed to tell them.
    async fn claims(&self, repo: Option<&RepoName>) -> anyhow::Result<Vec<Claim>> {
        match self {
            Self::Server(_) => Ok(self.ask_for::<Claims>(Call::Claims, json!({ "repo": repo })).await?.claims),
            Self::Store(kept) => {
                let filter = ClaimFilter { repo: repo.cloned(), ..ClaimFilter::default() };
                Ok(kept.store.claim_list(filter).await?)
            }
        }
    }
}

/// What a command reads of an answer.
///
/// # Errors
/// When it is not what this build knows.
pub fn read<T: DeserializeOwned>(answer: &Value) -> anyhow::Result<T> {
    T::deserialize(answer).context(UNKNOWN_FORM)
}

/// An answer with claims.
#[derive(Debug, Deserialize)]
struct Claims {
    claims: Vec<Claim>,
}

/// Nobody listens to a store that is opened for one command.
#[derive(Debug)]
struct Nobody;

impl CommitObserver for Nobody {
    fn committed(&self, _changes: Vec<Change>) {}
}
