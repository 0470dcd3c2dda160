//! A gate on the way from the writer to the index: closed, it holds the writer up behind a commit that nobody heard of.

use parking_lot::{Condvar, Mutex};

/// The gate.
#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_closed: bool,
    is_reached: bool,
}

impl Gate {
    pub fn close(&self) {
        *self.state.lock() = State { is_closed: true, is_reached: false };
    }

    pub fn open(&self) {
        *self.state.lock() = State::default();
        self.changed.notify_all();
    }

    pub fn is_closed(&self) -> bool {
        self.state.lock().is_closed
    }

    /// Waits until the writer stands before it.
    pub fn wait_until_reached(&self) {
        self.changed.wait_while(&mut self.state.lock(), |state| !state.is_reached);
    }

    /// Goes through, once it is open.
    pub fn pass(&self) {
        let mut state = self.state.lock();
        state.is_reached = true;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.is_closed);
    }
}
