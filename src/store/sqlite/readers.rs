//! The readers: a few read-only connections, used off the async threads.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, Result};
use tokio::sync::Semaphore;

use super::super::StoreError;
use super::connect;

/// Most reads at once. Reads are short; more would only contend for the processors.
const READER_COUNT_MAX: usize = 4;

/// The pool. Connections are opened when first needed.
#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    busy_timeout: Duration,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool for the database at `path`.
    pub(super) fn new(path: PathBuf, busy_timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(READER_COUNT_MAX));
        Self { path, busy_timeout, permits, idle: Arc::default() }
    }

    /// Runs `work` on a connection that sees every commit acknowledged before.
    pub(super) async fn read<T, F>(&self, attempt: &'static str, work: F) -> std::result::Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let idle = Arc::clone(&self.idle);
        let (path, busy_timeout) = (self.path.clone(), self.busy_timeout);
        // The permit and the connection travel together, so a caller that stops waiting loses neither.
        let reading = tokio::task::spawn_blocking(move || {
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match known {
                Some(connection) => connection,
                None => connect::reading_connection(&path, busy_timeout)?,
            };
            let result = work(&connection);
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(permit);
            result
        });
        let result = reading.await.map_err(|_| StoreError::Closed)?;
        result.map_err(|source| StoreError::failed(attempt, source))
    }

    /// Runs `work` here and now, for a caller that must not wait for others: beside the most reads at once.
    pub(super) fn read_now<T>(
        &self,
        attempt: &'static str,
        work: impl FnOnce(&Connection) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        if self.permits.is_closed() {
            return Err(StoreError::Closed);
        }
        let known = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match known {
            Some(connection) => Ok(connection),
            None => connect::reading_connection(&self.path, self.busy_timeout),
        };
        let result = connection.and_then(|connection| {
            let result = work(&connection);
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < READER_COUNT_MAX {
                idle.push(connection);
            }
            result
        });
        result.map_err(|source| StoreError::failed(attempt, source))
    }

    /// Refuses further reads and closes idle connections.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
