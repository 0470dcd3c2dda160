//! State in and out of the real binary: exports, the mirror, and what the first edition left behind.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;
use serde_json::{Value, json};

use super::commands::{complaint, run, told};
use super::harness::{Home, PATIENCE, issue};

fn home(extra: &str) -> Home {
    let backlog: Vec<Value> = (1..=40).map(|number| issue("acme/small", number, &[])).collect();
    Home::new(&backlog, extra)
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Waits until the file is whole and `condition` holds of it; it must be whole whenever it is there.
async fn until(path: &Path, condition: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if path.exists() {
            let state = read(path);
            if condition(&state) {
                return state;
            }
        }
        assert!(Instant::now() < deadline, "{} never came to hold", path.display());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn count(state: &Value, list: &str) -> usize {
    state[list].as_array().unwrap().len()
}

const MIRROR: (&str, &str) = ("STATE_FILE_PATH", "state.json");

/// A record as the first edition wrote it.
fn record(id: u64, agent: &str, repo: &str, number: u64, status: &str) -> Value {
    json!({
        "claim_id": format!("6a1b7c5e-1f7f-4a65-9f0e-{id:012}"), "agent_id": agent, "repo": repo, "issue_number": number,
        "issue_title": "Fix it", "issue_labels": ["bug"], "issue_assignees": [], "status": status,
        "claimed_at": format!("2026-03-01T00:00:{id:02}.000Z"), "last_updated": "2026-03-01T01:00:00.000Z",
        "status_history": [
            { "status": "claimed", "timestamp": "2026-03-01T00:00:00.000Z" },
            { "status": status, "timestamp": "2026-03-01T01:00:00.000Z", "note": "by the first edition" },
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mirror_of_a_killed_server_is_whole_and_fills_an_empty_store() {
    use std::os::unix::fs::PermissionsExt;
    let home = home("");
    let mirror = home.path("state.json");
    for round in 1..=4 {
        let server = home.serve_with(&[MIRROR]);
        if round == 1 {
            server.wait_for_backlog(40).await;
        }
        for _ in 0..5 {
            assert_eq!(server.next(&format!("agent-{round}")).await.0, 200);
        }
        // Killed at another moment each time: while it claims, or while it writes.
        if round % 2 == 0 {
            until(&mirror, |state| count(state, "claims") == round * 5).await;
        }
        server.kill();
        if mirror.exists() {
            read(&mirror);
        }
    }
    let state = read(&mirror);
    assert_eq!((&state["format"], count(&state, "claims")), (&json!("issuecommand.state"), 20));
    assert_eq!(std::fs::metadata(&mirror).unwrap().permissions().mode() & 0o777, 0o600);

    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path(&format!("claims.db{ending}")));
    }
    let server = home.serve_with(&[MIRROR]);
    let claims = server.get("/api/claims").await;
    // The reasons of the picks stood in the database only.
    let undecided = |mut claim: Value| {
        claim.as_object_mut().unwrap().remove("decision_id");
        claim
    };
    let mirrored: Vec<_> = state["claims"].as_array().unwrap().iter().cloned().map(undecided).collect();
    assert_eq!(claims["claims"], json!(mirrored));
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_cannot_be_written_degrades_health_and_nothing_else() {
    let home = home("");
    let server = home.serve_with(&[("STATE_FILE_PATH", "no-such-folder/state.json")]);
    server.wait_for_backlog(40).await;
    assert_eq!(server.next("a").await.0, 200);
    let degraded = |body: &Value| {
        body["health"]["degraded"].to_string().contains("state_file: no-such-folder/state.json was not written")
    };
    server.wait_until("/api/health", degraded).await;
    std::fs::create_dir(home.path("no-such-folder")).unwrap();
    assert_eq!(server.next("a").await.0, 200);
    let state = until(&home.path("no-such-folder/state.json"), |state| count(state, "claims") == 2).await;
    assert_eq!(state["claims"][0]["agent_id"], "a");
    server.wait_until("/api/health", |body| body["health"].get("degraded").is_none()).await;
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_file_that_cannot_be_read_is_left_as_it_is() {
    for hostile in [
        "{\"claims\": [",
        "[]",
        "\u{0}\u{1}",
        "{\"format\":\"other\",\"version\":1,\"claims\":[]}",
        &"[".repeat(100_000),
    ] {
        let home = home("");
        std::fs::write(home.path("state.json"), hostile).unwrap();
        let server = home.serve_with(&[MIRROR]);
        server.wait_for_backlog(40).await;
        assert_eq!(server.next("a").await.0, 200);
        let health = server.get("/api/health").await;
        assert!(health["health"]["degraded"][0].as_str().unwrap().contains("failed to read the state"), "{health}");
        assert!(server.stop());
        assert_eq!(std::fs::read_to_string(home.path("state.json")).unwrap(), hostile);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_editions_state_file_is_taken_over_and_what_was_refused_is_kept() {
    let home = home("");
    let state = json!({
        "version": 1, "started_at": "2026-01-01T00:00:00.000Z", "total_claims": 3,
        "active_claims": [record(1, "a", "Acme/Small", 1, "in_progress"), { "claim_id": "broken" }],
        "history": [record(2, "b", "acme/small", 2, "closed")],
    });
    std::fs::write(home.path("state.json"), state.to_string()).unwrap();
    let server = home.serve_with(&[MIRROR]);
    server.wait_for_backlog(40).await;
    let claims = server.get("/api/claims").await;
    assert_eq!((&claims["claims"][0]["agent_id"], &claims["claims"][0]["repo"]), (&json!("a"), &json!("acme/small")));
    assert_eq!(server.get("/api/claims/history").await["items"][0]["status"], "closed");
    let (_, next) = server.next("c").await;
    assert_eq!(next["issue"]["number"], 3, "1 is held, 2 is finished");
    until(&home.path("state.json"), |state| state["format"] == "issuecommand.state" && count(state, "claims") == 2)
        .await;
    assert_eq!(read(&home.path("state.json.refused")), state);
    assert!(server.stop());
}

/// The tables of the first edition's database, with their columns and names; made here by hand after its
/// public source, not by the first edition itself.
pub fn first_edition(path: &Path, active: &[Value], past: &[Value], followups: &[Value], snapshots: &[(&str, Value)]) {
    let db = Connection::open(path).unwrap();
    db.execute_batch(
        "CREATE TABLE snapshots (namespace TEXT PRIMARY KEY, payload_json TEXT NOT NULL, updated_at TEXT NOT NULL);
         CREATE TABLE claim_active (claim_id TEXT PRIMARY KEY, repo TEXT NOT NULL, issue_number INTEGER NOT NULL,
             agent_id TEXT NOT NULL, last_updated TEXT NOT NULL, payload_json TEXT NOT NULL);
         CREATE TABLE claim_history (history_index INTEGER PRIMARY KEY AUTOINCREMENT, claim_id TEXT NOT NULL UNIQUE,
             repo TEXT NOT NULL, issue_number INTEGER NOT NULL, agent_id TEXT NOT NULL, last_updated TEXT NOT NULL,
             payload_json TEXT NOT NULL);
         CREATE TABLE followup_active (work_item_id TEXT PRIMARY KEY, repo TEXT NOT NULL, pr_number INTEGER NOT NULL,
             source_event_id TEXT NOT NULL UNIQUE, status TEXT NOT NULL, last_updated TEXT NOT NULL,
             payload_json TEXT NOT NULL);
         CREATE TABLE followup_history (history_index INTEGER PRIMARY KEY AUTOINCREMENT, work_item_id TEXT NOT NULL UNIQUE,
             payload_json TEXT NOT NULL);",
    )
    .unwrap();
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    for (table, records) in [("claim_active", active), ("claim_history", past)] {
        let sql = format!(
            "INSERT INTO {table} (claim_id, repo, issue_number, agent_id, last_updated, payload_json) VALUES (?1, ?2, ?3, ?4, '', ?5)"
        );
        for record in records {
            let number = record["issue_number"].as_u64().unwrap_or_default().cast_signed();
            let row =
                (text(record, "claim_id"), text(record, "repo"), number, text(record, "agent_id"), record.to_string());
            db.execute(&sql, row).unwrap();
        }
    }
    let (past, active): (Vec<_>, Vec<_>) = followups.iter().partition(|record| record["status"] == "done");
    for record in past {
        let row = (text(record, "work_item_id"), record.to_string());
        db.execute("INSERT INTO followup_history (work_item_id, payload_json) VALUES (?1, ?2)", row).unwrap();
    }
    for (index, record) in active.into_iter().enumerate() {
        let row = (text(record, "work_item_id"), index.to_string(), record.to_string());
        db.execute("INSERT INTO followup_active VALUES (?1, '', 1, ?2, '', '', ?3)", row).unwrap();
    }
    for (namespace, payload) in snapshots {
        db.execute("INSERT INTO snapshots VALUES (?1, ?2, '')", (namespace, payload.to_string())).unwrap();
    }
}

/// A follow-up as the first edition wrote it.
fn followup(id: u64, status: &str) -> Value {
    json!({
        "work_item_id": format!("7a1b7c5e-1f7f-4a65-9f0e-{id:012}"), "repo": "acme/small", "pr_number": 5,
        "pr_url": "https://github.com/acme/small/pull/5", "pr_title": "Fix", "source_event_type": "review_comment",
        "source_event_id": format!("review_comment:{id}"), "summary": "Please", "actionable_comments": [],
        "status": status, "created_at": "2026-03-01T00:00:00.000Z", "last_updated": "2026-03-01T00:00:00.000Z",
        "status_history": [{ "status": status, "timestamp": "2026-03-01T00:00:00.000Z", "note": "Created" }],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn follow_ups_go_out_and_in_and_come_back_from_the_mirror() {
    let home = home("");
    let file =
        json!({ "claims": [], "followups": [followup(1, "queued"), followup(2, "done"), { "work_item_id": "x" }] });
    std::fs::write(home.path("in.json"), file.to_string()).unwrap();
    let taken = run(&home, &["import", "in.json"], &[]);
    let (out, err) = (String::from_utf8(taken.stdout).unwrap(), String::from_utf8(taken.stderr).unwrap());
    assert_eq!(out, "2 taken, 0 here already, 0 skipped, 1 refused\n", "{err}");
    assert!(err.contains("refused followups[2]: work_item_id"), "{err}");

    let server = home.serve_with(&[MIRROR]);
    let waiting = server.get("/api/followups").await["followups"].clone();
    assert_eq!((waiting.as_array().unwrap().len(), &waiting[0]["summary"]), (1, &json!("Please")));
    let both = |state: &Value| count(state, "followups") == 1 && count(state, "followup_history") == 1;
    let state = until(&home.path("state.json"), both).await;
    assert_eq!(state["followups"], waiting);
    told(&home, &["export", "--output", "out.json"], &[]);
    let exported = read(&home.path("out.json"));
    assert_eq!((&exported["followups"], &exported["followup_history"]), (&waiting, &state["followup_history"]));
    assert_eq!(told(&home, &["import", "out.json"], &[]), "0 taken, 2 here already, 0 skipped, 0 refused\n");
    server.kill();

    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(home.path(&format!("claims.db{ending}")));
    }
    let server = home.serve_with(&[MIRROR]);
    assert_eq!(server.get("/api/followups").await["followups"], waiting, "an empty store takes the mirror's");
    until(&home.path("state.json"), both).await;
    // Another server made its own follow-up of the same feedback.
    let mut other = followup(1, "in_progress");
    other["work_item_id"] = json!("8a1b7c5e-1f7f-4a65-9f0e-000000000001");
    other["claimed_by_agent_id"] = json!("b");
    std::fs::write(home.path("other.json"), json!({ "followups": [other] }).to_string()).unwrap();
    let skipped = run(&home, &["import", "other.json"], &[]);
    let err = String::from_utf8(skipped.stderr).unwrap();
    let why = "skipped followups[0] (8a1b7c5e-1f7f-4a65-9f0e-000000000001): review_comment:1 of acme/small made follow-up 7a1b7c5e";
    assert!(err.contains(why), "{err}");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_the_first_edition_is_imported_and_twice_is_once() {
    let home = home("");
    let active = [
        record(1, "a", "acme/small", 1, "in_progress"),
        // What the first edition could not prevent: two owners of one issue, under two spellings.
        record(2, "b", "Acme/Small", 1, "claimed"),
        record(3, "c", "acme/small", 2, "stale"),
        json!({ "claim_id": "6a1b7c5e-1f7f-4a65-9f0e-000000000009", "agent_id": "", "issue_number": 1 }),
    ];
    let past = [record(4, "a", "acme/small", 3, "released"), record(5, "a", "acme/small", 4, "closed")];
    first_edition(
        &home.path("old.db"),
        &active,
        &past,
        &[followup(1, "queued"), followup(2, "done")],
        &[("claims_state", json!({ "claims": 7 }))],
    );
    let before = std::fs::read(home.path("old.db")).unwrap();
    let trial = run(&home, &["import", "old.db", "--dry-run"], &[]);
    assert!(String::from_utf8_lossy(&trial.stdout).starts_with("6 would be taken, 0 here already"), "{trial:?}");
    assert!(!home.path("claims.db").exists(), "a trial leaves nothing behind");
    let done = run(&home, &["import", "old.db"], &[]);
    let (out, err) = (String::from_utf8(done.stdout).unwrap(), String::from_utf8(done.stderr).unwrap());
    assert_eq!(out, "6 taken, 0 here already, 0 skipped, 2 refused\n", "{err}");
    for line in [
        "refused claim_active, row 2: acme/small#1 is held by the earlier claim at claim_active, row 1",
        "refused claim_active, row 4: ",
    ] {
        assert!(err.contains(line), "{err}");
    }
    assert_eq!(done.status.code(), Some(1), "something was refused");

    // The server refuses to begin on the old database, and says what to do.
    let refused = complaint(&home, &["serve"], &[("SQLITE_PATH", "old.db")]);
    assert!(
        refused.contains("`issuecommand import") && refused.contains("takes a first edition's claims over"),
        "{refused}"
    );

    // Once more, this time through a server.
    let server = home.serve();
    server.wait_for_backlog(40).await;
    let again = run(&home, &["import", "old.db", "--json"], &[]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!((&report["report"]["taken"], &report["report"]["already_here"]), (&json!(0), &json!(6)), "{report}");
    let claims = server.get("/api/claims").await;
    let owners: Vec<_> = claims["claims"].as_array().unwrap().iter().map(|claim| claim["agent_id"].clone()).collect();
    assert_eq!(owners, [json!("a"), json!("c")]);
    assert_eq!(server.next("d").await.1["issue"]["number"], 3, "released there, free here");
    assert_eq!(server.next("d").await.1["issue"]["number"], 5, "4 was closed there");
    assert!(server.stop());
    assert_eq!(std::fs::read(home.path("old.db")).unwrap(), before, "it is read, never written");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_earliest_databases_keep_everything_in_one_row() {
    let home = home("");
    let state =
        json!({ "version": 1, "active_claims": [record(1, "a", "acme/small", 1, "claimed")], "history": [null] });
    let followups = json!({ "version": 1, "active_followups": [followup(1, "queued")], "history": [followup(2, "done")], "seen_source_event_ids": [] });
    first_edition(&home.path("old.db"), &[], &[], &[], &[("claims_state", state), ("followups_state", followups)]);
    let output = run(&home, &["import", "old.db"], &[]);
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "3 taken, 0 here already, 0 skipped, 1 refused\n", "{err}");
    assert!(err.contains("refused snapshots, row 1: history[0]: it is no JSON object"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_state_is_refused_with_what_was_found() {
    let home = home("");
    std::fs::write(home.path("nothing.json"), r#"{ "claims": [] }"#).unwrap();
    let begun = run(&home, &["import", "nothing.json"], &[]);
    let err = String::from_utf8(begun.stderr).unwrap();
    assert!(err.contains("there was no database: ") && err.contains("claims.db is a new one"), "{err}");
    let db = Connection::open(home.path("other.db")).unwrap();
    db.execute_batch("CREATE TABLE customers (id INTEGER); CREATE TABLE orders (id INTEGER);").unwrap();
    std::fs::write(home.path("half.db"), b"SQLite format 3\0 and nothing behind it").unwrap();
    std::fs::write(home.path("other.json"), r#"{ "claim": [], "x": 1 }"#).unwrap();
    std::fs::write(home.path("later.json"), r#"{ "format": "issuecommand.state", "version": 9, "claims": [] }"#)
        .unwrap();
    let files = [
        ("other.db", "it has customers, orders, not claim_active"),
        ("half.db", "SQLite could not read it"),
        ("claims.db", "it is a database of this edition"),
        ("other.json", "it has none of claims, active_claims"),
        ("later.json", "upgrade issuecommand"),
        ("none.json", "No such file"),
    ];
    for (file, why) in files {
        let told = complaint(&home, &["import", file], &[]);
        assert!(told.contains(&format!("failed to read the state in {file}")) && told.contains(why), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_larger_than_a_request_is_imported_in_parts() {
    let home = home("");
    let past: Vec<Value> = (1..60)
        .map(|n| {
            let mut record = record(n, "a", "acme/small", n, "released");
            record["issue_title"] = json!("x".repeat(8000));
            record
        })
        .collect();
    let file = json!({ "format": "issuecommand.state", "version": 2, "claims": [], "history": past });
    std::fs::write(home.path("big.json"), file.to_string()).unwrap();
    let server = home.serve();
    assert_eq!(told(&home, &["import", "big.json"], &[]), "59 taken, 0 here already, 0 skipped, 0 refused\n");
    told(&home, &["export", "--output", "out.json"], &[]);
    assert!(server.stop());
    let exported = read(&home.path("out.json"));
    assert_eq!(count(&exported, "history"), 59);
    let printed: Value = serde_json::from_str(&told(&home, &["export"], &[])).unwrap();
    assert_eq!(printed["history"], exported["history"]);
    assert_eq!(told(&home, &["import", "out.json"], &[]), "0 taken, 59 here already, 0 skipped, 0 refused\n");
}
