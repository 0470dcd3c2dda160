use super::*;
use crate::config::{CandidateConfig, CandidateMode, Signer, StageConfig};
use crate::policy::builtin_component;

#[test]
fn nothing_stands_in_at_a_start_for_what_must_be_signed() {
    let host = PolicyHost::new(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let absent = |signed_by| PolicyConfig { source: "absent.wasm".into(), signed_by, ..PolicyConfig::builtin("rules") };
    let open = |config| load_or_stand_in(&host, config, folder.path());
    let ranker = |policy: PolicyConfig| PoliciesConfig { ranker: policy.into(), ..PoliciesConfig::default() };
    let stale_rule = |stale_rule| PoliciesConfig { stale_rule, ..PoliciesConfig::default() };
    assert!(open(ranker(absent(None))).unwrap().2.unwrap().contains("absent.wasm"));
    assert!(open(stale_rule(absent(None))).unwrap().2.unwrap().contains("absent.wasm"));

    let signed = || absent(Some(Signer::Key { key: "team.pub".into() }));
    for config in [ranker(signed()), stale_rule(signed())] {
        let refused = open(config).unwrap_err().to_string();
        assert!(refused.contains("\"absent.wasm\""), "{refused}");
    }
    // What the set then is of says what stands in, so that the history does.
    let (set, config, _) = open(ranker(absent(None))).unwrap();
    assert_eq!(config.ranker, PolicyConfig::builtin(BUILTIN_RANKER).into());
    assert_eq!(set.ranker.main_stamp().source, config.ranker.base.source);
    // A candidate decides nothing yet: its trial is what is left out.
    let candidate = CandidateConfig { mode: CandidateMode::Shadow, share: 0.0, ranker: signed().into() };
    let trial = PoliciesConfig { candidate: Some(candidate), ..PoliciesConfig::default() };
    assert!(open(trial).unwrap().0.candidate.is_none());
}

#[test]
fn a_fault_that_passes_keeps_no_server_from_starting() {
    let host = PolicyHost::new(None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.wasm");
    let mine = || PolicyConfig { source: "mine.wasm".into(), ..PolicyConfig::builtin("rules") };
    let filter = StageConfig { name: "mine".into(), role: StageRole::Filter, weight: 1.0, policy: mine() };
    let rankers = [mine().into(), RankerConfig { stage: vec![filter], ..RankerConfig::default() }];
    for ranker in rankers {
        let config = PoliciesConfig { ranker, call_ms_max: 5000, ..PoliciesConfig::default() };
        // The file comes right behind the first look at it, and for good.
        let load = |config: &PoliciesConfig| {
            let loaded = host.load(config, folder.path());
            std::fs::write(&file, builtin_component("rules").unwrap()).unwrap();
            loaded
        };
        let (set, kept, told) = load_or_stand_in_by(&load, &host, config.clone(), folder.path()).unwrap();
        assert_eq!((&kept, told), (&config, None), "nothing stands in for it");
        assert!(set.ranker.main_stamp().source.contains("mine.wasm"), "{:?}", set.ranker.main_stamp());
        // One that a whole set is refused for again, and no part of it, is no such fault.
        let refused =
            host.load(&PoliciesConfig { ranker: absent().into(), ..PoliciesConfig::default() }, folder.path());
        let refused = refused.unwrap_err();
        let never = |_: &PoliciesConfig| Err(refused.clone());
        assert_eq!(load_or_stand_in_by(&never, &host, config, folder.path()).unwrap_err(), refused);
        std::fs::remove_file(&file).unwrap();
    }
}

fn absent() -> PolicyConfig {
    PolicyConfig { source: "absent.wasm".into(), ..PolicyConfig::builtin("rules") }
}
