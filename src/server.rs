//! One whole server: store, source, policies, claim manager and doors, started and stopped together.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::api::Api;
use crate::build_info::VERSION_AND_BUILD;
use crate::claims::{Background, ClaimManager, Index, OpenError, Parts, Reload};
use crate::config::{ConfigReport, ConfigSource, ConfigWatch, LiveConfig, Loaded, ServerConfig, follow};
use crate::dispatch::{Dispatcher, DispatcherParts};
use crate::domain::{IssueRef, SystemClock};
use crate::github::{FileSource, IssueSource};
use crate::http::{HttpState, ServeLimits};
use crate::local::{Hosting, Idle, LocalDoor, Place};
use crate::logging::LogHandle;
use crate::policy::PolicyHost;
use crate::state::Mirror;
use crate::store::{SqlStore, Store};

mod ground;

use ground::Ground;
pub use ground::policy_cache_folder;

/// What a server is started with.
#[derive(Debug)]
pub struct Start {
    /// The configuration, as loaded.
    pub loaded: Loaded,
    /// Where issues come from, if not from where the configuration says.
    pub source: Option<Arc<dyn IssueSource>>,
    /// The door for agents on this machine; `None` for none.
    pub local: Option<Local>,
    /// The only issue that is worked on here; `None` for all.
    pub only: Option<IssueRef>,
}

/// The door for agents on this machine.
#[derive(Debug)]
pub struct Local {
    /// Where it is.
    pub place: Place,
    /// Whether the server is there for local agents first: then it takes any free port for HTTP if the
    /// configured one is taken, and does not start without the socket.
    pub comes_first: bool,
}

/// A running server. Ask it to [`Server::stop`]; dropping it leaves its work running.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    api: Api,
    store: Arc<SqlStore>,
    manager: Arc<ClaimManager>,
    http: HttpState,
    config: LiveConfig,
    mirror: Option<Arc<Mirror>>,
    dispatcher: Arc<Dispatcher>,
    idle: Idle,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    shutdown_timeout: Duration,
}

impl Server {
    /// Opens the store, puts the policies in force and listens. Requests are answered when this returns;
    /// the first sync goes on behind them.
    ///
    /// # Errors
    /// When the store cannot be opened, the repository filter cannot be loaded, or the port is taken.
    pub async fn start(start: Start) -> anyhow::Result<Self> {
        let Start { loaded, source, local, only } = start;
        let config = LiveConfig::new(&loaded);
        let present = config.current();
        let ground = Ground::lay(&loaded, source, &config).await?;
        // After the database: who comes second to it is told so, and not that a port is taken, which the first one has.
        let listener = listen(&present.server, local.as_ref().is_some_and(|local| local.comes_first)).await?;
        let address = listener.local_addr()?;
        let mirror = ground.mirror(&loaded).await;
        let (store, clock, forge) = (Arc::clone(&ground.store), Arc::clone(&ground.clock), ground.forge.clone());
        let (manager, background) = ClaimManager::open(ground.parts(&loaded)).await.map_err(not_started)?;

        let shutdown = CancellationToken::new();
        let dispatcher = Dispatcher::open(DispatcherParts {
            manager: Arc::clone(&manager),
            store: Arc::clone(&store) as Arc<dyn Store>,
            forge,
            config: config.clone(),
            clock: Arc::clone(&clock),
            folder: dispatch_folder(&loaded.store().path),
            base_dir: loaded.folder.clone(),
            only,
            config_file: loaded.file.clone(),
        })?;
        let api = Api::new(Arc::clone(&manager), &present).with_dispatcher(Arc::clone(&dispatcher));
        let http = HttpState::new(api.clone(), &present, clock, shutdown.clone()).with_config_file(loaded.file.clone());
        let server = Self {
            address,
            api,
            store,
            http,
            config,
            mirror: mirror.and_then(|start| start.report(&manager)).map(Arc::new),
            manager,
            dispatcher,
            idle: Idle::new(),
            tracker: TaskTracker::new(),
            shutdown,
            shutdown_timeout: Duration::from_secs(present.server.shutdown_seconds),
        };
        server.manager.note_url(format!("http://{}", reachable(address)));
        if let Err(error) = server.manager.beat().await {
            warn!("this server has no role among those of its database yet: {error}");
        }
        // A SQLite file is ours alone by now, and so is the socket of a server that died over it.
        let door = local.map(local_door).transpose()?.flatten();
        if let Err(error) = server.store.note_address(&loaded.store(), &format!("http://{}", reachable(address))) {
            warn!("commands will not find this server by its database: {error}");
        }
        let pid = std::process::id();
        info!("listening on http://{address} (MCP at /mcp), version {VERSION_AND_BUILD}, pid {pid}");
        // Last: whoever is answered finds the address noted and the log's word said, even if this process is killed then.
        server.open_doors(listener, door, background, ServeLimits::from(&present.server));
        server.mirror_claims();
        Ok(server)
    }

    fn open_doors(&self, listener: TcpListener, local: Option<LocalDoor>, background: Background, limits: ServeLimits) {
        background.start(&self.tracker, &self.shutdown);
        self.tracker.spawn(Arc::clone(&self.dispatcher).work(self.shutdown.clone()));
        if let Some(door) = local {
            let hosting = Hosting {
                api: self.api.clone(),
                url: format!("http://{}", self.address),
                profile: self.config.current().mcp.profile,
                count_max: limits.connection_count_max,
                idle: self.idle.clone(),
            };
            self.tracker.spawn(door.serve(hosting, self.shutdown.clone()));
        }
        let router = crate::http::count_present(crate::http::router(&self.http), self.idle.clone());
        let manager = Arc::clone(&self.manager);
        let note_trouble = move |what: &'static str| manager.note_unwell(what);
        self.tracker.spawn(crate::http::serve_noting(listener, router, limits, self.shutdown.clone(), note_trouble));
    }

    fn mirror_claims(&self) {
        let Some(mirror) = self.mirror.clone() else { return };
        let (manager, shutdown) = (Arc::clone(&self.manager), self.shutdown.clone());
        self.tracker.spawn(async move { shutdown.run_until_cancelled(mirror.follow(manager)).await });
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The calls that both doors make.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The claim manager behind the doors.
    pub fn manager(&self) -> &Arc<ClaimManager> {
        &self.manager
    }

    /// What works on issues here.
    pub fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    /// Ends everything when cancelled.
    pub fn shutdown_token(&self) -> CancellationToken {
        self.shutdown.clone()
    }

    /// Returns when, for `quiet`, no local agent was connected, nobody asked anything, and every claim left
    /// was stale.
    pub async fn idle(&self, quiet: Duration) {
        let has_live_claims = || {
            let health = self.manager.health();
            health.active_claims > health.stale_claims
        };
        self.idle.wait(quiet, has_live_claims).await;
    }

    /// Watches the configuration and puts edits in force, for as long as the server runs.
    ///
    /// # Errors
    /// When the system offers no way to watch files; the server runs on without.
    pub fn follow_edits(&self, source: ConfigSource, loaded: &Loaded, log: LogHandle) -> anyhow::Result<()> {
        let watch =
            ConfigWatch::start(loaded.watched_files()).context("failed to watch the configuration for edits")?;
        let editor = Arc::new(Editor {
            log,
            manager: Arc::clone(&self.manager),
            http: self.http.clone(),
            config: self.config.clone(),
        });
        let following = follow(self.config.clone(), source, watch, move |read| {
            let editor = Arc::clone(&editor);
            async move { editor.take_in(read).await }
        });
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move {
            if shutdown.run_until_cancelled(following).await.is_some() {
                warn!("the watch on the configuration ended; edits need a restart now");
            }
        });
        Ok(())
    }

    /// Ends open streams, lets requests finish, writes down what is pending and closes the store.
    pub async fn stop(self) {
        info!("stopping");
        self.shutdown.cancel();
        self.tracker.close();
        // The doors bound their own end; a little more lets background work come to its next await.
        let patience = self.shutdown_timeout + Duration::from_secs(2);
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            warn!("some work did not end in time and was left behind");
        }
        self.manager.rest().await;
        if let Some(mirror) = &self.mirror {
            mirror.write(&self.manager).await;
        }
        let store = self.store;
        if let Err(panic) = spawn_blocking(move || store.close()).await {
            warn!("closing the store failed: {panic}");
        }
        info!("stopped");
    }
}

/// The calls of a server that does not run, on a store that nobody serves: what one would say of the issues there
/// if it started now, and what it keeps of runs. Nothing is synced, and nothing is begun.
///
/// # Errors
/// When the store fails, or the policies cannot be run.
pub async fn at_rest(store: Arc<dyn Store>, loaded: &Loaded) -> anyhow::Result<Api> {
    let parts = Parts {
        store,
        source: Arc::new(FileSource::new(PathBuf::new())),
        index: Index::empty(),
        host: spawn_blocking(|| PolicyHost::new(policy_cache_folder())).await??,
        clock: Arc::new(SystemClock),
        config: LiveConfig::new(loaded),
        base_dir: loaded.folder.clone(),
    };
    let (config, clock, kept) = (parts.config.clone(), Arc::clone(&parts.clock), Arc::clone(&parts.store));
    // What it would do on its own is not begun.
    let (manager, _) = ClaimManager::open(parts).await?;
    let dispatcher = Dispatcher::open(DispatcherParts {
        manager: Arc::clone(&manager),
        store: kept,
        forge: None,
        config,
        clock,
        folder: dispatch_folder(&loaded.store().path),
        base_dir: loaded.folder.clone(),
        only: None,
        config_file: loaded.file.clone(),
    })?;
    Ok(Api::new(manager, &loaded.config).with_dispatcher(dispatcher))
}

/// Puts edits of the configuration in force.
struct Editor {
    log: LogHandle,
    manager: Arc<ClaimManager>,
    http: HttpState,
    config: LiveConfig,
}

impl Editor {
    /// Takes in what the files say now: all of it, or nothing.
    async fn take_in(&self, read: Result<Loaded, ConfigReport>) {
        let loaded = match read {
            Ok(loaded) => loaded,
            Err(report) => return self.manager.note_rejected_config(report.to_string()),
        };
        let Ok((reload, replaced)) = self.manager.apply_config(loaded.config, &loaded.folder).await else { return };
        let present = self.config.current();
        self.http.apply(&present);
        if let Err(error) = self.log.set_level(&present.log.level) {
            warn!("log.level was not changed: {error}");
        }
        if reload == Reload::Swapped || replaced.changed {
            info!("the edited configuration is in force");
        }
        if !replaced.needs_restart.is_empty() {
            warn!("waiting for a restart to take effect: {}", replaced.needs_restart.join(", "));
        }
        self.manager.note_needs_restart(replaced.needs_restart);
    }
}

/// Why a server does not start.
fn not_started(error: OpenError) -> anyhow::Error {
    match error {
        OpenError::Policy(rejected) => anyhow::Error::from(rejected)
            .context("the server does not start, for nothing can stand in for a policy that was refused"),
        error => error.into(),
    }
}

/// An address that this machine can call, where the server listens on all.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, address.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())),
        _ => address,
    }
}

/// Listens where the configuration says; `elsewhere`: on any free port if that one is taken.
async fn listen(server: &ServerConfig, elsewhere: bool) -> anyhow::Result<TcpListener> {
    let (host, port) = (server.host, server.port);
    match TcpListener::bind((host, port)).await {
        Err(error) if elsewhere && error.kind() == std::io::ErrorKind::AddrInUse => {
            warn!("{host}:{port} is taken, by a server of another database maybe: HTTP gets any free port");
            TcpListener::bind((host, 0)).await.with_context(|| format!("failed to listen on any port of {host}"))
        }
        bound => bound.with_context(|| {
            format!("failed to listen on {host}:{port}; choose another server.port (HTTP_PORT), 0 for any free one")
        }),
    }
}

/// The door for local agents. Where nobody asked for it by name, a server can do without.
fn local_door(local: Local) -> anyhow::Result<Option<LocalDoor>> {
    match LocalDoor::open(&local.place) {
        Ok(door) => Ok(Some(door)),
        Err(error) if local.comes_first || local.place.is_chosen() => Err(error.into()),
        Err(error) => {
            warn!("there is no door for local agents: {:#}", anyhow::Error::from(error));
            Ok(None)
        }
    }
}

/// What the dispatcher keeps beside the database: mirrors, logs, its key.
fn dispatch_folder(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".dispatch");
    path.into()
}
