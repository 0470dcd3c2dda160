//! The command line for people: while a server runs, and while none does.

use std::process::Command;

use serde_json::{Value, json};

use super::commands::{complaint, run, told};
use super::harness::{Home, Server, issue, shared_cache};

/// Sets a terminal's title, clears it, and turns the direction of text.
pub const EVIL: &str = "Fix\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\u{202c}\nforged";

pub fn home() -> Home {
    let mut urgent = issue("acme/webshop", 7, &["p0", "bug"]);
    urgent["title"] = json!("Crash on an empty cart");
    Home::new(&[urgent, issue("acme/webshop", 8, &["bug"]), issue("acme/pay", 1, &[])], "")
}

pub async fn started(home: &Home) -> Server {
    let server = home.serve();
    server.wait_for_backlog(3).await;
    server
}

/// Runs a command; its exit code, standard output and standard error.
fn ended(home: &Home, args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = run(home, args, env);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn as_json(home: &Home, args: &[&str]) -> Value {
    let text = told(home, &[args, &["--json"]].concat(), &[]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn next_and_claim_give_work_and_their_exit_codes_say_how_it_went() {
    let home = home();
    let server = started(&home).await;
    let first = told(&home, &["next", "--agent", "alice"], &[]);
    assert!(first.starts_with("acme/webshop#7  Crash on an empty cart\n  claim"), "{first}");
    assert!(
        first.contains("  labels  p0, bug\n") && first.contains("  status  claimed by alice; lapses in "),
        "{first}"
    );
    assert!(!first.contains('\u{1b}'), "colours are for terminals: {first:?}");
    let by_variable = [("ISSUECOMMAND_AGENT_ID", "bob")];
    let second = told(&home, &["next", "--repo", "acme/webshop", "--json"], &by_variable);
    let second: Value = serde_json::from_str(&second).unwrap();
    assert_eq!((&second["claim"]["agent_id"], &second["claim"]["issue_number"]), (&json!("bob"), &json!(8)));
    let (code, out, err) = ended(&home, &["next", "--agent", "alice", "--repo", "acme/webshop"], &[]);
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    assert!(err.starts_with("nothing to do: ") && err.contains("2 claimed"), "{err}");
    let (code, out, _) = ended(&home, &["next", "--agent", "alice", "--label", "none", "--json"], &[]);
    let nothing: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &nothing["ok"], nothing["counts"].is_object()), (Some(3), &json!(false), true));

    let (code, out, err) = ended(&home, &["claim", "Acme/Webshop#7", "--agent", "bob"], &[]);
    assert_eq!((code, out.as_str(), err.as_str()), (Some(4), "", "acme/webshop#7 is held by alice\n"));
    let again = told(&home, &["claim", "acme/webshop#7", "--agent", "alice"], &[]);
    assert!(again.contains("claimed by alice, as before"), "{again}");
    assert!(told(&home, &["claim", "acme/pay#1", "--agent", "bob"], &[]).starts_with("acme/pay#1  Issue 1\n"));
    let unknown = complaint(&home, &["claim", "acme/pay#99", "--agent", "bob"], &[]);
    assert!(unknown.contains("acme/pay#99 is no open issue here"), "{unknown}");
    let nameless = complaint(&home, &["next"], &[]);
    assert!(nameless.contains("say which agent asks: --agent NAME, or ISSUECOMMAND_AGENT_ID"), "{nameless}");
    let (code, _, err) = ended(&home, &["claim", "webshop", "--agent", "bob"], &[]);
    assert_eq!(code, Some(2), "{err}");

    let (code, _, err) = ended(&home, &["release", "acme/webshop#7", "--agent", "bob"], &[]);
    assert_eq!((code, err.as_str()), (Some(4), "acme/webshop#7 is held by alice under epoch 1: stop working on it\n"));
    let id = again.lines().find_map(|line| line.trim().strip_prefix("claim")).unwrap().trim().to_owned();
    let short = &id[id.len() - 8..];
    let back = told(&home, &["release", short, "--agent", "alice"], &[]);
    assert_eq!(back, "acme/webshop#7 is free: given back by alice\n");
    assert!(complaint(&home, &["release", short], &[]).contains("there is no active claim"));
    assert!(server.stop());
    for command in [&["next", "--agent", "a"][..], &["claim", "acme/pay#1", "--agent", "a"], &["health"]] {
        let at_rest = complaint(&home, command, &[]);
        assert!(at_rest.contains("no server runs here: start one with `issuecommand serve`"), "{at_rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_one_agent_is_name_enough_and_may_give_back_its_own_claim_only() {
    let home = home();
    let env = [("API_KEY", "a-key-for-tests")];
    let server = home.serve_with(&env);
    let token = told(&home, &["token", "create", "--agent", "alice", "--scope", "claim"], &env);
    let alice = [("ISSUECOMMAND_TOKEN", token.trim())];
    loop {
        // The first sync goes on behind the start.
        let (code, out, err) = ended(&home, &["next"], &alice);
        match code {
            Some(0) => break assert!(out.contains("claimed by alice"), "{out}"),
            Some(3) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            _ => panic!("{code:?}: {err}"),
        }
    }
    let claims: Value = serde_json::from_str(&told(&home, &["claims", "--json"], &alice)).unwrap();
    let id = claims["claims"][0]["claim_id"].as_str().unwrap();
    assert!(complaint(&home, &["next", "--agent", "bob"], &alice).contains("this token speaks for alice"));
    assert!(complaint(&home, &["release", id], &alice).contains("the call needs admin"));
    assert!(told(&home, &["release", id, "--agent", "alice"], &alice).contains("given back by alice"));
    assert!(complaint(&home, &["claims"], &[("ISSUECOMMAND_TOKEN", "ic_0")]).contains("does not know the key"));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_and_what_there_is_to_do_is_told_with_and_without_a_server() {
    let home = home();
    let server = started(&home).await;
    for agent in ["alice", "bob"] {
        assert_eq!(server.next(agent).await.0, 200);
    }
    assert_eq!(server.send("POST", "/api/next", json!({ "agent_id": "idle", "label": "none" })).await.0, 409);
    let commands: [&[&str]; 6] =
        [&["claims"], &["claims", "--agent", "alice"], &["issues"], &["issues", "acme/pay"], &["repos"], &["agents"]];
    let cache = shared_cache();
    let env = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let served = commands.map(|command| told(&home, command, &env));
    let line = |text: &str, name: &str| text.lines().find(|line| line.contains(name)).unwrap_or_default().to_owned();
    assert!(served[0].starts_with("  claim     agent  issue           status   held  lease  title\n"), "{}", served[0]);
    assert!(line(&served[0], "alice").contains("  acme/webshop#7  claimed  "), "{}", served[0]);
    assert!(line(&served[0], "alice").ends_with("  Crash on an empty cart"), "{}", served[0]);
    assert_eq!(served[1].lines().count(), 2, "{}", served[1]);
    let free: Vec<&str> = served[2].lines().skip(1).collect();
    assert!(free.len() == 1 && !free[0].contains("acme/webshop#7"), "{}", served[2]);
    assert_eq!(line(&served[4], "acme/webshop").split_whitespace().collect::<Vec<_>>(), ["acme/webshop", "2", "all"]);
    let words = |name: &str| line(&served[5], name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((words("alice")[..4].join(" "), words("alice")[6].as_str()), ("alice 1 0 0".into(), "acme/webshop#7"));
    assert_eq!((words("idle")[..4].join(" "), words("idle")[5].as_str()), ("idle 0 0 0".into(), "nothing"));

    assert_eq!(as_json(&home, &["claims"]), server.get("/api/claims").await);
    assert_eq!(as_json(&home, &["repos"]), server.get("/api/repos").await);
    let of_one = server.get("/api/repos/acme/webshop/issues").await;
    assert_eq!(as_json(&home, &["issues", "acme/webshop"]), of_one);
    assert_eq!(as_json(&home, &["issues"])["issues"].as_array().unwrap().len(), 1);
    assert_eq!(as_json(&home, &["agents"])["agents"][2]["agent_id"], "idle");
    let none = run(&home, &["claims", "--status", "stale"], &[]);
    assert!(none.status.success() && none.stdout.is_empty() && none.stderr.starts_with(b"nobody holds"), "{none:?}");
    let refused = complaint(&home, &["issues", "acme/other"], &[]);
    assert!(refused.contains("acme/other"), "{refused}");
    assert!(server.stop());

    let without_times = |text: &str| text.split_whitespace().filter(|it| !it.ends_with(['s', 'm'])).count();
    for (command, before) in commands.iter().zip(&served) {
        let (code, out, err) = ended(&home, command, &env);
        assert_eq!((code, out.lines().count()), (Some(0), before.lines().count()), "{command:?}: {out}{err}");
        assert_eq!(without_times(&out), without_times(before), "{command:?}: {out}");
        assert!(err.starts_with("no server runs here: this is what is kept"), "{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_issues_than_people_read_are_counted_and_json_has_them_all() {
    let many: Vec<Value> = (1..=60).map(|number| issue("acme/big", number, &[])).collect();
    let home = Home::new(&[many, vec![issue("acme/next", 1, &[])]].concat(), "");
    let server = home.serve();
    server.wait_for_backlog(61).await;
    let (code, out, err) = ended(&home, &["issues"], &[]);
    assert_eq!((code, out.lines().count()), (Some(0), 51), "{out}");
    assert_eq!(err, "not listed: 10 more there, and those of one more repository; --limit takes in more\n");
    let (_, out, err) = ended(&home, &["issues", "--limit", "100"], &[]);
    assert_eq!((out.lines().count(), err.as_str()), (62, ""));
    assert_eq!(as_json(&home, &["issues"])["issues"].as_array().unwrap().len(), 61);
    let cut = as_json(&home, &["issues", "acme/big", "--limit", "7"]);
    assert_eq!((cut["issues"].as_array().unwrap().len(), &cut["more"]), (7, &json!(53)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_of_health_says_whether_all_is_well() {
    let home = home();
    let server = started(&home).await;
    let told = told(&home, &["health"], &[]);
    assert!(told.starts_with("ready, up ") && told.contains("  open issues  3\n"), "{told}");
    assert!(told.contains("  claims       0, by 0 agents; 0 granted so far\n") && told.contains(" ago\n"), "{told}");
    home.configure("[policies.ranker]\nsource = \"missing.wasm\"\n");
    server.wait_until("/api/health", |body| body["health"]["degraded"][0].is_string()).await;
    let (code, out, _) = ended(&home, &["health"], &[]);
    assert_eq!(code, Some(5), "{out}");
    assert!(out.starts_with("degraded, up ") && out.contains("missing.wasm"), "{out}");
    assert_eq!(ended(&home, &["health", "--ready"], &[]).0, Some(0), "it gives out work");
    let (code, out, _) = ended(&home, &["health", "--json"], &[]);
    let answer: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &answer["health"]["state"]), (Some(5), &json!("degraded")));
    let nobody = complaint(&home, &["health", "--url", "http://127.0.0.1:1"], &[]);
    assert!(nobody.contains("failed to reach the server"), "{nobody}");
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_is_the_same_at_both_places() {
    let home = home();
    let server = started(&home).await;
    let question = ["explain", "acme/webshop#7"];
    let short = told(&home, &question, &[]);
    assert!(short.starts_with("acme/webshop#7 Crash on an empty cart\n"), "{short}");
    assert_eq!(told(&home, &[&["policy"], &question[..]].concat(), &[]), short);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_operators_are_answered_in_json_too() {
    let home = home();
    let server = started(&home).await;
    assert_eq!(server.next("alice").await.0, 200);
    let ok = |args: &[&str]| {
        let answer = as_json(&home, args);
        assert_eq!(answer["ok"], true, "{args:?}: {answer}");
        answer
    };
    assert_eq!(ok(&["reassign", "acme/webshop#7", "--to", "bob"])["claim"]["agent_id"], "bob");
    assert_eq!(ok(&["release", "acme/webshop#7"])["claim"]["status"], "released");
    assert_eq!(ok(&["approve", "acme/webshop#8", "--by", "ann"])["approval"], "approved");
    assert_eq!(ok(&["pause", "--reason", "lunch"])["ok"], true);
    ok(&["resume"]);
    let made = ok(&["token", "create", "--scope", "read"]);
    let id = made["record"]["token_id"].as_str().unwrap();
    assert_eq!(ok(&["token", "revoke", id])["record"]["live"], false);
    assert!(as_json(&home, &["policy", "rollback", "--list"])["sets"][0]["set_id"].is_u64());
    assert!(server.stop());
    let backup = ok(&["backup", "copy.db"]);
    assert!(backup["rows"].as_u64().unwrap() > 0, "{backup}");
    assert_eq!(ok(&["store", "check"])["faults"], json!([]));
    std::fs::remove_file(home.path("claims.db")).unwrap();
    assert_eq!(ok(&["restore", "copy.db"])["rows"], backup["rows"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_that_would_steer_a_terminal_are_harmless_in_every_command() {
    let mut evil = issue("acme/webshop", 1, &["p0"]);
    evil["title"] = json!(EVIL);
    evil["labels"] = json!(["p0", format!("area/{EVIL}")]);
    let mut other = issue("acme/webshop", 2, &[]);
    other["title"] = json!(EVIL);
    let home = Home::new(&[evil, other], "");
    let server = home.serve();
    server.wait_for_backlog(2).await;
    let commands: [&[&str]; 13] = [
        &["issues"],
        &["issues", "--json"],
        &["next", "--agent", "a"],
        &["claim", "acme/webshop#1", "--agent", "a", "--json"],
        &["claims"],
        &["claims", "--json"],
        &["agents"],
        &["repos"],
        &["health"],
        &["explain", "acme/webshop#1"],
        &["explain", "acme/webshop#2", "--json"],
        &["release", "acme/webshop#1", "--note", "take\u{1b}[2Jback", "--json"],
        &["explain", "--last", "--json"],
    ];
    let mut shown = 0;
    for command in commands {
        let (code, out, err) = ended(&home, command, &[]);
        assert_eq!(code, Some(0), "{command:?}: {out}{err}");
        let all = out + &err;
        let is_sign = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}');
        assert!(!all.contains(is_sign), "{command:?}: {all:?}");
        assert!(all.lines().all(|line| !line.starts_with("forged")), "{command:?}: {all}");
        shown += usize::from(all.contains("pwned"));
    }
    assert!(shown >= 8, "the title is shown by {shown} commands");
    let answer: Value = serde_json::from_str(&told(&home, &["issues", "--json"], &[])).unwrap();
    assert_eq!(answer["issues"][0]["title"], EVIL, "for who parses it, it is what was written");
}

#[test]
fn every_command_for_people_explains_itself_with_an_example_and_its_exit_codes() {
    let home = home();
    let commands = [
        "next",
        "claim",
        "release",
        "reassign",
        "approve",
        "claims",
        "issues",
        "repos",
        "agents",
        "explain",
        "top",
        "health",
        "import",
        "backup",
        "restore",
        "completions",
        "man",
        "resume",
    ];
    for command in commands {
        let help = told(&home, &[command, "--help"], &[]);
        assert!(help.contains(&format!("issuecommand {command}")) && help.contains("Example"), "{help}");
    }
    let help = told(&home, &["--help"], &[]);
    for line in ["3   next: there is nothing to do now", "75  another server has the database"] {
        assert!(help.contains(line), "{help}");
    }
}

#[test]
fn bash_takes_the_completions_and_completes_with_them() {
    let home = home();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = told(&home, &["completions", shell], &[]);
        assert!(script.contains("issuecommand") && script.contains("reassign"), "{shell}");
    }
    std::fs::write(home.path("completions"), told(&home, &["completions", "bash"], &[])).unwrap();
    let bash = |line: &str| {
        let output = Command::new("bash").args(["-c", line]).current_dir(home.root()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    bash("bash -n completions");
    let completed = |words: &str| {
        let line = format!(
            "source completions; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             _issuecommand issuecommand \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        bash(&line)
    };
    assert_eq!(completed("issuecommand clai"), "claim claims\n");
    assert_eq!(completed("issuecommand claims --sta"), "--status\n");
    assert_eq!(completed("issuecommand claims --status st"), "stale\n");
}

#[test]
fn manual_pages_are_there_for_every_command_and_read_well() {
    let home = home();
    told(&home, &["man", "pages"], &[]);
    let mut names: Vec<String> = std::fs::read_dir(home.path("pages"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in ["issuecommand.1", "issuecommand-next.1", "issuecommand-policy-explain.1", "issuecommand-top.1"] {
        assert!(names.iter().any(|found| found == name), "{names:?}");
    }
    let page = told(&home, &["man"], &[]);
    assert_eq!(page, std::fs::read_to_string(home.path("pages/issuecommand.1")).unwrap());
    // Formatted by groff, where there is one, it says nothing about mistakes.
    let format = |name: &String| {
        Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(home.path("pages").join(name)).output()
    };
    for name in &names {
        let Ok(output) = format(name) else { return };
        assert!(output.status.success() && output.stderr.is_empty(), "{name}: {output:?}");
    }
}
