//! Panics of what runs beside: the runtime catches those of its tasks, and nobody would hear of them.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From here on a panic on a thread of seeds is noted, and told when somebody asks.
pub fn note_all() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            LAST.with_borrow_mut(|last| *last = Some(info.to_string()));
            // The test's own panics are for people to read.
            if std::thread::current().name().is_some() {
                before(info);
            }
        }));
    });
}

/// Whether anything panicked on this thread since this was last asked.
pub fn none() -> Result<(), String> {
    LAST.with_borrow_mut(Option::take).map_or(Ok(()), Err)
}

/// Does something; a panic is its failure.
pub fn told<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| none().and(Err("something panicked".into())))
}
