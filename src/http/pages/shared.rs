//! One rendering for everybody who looks at the same page at about the same time: a hundred open dashboards that hear of
//! the same event cost what a few do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use maud::{Markup, PreEscaped};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Between the beginnings of two renderings of one page. Who looks in between waits for the next: what is shown was
/// rendered after it was asked for, always.
const PAUSE: Duration = Duration::from_millis(300);
/// Pages that are remembered; with more, all are forgotten, and rendered once more.
const PAGE_COUNT_MAX: usize = 256;

/// The last rendering of each page.
#[derive(Debug, Default)]
pub(in crate::http) struct Renderings(Mutex<HashMap<String, Arc<Rendering>>>);

/// The last rendering of one page; whoever renders it holds the lock.
#[derive(Debug, Default)]
struct Rendering(tokio::sync::Mutex<Option<(Instant, Arc<str>)>>);

impl Renderings {
    /// The page of this name, by `render` unless somebody else renders it just now. The name says all that the page
    /// depends on.
    pub(super) async fn of(&self, name: String, render: impl Future<Output = Markup>) -> Markup {
        let rendering = {
            let mut pages = self.0.lock();
            if pages.len() >= PAGE_COUNT_MAX && !pages.contains_key(&name) {
                pages.clear();
            }
            Arc::clone(pages.entry(name).or_default())
        };
        let asked = Instant::now();
        let mut last = rendering.0.lock().await;
        if let Some((begun, _)) = &*last
            && *begun < asked
        {
            tokio::time::sleep_until(*begun + PAUSE).await;
        }
        let text = match &*last {
            Some((begun, text)) if *begun >= asked => Arc::clone(text),
            _ => {
                let begun = Instant::now();
                let text: Arc<str> = render.await.0.into();
                *last = Some((begun, Arc::clone(&text)));
                text
            }
        };
        drop(last);
        PreEscaped(text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_crowd_gets_few_renderings_and_each_is_newer_than_the_question() {
        let (renderings, count) = (Renderings::default(), AtomicUsize::new(0));
        let look = async |name: &str| {
            let render = async { PreEscaped(count.fetch_add(1, Ordering::Relaxed).to_string()) };
            renderings.of(name.to_owned(), render).await.0
        };
        assert_eq!(look("board").await, "0", "at once");
        tokio::time::advance(Duration::from_millis(1)).await;
        let crowd = futures_util::future::join_all((0..100).map(|_| look("board"))).await;
        assert!(crowd.iter().all(|text| text == "1"), "one more, after all of them asked: {crowd:?}");
        assert_eq!(look("queue").await, "2", "another page is not waited for");
        tokio::time::sleep(PAUSE).await;
        let begun = Instant::now();
        assert_eq!(
            (look("board").await.as_str(), begun.elapsed()),
            ("3", Duration::ZERO),
            "after a while at once again"
        );
    }
}
