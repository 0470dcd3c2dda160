//! The engine, and how a configuration becomes a [`PolicySet`].

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use wasmtime::{Config, Engine};

use super::cache::Cache;
use super::check;
use super::error::{PolicyError, PolicyRejected};
use super::examine;
use super::facts::BodySource;
use super::instance::{Kind, Limits, Machine, Policy, Purpose};
use super::ranker::Ranker;
use super::repo_filter::RepoFilter;
use super::repo_filters::RepoFilters;
use super::set::{Loading, PolicySet};
use super::source;
use super::stale_rule::StaleRule;
use super::ticker::Ticker;
use crate::config::{PoliciesConfig, PolicyConfig};
use crate::domain::PolicyStamp;

/// Stack of a guest, in bytes: well below the 2 MiB of the threads that call it.
const STACK_BYTES_MAX: usize = 512 << 10;

/// Loads policies. One for the life of the server; sets that it loaded may outlive it. Its clones are the same host.
#[derive(Clone)]
pub struct PolicyHost {
    machine: Arc<Machine>,
    cache: Arc<Cache>,
    bodies: Option<Arc<dyn BodySource>>,
    purpose: Purpose,
}

impl fmt::Debug for PolicyHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyHost").finish_non_exhaustive()
    }
}

impl PolicyHost {
    /// Starts the engine and the clock of its deadlines. Compiled components are kept in `cache_dir`,
    /// which is made for its owner only; trouble with it is only a warning.
    ///
    /// # Errors
    /// [`PolicyError::Engine`] when this machine cannot run WebAssembly, or no thread can be started.
    pub fn new(cache_dir: Option<PathBuf>) -> Result<Self, PolicyError> {
        let engine =
            Engine::new(&engine_config()).map_err(|error| PolicyError::Engine { why: format!("{error:#}") })?;
        let ticker = Ticker::start(engine.clone())
            .map_err(|error| PolicyError::Engine { why: format!("no thread: {error}") })?;
        Ok(Self {
            machine: Arc::new(Machine { engine, ticker }),
            cache: Arc::new(Cache::open(cache_dir)),
            bodies: None,
            purpose: Purpose::Serving,
        })
    }

    /// Where policies loaded from now on read the texts of issues; without it they find them empty.
    #[must_use]
    pub fn reading_bodies_from(mut self, bodies: Arc<dyn BodySource>) -> Self {
        self.bodies = Some(bodies);
        self
    }

    /// The same host, for policies that serve nobody: they are tried, or replay what was decided.
    #[must_use]
    pub fn for_trying(&self) -> Self {
        Self { purpose: Purpose::Trying, ..self.clone() }
    }

    /// Loads every policy: reads, checks, compiles, configures and tries each. Blocks for as long
    /// as compiling takes; call it off the async threads. `base_dir` is what relative sources are relative to.
    ///
    /// # Errors
    /// [`PolicyRejected`] names the policy, its source and what is wrong with it. Nothing is left behind.
    pub fn load(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<PolicySet, PolicyRejected> {
        thread::scope(|scope| {
            let loading = Loading { host: self, config, base_dir };
            let stale_rules = scope.spawn(move || loading.stale_rules());
            let repo_filter = scope.spawn(move || self.load_repo_filters(config, base_dir));
            let rankings = loading.rankings();
            rankings.and_then(|rankings| {
                let (stale_rule, repo_filter) = (joined(stale_rules)?, joined(repo_filter)?);
                Ok(PolicySet::new(rankings, stale_rule, repo_filter))
            })
        })
    }

    pub(super) fn load_ranker(
        &self,
        key: &'static str,
        policy: &PolicyConfig,
        all: &PoliciesConfig,
        base_dir: &Path,
    ) -> Result<Ranker, PolicyRejected> {
        let mut ranker = self.load_one(key, policy, all, base_dir, Ranker::accept)?;
        ranker.read_bodies_from(self.bodies.clone());
        Ok(ranker)
    }

    /// Whether this component, with its settings, is a ranker that can be loaded, within the bounds of `all`.
    pub fn takes_ranker(&self, policy: &PolicyConfig, all: &PoliciesConfig, base_dir: &Path) -> bool {
        self.load_ranker("ranker", policy, all, base_dir).is_ok()
    }

    /// The same for a stale rule.
    pub fn takes_stale_rule(&self, policy: &PolicyConfig, all: &PoliciesConfig, base_dir: &Path) -> bool {
        self.load_stale_rule("stale_rule", policy, all, base_dir).is_ok()
    }

    pub(super) fn load_stale_rule(
        &self,
        key: &'static str,
        policy: &PolicyConfig,
        all: &PoliciesConfig,
        base_dir: &Path,
    ) -> Result<StaleRule, PolicyRejected> {
        self.load_one(key, policy, all, base_dir, StaleRule::accept)
    }

    fn load_repo_filters(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<RepoFilters, PolicyRejected> {
        let load = |policy| self.load_one("repo_filter", policy, config, base_dir, RepoFilter::accept);
        Ok(RepoFilters::new(load(&config.repo_filter)?, config.allowed_filter().as_ref().map(load).transpose()?))
    }

    /// Loads one, holds its settings to its own schema, and takes it into service by `accept`.
    fn load_one<K: Kind, P>(
        &self,
        key: &'static str,
        policy: &PolicyConfig,
        all: &PoliciesConfig,
        base_dir: &Path,
        accept: impl FnOnce(Policy<K>) -> Result<P, PolicyError>,
    ) -> Result<P, PolicyRejected> {
        let file = policy.component_path(base_dir);
        let then = |ready| examine::held_to_schema(ready, policy, file.as_deref(), accept);
        self.open_one(key, policy, all, base_dir, then)
    }

    /// Loads one, as far as nothing was asked of it yet.
    pub(super) fn open_one<K: Kind, P>(
        &self,
        key: &'static str,
        policy: &PolicyConfig,
        all: &PoliciesConfig,
        base_dir: &Path,
        then: impl FnOnce(Policy<K>) -> Result<P, String>,
    ) -> Result<P, PolicyRejected> {
        let file = policy.component_path(base_dir);
        let limits = Limits {
            call_ms_max: all.call_ms_max,
            choose_ms_max: all.choose_ms_max,
            memory_bytes_max: all.memory_bytes_max,
        };
        let is_candidate = self.purpose == Purpose::Serving && key.starts_with("candidate");
        let purpose = if is_candidate { Purpose::Trial } else { self.purpose };
        self.prepare::<K>(policy, file.as_deref(), base_dir, (limits, purpose))
            .and_then(then)
            .map_err(|reason| PolicyRejected { policy: key, source: policy.source.clone(), stage: None, file, reason })
    }

    fn prepare<K: Kind>(
        &self,
        config: &PolicyConfig,
        file: Option<&Path>,
        base_dir: &Path,
        service: (Limits, Purpose),
    ) -> Result<Policy<K>, String> {
        let source = source::read(config, file, base_dir)?;
        let component = self
            .cache
            .component(&self.machine.engine, &source)
            .map_err(|error| format!("it is damaged, cut short or not valid: {error:#}"))?;
        check::is_policy::<K>(&component)?;
        let settings = source::canonical(&config.settings);
        let stamp = PolicyStamp {
            source: config.source.clone(),
            digest: source.digest,
            settings_digest: source::sha256_hex(settings.as_bytes()),
        };
        check::linker_for::<K>(&component)
            .and_then(|linker| Policy::new(Arc::clone(&self.machine), &component, &linker, stamp, settings, service))
            .map_err(|error| format!("it does not fit issuecommand:policy@0.1.0: {error:#}"))
    }
}

fn joined<P>(thread: thread::ScopedJoinHandle<'_, P>) -> P {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn engine_config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Traps are told by the names of functions: nobody reads the places within them, and the cache is smaller without.
        .generate_address_map(false)
        .concurrency_support(false)
        .max_wasm_stack(STACK_BYTES_MAX)
        // The same input gives the same answer on every machine, so that a decision can be replayed.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}
