//! A store of an earlier version is brought up to date at its next opening, and nothing that was acknowledged is lost.

use std::path::Path;
use std::sync::Arc;

use issuecommand::domain::{Actor, ClaimStatus, EventSeq, Step};
use issuecommand::store::{ClaimFilter, ClaimHistoryFilter, InsertOutcome, Store};
use refinery::{Runner, Target, load_sql_migrations};
use rusqlite::Connection;

use crate::bed::{Engine, Keep, Recorder, Sqlite, change, exactly, granted, issue_ref, moved, named};

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store/sqlite/migrations");
/// What the first version wrote, in the words of its columns and records: a claim that is held under the second epoch
/// of its issue, one that ended, an issue that is free, and when the holder was last heard of.
const WRITTEN_BY_THE_FIRST: &str = r#"
    INSERT INTO repos VALUES ('acme/small', '{"full_name":"acme/small","url":"https://github.com/acme/small",
        "private":true,"fork":false,"archived":false,"topics":["agents"]}');
    INSERT INTO issues VALUES
        ('acme/small', 1, 1, 'Held', '["bug"]', '[]', NULL, 'ann', 'MEMBER', 0, 0, 0, 0, 'https://example.org/1'),
        ('acme/small', 2, 1, 'Free', '[]', '[]', NULL, 'ann', 'MEMBER', 0, 0, 0, 0, 'https://example.org/2');
    INSERT INTO issue_bodies VALUES ('acme/small', 1, 'As it was written');
    INSERT INTO lease_epochs (repo, number, epoch) VALUES ('acme/small', 1, 2), ('acme/small', 2, 1);
    INSERT INTO claims VALUES
        ('01a202f6-2710-71c5-b05d-c7a9f6f2ef49', 'acme/small', 1, 'a1', 'in_progress', 1, 'once', 0, NULL,
         '{"claim_id":"01a202f6-2710-71c5-b05d-c7a9f6f2ef49","agent_id":"a1","repo":"acme/small","issue_number":1,
           "issue_title":"Held","issue_labels":["bug"],"issue_assignees":[],"status":"in_progress",
           "claimed_at":"1970-01-01T00:00:00Z","last_updated":"1970-01-01T00:01:00Z","status_history":[
             {"status":"claimed","timestamp":"1970-01-01T00:00:00Z"},
             {"status":"in_progress","timestamp":"1970-01-01T00:01:00Z","note":"begun"}],
           "lease":{"epoch":2,"expires_at":"1970-01-01T02:00:00Z"}}'),
        ('01a202f6-2710-71c5-b05d-c7a9f6f2ef50', 'acme/small', 2, 'a2', 'released', 0, NULL, 0, 60000,
         '{"claim_id":"01a202f6-2710-71c5-b05d-c7a9f6f2ef50","agent_id":"a2","repo":"acme/small","issue_number":2,
           "issue_title":"Free","issue_labels":[],"issue_assignees":[],"status":"released",
           "claimed_at":"1970-01-01T00:00:00Z","last_updated":"1970-01-01T00:01:00Z","status_history":[
             {"status":"claimed","timestamp":"1970-01-01T00:00:00Z"},
             {"status":"released","timestamp":"1970-01-01T00:01:00Z"}],
           "lease":{"epoch":1,"expires_at":"1970-01-01T02:00:00Z"}}');
    INSERT INTO events (record) VALUES ('{"type":"claim.created","timestamp":"1970-01-01T00:00:00Z",
        "claim_id":"01a202f6-2710-71c5-b05d-c7a9f6f2ef49","repo":"acme/small","issue_number":1,"agent_id":"a1",
        "details":{"status":"claimed","epoch":2}}');
    INSERT INTO agents VALUES ('a1', 60000);
"#;

/// A file as the version with schema `version` left it, which had taken over what the first one wrote.
fn left_by(version: i32, path: &Path) {
    let mut connection = Connection::open(path).unwrap();
    let migrations = load_sql_migrations(MIGRATIONS).unwrap();
    let bring_to = |connection: &mut Connection, version| {
        Runner::new(&migrations).set_target(Target::Version(version)).run(connection).unwrap();
    };
    connection.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    bring_to(&mut connection, 1);
    connection.execute_batch(WRITTEN_BY_THE_FIRST).unwrap();
    bring_to(&mut connection, version);
}

#[tokio::test]
async fn what_every_earlier_version_left_is_there_after_an_upgrade() {
    let newest = i32::try_from(std::fs::read_dir(MIGRATIONS).unwrap().count()).unwrap();
    for version in 1..=newest {
        let engine = Sqlite::fresh();
        left_by(version, &engine.file());
        let store = engine.open(Keep::default(), Arc::new(Recorder::default())).await;
        holds_what_was_acknowledged(&*store, version).await;
    }
}

async fn holds_what_was_acknowledged(store: &dyn Store, version: i32) {
    let held = store.claim_list(ClaimFilter::default()).await.unwrap();
    let [claim] = held.as_slice() else { panic!("after schema {version}: {held:?}") };
    assert_eq!((claim.agent_id.as_str(), claim.status(), claim.lease.epoch), ("a1", ClaimStatus::InProgress, 2));
    assert_eq!(claim.status_history().len(), 2, "after schema {version}");
    let text = store.issue_get(issue_ref(1)).await.unwrap().unwrap();
    assert_eq!((text.title.as_str(), text.body.as_str()), ("Held", "As it was written"), "after schema {version}");
    let past = store.claim_history(ClaimHistoryFilter::default(), None, 10).await.unwrap();
    assert_eq!(past.claims.len(), 1, "after schema {version}");
    assert_eq!(store.agent_last_calls().await.unwrap().len(), 1, "after schema {version}");

    // It still excludes others, its request is still known, and its owner goes on.
    let refused = store.claim_insert(exactly("a2", 1)).await.unwrap();
    assert!(matches!(refused, InsertOutcome::HeldBy(_)), "after schema {version}: {refused:?}");
    let again = store.claim_insert(named(exactly("a1", 1), "once")).await.unwrap();
    assert!(matches!(again, InsertOutcome::Already(_)), "after schema {version}: {again:?}");
    let step = Step::to(ClaimStatus::PrSubmitted, Actor::Owner);
    let step = Step { pr_url: Some("https://github.com/acme/small/pull/7".into()), ..step };
    moved(store.claim_advance(change(claim, step, 2)).await.unwrap());
    assert_eq!(granted(store.claim_insert(exactly("a2", 2)).await.unwrap()).claim.lease.epoch, 2, "epochs go on");
    assert_eq!(store.event_list_after(EventSeq(0), 10).await.unwrap().len(), 3, "after schema {version}");
}
