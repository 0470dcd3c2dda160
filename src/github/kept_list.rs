//! A paged list that is kept, so that reading it again costs nothing where it did not change.

use std::time::{Duration, Instant};

use tracing::debug;

use super::SourceError;
use super::transport::{Ask, Transport};

/// Rows on a full page.
const PAGE_ROW_COUNT: usize = 100;
/// Lists of more pages than this are not read at every sync.
const PAGE_COUNT_SMALL: usize = 10;
/// Pause between two readings of a long list, in seconds for each of its pages: one change anywhere may
/// shift all pages, and this bounds what that costs to 100 requests an hour.
const PAGE_SECONDS: u64 = 36;

/// The pages of one list, as last read, each with its tag.
#[derive(Debug)]
pub(super) struct KeptList<T> {
    pages: Vec<Page<T>>,
    read_at: Option<Instant>,
}

impl<T> Default for KeptList<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), read_at: None }
    }
}

#[derive(Debug, Clone)]
struct Page<T> {
    path: String,
    etag: Option<String>,
    next: Option<String>,
    rows: Vec<T>,
}

impl<T: Clone> KeptList<T> {
    /// Every row of the list that begins at `first`, up to `page_count_max` pages. A failure keeps what
    /// was known for the next reading.
    pub(super) async fn read(
        &mut self,
        transport: &Transport,
        ask: &Ask,
        first: &str,
        page_count_max: usize,
        rows_of: impl Fn(&[u8]) -> Result<Vec<T>, String>,
    ) -> Result<Vec<T>, SourceError> {
        if !self.is_young(Instant::now()) {
            self.pages = self.read_pages(transport, ask, first, page_count_max, rows_of).await?;
            self.read_at = Some(Instant::now());
        }
        Ok(self.pages.iter().flat_map(|page| page.rows.iter().cloned()).collect())
    }

    fn is_young(&self, now: Instant) -> bool {
        let wait = Duration::from_secs(PAGE_SECONDS * self.pages.len() as u64);
        self.pages.len() > PAGE_COUNT_SMALL && self.read_at.is_some_and(|read_at| now < read_at + wait)
    }

    async fn read_pages(
        &self,
        transport: &Transport,
        ask: &Ask,
        first: &str,
        page_count_max: usize,
        rows_of: impl Fn(&[u8]) -> Result<Vec<T>, String>,
    ) -> Result<Vec<Page<T>>, SourceError> {
        let mut pages = Vec::new();
        let mut path = first.to_owned();
        for _ in 0..page_count_max {
            let known = self.pages.iter().find(|page| page.path == path);
            let answer = transport.get(ask, &path, known.and_then(|page| page.etag.as_deref())).await?;
            let page = match known.filter(|_| answer.unchanged) {
                Some(known) => known.clone(),
                None => {
                    let rows = rows_of(&answer.body).map_err(|why| ask.unavailable(why))?;
                    // The tag of a full last page would hide that another page began behind it.
                    let ends_full = answer.next.is_none() && rows.len() >= PAGE_ROW_COUNT;
                    Page { path, etag: answer.etag.filter(|_| !ends_full), next: answer.next, rows }
                }
            };
            let next = page.next.clone();
            pages.push(page);
            match next {
                Some(next) => path = next,
                None => return Ok(pages),
            }
        }
        debug!("could {ask} only up to page {page_count_max}: there are more");
        Ok(pages)
    }
}
