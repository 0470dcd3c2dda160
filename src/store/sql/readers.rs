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

    /// Runs `work` on a connection that sees every commit acknowledged before. One that lay idle may have been cut
    /// since: what fails for that is read once more, on a new one.
    pub(super) async fn read<T, F>(&self, attempt: &'static str, work: F) -> std::result::Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (idle, source) = (Arc::clone(&self.idle), Arc::clone(&self.source));
        // The permit and the connection travel together, so a caller that stops waiting loses neither.
        let reading = tokio::task::spawn_blocking(move || {
            let result = on_a_connection(&idle, &source, work);
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
        work: impl Fn(&Connection) -> Result<T> + Send,
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
        work: impl Fn(&Connection) -> Result<T>,
    ) -> std::result::Result<T, StoreError> {
        if self.permits.is_closed() {
            return Err(StoreError::Closed);
        }
        on_a_connection(&self.idle, &self.source, work).map_err(|source| StoreError::failed(attempt, source))
    }

    /// Refuses further reads and closes idle connections.
    pub(super) fn close(&self) {
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Runs `work` on a connection that lay idle, or on a new one.
fn on_a_connection<T>(
    idle: &Mutex<Vec<Connection>>,
    source: &Source,
    work: impl Fn(&Connection) -> Result<T>,
) -> Result<T> {
    let idle = || idle.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let known = idle().pop();
        let was_idle = known.is_some();
        let connection = match known {
            Some(connection) => connection,
            None => source.reading_connection()?,
        };
        let result = work(&connection);
        if !connection.is_lost() {
            let mut idle = idle();
            // More than these only wait for nobody: `read_now` is beside the permits.
            if idle.len() < READER_COUNT_MAX {
                idle.push(connection);
            }
            return result;
        }
        // Another that lay idle may be cut as well; each is dropped, so a new one comes in the end.
        if !was_idle || result.is_ok() {
            return result;
        }
    }
}
