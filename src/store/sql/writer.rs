//! The writer: one thread, one connection, and group commit. Whatever waits is run in one transaction,
//! committed once, shown to the observer, and only then answered.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, debug, info_span, warn};

use super::super::{Change, CommitObserver, StoreError};
use super::connection::Connection;
use super::decisions::Versions;
use super::engine::{Engine, News};
use super::history::Trim;
use super::value::{Error, Result};
use super::{snapshot, tokens};
use crate::metrics::metrics;
use crate::telemetry::TARGET;

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
    /// Whether it only asks to look at what others committed.
    fn is_look(&self) -> bool {
        false
    }
}

/// Asks to look at what other servers committed.
struct Look;

impl Write for Look {
    fn run(&mut self, _: &mut WriteTxn<'_>) -> bool {
        true
    }

    fn answer(self: Box<Self>, _: &std::result::Result<(), Arc<Error>>) {}

    fn is_look(&self) -> bool {
        true
    }
}

/// Asks the writer to look at what other servers committed; for as long as it runs.
#[derive(Debug, Clone)]
pub(crate) struct Looker(mpsc::WeakSender<Box<dyn Write>>);

impl Looker {
    /// Asks; false when the writer has ended. One that is busy looks all the same.
    pub(crate) fn look(&self) -> bool {
        let Some(queue) = self.0.upgrade() else { return false };
        !matches!(queue.try_send(Box::new(Look)), Err(mpsc::error::TrySendError::Closed(_)))
    }
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
    /// Starts the thread. It holds `engine`, and so what locks others out, until it ends.
    pub(super) fn start(
        connection: Connection,
        engine: Engine,
        trim: Trim,
        observer: Arc<dyn CommitObserver>,
    ) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE_COUNT_MAX);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || {
            WriterThread { connection, engine, trim, versions: Versions::default(), observer }.run(waiting);
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
        let committed = async {
            queue.send(Box::new(queued)).await.map_err(|_| StoreError::Closed)?;
            drop(queue);
            answer.await.map_err(|_| StoreError::Closed)?
        };
        // The commit itself is shared with writes of others: this is one's own way through it.
        committed.instrument(info_span!(target: TARGET, "store.commit", store.write = attempt)).await
    }

    /// For who hears that other servers committed.
    pub(super) fn looker(&self) -> Option<Looker> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.as_ref().map(|queue| Looker(queue.downgrade()))
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
    engine: Engine,
    trim: Trim,
    versions: Versions,
    observer: Arc<dyn CommitObserver>,
}

impl WriterThread {
    fn run(mut self, mut waiting: mpsc::Receiver<Box<dyn Write>>) {
        let mut batch = Vec::with_capacity(BATCH_COUNT_MAX);
        while waiting.blocking_recv_many(&mut batch, BATCH_COUNT_MAX) > 0 {
            batch.retain(|write| !write.is_look());
            if batch.is_empty() {
                self.look();
                continue;
            }
            let begun = Instant::now();
            let committed = match self.commit(&mut batch) {
                Ok((seq, changes)) => {
                    metrics().committed(batch.len(), begun.elapsed());
                    if !changes.is_empty() {
                        self.observer.committed_as(seq, changes);
                    }
                    Ok(())
                }
                Err(error) => {
                    metrics().commit_failed();
                    Err(Arc::new(error))
                }
            };
            batch.drain(..).for_each(|write| write.answer(&committed));
        }
    }

    /// Shows the observer what other servers committed.
    fn look(&mut self) {
        let told = self.engine.catch_up(&mut self.connection).and_then(|news| match news {
            News::Changes(news) => {
                self.tell(news);
                Ok(())
            }
            News::TooMuch => self.read_anew(),
        });
        if let Err(error) = told {
            debug!("what other servers committed was not read: {error}");
        }
    }

    fn tell(&self, news: Vec<(u64, Vec<Change>)>) {
        news.into_iter().for_each(|(seq, changes)| self.observer.committed_as(seq, changes));
    }

    /// Tells the observer everything, as of one commit; others may write meanwhile.
    fn read_anew(&mut self) -> Result<()> {
        warn!("more was committed than can be told one by one: this server reads everything anew");
        let connection = &self.connection;
        let read = || Ok((snapshot::read(connection)?, tokens::list(connection)?));
        let (snapshot, tokens) = connection.as_of_one_commit(read)?;
        self.engine.is_told(&self.connection, snapshot.commit_seq)?;
        self.observer.replaced(snapshot, tokens);
        Ok(())
    }

    /// Runs the batch in one transaction. On an error nothing of it happened, unless the connection was lost while
    /// it was committed: then nobody knows, and what others commit says so later.
    fn commit(&mut self, batch: &mut [Box<dyn Write>]) -> Result<(u64, Vec<Change>)> {
        self.engine.mend(&mut self.connection)?;
        let done = self.begin().and_then(|()| self.run_batch(batch)).and_then(|changes| {
            let seq = self.engine.commit(&self.connection, &changes)?;
            Ok((seq, changes))
        });
        if done.is_err() {
            self.versions.forget();
            self.engine.undo(&self.connection)?;
        }
        done
    }

    /// Begins a transaction, with everything told that was committed before it.
    fn begin(&mut self) -> Result<()> {
        loop {
            match self.engine.begin(&self.connection)? {
                News::Changes(news) => {
                    self.tell(news);
                    return Ok(());
                }
                News::TooMuch => {
                    self.engine.undo(&self.connection)?;
                    self.read_anew()?;
                }
            }
        }
    }

    fn run_batch(&mut self, batch: &mut [Box<dyn Write>]) -> Result<Vec<Change>> {
        let connection = &self.connection;
        let mut changes = Vec::new();
        // One that is alone fails with the transaction: a point to go back to would only be asked of the database.
        let is_alone = batch.len() == 1;
        for (nth, write) in batch.iter_mut().enumerate() {
            let kept = changes.len();
            match nth {
                _ if is_alone => {}
                0 => connection.run("SAVEPOINT one_write")?,
                _ => self.engine.keep_write(connection)?,
            }
            let (trim, versions) = (&mut self.trim, &mut self.versions);
            if !write.run(&mut WriteTxn { connection, changes: &mut changes, trim, versions }) {
                self.versions.forget();
                if is_alone || !connection.is_in_transaction() {
                    return Err(rolled_back());
                }
                changes.truncate(kept);
                connection.run("ROLLBACK TO one_write")?;
            }
        }
        Ok(changes)
    }
}

/// A full or broken disk, or a lost connection, ends a whole transaction with all writes of the batch.
fn rolled_back() -> Error {
    Error::Unavailable("another write of the same transaction failed and ended it; try again".into())
}
