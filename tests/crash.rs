//! Power to the process is cut, again and again: what was acknowledged must be there.
//!
//! Each cycle starts this test binary anew as a writer that races claims and releases and says on its
//! standard output what was acknowledged; kills it with SIGKILL in the middle; and holds what the
//! reopened store says against what the writer said. `CRASH_CYCLES` sets how many (10).

#![allow(clippy::unwrap_used)]
#![cfg(unix)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use chrono::TimeDelta;
use issuecommand::config::StoreConfig;
use issuecommand::domain::{
    Actor, Claim, ClaimId, ClaimStatus, Event, EventKind, EventSeq, Issue, IssueNumber, IssueRef, IssueState, Step,
    from_unix_ms,
};
use issuecommand::store::{
    AdvanceOutcome, Change, ClaimChange, ClaimFilter, ClaimWish, CommitObserver, InsertOutcome, IssueBatch, SqlStore,
    Store, Wanted,
};
use tokio::runtime::Runtime;

const CYCLE_COUNT: usize = 10;
const AGENT_COUNT: usize = 16;
const ISSUE_COUNT: u64 = 60;
/// Most claims an agent holds before it gives its oldest back.
const HELD_COUNT_MAX: usize = 3;
/// Says to a process of this binary that it is the writer, and on which database.
const WRITER_PATH: &str = "CRASH_WRITER_PATH";

/// What the writer says. A claim is said to be granted only after the store answered.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
enum Said {
    Granted { claim: Box<Claim> },
    Releasing { claim_id: ClaimId },
    Released { claim_id: ClaimId },
}

#[derive(Debug)]
struct Unwatched;

impl CommitObserver for Unwatched {
    fn committed(&self, _: Vec<Change>) {}
}

fn open(path: &Path) -> SqlStore {
    let (history_max_entries, event_max_entries) = (usize::MAX, usize::MAX);
    let config = StoreConfig { path: path.into(), history_max_entries, event_max_entries, ..StoreConfig::default() };
    SqlStore::open(&config, Arc::new(Unwatched)).unwrap()
}

#[test]
fn every_acknowledged_claim_survives_kill_9() {
    let cycles = std::env::var("CRASH_CYCLES").map_or(CYCLE_COUNT, |count| count.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("claims.db");
    let runtime = Runtime::new().unwrap();
    runtime.block_on(sync_issues(&open(&path)));
    let mut witness = Witness::default();
    for cycle in 0..cycles {
        let said = run_and_kill(&path, 100 + cycle * 37 % 400);
        witness.listen(said);
        let store = open(&path);
        runtime.block_on(witness.examine(&store));
        drop(store);
        check_integrity(&path);
    }
    eprintln!("{cycles} kills, {} acknowledged claims, none lost", witness.granted.len());
}

/// Starts a writer, kills it after `count` lines, and returns all that it said in whole lines.
fn run_and_kill(path: &Path, count: usize) -> Vec<Said> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "the_writer_that_is_killed", "--nocapture"])
        .env(WRITER_PATH, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(writer.stdout.take().unwrap()).split(b'\n') {
        // The test harness of the writer has its own lines; the last one may be cut.
        if let Ok(line) = serde_json::from_slice(&line.unwrap()) {
            said.push(line);
            if said.len() == count {
                writer.kill().unwrap();
            }
        }
    }
    assert!(said.len() >= count, "the writer ended by itself after {} lines", said.len());
    writer.wait().unwrap();
    said
}

/// All that was ever acknowledged.
#[derive(Default)]
struct Witness {
    granted: HashMap<ClaimId, Claim>,
    releasing: HashSet<ClaimId>,
    released: HashSet<ClaimId>,
    epochs: HashMap<IssueNumber, u64>,
}

impl Witness {
    fn listen(&mut self, said: Vec<Said>) {
        for word in said {
            match word {
                Said::Granted { claim } => {
                    let last = self.epochs.insert(claim.issue_number, claim.lease.epoch).unwrap_or(0);
                    assert!(
                        claim.lease.epoch > last,
                        "{}: epoch {} after {last}",
                        claim.issue_ref(),
                        claim.lease.epoch
                    );
                    assert!(self.granted.insert(claim.claim_id, *claim).is_none(), "a claim was granted twice");
                }
                // Twice, if the writer was killed between the word and the deed.
                Said::Releasing { claim_id } => _ = self.releasing.insert(claim_id),
                Said::Released { claim_id } => assert!(self.released.insert(claim_id)),
            }
        }
    }

    async fn examine(&self, store: &SqlStore) {
        let active = store.claim_list(ClaimFilter::default()).await.unwrap();
        let held: HashSet<_> = active.iter().map(Claim::issue_ref).collect();
        assert_eq!(held.len(), active.len(), "an issue is held twice");
        for (claim_id, granted) in &self.granted {
            let kept = store.claim_get(*claim_id).await.unwrap();
            let kept = kept.unwrap_or_else(|| panic!("acknowledged and lost: {granted:?}"));
            assert_eq!((&kept.agent_id, kept.issue_ref()), (&granted.agent_id, granted.issue_ref()));
            assert_eq!(kept.lease.epoch, granted.lease.epoch);
            if self.released.contains(claim_id) {
                assert_eq!(kept.status(), ClaimStatus::Released, "an acknowledged release was lost");
            } else if !self.releasing.contains(claim_id) {
                assert_eq!(kept, *granted, "nobody touched it");
                assert!(active.contains(&kept));
            }
        }
        for claim in &active {
            let acknowledged = self.epochs.get(&claim.issue_number).copied().unwrap_or(0);
            assert!(claim.lease.epoch >= acknowledged, "{} went back to an earlier claim", claim.issue_ref());
        }
        self.examine_events(&store.event_list_after(EventSeq(0), usize::MAX).await.unwrap(), &active);
    }

    /// The events tell the same story as the claims, and each claim's beginning and end once.
    fn examine_events(&self, events: &[Event], active: &[Claim]) {
        assert!(events.iter().zip(1..).all(|(event, seq)| event.event_id == EventSeq(seq)), "events have gaps");
        let mut open = HashSet::new();
        let mut created = HashSet::new();
        for event in events {
            let claim_id = event.draft.claim_id.unwrap();
            match event.draft.kind {
                EventKind::ClaimCreated => assert!(created.insert(claim_id) && open.insert(claim_id)),
                EventKind::ClaimReleased => assert!(open.remove(&claim_id), "released without being held"),
                other => panic!("nobody did that: {other}"),
            }
        }
        assert_eq!(open, active.iter().map(|claim| claim.claim_id).collect());
        assert!(self.granted.keys().all(|claim_id| created.contains(claim_id)));
    }
}

fn check_integrity(path: &Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

async fn sync_issues(store: &SqlStore) {
    let issues = (1..=ISSUE_COUNT).map(|number| Issue {
        repo: "acme/small".parse().unwrap(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("Issue {number}"),
        body: String::new(),
        state: IssueState::Open,
        labels: Vec::new(),
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: from_unix_ms(0),
        updated_at: from_unix_ms(0),
        url: String::new(),
        author: String::new(),
        author_association: String::new(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    });
    let repo = "acme/small".parse().unwrap();
    let batch = IssueBatch { repo, issues: issues.collect(), cursor: None, now: from_unix_ms(0) };
    store.issue_apply(batch).await.unwrap();
}

/// The other process. Runs until it is killed, or nobody listens any more.
#[test]
#[ignore = "started and killed by every_acknowledged_claim_survives_kill_9"]
fn the_writer_that_is_killed() {
    let Some(path) = std::env::var_os(WRITER_PATH).map(PathBuf::from) else {
        return;
    };
    // The test harness has begun a line of its own.
    std::io::stdout().write_all(b"\n").unwrap();
    let store = Arc::new(open(&path));
    Runtime::new().unwrap().block_on(async {
        let agents: Vec<_> = (0..AGENT_COUNT).map(|agent| tokio::spawn(work(Arc::clone(&store), agent))).collect();
        for agent in agents {
            agent.await.unwrap();
        }
    });
}

async fn work(store: Arc<SqlStore>, agent: usize) {
    let agent_id: issuecommand::domain::AgentId = format!("a{agent}").parse().unwrap();
    // What it held when its former process was killed is still its own.
    let own = ClaimFilter { agent: Some(agent_id.clone()), ..ClaimFilter::default() };
    let mut held: VecDeque<_> = store.claim_list(own).await.unwrap().iter().map(|claim| claim.claim_id).collect();
    // Neighbours begin close to each other: they meet.
    let numbers = (1..=ISSUE_COUNT).cycle().skip(agent * 2).take(ISSUE_COUNT as usize);
    let candidates: Vec<_> =
        numbers.map(|number| IssueRef::new("acme/small".parse().unwrap(), IssueNumber::new(number).unwrap())).collect();
    loop {
        let wish = ClaimWish {
            agent: agent_id.clone(),
            wanted: Wanted::FirstFree(candidates.clone()),
            request_id: Some(ClaimId::fresh().to_string().parse().unwrap()),
            lease: TimeDelta::hours(1),
            decision: None,
            now: from_unix_ms(0),
        };
        if let InsertOutcome::Granted(granted) = store.claim_insert(wish).await.unwrap() {
            say(&Said::Granted { claim: Box::new(granted.claim.clone()) });
            held.push_back(granted.claim.claim_id);
        }
        if held.len() >= HELD_COUNT_MAX {
            release(&store, held.pop_front().unwrap()).await;
        }
    }
}

async fn release(store: &SqlStore, claim_id: ClaimId) {
    say(&Said::Releasing { claim_id });
    let change = ClaimChange {
        claim_id,
        owner: None,
        epoch: None,
        last_updated: None,
        step: Step::to(ClaimStatus::Released, Actor::Owner),
        lease: TimeDelta::zero(),
        now: from_unix_ms(1),
    };
    assert!(matches!(store.claim_advance(change).await.unwrap(), AdvanceOutcome::Moved(..)));
    say(&Said::Released { claim_id });
}

/// One whole line in one write.
fn say(said: &Said) {
    let mut line = serde_json::to_vec(said).unwrap();
    line.push(b'\n');
    std::io::stdout().lock().write_all(&line).unwrap();
}
