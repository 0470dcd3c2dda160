//! Places in the order of events.

#![allow(clippy::unwrap_used)]

use chrono::TimeDelta;

use super::*;
use crate::config::StoreConfig;
use crate::domain::from_unix_ms;
use crate::store::{Change, ClaimWish, CommitObserver, InsertOutcome, IssueBatch, SqlStore, Wanted};

/// Hears of nothing, as a server does for a moment when another one writes.
#[derive(Debug)]
struct Deaf;

impl CommitObserver for Deaf {
    fn committed(&self, _: Vec<Change>) {}
}

/// A store with `count` events, of which no feed has heard.
async fn store_with(folder: &tempfile::TempDir, count: u64) -> Arc<dyn Store> {
    let config = StoreConfig { path: folder.path().join("claims.db"), ..StoreConfig::default() };
    let store = SqlStore::open(&config, Arc::new(Deaf)).unwrap();
    let issue = |number| {
        let url = format!("https://github.com/acme/small/issues/{number}");
        let issue = serde_json::json!({ "repo": "acme/small", "number": number, "title": "T", "body": "", "state": "open",
            "labels": [], "assignees": [], "milestone": null, "comments": [], "url": url, "author": "ann",
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z" });
        serde_json::from_value(issue).unwrap()
    };
    let (repo, now) = ("acme/small".parse().unwrap(), from_unix_ms(0));
    let batch = IssueBatch { repo, issues: (1..=count).map(issue).collect(), cursor: None, now };
    store.issue_apply(batch).await.unwrap();
    for number in 1..=count {
        let wanted = Wanted::Exactly(format!("acme/small#{number}").parse().unwrap());
        let agent = "a".parse().unwrap();
        let wish = ClaimWish { agent, wanted, request_id: None, lease: TimeDelta::hours(1), decision: None, now };
        assert!(matches!(store.claim_insert(wish).await.unwrap(), InsertOutcome::Granted(_)));
    }
    Arc::new(store)
}

#[tokio::test]
async fn a_reader_that_another_server_told_more_goes_on_there_and_one_of_another_database_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = store_with(&folder, 3).await;
    let newest = store.event_list_after(EventSeq(0), 100).await.unwrap().last().unwrap().event_id;
    let feed = Arc::new(EventFeed::new(EventSeq(1)));
    let back_at = async |seen| EventCursor::back_at(Arc::clone(&feed), Arc::clone(&store), seen).await.position();
    assert_eq!(back_at(newest).await, newest, "the database has it");
    assert_eq!(back_at(EventSeq(newest.0 + 1)).await, EventSeq(1), "nobody ever wrote it here");
    assert_eq!(back_at(EventSeq(0)).await, EventSeq(0));
    assert_eq!(back_at(EventSeq(u64::MAX)).await, EventSeq(1));
}
