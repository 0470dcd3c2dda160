//! Waiting for what rings for nobody: files, GitHub, and what is asked over HTTP.

use std::time::{Duration, Instant};

/// Longest time for something to come about: containers start slowly where twenty do at once.
pub const PATIENCE: Duration = Duration::from_secs(240);
/// The wait between two looks.
pub const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Looks until there is something to see.
#[track_caller]
pub fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let begun = Instant::now();
        loop {
            if let Some(found) = look().await {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "it never came: {what}, at {caller}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
