//! Several calls at once: which of them goes on, and which is dropped in the middle, is the seed's to say.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use fastrand::Rng;

use crate::seam::Seam;

/// A call that is under way.
pub struct Under<'a, T> {
    call: Pin<Box<dyn Future<Output = T> + 'a>>,
    /// After how many turns its client vanishes, if it does.
    patience: Option<u32>,
    is_waiting: bool,
    /// `Some(None)`: its client vanished.
    outcome: Option<Option<T>>,
}

impl<'a, T> Under<'a, T> {
    pub fn way(call: impl Future<Output = T> + 'a, patience: Option<u32>) -> Self {
        Self { call: Box::pin(call), patience, is_waiting: false, outcome: None }
    }
}

/// Makes all calls, a turn at a time, in an order drawn from `rng`. `None` for those whose client vanished.
pub async fn all_at_once<T>(seam: &Seam, rng: &mut Rng, mut calls: Vec<Under<'_, T>>) -> Vec<Option<T>> {
    let turns = poll_fn(|cx| {
        // Whatever some of them wait for may have come.
        calls.iter_mut().for_each(|call| call.is_waiting = false);
        loop {
            let open = || calls.iter().enumerate().filter(|(_, call)| call.outcome.is_none());
            let ready: Vec<usize> = open().filter(|(_, call)| !call.is_waiting).map(|(at, _)| at).collect();
            if ready.is_empty() && seam.is_gathering() {
                // All have queued what they write: now it is done, in one transaction.
                seam.let_go();
                calls.iter_mut().for_each(|call| call.is_waiting = false);
                continue;
            }
            if ready.is_empty() {
                return if open().next().is_none() { Poll::Ready(()) } else { Poll::Pending };
            }
            let call = &mut calls[ready[rng.usize(..ready.len())]];
            match &mut call.patience {
                Some(0) => {
                    call.call = Box::pin(std::future::pending());
                    call.outcome = Some(None);
                    continue;
                }
                Some(turns) => *turns -= 1,
                None => {}
            }
            seam.take_gave_way();
            match call.call.as_mut().poll(cx) {
                Poll::Ready(answer) => call.outcome = Some(Some(answer)),
                Poll::Pending => call.is_waiting = !seam.take_gave_way(),
            }
        }
    });
    tokio::task::coop::unconstrained(turns).await;
    calls.into_iter().map(|call| call.outcome.expect("every call came to an end")).collect()
}
