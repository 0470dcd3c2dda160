//! The writer: one thread, one connection, and group commit. Whatever waits is run in one transaction,
//! committed once, shown to the observer, and only then answered.

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::ffi::{self, ErrorCode};
use rusqlite::{Connection, Error, Result};
use tokio::sync::{mpsc, oneshot};

use super::super::{Change, CommitObserver, StoreError};
use super::decisions::Versions;
use super::history::Trim;

/// Most writes that wait for the writer; more callers wait to be queued.
const QUEUE_COUNT_MAX: usize = 1024;
/// Most writes in one transaction. Enough to spread one fsync thin; few enough that the first of a
/// batch does not wait long for the last.
const BATCH_COUNT_MAX: usize = 256;

/// What one write works with. Changes it notes are announced only if it succeeds and commits.
pub(super) struct WriteTxn<'w> {
    /// Inside an open transaction.
    pub(super) connection: &'w Connection,
    /// What the transaction changed so far, in order.
    pub(super) changes: &'w mut Vec<Change>,
    /// How much past to keep.
    pub(super) trim: &'w mut Trim,
    /// The states of issues that are kept already.
    pub(super) versions: &'w mut Versions,
}

/// One queued write.
trait Write: Send {
    /// Runs it. False when it failed and must be undone.
    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool;
    /// Tells its caller what came of it, given what came of the commit.
    fn answer(self: Box<Self>, committed: &std::result::Result<(), Arc<Error>>);
}

struct Queued<T, F> {
    attempt: &'static str,
    work: Option<F>,
    result: Option<Result<T>>,
    reply: oneshot::Sender<std::result::Result<T, StoreError>>,
}

impl<T, F> Write for Queued<T, F>
where
    T: Send,
    F: FnOnce(&mut WriteTxn<'_>) -> Result<T> + Send,
{
    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool {
        self.result = self.work.take().map(|work| work(txn));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, committed: &std::result::Result<(), Arc<Error>>) {
        let answer = match (self.result, committed) {
            (Some(Err(own)), _) => Err(StoreError::failed(self.attempt, own)),
            (_, Err(shared)) => Err(StoreError::failed(self.attempt, Arc::clone(shared))),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Closed),
        };
        // The caller may have gone; what was committed stays committed.
        let _ = self.reply.send(answer);
    }
}

/// The door to the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    queue: Mutex<Option<mpsc::Sender<Box<dyn Write>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. It holds `lock` until the connection is closed.
    pub(super) fn start(
        connection: Connection,
        lock: File,
        trim: Trim,
        observer: Arc<dyn CommitObserver>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_COUNT_MAX);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            let thread = WriterThread { connection, trim, versions: Versions::default(), observer };
            thread.run(waiting);
            drop(lock);
        })?;
        Ok(Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) })
    }

    /// Queues `work`, and waits until it is committed and observed. If the caller stops waiting, work
    /// that is queued already is done all the same.
    pub(super) async fn write<T, F>(&self, attempt: &'static str, work: F) -> std::result::Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTxn<'_>) -> Result<T> + Send + 'static,
    {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or(StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let queued = Queued { attempt, work: Some(work), result: None, reply };
        queue.send(Box::new(queued)).await.map_err(|_| StoreError::Closed)?;
        drop(queue);
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes nothing more, finishes what is queued, and closes the connection. Blocks; may be called twice.
    pub(super) fn close(&self) {
        drop(self.queue.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer had panicked");
        }
    }
}

struct WriterThread {
    connection: Connection,
    trim: Trim,
    versions: Versions,
    observer: Arc<dyn CommitObserver>,
}

impl WriterThread {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Write>>) {
        let mut batch = Vec::with_capacity(BATCH_COUNT_MAX);
        while waiting.blocking_recv_many(&mut batch, BATCH_COUNT_MAX) > 0 {
            let committed = match self.commit(&mut batch) {
                Ok(changes) => {
                    if !changes.is_empty() {
                        self.observer.committed(changes);
                    }
                    Ok(())
                }
                Err(error) => Err(Arc::new(error)),
            };
            batch.drain(..).for_each(|write| write.answer(&committed));
        }
    }

    /// Runs the batch in one transaction. On an error nothing of it happened.
    fn commit(&mut self, batch: &mut [Box<dyn Write>]) -> Result<Vec<Change>> {
        let done = self.run_batch(batch).and_then(|changes| {
            execute(&self.connection, "COMMIT")?;
            Ok(changes)
        });
        if done.is_err() {
            self.versions.forget();
        }
        // A refused COMMIT leaves the transaction open, some errors end it by themselves.
        if done.is_err() && !self.connection.is_autocommit() {
            execute(&self.connection, "ROLLBACK")?;
        }
        done
    }

    fn run_batch(&mut self, batch: &mut [Box<dyn Write>]) -> Result<Vec<Change>> {
        let connection = &self.connection;
        let mut changes = Vec::new();
        execute(connection, "BEGIN IMMEDIATE")?;
        for write in batch {
            let kept = changes.len();
            execute(connection, "SAVEPOINT one_write")?;
            let (trim, versions) = (&mut self.trim, &mut self.versions);
            if !write.run(&mut WriteTxn { connection, changes: &mut changes, trim, versions }) {
                self.versions.forget();
                if connection.is_autocommit() {
                    return Err(rolled_back());
                }
                changes.truncate(kept);
                execute(connection, "ROLLBACK TO one_write")?;
            }
            execute(connection, "RELEASE one_write")?;
        }
        Ok(changes)
    }
}

fn execute(connection: &Connection, sql: &str) -> Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// SQLite ends a whole transaction when the disk is full or broken, with all writes of the batch.
fn rolled_back() -> Error {
    let code = ffi::Error { code: ErrorCode::OperationAborted, extended_code: ffi::SQLITE_ABORT_ROLLBACK };
    Error::SqliteFailure(code, Some("another write of the same transaction failed and ended it; try again".into()))
}
