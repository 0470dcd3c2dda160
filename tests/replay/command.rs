//! `issuecommand policy replay`, as people and programs run it.

use std::fs;
use std::process::{Command, Output};

use issuecommand::policy::builtin_component;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::invented::{file_of, issue, merged};

fn run(folder: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.args(["policy", "replay", "--history", "history.jsonl"]).args(arguments).current_dir(folder.path());
    command.env_clear().env("HOME", folder.path()).output().unwrap()
}

fn backlog() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let issues: Vec<Value> = (1..=30).map(|n| issue(n.into(), n, &["bug"][..usize::from(n % 3 == 0)])).collect();
    file_of(&folder, &issues);
    let bugs = r#"rules = [{ field = "label", op = "is", value = "bug", weight = 9 }]"#;
    fs::write(folder.path().join("bugs.toml"), bugs).unwrap();
    folder
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn programs_get_json_and_nothing_else() {
    let folder = backlog();
    let run = || run(&folder, &["--agents", "2", "--seed", "7", "--speed", "0.1", "--json"]);
    let (first, second) = (run(), run());
    assert!(first.status.success() && first.stderr.is_empty(), "{}", text(&first.stderr));
    assert_eq!(first.stdout, second.stdout);
    let report: Value = serde_json::from_slice(&first.stdout).unwrap();
    assert_eq!((&report["setting"]["agents"], &report["history"]["issues"]), (&json!(2), &json!(30)));
    assert_eq!(report["outcomes"][0]["starved"], json!([]));
}

#[test]
fn people_get_a_table_with_a_column_for_each_policy_and_a_page() {
    let folder = backlog();
    let arguments = ["--agents", "1", "--speed", "0.1", "--against-settings", "bugs.toml", "--html", "page.html"];
    let output = run(&folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    for line in ["A  builtin:rules  ", "B  builtin:rules with bugs.toml  ", "issues that starved", "Changed picks"] {
        assert!(table.contains(line), "{line} in {table}");
    }
    assert!(!table.contains('\u{1b}'), "no colours where no terminal is");
    assert_eq!(text(&output.stderr).trim(), "The page is in page.html");
    assert!(fs::read_to_string(folder.path().join("page.html")).unwrap().starts_with("<!DOCTYPE html>"));
}

#[test]
fn a_setting_that_is_no_finite_number_is_refused_by_its_key_wherever_it_is_read() {
    let folder = backlog();
    fs::write(folder.path().join("inf.toml"), "rules = [{ weight = -inf }]\n").unwrap();
    fs::create_dir(folder.path().join("mine")).unwrap();
    let project = "name = \"mine\"\nlanguage = \"rust\"\n[settings]\nrules = [{ weight = nan }]\n";
    fs::write(folder.path().join("mine/policy.toml"), project).unwrap();
    for arguments in [["--settings", "inf.toml"], ["--against-settings", "inf.toml"], ["--policy", "mine"]] {
        let output = run(&folder, &arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("rules[0].weight: expected a finite number"), "{arguments:?}: {told}");
    }
}

#[test]
fn a_policys_folder_stands_for_its_built_component_with_the_settings_that_it_is_tried_with() {
    let folder = backlog();
    let mine = folder.path().join("mine");
    fs::create_dir(&mine).unwrap();
    let arguments = ["--policy", "mine", "--against", "builtin:rules", "--agents", "2", "--speed", "0.1", "--json"];
    let run = || run(&folder, &arguments);
    let refused = || text(&run().stderr).to_owned();
    assert!(refused().contains("is no policy's folder"), "{}", refused());
    let settings = fs::read_to_string(folder.path().join("bugs.toml")).unwrap();
    let project = format!("name = \"mine\"\nlanguage = \"rust\"\n[settings]\n{settings}");
    fs::write(mine.join("policy.toml"), project).unwrap();
    assert!(refused().contains("mine.wasm is not built yet: run `issuecommand policy build`"), "{}", refused());
    fs::write(mine.join("mine.wasm"), builtin_component("rules").unwrap()).unwrap();
    let output = run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["changed"]["differing"].as_u64().unwrap() > 0, "bugs first: {}", report["changed"]);
}

#[test]
fn a_whole_configuration_can_be_replayed() {
    let folder = backlog();
    let config = "[policies.repo_filter.settings]\nallow = [\"other/*\"]\n";
    fs::write(folder.path().join("issuecommand.toml"), config).unwrap();
    let output = run(&folder, &["--policy", "issuecommand.toml", "--json"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcomes"][0]["picked"], json!(0), "the repository is not admitted");
}

/// What was picked in each outcome, and by how much the two differ.
fn compared(folder: &TempDir, config: &str, arguments: &[&str]) -> Value {
    fs::write(folder.path().join("chain.toml"), config).unwrap();
    let arguments = [&["--policy", "chain.toml", "--json", "--agents", "2", "--speed", "0.1"][..], arguments].concat();
    let output = run(folder, &arguments);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_chain_can_be_replayed_and_its_last_stage_chooses() {
    let folder = tempfile::tempdir().unwrap();
    let past = (0..4).map(|n| merged(500 + n, 1, "parser: stop at the end", &["src/parser/read.rs"]));
    let titles = [("`src/parser/read.rs` fails", 1), ("`src/parser/read.rs` again", 2), ("`src/ui/main.rs` too", 3)];
    let issues = titles.map(|(title, number)| {
        let mut issue = issue(number, 10, if number == 1 { &["bug"] } else { &[] });
        issue["title"] = json!(title);
        issue
    });
    file_of(&folder, &past.chain(issues).chain([issue(9, 300, &[])]).collect::<Vec<_>>());
    let bugs =
        "[policies.ranker.settings]\nrules = [{ field = \"label\", op = \"is\", value = \"bug\", weight = 9 }]\n";
    let stage = "[[policies.ranker.stage]]\nrole = \"choose\"\nsource = \"builtin:conflict-aware\"\n";
    let report = compared(&folder, &format!("{bugs}{stage}"), &["--against", "builtin:rules"]);
    let picks = |outcome: usize| {
        let picks = report["outcomes"][outcome]["picks"].as_array().unwrap().iter();
        picks.take(2).map(|pick| (pick["issue"].clone(), pick["score"].clone())).collect::<Vec<_>>()
    };
    // The base scores, and the stage leads the second agent elsewhere.
    assert_eq!(picks(0), [(json!("acme/small#1"), json!(9.0)), (json!("acme/small#3"), json!(0.0))]);
    assert_eq!(picks(1), [(json!("acme/small#1"), json!(0.0)), (json!("acme/small#2"), json!(0.0))]);
    assert_eq!(report["changed"]["first"][0]["other"], json!("acme/small#2"), "{}", report["changed"]);
}

#[test]
fn an_override_for_a_repository_holds_in_a_replay() {
    let folder = backlog();
    let bugs = "rules = [{ field = \"label\", op = \"is\", value = \"bug\", weight = 9 }]\n";
    let config = |pattern| {
        format!("[[policies.override]]\nrepos = [\"{pattern}\"]\n[policies.override.ranker.settings]\n{bugs}")
    };
    let against = ["--against", "builtin:rules", "--against-settings", "bugs.toml"];
    let here = compared(&folder, &config("acme/*"), &against);
    assert_eq!(
        (&here["changed"]["differing"], &here["outcomes"][0]["picks"]),
        (&json!(0), &here["outcomes"][1]["picks"])
    );
    let elsewhere = compared(&folder, &config("other/*"), &against);
    assert!(elsewhere["changed"]["differing"].as_u64().unwrap() > 0, "{}", elsewhere["changed"]);
}

#[test]
fn simulated_agents_have_the_order_of_their_groups_and_the_skills_they_state() {
    let folder = backlog();
    let bugs = r#"rules = [{ field = "label", op = "is", value = "bug", weight = 9 }]"#;
    let override_of_night =
        format!("[[policies.override]]\ngroups = [\"night\"]\n[policies.override.ranker.settings]\n{bugs}\n");
    let needs = r#"needs = [{ label = "bug", skill = "debugging" }, { label = "bug", group = ["night", "repair"] }]"#;
    let groups = "[agent_groups]\nnight = [\"night-*\"]\nrepair = [\"*-repair\"]\n";
    let config = format!("[policies.ranker.settings]\n{needs}\n{override_of_night}{groups}");
    fs::write(folder.path().join("groups.toml"), config).unwrap();
    let report = |arguments: &[&str]| -> Value {
        let output = run(&folder, &[&["--speed", "0.1", "--json"][..], arguments].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let of = |policy: &str, names: &str| report(&["--policy", policy, "--agent-names", names]);
    let picks = |report: &Value| report["outcomes"][0]["picks"].as_array().unwrap().clone();
    let bug_picks = |report: &Value, agent: &str| {
        let is_bug =
            |pick: &&Value| pick["issue"].as_str().unwrap().split_once('#').unwrap().1.parse::<u64>().unwrap() % 3 == 0;
        picks(report).iter().filter(is_bug).filter(|pick| pick["agent"] == agent).count()
    };

    let night = of("groups.toml", "night-1");
    let same = report(&["--settings", "bugs.toml", "--agent-names", "night-1"]);
    assert_eq!(picks(&night), picks(&same), "the order of its group");
    assert_ne!(picks(&night), picks(&of("builtin:rules", "night-1")));

    let both = of("groups.toml", "day-1, night-1, day-repair=debugging, day-2=debugging");
    let names = json!(["day-1", "night-1", "day-repair=debugging", "day-2=debugging"]);
    assert_eq!(both["setting"]["named"], names);
    assert_eq!((bug_picks(&both, "day-1"), bug_picks(&both, "day-2")), (0, 0), "neither has both");
    assert!(bug_picks(&both, "night-1") > 0);
    let repair = of("groups.toml", "day-repair=debugging");
    assert!(bug_picks(&repair, "day-repair") > 0, "{repair:#}");
    let twice = run(&folder, &["--agent-names", "a,a"]);
    assert!(text(&twice.stderr).contains("names an agent twice"), "{}", text(&twice.stderr));
}

#[test]
fn what_cannot_be_replayed_is_said_and_nothing_is_written() {
    let folder = backlog();
    let refused = |arguments: &[&str]| {
        let output = run(&folder, arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        text(&output.stderr).trim().to_owned()
    };
    let why = refused(&["--policy", "builtin:nothing", "--html", "page.html"]);
    assert!(why.contains("no built-in policy \"nothing\""), "{why}");
    let why = refused(&["--settings", "absent.toml"]);
    assert!(why.contains("failed to read the settings absent.toml"), "{why}");
    let wrong = r#"{"repo":"acme/small","kind":"issue","number":0}"#;
    fs::write(folder.path().join("history.jsonl"), wrong).unwrap();
    let why = refused(&["--html", "page.html"]);
    assert!(why.contains("line 1 of the history is out of form at number"), "{why}");
    fs::write(folder.path().join("history.jsonl"), "\n").unwrap();
    let why = refused(&[]);
    assert!(why.contains("holds no issue") && why.contains("issuecommand history pull"), "{why}");
    assert!(!folder.path().join("page.html").exists());
}

#[test]
fn settings_alone_are_those_of_the_built_in_table_beside_a_configuration_too() {
    let folder = backlog();
    fs::write(folder.path().join("issuecommand.toml"), "[policies.ranker.settings]\ntiers = [[\"bug\"]]\n").unwrap();
    fs::write(folder.path().join("ageing.toml"), "aging = { points_per_day = 1, max_points = 9 }\n").unwrap();
    let names = |arguments: &[&str]| {
        let output = run(&folder, &[&["--json", "--agents", "2"][..], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let names = report["outcomes"].as_array().unwrap().iter().map(|outcome| outcome["name"].clone());
        Value::from(names.collect::<Vec<_>>())
    };
    let (bugs, ageing) = ("builtin:rules with bugs.toml", "builtin:rules with ageing.toml");
    let mine = ["--settings", "bugs.toml"];
    assert_eq!(names(&[&mine[..], &["--against", "builtin:rules"]].concat()), json!([bugs, "builtin:rules"]));
    assert_eq!(names(&[&mine[..], &["--against", "issuecommand.toml"]].concat()), json!([bugs, "issuecommand.toml"]));
    assert_eq!(names(&[&mine[..], &["--against-settings", "ageing.toml"]].concat()), json!([bugs, ageing]));
    assert_eq!(names(&["--against-settings", "ageing.toml"]), json!(["builtin:rules", ageing]));
    let against = ["--against", "builtin:rules", "--against-settings", "ageing.toml"];
    assert_eq!(names(&against), json!(["issuecommand.toml", ageing]), "which is not told settings");
    assert_eq!(names(&[]), json!(["issuecommand.toml"]));
    let both = run(&folder, &["--policy", "issuecommand.toml", "--settings", "bugs.toml"]);
    assert!(text(&both.stderr).contains("is a whole configuration"), "{}", text(&both.stderr));
}
