//! The commands of operators, as people type them: while a server runs, and while none does.

use std::process::{Command, Output, Stdio};
use std::sync::mpsc;

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, issue};
use super::policies::{URGENT_FIRST, candidate};

const KEY: &str = "a-key-for-tests";

/// Runs a command in the folder of a test.
pub fn run(home: &Home, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", home.root());
    command.envs(env.iter().copied()).current_dir(home.root()).args(args);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, (sender, ended)) = (child.id(), mpsc::channel());
    std::thread::spawn(move || sender.send(child.wait_with_output().unwrap()));
    ended.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        // A server that should have refused to start would be waited for until the end of days.
        let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        panic!("{args:?} did not end in time (killed: {killed:?})")
    })
}

/// What a command that went well printed.
#[track_caller]
pub fn told(home: &Home, args: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(home, args, env);
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{args:?}: {out}{err}");
    out
}

/// What a command that did not go well complained of.
#[track_caller]
pub fn complaint(home: &Home, args: &[&str], env: &[(&str, &str)]) -> String {
    let output = run(home, args, env);
    let (out, err) = texts(&output);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {out}{err}");
    err
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn home() -> Home {
    Home::new(&[issue("acme/small", 1, &[]), issue("acme/small", 2, &[])], "")
}

fn tokens(home: &Home, env: &[(&str, &str)]) -> Vec<Value> {
    serde_json::from_str(&told(home, &["token", "list", "--json"], env)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_while_no_server_runs_opens_one_and_ends_at_a_word() {
    let home = home();
    let env = [("API_KEY", KEY)];
    assert!(home.serve_with(&env).stop());
    let create = ["token", "create", "--agent", "a", "--scope", "claim", "--expires", "90d", "--label", "laptop"];
    let token = told(&home, &create, &env);
    assert!(
        token.starts_with("ic_") && token.ends_with('\n') && token.trim().len() == 67,
        "the token alone: {token:?}"
    );
    let token = token.trim();
    let before = tokens(&home, &env);
    assert_eq!((before.len(), &before[0]["agent_id"], &before[0]["live"]), (1, &json!("a"), &json!(true)));

    let server = home.serve_with(&env);
    let ask = async || {
        let request = server.client.get(format!("{}/api/claims", server.url)).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask().await, 200);
    // The server has the store now: the same commands go through it.
    assert_eq!(tokens(&home, &env), before);
    let second = told(&home, &["token", "create", "--scope", "read"], &env);
    assert_eq!(tokens(&home, &env).len(), 2);
    let id = before[0]["token_id"].as_str().unwrap();
    let line = told(&home, &["token", "revoke", id], &env);
    assert!(line.starts_with(id) && line.contains("revoked"), "{line}");
    assert_eq!(ask().await, 401, "at once");
    let as_reader = [("ISSUECOMMAND_TOKEN", second.trim())];
    let refused = complaint(&home, &["token", "list"], &as_reader);
    assert!(refused.contains("has scope read") && !refused.contains(second.trim()), "{refused}");
    let stranger = complaint(&home, &["token", "list"], &[("ISSUECOMMAND_TOKEN", "ic_0")]);
    assert!(stranger.contains("does not know the key"), "{stranger}");
    assert!(server.stop());
    assert_eq!(tokens(&home, &env).iter().filter(|token| token["live"] == true).count(), 1);
    let everything = std::fs::read(home.path("claims.db")).unwrap();
    let kept = |secret: &str| everything.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!kept(token) && !kept(second.trim()), "only hashes are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_of_operators_makes_a_second_database_beside_the_servers() {
    let home = Home::new(&[issue("acme/small", 1, &[])], &candidate("shadow", URGENT_FIRST));
    std::fs::create_dir(home.path("state")).unwrap();
    // The server has a variable that the shell of its operator has not.
    let server = home.serve_with(&[("SQLITE_PATH", "state/i.db")]);
    let commands: [&[&str]; 11] = [
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke", "01a1fcbe-4c87-73ec-a443-ac97a93b60d6"],
        &["export", "--output", "out.json"],
        &["approve", "acme/small#1"],
        &["release", "acme/small#1"],
        &["reassign", "acme/small#1", "--to", "b"],
        &["policy", "promote", "--note", "hi"],
        &["policy", "rollback"],
        &["policy", "rollback", "--list"],
        &["run", "acme/small#1", "--detach"],
    ];
    let file = std::fs::read(home.path("issuecommand.toml")).unwrap();
    for command in commands {
        let why = complaint(&home, command, &[]);
        assert!(why.contains("there is no database at ") && why.contains("claims.db: go to the folder"), "{why}");
        assert!(why.contains("and set SQLITE_PATH if the server has it"), "{why}");
    }
    assert!(complaint(&home, &["policy", "candidate"], &[]).contains("no server runs here"));
    assert!(told(&home, &["policy", "show"], &[]).contains("builtin:rules"), "it needs the configuration alone");
    let names = std::fs::read_dir(home.root()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let strays: Vec<String> = names.filter(|name| name.starts_with("claims.db") || name == "out.json").collect();
    assert!(strays.is_empty(), "{strays:?}");
    assert_eq!(std::fs::read(home.path("issuecommand.toml")).unwrap(), file);
    // With the same variable they find it.
    assert!(told(&home, &["token", "list", "--json"], &[("SQLITE_PATH", "state/i.db")]).contains("[]"));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_releases_and_reassigns_by_claim_or_by_issue() {
    let home = home();
    let server = home.serve();
    server.wait_for_backlog(2).await;
    let (_, first) = server.next("a").await;
    let (_, second) = server.next("a").await;
    let id = second["claim"]["claim_id"].as_str().unwrap();
    let number = first["claim"]["issue_number"].as_u64().unwrap();
    let named = format!("Acme/Small#{number}");
    let said = told(&home, &["release", &named, "--note", "stuck"], &[]);
    assert_eq!(said, format!("acme/small#{number} is free: taken back from a\n"));
    let said = told(&home, &["reassign", id, "--to", "b"], &[]);
    assert!(said.ends_with("is held by b\n"), "{said}");
    let claims = server.get("/api/claims").await;
    assert_eq!((claims["claims"].as_array().unwrap().len(), &claims["claims"][0]["agent_id"]), (1, &json!("b")));
    assert!(complaint(&home, &["release", &named], &[]).contains("nobody holds acme/small"));
    assert!(complaint(&home, &["release", "x"], &[]).contains("expected a claim id, or owner/repo#number"));
    assert!(server.stop());
    // Without a server the store itself is asked.
    assert!(told(&home, &["release", id], &[]).contains("taken back from b"));
    assert!(complaint(&home, &["release", id], &[]).contains("there is no active claim"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_with_its_address() {
    let home = home();
    let told = complaint(&home, &["token", "list", "--url", "http://127.0.0.1:1"], &[]);
    assert!(told.contains("failed to reach the server at http://127.0.0.1:1"), "{told}");
    let told = complaint(&home, &["token", "list", "--url", "https://box"], &[]);
    assert!(told.contains("expected http://host:port"), "{told}");
}

/// Files that no server would take: one is no TOML, behind what says where the store is; one has a wrong value.
const BROKEN: [&str; 2] = ["[policies.ranker\nsource = 1", "[leases]\ntimeout_minutes = \"soon\""];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_line_in_the_file_keeps_no_command_from_a_running_server() {
    for broken in BROKEN {
        let home = home();
        let server = home.serve();
        server.wait_for_backlog(2).await;
        assert_eq!(server.next("a").await.0, 200);
        home.configure(broken);
        server.wait_until("/api/health", |body| body["health"]["policies"]["rejected"].is_string()).await;
        let url = server.url.clone();
        let file = std::fs::read(home.path("issuecommand.toml")).unwrap();

        let questions: [&[&str]; 6] = [
            &["policy", "show"],
            &["policy", "explain", "acme/small#1"],
            &["policy", "explain", "--last"],
            &["policy", "candidate"],
            &["policy", "rollback", "--list"],
            &["token", "list"],
        ];
        for question in questions {
            // By its address nothing of the file is needed, and an open server asks for no token.
            let by_url = run(&home, &[question, &["--url", &url]].concat(), &[]);
            assert!(by_url.status.success(), "{question:?}: {by_url:?}");
            assert!(!texts(&by_url).1.contains("issuecommand.toml"), "{question:?}: {by_url:?}");
            let by_variable = run(&home, question, &[("ISSUECOMMAND_URL", &url)]);
            assert_eq!((by_variable.status.code(), &by_variable.stdout), (Some(0), &by_url.stdout), "{question:?}");
            // By the store as well, with one line about the file.
            let by_store = run(&home, question, &[]);
            assert_eq!((by_store.status.code(), &by_store.stdout), (Some(0), &by_url.stdout), "{by_store:?}");
            let told = texts(&by_store).1;
            let line = told.lines().next().unwrap_or_default();
            assert!(line.starts_with("issuecommand.toml:") && line.contains(&url), "{question:?}: {told}");
        }
        for command in [["policy", "rollback"], ["policy", "promote"]] {
            // It edits the file: nothing is asked of a server, not even of one that is not there.
            let told = complaint(&home, &[&command[..], &["--url", "http://127.0.0.1:1"]].concat(), &[]);
            assert!(told.contains("issuecommand.toml:") && told.contains("mend the file first"), "{told}");
        }
        assert_eq!(told(&home, &["release", "acme/small#1"], &[]), "acme/small#1 is free: taken back from a\n");
        assert_eq!(std::fs::read(home.path("issuecommand.toml")).unwrap(), file);

        assert!(server.stop());
        for command in [&["policy", "show"][..], &["release", "acme/small#1"], &["policy", "candidate"]] {
            let told = complaint(&home, command, &[]);
            assert!(told.contains("issuecommand.toml:") && told.contains("--url http://127.0.0.1:"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_does_not_say_which_server_is_meant_sends_no_command_to_another() {
    let home = home();
    let write = |name: &str, store: &str| {
        let text = format!("{store}[server]\nport = 0\n[github]\nissues_file = \"backlog.jsonl\"\n");
        std::fs::write(home.path(name), text).unwrap();
    };
    // The server of the default database, in the folder in which the commands are typed.
    write("issuecommand.toml", "");
    let server = home.serve();
    server.wait_for_backlog(2).await;
    assert_eq!(server.next("a").await.0, 200);
    write("number.toml", "[store]\npath = 5\n");
    write("slip.toml", "[stroe]\npath = \"theirs.db\"\n");
    write("cut.toml", "[store]\npath = \"theirs.db\n");
    write("theirs.toml", "[store]\npath = \"theirs.db\"\n[sync\n");
    let commands: [&[&str]; 5] = [
        &["token", "create", "--scope", "admin"],
        &["release", "acme/small#1"],
        &["approve", "acme/small#1"],
        &["policy", "show"],
        &["mcp"],
    ];
    for command in commands {
        for file in ["tpyo.toml", "number.toml", "slip.toml", "cut.toml", "theirs.toml"] {
            let output = run(&home, &[command, &["--config", file]].concat(), &[]);
            let (out, err) = texts(&output);
            assert_eq!((output.status.code(), out.as_str()), (Some(1), ""), "{command:?} {file}: {err}");
            assert!(err.contains(file), "{err}");
            if file != "theirs.toml" {
                assert!(err.contains("so it is not known which server is meant: mend that"), "{command:?}: {err}");
                assert_eq!(err.lines().count(), 1, "{err}");
            }
        }
    }
    assert_eq!(server.get("/api/claims").await["claims"].as_array().unwrap().len(), 1, "nobody took anything back");
    // Who names it has it.
    let by_url = ["token", "list", "--config", "tpyo.toml", "--url", &server.url];
    assert_eq!(told(&home, &by_url, &[]), told(&home, &["token", "list"], &[]));
    let by_database = [("SQLITE_PATH", "issuecommand.db")];
    assert!(told(&home, &["release", "acme/small#1", "--config", "number.toml"], &by_database).contains("is free"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_file_still_says_the_key_of_the_server_that_has_its_store() {
    let home = home();
    let write = |more: &str| {
        let text = format!(
            "[store]\npath = \"claims.db\"\n[github]\nissues_file = \"backlog.jsonl\"\n[server]\nport = 0\napi_key = \"{KEY}\"\n{more}"
        );
        std::fs::write(home.path("issuecommand.toml"), text).unwrap();
    };
    write("");
    let server = home.serve();
    write("trust_proxy = perhaps\n");
    let output = run(&home, &["policy", "show"], &[]);
    let (out, err) = texts(&output);
    assert!(output.status.success() && out.contains("builtin:rules"), "{out}{err}");
    assert!(!err.contains(KEY), "{err}");
    // Where there is no key to be read, the server says what it wants.
    std::fs::write(home.path("issuecommand.toml"), "[store]\npath = \"claims.db\"\n[server\n").unwrap();
    let refused = complaint(&home, &["policy", "show"], &[]);
    assert!(refused.contains("set API_KEY, or ISSUECOMMAND_TOKEN"), "{refused}");
    assert!(told(&home, &["policy", "show"], &[("ISSUECOMMAND_TOKEN", KEY)]).contains("builtin:rules"));
    drop(server);
}
