//! The clock of deadlines: a thread that advances the engine's epoch each millisecond while policies run,
//! and sleeps for good while none does.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// Time between two ticks. A sleep is never shorter, so a call is never stopped early.
const TICK_MS: u64 = 1;
/// How long the thread goes on ticking after the last call, in ticks: waking it costs a system call,
/// which a busy server should not pay for each `choose`.
const LINGER_TICK_COUNT: u32 = 50;

/// Owns the thread; dropping it ends the thread.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    running: usize,
    begun_since_tick: bool,
    asleep: bool,
    stop: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under this lock, so a poisoned one is as good as new.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call under way: ticks come while one exists.
pub(super) struct Running<'a>(&'a Shared);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

impl Ticker {
    /// Starts the thread.
    pub(super) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let seen = Arc::clone(&shared);
        let thread = thread::Builder::new().name("policy-ticker".into()).spawn(move || tick(&seen, &engine))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// How many ticks from now a deadline of `ms` is: one more, because the first may come at once.
    pub(super) fn ticks(ms: u64) -> u64 {
        ms / TICK_MS + 1
    }

    /// Notes that a call begins.
    pub(super) fn run(&self) -> Running<'_> {
        let mut state = self.shared.lock();
        state.running += 1;
        state.begun_since_tick = true;
        if state.asleep {
            self.shared.wake.notify_one();
        }
        Running(&self.shared)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.lock().stop = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tick(shared: &Shared, engine: &Engine) {
    let mut idle_tick_count = 0;
    loop {
        let mut state = shared.lock();
        let busy = state.running > 0 || std::mem::take(&mut state.begun_since_tick);
        idle_tick_count = if busy { 0 } else { idle_tick_count + 1 };
        if idle_tick_count > LINGER_TICK_COUNT {
            state.asleep = true;
            while state.running == 0 && !state.stop {
                state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.asleep = false;
            idle_tick_count = 0;
        }
        if state.stop {
            return;
        }
        drop(state);
        thread::sleep(Duration::from_millis(TICK_MS));
        engine.increment_epoch();
    }
}
