//! Sets of policies that were in force, their components, and trials of candidates.

use futures_util::future::try_join_all;
use issuecommand::config::{CandidateConfig, CandidateMode, RankerConfig};
use issuecommand::domain::{
    Disagreement, EventDraft, EventKind, IssueNumber, PolicyStamp, Preference, Reason, TrialCounts, from_unix_ms,
};
use issuecommand::store::{
    COMPONENT_PIECE_BYTES, EvidenceRecord, OnTrialRecord, PolicyAudit, PolicySetRecord, Trial, TrialBatch, TrialHour,
};

use crate::bed::{Bed, Keep, agent, at, repo};

/// Sets that are kept.
const SET_COUNT_MAX: usize = 32;
/// Disagreements that are kept.
const DISAGREEMENT_COUNT_MAX: usize = 1_000;
/// Hours that are kept.
const HOUR_COUNT_MAX: usize = 2_208;

fn stamp(name: &str) -> PolicyStamp {
    PolicyStamp { source: format!("{name}.wasm"), digest: digest(name), settings_digest: digest("settings") }
}

/// What stands for a digest of this name: the store does not look into it.
fn digest(name: &str) -> String {
    format!("{name:0>64}")
}

fn set(name: &str) -> PolicySetRecord {
    let mut ranker = RankerConfig::default();
    ranker.settings.insert("calm".into(), serde_json::json!([1.5, null]));
    PolicySetRecord {
        ranker,
        ranker_stamp: stamp(name),
        parts: vec![stamp(name), stamp("always")],
        views: vec![stamp(name)],
        stale_rule: stamp("stale"),
        repo_filter: stamp("filter"),
        candidate: Some(stamp("candidate")),
        on_trial: Some(OnTrialRecord {
            config: CandidateConfig { mode: CandidateMode::Canary, share: 0.25, ranker: RankerConfig::default() },
            parts: vec![stamp("tried")],
        }),
        evidence: [(digest(name), EvidenceRecord { bundles: "{}\n".into(), manifest: None })].into(),
    }
}

async fn put_in_force(bed: &Bed, name: &str, minute: u64) -> u64 {
    bed.store.policy_set_insert(set(name), format!("why {name}"), at(minute)).await.unwrap()
}

async fn kept_components(bed: &Bed, names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut kept = Vec::new();
    for name in names {
        if bed.store.policy_component_piece_count(digest(&name)).await.unwrap().is_some() {
            kept.push(name);
        }
    }
    kept
}

pub async fn a_set_comes_back_as_it_was_the_newest_first(bed: Bed) {
    let first = put_in_force(&bed, "one", 1).await;
    let second = put_in_force(&bed, "two", 2).await;
    assert!(second > first);
    let bed = bed.reopen(Keep::default()).await;
    let sets = bed.store.policy_set_list().await.unwrap();
    let told: Vec<_> = sets.iter().map(|set| (set.set_id, set.at, set.why.as_str(), set.by.as_deref())).collect();
    assert_eq!(told, [(second, at(2), "why two", None), (first, at(1), "why one", None)]);
    assert_eq!(sets[1].record, set("one"));
}

pub async fn the_last_sets_are_kept_with_the_components_that_they_name(bed: Bed) {
    for name in ["one", "always", "three", "tried"].map(str::to_owned) {
        bed.store.policy_component_keep(digest(&name), name.into_bytes()).await.unwrap();
    }
    let first = put_in_force(&bed, "one", 0).await;
    for minute in 1..SET_COUNT_MAX as u64 {
        put_in_force(&bed, "two", minute).await;
    }
    let all = || ["one", "always"].map(str::to_owned);
    assert_eq!(bed.store.policy_set_list().await.unwrap().len(), SET_COUNT_MAX);
    assert_eq!(kept_components(&bed, all()).await, all(), "nothing was trimmed yet");

    let last = put_in_force(&bed, "three", 99).await;
    let sets = bed.store.policy_set_list().await.unwrap();
    assert_eq!((sets.len(), sets[0].set_id), (SET_COUNT_MAX, last));
    assert!(sets.iter().all(|set| set.set_id != first), "the oldest is forgotten");
    let named = ["one", "always", "three", "tried"].map(str::to_owned);
    assert_eq!(
        kept_components(&bed, named).await,
        ["always", "three", "tried"],
        "with the component that only it named"
    );
    assert_eq!(bed.store.policy_component_piece(digest("one"), 0).await.unwrap(), None);
}

pub async fn a_component_is_kept_in_pieces_and_read_back_whole(bed: Bed) {
    let bytes: Vec<u8> = (0..COMPONENT_PIECE_BYTES * 2 + 3).map(|n| (n % 251) as u8).collect();
    let name = digest("large");
    assert_eq!(bed.store.policy_component_piece_count(name.clone()).await.unwrap(), None);
    bed.store.policy_component_keep(name.clone(), bytes.clone()).await.unwrap();
    // Keeping it once more changes nothing, whatever is handed over: the name is its digest.
    bed.store.policy_component_keep(name.clone(), vec![1]).await.unwrap();
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.policy_component_piece_count(name.clone()).await.unwrap(), Some(3));
    let mut whole = Vec::new();
    for piece in 0..3 {
        whole.extend(bed.store.policy_component_piece(name.clone(), piece).await.unwrap().unwrap());
    }
    assert!(whole == bytes);
    assert_eq!(bed.store.policy_component_piece(name, 3).await.unwrap(), None);
}

pub async fn who_wished_a_ranker_is_noted_with_the_set_that_has_it_and_told(bed: Bed) {
    for (name, minute) in [("one", 1), ("two", 2), ("one", 3)] {
        put_in_force(&bed, name, minute).await;
    }
    let said = async |name: &str, by: &str| {
        let details = serde_json::json!({ "by": by, "ranker": stamp(name), "note": "so" });
        let event = EventDraft::new(EventKind::PolicyPromoted, at(4), details);
        let audit = PolicyAudit { by: by.into(), why: "promoted: so".into(), ranker: stamp(name), event };
        bed.store.policy_audit(audit).await.unwrap();
    };
    let told = async || {
        let sets = bed.store.policy_set_list().await.unwrap();
        sets.iter().map(|set| format!("{} {}", set.why, set.by.as_deref().unwrap_or("-"))).collect::<Vec<_>>()
    };
    said("one", "ann").await;
    assert_eq!(told().await, ["promoted: so ann", "why two -", "why one -"], "the newest is meant");
    said("one", "bob").await;
    said("two", "bob").await;
    assert_eq!(told().await, ["promoted: so ann", "why two -", "why one -"], "nothing that was written is another");
    put_in_force(&bed, "two", 5).await;
    put_in_force(&bed, "one", 6).await;
    put_in_force(&bed, "two", 7).await;
    let now = told().await;
    assert_eq!(now[..3], ["why two -", "why one -", "promoted: so bob"], "the next set that has it, and only that");
    said("three", "eve").await;
    put_in_force(&bed, "one", 8).await;
    assert_eq!(told().await[0], "why one -", "the last word was on another");
    assert_eq!(bed.event_kinds().await, ["policy.promoted"; 4]);
}

pub async fn a_word_on_a_ranker_is_spent_on_the_set_that_got_it(bed: Bed) {
    put_in_force(&bed, "one", 1).await;
    let details = serde_json::json!({ "by": "ann", "ranker": stamp("one"), "note": "so" });
    let event = EventDraft::new(EventKind::PolicyPromoted, at(2), details);
    let audit = PolicyAudit { by: "ann".into(), why: "promoted: so".into(), ranker: stamp("one"), event };
    bed.store.policy_audit(audit).await.unwrap();
    // A trial begins beside the same ranker.
    put_in_force(&bed, "one", 3).await;
    let sets = bed.store.policy_set_list().await.unwrap();
    let told: Vec<_> = sets.iter().map(|set| (set.why.as_str(), set.by.as_deref())).collect();
    assert_eq!(told, [("why one", None), ("promoted: so", Some("ann"))]);
}

fn disagreement(number: u64) -> Disagreement {
    let preference = |number: u64| Preference {
        repo: repo(),
        number: IssueNumber::new(number).unwrap(),
        score: 1.5,
        reasons: vec![Reason { rule: "label".into(), amount: 1.5, text: "bug".into() }],
    };
    Disagreement {
        at: at(number),
        agent_id: agent("a"),
        by_candidate: false,
        picked: Some(preference(number)),
        would_have_picked: None,
    }
}

fn batch(candidate: &str, hour: u64, counts: TrialCounts, disagreements: Vec<Disagreement>) -> TrialBatch {
    TrialBatch { candidate: candidate.into(), counts, disagreements, now: from_unix_ms(hour * 3_600_000 + 59_999) }
}

pub async fn a_trial_is_counted_by_the_hour_and_by_candidate(bed: Bed) {
    let one = TrialCounts { agreed: 1, disagreed: 2, undecided: 3, failed: 4, dropped: 5 };
    let two = TrialCounts { agreed: 2, disagreed: 4, undecided: 6, failed: 8, dropped: 10 };
    for (candidate, hour) in [("new", 7), ("new", 7), ("new", 9), ("other", 9)] {
        bed.store.trial_add(batch(candidate, hour, one, Vec::new())).await.unwrap();
    }
    let bed = bed.reopen(Keep::default()).await;
    let Trial { hours, disagreements } = bed.store.trial_get("new".into(), 50).await.unwrap();
    let hour = |hour: u64, counts| TrialHour { hour: from_unix_ms(hour * 3_600_000), counts };
    assert_eq!(hours, [hour(7, two), hour(9, one)]);
    assert_eq!(disagreements, []);
    assert_eq!(bed.store.trial_get("other".into(), 50).await.unwrap().hours, [hour(9, one)]);
    assert_eq!(bed.store.trial_get("unknown".into(), 50).await.unwrap(), Trial::default());
}

pub async fn the_last_disagreements_and_hours_are_kept_however_many_there_were(bed: Bed) {
    let nothing = TrialCounts::default();
    let all = (1..=DISAGREEMENT_COUNT_MAX as u64 + 5).map(disagreement).collect();
    bed.store.trial_add(batch("new", 0, nothing, all)).await.unwrap();
    let listed = bed.store.trial_get("new".into(), 10_000).await.unwrap().disagreements;
    assert_eq!(listed.len(), DISAGREEMENT_COUNT_MAX);
    assert_eq!((&listed[0], &listed[DISAGREEMENT_COUNT_MAX - 1]), (&disagreement(1_005), &disagreement(6)));
    assert_eq!(bed.store.trial_get("new".into(), 2).await.unwrap().disagreements, listed[..2]);

    // The bound is one of all candidates: the newest are worth most, whosever they are.
    bed.store.trial_add(batch("other", 0, nothing, vec![disagreement(1)])).await.unwrap();
    let listed = bed.store.trial_get("new".into(), 10_000).await.unwrap().disagreements;
    assert_eq!(listed.len(), DISAGREEMENT_COUNT_MAX - 1);

    let agreed = TrialCounts { agreed: 1, ..nothing };
    // Asked for at once, they share their syncs of the disk.
    let hours = (1..=HOUR_COUNT_MAX as u64 + 2).map(|hour| bed.store.trial_add(batch("new", hour, agreed, Vec::new())));
    try_join_all(hours).await.unwrap();
    let hours = bed.store.trial_get("new".into(), 0).await.unwrap().hours;
    let ends = [hours[0].hour, hours[hours.len() - 1].hour].map(|at| at.timestamp_millis() / 3_600_000);
    assert_eq!((hours.len(), ends), (HOUR_COUNT_MAX, [3, HOUR_COUNT_MAX as i64 + 2]));
}
