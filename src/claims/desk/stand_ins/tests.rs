use super::*;
use crate::config::{CandidateConfig, CandidateMode, Signer};

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
