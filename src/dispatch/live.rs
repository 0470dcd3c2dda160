//! A run under way, as others see it and talk to it.

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::domain::{Phase, Run, Timestamp};

/// Most messages that wait for one run.
const INBOX_COUNT_MAX: usize = 32;

/// Why a run is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StopReason {
    /// Somebody wants it to end.
    Cancelled(String),
    /// A critical run takes its slot; its short id.
    Preempted(String),
    /// The server ends; the run goes on when it is back.
    Shutdown,
}

/// What a run that is under way is told.
#[derive(Debug)]
pub(super) enum Message {
    /// The answer to the question that it asked then.
    Answer { asked_at: Timestamp, text: String, by: String },
    /// Nobody answered that question in time.
    Unanswered { asked_at: Timestamp },
}

/// A run under way.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) stopped: CancellationToken,
    why: Mutex<Option<StopReason>>,
    run: Mutex<Run>,
    pub(super) inbox: mpsc::Sender<Message>,
    messages: Mutex<Option<mpsc::Receiver<Message>>>,
    pub(super) ended: CancellationToken,
}

impl Live {
    pub(super) fn of(run: Run) -> Self {
        let (inbox, messages) = mpsc::channel(INBOX_COUNT_MAX);
        let (stopped, ended) = Default::default();
        Self {
            stopped,
            why: Mutex::default(),
            run: Mutex::new(run),
            inbox,
            messages: Mutex::new(Some(messages)),
            ended,
        }
    }

    /// Stops the run; the first reason stands.
    pub(super) fn stop(&self, why: StopReason) {
        self.why.lock().get_or_insert(why);
        self.stopped.cancel();
    }

    pub(super) fn why_stopped(&self) -> StopReason {
        self.why.lock().clone().unwrap_or(StopReason::Shutdown)
    }

    /// Waits until the run is to stop in this phase. From the push on only the server's end stops it: what people see
    /// is brought to its end, which is near.
    pub(super) async fn stopped_before(&self, phase: Phase) -> StopReason {
        self.stopped.cancelled().await;
        match self.why_stopped() {
            why if why == StopReason::Shutdown || phase < Phase::Push => why,
            _ => std::future::pending().await,
        }
    }

    /// Shows the run as it was just written.
    pub(super) fn show(&self, run: &Run) {
        *self.run.lock() = run.clone();
    }

    /// The run as it was last written.
    pub(super) fn run(&self) -> Run {
        self.run.lock().clone()
    }

    pub(super) fn end(&self, run: &Run) {
        self.show(run);
        self.ended.cancel();
    }

    /// Waits until nobody drives it any more.
    pub(super) async fn wait_for_end(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn take_messages(&self) -> mpsc::Receiver<Message> {
        self.messages.lock().take().unwrap_or_else(|| mpsc::channel(1).1)
    }
}
