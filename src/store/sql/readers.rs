//! The readers: a few read-only connections, used off the async threads.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::super::StoreError;
use super::connection::Connection;
use super::engine::Source;
use super::value::Result;

/// Most reads at once. Reads are short; more would only contend for the processors.
const READER_COUNT_MAX: usize = 4;

/// The pool. Connections are opened when first needed.
#[derive(Debug)]
pub(super) struct Readers {
    source: Arc<Source>,
    permits: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// A pool of connections from `source`.
    pub(super) fn new(source: Source) -> Self {
        let permits = Arc::new(Semaphore::new(READER_COUNT_MAX));
        Self { source: Arc::new(source), permits, idle: Arc::default() }
    }

    /// Runs `work` on a connection that sees every commit acknowledged before.
    pub(super) async fn read<T, F>(&self, attempt: &'static str, work: F) -> std::result::Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (idle, source) = (Arc::clone(&self.idle), Arc::clone(&self.source));
        // The permit and the connection travel together, so a caller that stops waiting loses neither.
        let reading = tokio::task::spawn_blocking(move || {
            let known = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match known {
                Some(connection) => connection,
                None => source.reading_connection()?,
            };
            let result = work(&connection);
            if !connection.is_lost() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            }
            drop(permit);
            result
        });
        let result = reading.await.map_err(|_| StoreError::Closed)?;
        result.map_err(|source| StoreError::failed(attempt, source))
    }

    /// Runs `work` now, for a caller that must not wait for others: beside the most reads at once. PostgreSQL's client
    /// runs a loop of its own, which no thread may that runs async work: there another one does it.
    pub(super) fn read_now<T: Send>(
        &self,
        attempt: &'static str,
        work: impl FnOnce(&Connection) -> Result<T> + Send,
    ) -> std::result::Result<T, StoreError> {
        if matches!(*self.source, Source::Sqlite { .. }) {
            return self.read_here(attempt, work);
        }
        std::thread::scope(|scope| scope.spawn(|| self.read_here(attempt, work)).join())
            .map_err(|_| StoreError::Closed)?
    }

    fn read_here<T>(
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
            None => self.source.reading_connection(),
        };
        let result = connection.and_then(|connection| {
            let result = work(&connection);
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            if idle.len() < READER_COUNT_MAX && !connection.is_lost() {
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
