mod whatever;

use serde_json::Map;

use super::*;
use crate::config::{Config, Signer, StageRole};

const TEXT: &str = r#"# Ours.
[server]
port = 0 # any

# What comes first.
[policies.ranker]
source = "builtin:rules" # for years
[policies.ranker.settings]
max_claims_per_agent = 3

[policies.candidate] # since Monday
mode = "shadow"

[policies.candidate.ranker]
source = "new.wasm"
# Its own table.
[policies.candidate.ranker.settings]
calm = true
[[policies.candidate.ranker.stage]]
role = "filter"
source = "trust.wasm"

# Who takes part.
[policies.repo_filter.settings]
allow = ["acme/*"]
"#;

fn read(text: &str) -> Config {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

#[test]
fn a_promoted_candidate_is_the_ranker_and_all_other_comments_stay() {
    let edited = with_candidate_promoted(TEXT).unwrap();
    let (before, after) = (read(TEXT), read(&edited));
    assert_eq!(after.policies.ranker, before.policies.candidate.unwrap().ranker);
    assert_eq!(after.policies.candidate, None);
    assert_eq!(after.policies.repo_filter, before.policies.repo_filter);
    for kept in
        ["# Ours.", "port = 0 # any", "# What comes first.\n[policies.ranker]", "# Its own table.", "# Who takes part."]
    {
        assert!(edited.contains(kept), "{kept:?} is gone:\n{edited}");
    }
    assert!(edited.contains("source = \"new.wasm\" # for years"), "the key stays, and its comment:\n{edited}");
    for gone in ["max_claims_per_agent", "candidate"] {
        assert!(!edited.contains(gone), "{gone:?} is still there:\n{edited}");
    }
    assert!(matches!(with_candidate_promoted(&edited), Err(EditError::NoCandidate)));
}

#[test]
fn a_candidate_in_one_line_is_promoted_too_and_where_there_was_no_ranker() {
    let text = "[policies]\ncall_ms_max = 9\ncandidate = { mode = \"canary\", ranker = { source = \"a.wasm\", settings = { x = 1 } } }\n";
    let edited = with_candidate_promoted(text).unwrap();
    let after = read(&edited).policies;
    assert_eq!((after.ranker.source.as_str(), after.ranker.settings["x"].as_i64()), ("a.wasm", Some(1)), "{edited}");
    assert_eq!((after.call_ms_max, after.candidate), (9, None));
}

#[test]
fn a_ranker_that_was_put_back_reads_as_it_was() {
    for text in [TEXT, "", "[policies]\ncall_ms_max = 9\n"] {
        let mut ranker = read(TEXT).policies.candidate.unwrap().ranker;
        ranker.base.sha256 = Some("a".repeat(64));
        ranker.base.signed_by = Some(Signer::Key { key: "team.pub".into() });
        ranker.base.settings.insert("nested".into(), serde_json::json!({ "list": [[1, 2.5], ["x"]], "none": {} }));
        assert_eq!(ranker.stage[0].role, StageRole::Filter);
        let edited = with_ranker(text, &ranker).unwrap();
        assert_eq!(read(&edited).policies.ranker, ranker, "{edited}");
    }
    let edited = with_ranker(TEXT, &read(TEXT).policies.ranker).unwrap();
    assert!(edited.contains("# What comes first.\n[policies.ranker]"), "{edited}");
    assert_eq!(read(&edited), read(TEXT));
}

#[test]
fn a_candidate_that_was_put_back_reads_as_it_was_and_goes_without_a_trace() {
    let mut candidate = read(TEXT).policies.candidate.unwrap();
    candidate.share = 0.25;
    for text in [TEXT, "", "[policies]\ncandidate = { mode = \"canary\", ranker = { source = \"a.wasm\" } }\n"] {
        let edited = with_candidate(text, Some(&candidate)).unwrap();
        let (before, after) = (read(text).policies, read(&edited).policies);
        assert_eq!((after.candidate.as_ref(), after.ranker), (Some(&candidate), before.ranker), "{edited}");
        let without = with_candidate(&edited, None).unwrap();
        assert!(!without.contains("candidate") && read(&without).policies.candidate.is_none(), "{without}");
    }
    let promoted = with_candidate_promoted(TEXT).unwrap();
    let again = with_candidate(&with_ranker(&promoted, &read(TEXT).policies.ranker).unwrap(), Some(&candidate));
    let again = again.unwrap();
    assert_eq!(read(&again).policies.ranker, read(TEXT).policies.ranker, "{again}");
    assert!(again.contains("# Who takes part."), "{again}");
}

#[test]
fn a_file_is_replaced_at_once_and_a_link_to_it_stays_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
    std::fs::write(&file, "old").unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    replace_file(&link, "new").unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "new");
    assert!(link.is_symlink());
}

#[test]
fn a_file_that_cannot_be_replaced_is_told_with_why() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("real.toml"), folder.path().join("link.toml"));
    let told = |path: &std::path::Path| not_replaceable(path).unwrap_or_default();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert!(told(&link).contains("link.toml cannot be read: No such file"), "{}", told(&link));
    std::fs::write(&file, "old").unwrap();
    assert_eq!((not_replaceable(&file), not_replaceable(&link)), (None, None));
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&file, permissions).unwrap();
    assert!(told(&link).ends_with("link.toml is read-only"), "{}", told(&link));
}
/// As a team writes it over the months.
const GROWN: &str = r##"# Ours.
[policies.ranker] # the order of work
source = "builtin:rules"

# What we agreed on in May.
[policies.ranker.settings]
tiers = [["p0", "security"], ["p1"]]  # the same as on GitHub
# Bugs first.
rules = [
  { field = "label", op = "is", value = "bug", weight = 10 }, # since June
  # Loud ones next.
  { field = "reactions", op = "each", weight = 1.0, max_points = 5 }, # up to five
]
skip = [{ field = "label", op = "is", value = "wontfix" }]
max_claims_per_agent = 3 # finish first

[[policies.ranker.stage]]
# The last word.
role = "choose"
source = "builtin:conflict-aware"

# Who takes part.
[policies.repo_filter.settings]
allow = ["acme/*"]
"##;

/// Its ranker with another rule at the end, another weight, and what else is wished.
fn changed(change: impl FnOnce(&mut RankerConfig)) -> RankerConfig {
    let mut ranker = read(GROWN).policies.ranker;
    change(&mut ranker);
    ranker
}

#[track_caller]
fn assert_edit(ranker: &RankerConfig, replaced: &[(&str, &str)]) {
    let edited = with_ranker(GROWN, ranker).unwrap();
    let expected = replaced.iter().fold(GROWN.to_owned(), |text, (before, after)| {
        assert!(text.contains(before), "{before}");
        text.replace(before, after)
    });
    assert_eq!(edited, expected);
    assert_eq!(read(&edited).policies.ranker, *ranker);
    assert_eq!(with_ranker(&edited, &read(GROWN).policies.ranker).unwrap().lines().count(), GROWN.lines().count());
}

#[test]
fn only_what_differs_is_written_anew_and_comments_and_shapes_stay() {
    assert_edit(&changed(|_| ()), &[]);
    assert_edit(
        &changed(|ranker| ranker.settings["rules"][0]["weight"] = json!(12)),
        &[("weight = 10", "weight = 12")],
    );
    assert_edit(&changed(|ranker| ranker.settings["rules"][1]["weight"] = json!(1)), &[("weight = 1.0", "weight = 1")]);
    assert_edit(
        &changed(|ranker| {
            ranker.settings["tiers"][0] = json!(["p0"]);
            ranker.settings["max_claims_per_agent"] = json!(4);
            ranker.stage[0].weight = 1.0;
        }),
        &[("\"p0\", \"security\"", "\"p0\""), ("max_claims_per_agent = 3", "max_claims_per_agent = 4")],
    );
    assert_edit(
        &changed(|ranker| {
            ranker.settings["skip"].as_array_mut().unwrap().push(json!({ "field": "label", "op": "is", "value": "x" }));
            ranker.stage[0].name = "around".into();
        }),
        &[
            ("\"wontfix\" }]", "\"wontfix\" }, { field = \"label\", op = \"is\", value = \"x\" }]"),
            ("source = \"builtin:conflict-aware\"\n", "source = \"builtin:conflict-aware\"\nname = \"around\"\n"),
        ],
    );
}

#[test]
fn rules_come_and_go_with_the_comments_that_are_theirs() {
    let rule = |value: &str| json!({ "field": "label", "op": "is", "value": value });
    let at = |place: usize, value: &'static str| {
        changed(move |ranker| ranker.settings["rules"].as_array_mut().unwrap().insert(place, rule(value)))
    };
    let line = |value: &str| format!("  {{ field = \"label\", op = \"is\", value = \"{value}\" }},\n");
    let first = "  { field = \"label\", op = \"is\", value = \"bug\", weight = 10 }, # since June\n";
    let last = "  { field = \"reactions\", op = \"each\", weight = 1.0, max_points = 5 }, # up to five\n";
    assert_edit(&at(0, "a"), &[(first, &format!("{}{first}", line("a")))]);
    assert_edit(&at(1, "a"), &[(first, &format!("{first}{}", line("a")))]);
    assert_edit(&at(2, "a"), &[(last, &format!("{last}{}", line("a")))]);
    let without = |place: usize| {
        with_ranker(GROWN, &changed(|it| drop(it.settings["rules"].as_array_mut().unwrap().remove(place)))).unwrap()
    };
    assert_eq!(without(0), GROWN.replace(first, ""));
    assert_eq!(without(1), GROWN.replace(&format!("  # Loud ones next.\n{last}"), ""));
}

#[test]
fn a_promotion_edits_what_the_candidate_changes_and_takes_its_comments_along() {
    let candidate = r#"
[policies.candidate]
mode = "shadow"
[policies.candidate.ranker.settings]
tiers = [["p0", "security"], ["p1"]]
rules = [
  { field = "label", op = "is", value = "bug", weight = 20 },
  { field = "reactions", op = "each", weight = 1.0, max_points = 5 },
]
skip = [{ field = "label", op = "is", value = "wontfix" }]
# Nobody waits for ever.
aging = { points_per_day = 1 } # in winter

[[policies.candidate.ranker.stage]]
role = "choose"
source = "builtin:conflict-aware"
"#;
    let edited = with_candidate_promoted(&format!("{GROWN}{candidate}")).unwrap();
    let expected = GROWN.replace("weight = 10", "weight = 20").replace(
        "max_claims_per_agent = 3 # finish first",
        "# Nobody waits for ever.\naging = { points_per_day = 1 } # in winter",
    );
    assert_eq!(edited, expected);
}

#[test]
fn a_comment_that_stands_is_not_replaced_by_one_of_the_candidate() {
    let text = r#"# What comes first. Ask Ann.
[policies.ranker]
source = "builtin:rules" # for years
# What we agreed on.
[policies.ranker.settings]
skip = [{ field = "label", op = "is", value = "wontfix" }] # by label
rules = [
  # Bugs.
  { field = "label", op = "is", value = "bug", weight = 10 }, # since June
]
[policies.candidate]
mode = "shadow"
# Bob's trial.
[policies.candidate.ranker]
source = "new.wasm" # of Bob
# Bob's numbers.
[policies.candidate.ranker.settings]
skip = [] # nothing
rules = [
  # Bob's bugs.
  { field = "label", op = "is", value = "bug", weight = 20 }, # Bob's
  # Bob's own.
  { field = "label", op = "is", value = "ux", weight = 5 },
]
# Bob's patience.
calm = true # for now
"#;
    let edited = with_candidate_promoted(text).unwrap();
    let expected = r#"# What comes first. Ask Ann.
[policies.ranker]
source = "new.wasm" # for years
# What we agreed on.
[policies.ranker.settings]
skip = [] # by label
rules = [
  # Bugs.
  { field = "label", op = "is", value = "bug", weight = 20 }, # since June
  # Bob's own.
  { field = "label", op = "is", value = "ux", weight = 5 },
]
# Bob's patience.
calm = true # for now
"#;
    assert_eq!(edited, expected);
}

#[test]
fn the_head_of_a_file_and_the_ends_of_its_lines_are_no_candidates() {
    let head = "# ACME. Do not edit without asking Jo\n# Licence: MIT\n\n";
    let on_trial = "# Since Monday.\n[policies.candidate]\nmode = \"shadow\"\n[policies.candidate.ranker.settings]\n\
                    default_tier = 1\n";
    let rest = "\n[server]\nport = 1\n";
    let promoted = with_candidate_promoted(&format!("{head}{on_trial}{rest}")).unwrap();
    assert_eq!(promoted, format!("{head}[policies.ranker.settings]\ndefault_tier = 1\n{rest}"));
    let of_windows = |text: &str| text.replace('\n', "\r\n");
    let both = with_candidate_promoted(&of_windows(&format!("{head}{on_trial}{rest}"))).unwrap();
    assert_eq!(both, of_windows(&promoted));
    let without = with_candidate(&format!("{head}{on_trial}{rest}"), None).unwrap();
    assert_eq!(without, format!("{head}[server]\nport = 1\n"));
}

#[test]
fn what_no_configuration_can_say_is_not_written_as_something_else() {
    let text = "[policies.candidate]\nmode = \"shadow\"\n[policies.candidate.ranker]\nsource = \"a.wasm\"\n";
    for value in ["inf", "-inf", "nan"] {
        let text = format!("{text}settings = {{ weights = [1, {value}] }}\n");
        let refused = with_candidate_promoted(&text).unwrap_err().to_string();
        assert!(refused.contains("\"a.wasm\" is told weights[1], which is no finite number"), "{refused}");
    }
    // A server of before kept such sets in its history.
    let mut ranker = read(text).policies.candidate.unwrap().ranker;
    ranker.base.settings.insert("nested".into(), json!({ "deep": null }));
    let candidate = CandidateConfig { mode: crate::config::CandidateMode::Shadow, share: 0.1, ranker: ranker.clone() };
    for refused in [with_ranker(text, &ranker), with_candidate(text, Some(&candidate))] {
        assert!(matches!(refused, Err(EditError::NotFinite { key, .. }) if key == "nested.deep"));
    }
}

#[test]
fn what_is_new_is_written_as_people_write_it_without_defaults() {
    let ranker = changed(|ranker| ranker.stage[0].policy.settings = Map::from_iter([("days".to_owned(), json!(7))]));
    let expected = r#"[policies.ranker.settings]
tiers = [["p0", "security"], ["p1"]]
rules = [
  { field = "label", op = "is", value = "bug", weight = 10 },
  { field = "reactions", op = "each", weight = 1.0, max_points = 5 },
]
skip = [{ field = "label", op = "is", value = "wontfix" }]
max_claims_per_agent = 3

[[policies.ranker.stage]]
role = "choose"
source = "builtin:conflict-aware"
settings = { days = 7 }
"#;
    let edited = with_ranker("", &ranker).unwrap();
    assert_eq!(read(&edited).policies.ranker, ranker);
    // Settings come out of the history in the order of their names.
    let words = |text: &str| {
        let mut words: Vec<String> = text.split([' ', ',', '\n']).map(str::to_owned).collect();
        words.sort();
        words
    };
    assert_eq!(words(&edited), words(expected), "{edited}");
}
