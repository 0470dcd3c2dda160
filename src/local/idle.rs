//! Whether anyone still needs a server that was started in passing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Who is here, and when somebody was last heard. Clones share one account.
#[derive(Debug, Clone)]
pub struct Idle(Arc<Account>);

#[derive(Debug)]
struct Account {
    present: AtomicUsize,
    heard_at: Mutex<Instant>,
}

/// Somebody who is here until this is dropped.
#[derive(Debug)]
pub(crate) struct Present(Idle);

impl Idle {
    /// Nobody is here, and the time runs from now.
    pub fn new() -> Self {
        Self(Arc::new(Account { present: AtomicUsize::new(0), heard_at: Mutex::new(Instant::now()) }))
    }

    /// Somebody asked something.
    pub fn heard(&self) {
        *self.0.heard_at.lock() = Instant::now();
    }

    /// Somebody has come, and stays until the answer is dropped.
    pub(crate) fn enter(&self) -> Present {
        self.0.present.fetch_add(1, Ordering::AcqRel);
        Present(self.clone())
    }

    /// Returns when nobody was here or heard for `quiet`, and `is_needed` denies it too.
    pub async fn wait(&self, quiet: Duration, is_needed: impl Fn() -> bool) {
        while let Some(next) = self.next_look(Instant::now(), quiet, is_needed()) {
            tokio::time::sleep_until(next).await;
        }
    }

    /// When to look again; `None` if it has been quiet for long enough.
    fn next_look(&self, now: Instant, quiet: Duration, is_needed: bool) -> Option<Instant> {
        let is_needed = is_needed || self.0.present.load(Ordering::Acquire) > 0;
        let next = if is_needed { now + quiet } else { *self.0.heard_at.lock() + quiet };
        (next > now).then_some(next)
    }
}

impl Default for Idle {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.heard();
        self.0.0.present.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    #[test]
    fn a_server_is_idle_only_when_everyone_left_nobody_asks_and_it_is_not_needed() {
        let idle = Idle::new();
        let later = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert!(idle.next_look(later(50), QUIET, false).is_some(), "somebody was heard less than a minute ago");
        assert!(idle.next_look(later(70), QUIET, false).is_none());
        assert!(idle.next_look(later(70), QUIET, true).is_some(), "a claim is live");
        let visitor = idle.enter();
        assert!(idle.next_look(later(70), QUIET, false).is_some(), "somebody is here");
        drop(visitor);
        assert!(idle.next_look(later(70), QUIET, false).is_none());
    }

    #[test]
    fn who_leaves_was_here_until_then() {
        let idle = Idle::new();
        let visitor = idle.enter();
        *idle.0.heard_at.lock() -= QUIET;
        drop(visitor);
        assert!(idle.next_look(Instant::now() + QUIET / 2, QUIET, false).is_some());
    }
}
