//! Running instances of one policy: made on demand, configured once, used again, and thrown away after
//! a fault.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tracing::field::Empty;
use tracing::info_span;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store, Trap, WasmBacktrace};

use super::error::PolicyError;
use super::facts::Facts;
use super::output::line;
use super::state::{CallState, Stop};
use super::ticker::Ticker;
use crate::domain::PolicyStamp;
use crate::metrics::metrics;
use crate::telemetry::TARGET;

/// Instances kept ready for the next call. More calls at once than this are served by fresh ones.
const READY_INSTANCE_COUNT_MAX: usize = 8;
/// An instance that holds so much more memory than when it was new is not kept: a fresh one costs little, and
/// its memory would stay taken for good, since WebAssembly memory never shrinks. What an interpreter begins
/// with does not count: making a new one of those costs milliseconds.
const READY_INSTANCE_GROWTH_BYTES_MAX: usize = 4 << 20;
/// Bytes that a policy may send at once, whatever its rows.
const OUTPUT_BYTES_BASE: usize = 64 << 10;
/// Longest message of a policy that is passed on, in bytes.
const MESSAGE_BYTES_MAX: usize = 1000;
/// Longest name of a guest's function that is passed on, in bytes.
const PLACE_BYTES_MAX: usize = 200;

/// The engine and its clock, shared by all policies.
pub(super) struct Machine {
    pub(super) engine: Engine,
    pub(super) ticker: Ticker,
}

/// What differs between the three kinds of policies.
pub(super) trait Kind: Sized + 'static {
    /// In prose.
    const NOUN: &'static str;
    /// The interface that it exports, and the world to build it against without `-policy`.
    const INTERFACE: &'static str;
    /// The component with its imports resolved and its exports found.
    type Pre: Send + Sync;
    /// A running one.
    type Guest: Send;

    /// Offers what the world imports.
    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()>;
    /// Finds the exports.
    fn prepare(pre: InstancePre<CallState>) -> wasmtime::Result<Self::Pre>;
    /// Starts one.
    fn instantiate(pre: &Self::Pre, store: &mut Store<CallState>) -> wasmtime::Result<Self::Guest>;
    /// Calls `settings-schema`.
    fn settings_schema(guest: &Self::Guest, store: &mut Store<CallState>) -> wasmtime::Result<String>;
    /// Calls `configure`.
    fn configure(guest: &Self::Guest, store: &mut Store<CallState>, settings: &str) -> Answer<()>;
}

/// What a call into a guest yields: a trap, the guest's own refusal, or an answer.
pub(super) type Answer<R> = wasmtime::Result<Result<R, String>>;

/// How far a policy may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) call_ms_max: u64,
    pub(super) choose_ms_max: u64,
    pub(super) memory_bytes_max: usize,
}

/// One function of a policy, and how much of an answer it may give.
#[derive(Debug, Clone, Copy)]
pub(super) struct Function {
    pub(super) name: &'static str,
    /// Bytes of answer for each row.
    pub(super) output_bytes_per_row: usize,
    /// Whether an agent waits for it.
    pub(super) waited_for: bool,
}

pub(super) const CONFIGURE: Function = Function { name: "configure", output_bytes_per_row: 0, waited_for: false };

/// What a policy was loaded for: whoever counts its calls tells those that agents wait for from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It is in force.
    Serving,
    /// It is a candidate.
    Trial,
    /// Somebody tries it, or replays what was decided.
    Trying,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Trial => "trial",
            Self::Trying => "trying",
        }
    }
}

/// One accepted policy, ready to be called from any thread.
pub(super) struct Policy<K: Kind> {
    pub(super) stamp: PolicyStamp,
    machine: Arc<Machine>,
    pre: K::Pre,
    source: Arc<str>,
    settings: String,
    /// Why nothing but the policy itself looks at its settings, if so.
    pub(super) unchecked: Option<String>,
    limits: Limits,
    purpose: Purpose,
    ready: Mutex<Vec<Instance<K>>>,
    memory_bytes_peak: AtomicUsize,
}

struct Instance<K: Kind> {
    /// The memory that it held when it was configured, in bytes.
    new_bytes: usize,
    store: Store<CallState>,
    guest: K::Guest,
}

impl<K: Kind> fmt::Debug for Policy<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::NOUN).field("stamp", &self.stamp).field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl<K: Kind> Policy<K> {
    /// Resolves the imports of a checked component.
    ///
    /// # Errors
    /// Says which import or export does not have the shape that it has in our WIT package.
    pub(super) fn new(
        machine: Arc<Machine>,
        component: &Component,
        linker: &Linker<CallState>,
        stamp: PolicyStamp,
        settings: String,
        (limits, purpose): (Limits, Purpose),
    ) -> wasmtime::Result<Self> {
        let pre = K::prepare(linker.instantiate_pre(component)?)?;
        let source = stamp.source.as_str().into();
        Ok(Self {
            stamp,
            machine,
            pre,
            source,
            settings,
            unchecked: None,
            limits,
            purpose,
            ready: Mutex::default(),
            memory_bytes_peak: AtomicUsize::new(0),
        })
    }

    /// What the policy is told, in its one canonical form.
    pub(super) fn settings(&self) -> &str {
        &self.settings
    }

    /// The component with its imports resolved and its exports found.
    pub(super) fn pre(&self) -> &K::Pre {
        &self.pre
    }

    /// Calls `function` about `facts`, on an instance of its own.
    pub(super) fn call<R>(
        &self,
        function: Function,
        facts: Facts,
        run: impl FnOnce(&K::Guest, &mut Store<CallState>) -> Answer<R>,
    ) -> Result<R, PolicyError> {
        self.call_within(u64::MAX, function, facts, run)
    }

    /// As [`Policy::call`], within `ms` milliseconds where that is less than the function may take.
    pub(super) fn call_within<R>(
        &self,
        ms: u64,
        function: Function,
        facts: Facts,
        run: impl FnOnce(&K::Guest, &mut Store<CallState>) -> Answer<R>,
    ) -> Result<R, PolicyError> {
        let ready = self.ready().pop();
        let mut instance = match ready {
            Some(instance) => instance,
            None => self.start()?,
        };
        let guest = &instance.guest;
        let bounds = self.bounds(function, facts.row_count(), ms);
        let answer = self.guarded(&mut instance.store, bounds, facts, |store| run(guest, store));
        self.memory_bytes_peak.fetch_max(instance.store.data().memory_bytes(), Ordering::Relaxed);
        // A policy that says no is in order; one that failed is in an unknown state.
        if matches!(answer, Ok(_) | Err(PolicyError::Refused { .. })) {
            self.keep(instance);
        }
        answer
    }

    fn ready(&self) -> MutexGuard<'_, Vec<Instance<K>>> {
        // Only push and pop run under this lock, so a poisoned one is as good as new.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, instance: Instance<K>) {
        let grown = instance.store.data().memory_bytes().saturating_sub(instance.new_bytes);
        if grown > READY_INSTANCE_GROWTH_BYTES_MAX {
            return;
        }
        let mut ready = self.ready();
        if ready.len() < READY_INSTANCE_COUNT_MAX {
            ready.push(instance);
        }
    }

    /// Calls `function` on a fresh instance that was given no settings, and is thrown away.
    pub(super) fn call_unconfigured<R>(
        &self,
        function: Function,
        facts: Facts,
        run: impl FnOnce(&K::Guest, &mut Store<CallState>) -> Answer<R>,
    ) -> Result<R, PolicyError> {
        let mut store = self.store();
        let bounds = self.bounds(function, facts.row_count(), u64::MAX);
        self.guarded(&mut store, bounds, facts, |store| {
            let guest = K::instantiate(&self.pre, store)?;
            run(&guest, store)
        })
    }

    /// The most memory that an instance held after a call, in bytes.
    pub(super) fn memory_bytes_peak(&self) -> usize {
        self.memory_bytes_peak.load(Ordering::Relaxed)
    }

    fn store(&self) -> Store<CallState> {
        let state = CallState::new(Arc::clone(&self.source), self.limits.memory_bytes_max);
        let mut store = Store::new(&self.machine.engine, state);
        store.limiter(|state| state);
        store
    }

    fn start(&self) -> Result<Instance<K>, PolicyError> {
        let mut store = self.store();
        let bounds = self.bounds(CONFIGURE, 0, u64::MAX);
        let guest = self.guarded(&mut store, bounds, Facts::None, |store| {
            let guest = K::instantiate(&self.pre, store)?;
            Ok(K::configure(&guest, store, &self.settings)?.map(|()| guest))
        })?;
        Ok(Instance { new_bytes: store.data().memory_bytes(), store, guest })
    }

    fn guarded<R>(
        &self,
        store: &mut Store<CallState>,
        bounds: Bounds,
        facts: Facts,
        run: impl FnOnce(&mut Store<CallState>) -> Answer<R>,
    ) -> Result<R, PolicyError> {
        store.data_mut().begin(facts);
        store.set_hostcall_fuel(bounds.output_bytes);
        let running = self.machine.ticker.run();
        store.set_epoch_deadline(Ticker::ticks(bounds.ms));
        let span = info_span!(
            target: TARGET,
            "policy",
            otel.name = %format_args!("{} {}", K::INTERFACE, bounds.call),
            otel.status_code = Empty,
        );
        let begun = Instant::now();
        let answer = span.in_scope(|| run(store));
        if answer.is_err() {
            span.record("otel.status_code", "ERROR");
        }
        metrics().policy_called((K::INTERFACE, bounds.call), self.purpose.as_str(), begun, answer.is_err());
        drop(running);
        let last_error = store.data_mut().end();
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(message)) => {
                Err(PolicyError::Refused { call: bounds.call, message: line(&message, MESSAGE_BYTES_MAX) })
            }
            Err(error) => Err(bounds.explain(&error, last_error)),
        }
    }

    fn bounds(&self, function: Function, row_count: usize, ms_left: u64) -> Bounds {
        let Limits { call_ms_max, choose_ms_max, .. } = self.limits;
        let own = if function.waited_for { (choose_ms_max, "choose_ms_max") } else { (call_ms_max, "call_ms_max") };
        // What is left is what others left of the time that somebody waits.
        let (ms, setting) = own.min((ms_left, "choose_ms_max"));
        let output_bytes = OUTPUT_BYTES_BASE + function.output_bytes_per_row * row_count;
        Bounds { call: function.name, ms, setting, output_bytes }
    }
}

/// How far one call may go.
struct Bounds {
    call: &'static str,
    ms: u64,
    setting: &'static str,
    output_bytes: usize,
}

impl Bounds {
    /// The engine's error in words for the policy's author.
    fn explain(&self, error: &wasmtime::Error, last_error: Option<String>) -> PolicyError {
        let call = self.call;
        if let Some(stop) = error.downcast_ref::<Stop>() {
            return match stop {
                Stop::Memory { bytes } => PolicyError::MemoryExceeded { call, bytes: *bytes },
                Stop::Unreadable(why) => PolicyError::FactsUnreadable { call, why: why.clone() },
                Stop::Budget(why) => PolicyError::BudgetExceeded { call, why: why.clone() },
                Stop::NotOffered(function) => PolicyError::NotOffered { call, function: function.clone() },
            };
        }
        let place = place_of(error);
        let trap = error.downcast_ref::<Trap>();
        match trap {
            Some(Trap::Interrupt) => PolicyError::DeadlineExceeded { call, ms: self.ms, setting: self.setting },
            Some(Trap::StackOverflow) => {
                PolicyError::StackOverflow { call, place: place.unwrap_or_else(|| "place unknown".into()) }
            }
            _ => {
                let root = error.root_cause().to_string();
                // The engine's error for this is private to it; the wording is all there is.
                if root.contains("fuel allocated for hostcalls") {
                    return PolicyError::OutputTooLarge { call, bytes: self.output_bytes };
                }
                let mut why = place.map_or_else(|| root.clone(), |place| format!("{root} in {place}"));
                // Rust and C keep a stack of their own in memory, in front of everything else.
                if trap == Some(&Trap::MemoryOutOfBounds) {
                    why.push_str("; recursion without end looks like this too");
                }
                PolicyError::Trapped { call, why: line(&why, MESSAGE_BYTES_MAX), message: last_error }
            }
        }
    }
}

/// The innermost named function of the guest's own: the machinery of panics is of no interest.
fn place_of(error: &wasmtime::Error) -> Option<String> {
    const MACHINERY: [&str; 8] = ["core::", "std::", "alloc::", "<core::", "<std::", "<alloc::", "__", "rust_"];
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames();
    // As the author wrote them: Rust's linker leaves names mangled. `#` leaves out their hashes.
    let names: Vec<String> =
        frames.iter().filter_map(|frame| Some(format!("{:#}", rustc_demangle::demangle(frame.func_name()?)))).collect();
    let own = names.iter().find(|name| !MACHINERY.iter().any(|start| name.starts_with(start)));
    own.or(names.first()).map(|name| format!("`{}`", line(name, PLACE_BYTES_MAX)))
}
