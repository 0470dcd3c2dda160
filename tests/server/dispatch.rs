//! The commands of dispatch, as people type them: while a server runs, and while none does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;

use issuecommand::claims::Index;
use issuecommand::config::StoreConfig;
use issuecommand::domain::{LogKind, LogLine, RunId};
use issuecommand::store::{RunLogStore, SqlStore};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::{complaint, run, told};
use super::harness::{Home, PATIENCE, Server, issue};

/// A folder with a few issues, whose server works on nothing: there is no such container runtime, and it is paused.
fn home() -> Home {
    let labels: [&[&str]; 3] = [&[], &["priority/critical"], &["priority/low"]];
    let issues: Vec<Value> =
        labels.iter().zip(1..).map(|(labels, number)| issue("acme/small", number, labels)).collect();
    Home::new(
        &issues,
        "[containers] # where agents run\nruntime = \"no-such-runtime\"\nmax_concurrent = 4 # as many as fit\n",
    )
}

async fn paused(home: &Home) -> Server {
    let server = home.serve();
    server.wait_for_backlog(3).await;
    told(home, &["pause", "--reason", "the model is down"], &[]);
    server
}

/// Queues an issue; the short id of its run, which is all that is printed.
fn detached(home: &Home, number: u64) -> String {
    let printed = told(home, &["run", &format!("Acme/Small#{number}"), "--detach"], &[]);
    assert!(printed.ends_with('\n') && printed.lines().count() == 1, "{printed}");
    printed.trim().to_owned()
}

fn as_json(home: &Home, args: &[&str]) -> Value {
    let text = told(home, &[args, &["--json"]].concat(), &[]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
}

/// The issues of the queue, first to last.
fn queued(home: &Home) -> Vec<String> {
    let queue = as_json(home, &["queue"]);
    queue["queue"].as_array().unwrap().iter().map(|row| row["issue"].as_str().unwrap().to_owned()).collect()
}

/// The columns of a table must begin where its head says.
fn is_aligned(table: &str) -> bool {
    let mut lines = table.lines();
    let head: Vec<char> = lines.next().unwrap().chars().collect();
    let begins = |line: &[char], at: usize| at == 0 || (line[at] != ' ' && line[at - 1] == ' ' && line[at - 2] == ' ');
    let columns: Vec<usize> = (2..head.len()).filter(|at| begins(&head, *at)).collect();
    assert!(columns.len() >= 4, "{table}");
    lines.filter(|line| line.contains('#')).all(|line| {
        let line: Vec<char> = line.chars().collect();
        columns.iter().all(|at| line.len() <= *at || line[at - 1] == ' ')
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_queued_shown_moved_and_cancelled_by_their_last_digits() {
    let home = home();
    let server = paused(&home).await;
    let runs = [detached(&home, 1), detached(&home, 2), detached(&home, 3)];
    assert_eq!(detached(&home, 1), runs[0], "asked for twice it is queued once");
    assert_eq!(queued(&home), ["acme/small#2", "acme/small#1", "acme/small#3"]);

    let table = told(&home, &["queue"], &[]);
    assert!(is_aligned(&table) && table.lines().count() == 5, "{table}");
    assert!(table.ends_with("PAUSED: the model is down (`issuecommand resume` goes on)\n"), "{table}");
    assert!(runs.iter().all(|run| table.contains(run)) && table.contains("critical"), "{table}");
    assert!(!table.contains('\u{1b}'), "colours are for terminals: {table:?}");
    for digits in [4, 8] {
        let last = &runs[2][runs[2].len() - digits..];
        told(&home, &["queue", "--move", last, "--to", "1"], &[]);
        assert_eq!(queued(&home)[0], "acme/small#3");
    }

    let status = told(&home, &["status"], &[]);
    assert!(
        status.contains("0 of 4 slots taken, 3 queued") && status.contains("PAUSED: the model is down"),
        "{status}"
    );
    assert!(status.contains("no-such-runtime"), "{status}");
    let status = as_json(&home, &["status"]);
    assert_eq!((&status["status"]["queued"], &status["status"]["paused"]), (&json!(3), &json!("the model is down")));
    assert_eq!(as_json(&home, &["run", "acme/small#1", "--detach"])["status"], "queued");

    let line = told(&home, &["cancel", &runs[1]], &[]);
    assert_eq!(line, format!("run {} on acme/small#2 is failed\n", runs[1]));
    let again = complaint(&home, &["cancel", &runs[1]], &[]);
    assert!(again.contains("is failed"), "{again}");
    let ended = told(&home, &["status", "--ended"], &[]);
    assert!(ended.contains(&runs[1]) && ended.contains("cancelled by"), "{ended}");
    let asks_nothing = complaint(&home, &["answer", &runs[0], "yes"], &[]);
    assert!(asks_nothing.contains("it asks nothing"), "{asks_nothing}");
    for args in [
        &["cancel", "ffffff"][..],
        &["logs", "ffffff"],
        &["answer", "ffffff", "x"],
        &["queue", "--move", "ffffff", "--to", "1"],
    ] {
        let unknown = complaint(&home, args, &[]);
        assert!(unknown.contains("ffffff") && unknown.contains("issuecommand status --ended"), "{args:?}: {unknown}");
    }
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_server_what_was_kept_is_shown_and_a_pause_holds_for_the_next_one() {
    let home = home();
    let server = paused(&home).await;
    let runs = [detached(&home, 1), detached(&home, 2)];
    let whole: RunId = server.get("/api/dispatch/runs").await["runs"][0]["id"].as_str().unwrap().parse().unwrap();
    assert!(server.stop());
    let kept = StoreConfig { path: home.path("claims.db"), ..StoreConfig::default() };
    let store = spawn_blocking(move || SqlStore::open(&kept, Index::empty()).unwrap()).await.unwrap();
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let lines = (1..=3).map(|line| (whole, LogLine::new(LogKind::Text, &format!("line {line}"), at)));
    store.run_log_append(lines.collect(), 1 << 20).await.unwrap();
    spawn_blocking(move || store.close()).await.unwrap();

    let shown = run(&home, &["status"], &[]);
    let (out, err) = (String::from_utf8(shown.stdout).unwrap(), String::from_utf8(shown.stderr).unwrap());
    assert!(
        shown.status.success() && out.contains("2 queued") && out.contains("PAUSED: the model is down"),
        "{out}{err}"
    );
    assert!(err.contains("no server runs") && err.contains("issuecommand serve"), "{err}");
    assert_eq!(queued(&home), ["acme/small#2", "acme/small#1"]);
    let lines = told(&home, &["logs", &whole.short(), "-n", "2"], &[]);
    assert!(!lines.contains("line 1") && lines.contains("line 2") && lines.contains("line 3"), "{lines}");
    for line in told(&home, &["logs", &whole.short(), "--json"], &[]).lines() {
        assert_eq!(serde_json::from_str::<Value>(line).unwrap()["kind"], "text");
    }
    for args in [&["cancel", &runs[0]][..], &["answer", &runs[0], "x"], &["run", "acme/small#3", "--detach"]] {
        let nobody = complaint(&home, args, &[]);
        assert!(nobody.contains("no server runs") && nobody.contains("issuecommand serve"), "{args:?}: {nobody}");
    }
    assert_eq!(told(&home, &["resume"], &[]), "resumed\n");
    assert!(!told(&home, &["status"], &[]).contains("PAUSED"));
    told(&home, &["pause", "--reason", "over night"], &[]);

    let server = home.serve();
    let health =
        server.wait_until("/api/health", |body| body["health"]["degraded"].to_string().contains("paused")).await;
    assert_eq!(health["health"]["degraded"], json!(["dispatch: paused: over night"]));
    assert_eq!(server.get("/api/dispatch").await["status"]["queued"], 2, "nothing was begun");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_on_standard_output_until_its_run_ends() {
    let home = home();
    let server = paused(&home).await;
    let run_id = detached(&home, 1);
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.env_clear().env("HOME", home.root()).current_dir(home.root()).args(["logs", "-f", &run_id]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    told(&home, &["cancel", &run_id], &[]);
    let (sender, ended) = mpsc::channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        let lines: Vec<String> = out.lines().map_while(Result::ok).collect();
        sender.send((child.wait_with_output().unwrap(), lines))
    });
    let (output, _) = ended.recv_timeout(PATIENCE).expect("it ends with the run");
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(err.contains("cancelled by"), "{err}");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_changed_at_the_door_is_in_force_and_in_the_file_with_its_comments() {
    let home = home();
    let server = paused(&home).await;
    let change = async |key: &str, value: &str| {
        server.send("PATCH", "/api/dispatch/config", json!({ "key": key, "value": value })).await
    };
    let (status, body) = change("containers.max_concurrent", "7").await;
    assert_eq!((status, &body["config"]), (200, &json!({ "containers.max_concurrent": 7 })), "{body}");
    assert_eq!(server.get("/api/dispatch").await["status"]["slots"], 7);
    let file = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let text = file();
    assert!(
        text.contains("max_concurrent = 7 # as many as fit") && text.contains("[containers] # where agents run"),
        "{text}"
    );
    // A key that the file did not have, in a table that it did not have.
    let (status, body) = change("dispatch.budget.day_usd_max", "5.5").await;
    assert_eq!((status, &body["config"]), (200, &json!({ "dispatch.budget.day_usd_max": 5.5 })), "{body}");
    // In another form than the one that is shown.
    for same in ["\"90m\"", "\"5400s\""] {
        let (status, body) = change("containers.task_timeout", same).await;
        assert_eq!((status, &body["config"]), (200, &json!({ "containers.task_timeout": "90m" })), "{body}");
    }
    let text = file();
    for (key, value) in
        [("containers.max_concurrent", "257"), ("containers.runtime", "\"host\""), ("containers.cpu_limit", "2")]
    {
        let (status, body) = change(key, value).await;
        assert_eq!((status, &body["reason"]), (409, &json!("config_refused")), "{body}");
        assert_eq!(file(), text, "{key}");
        let told = body["message"].as_str().unwrap();
        assert!(!told.contains(".tmp"), "{told}");
    }
    assert_eq!(
        server.get("/api/health").await["health"]["degraded"].as_array().map(Vec::len),
        Some(1),
        "only the pause"
    );
    assert!(server.stop());
    // What a variable says stands above the file.
    let server = home.serve_with(&[("ISSUECOMMAND_DISPATCH", "false")]);
    let wish = json!({ "key": "dispatch.enabled", "value": "true" });
    let (status, body) = server.send("PATCH", "/api/dispatch/config", wish).await;
    assert_eq!(status, 409, "{body}");
    assert!(body["message"].as_str().unwrap().contains("ISSUECOMMAND_DISPATCH"), "{body}");
    assert_eq!(file(), text);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_shall_dispatch_and_cannot_says_so_in_its_health() {
    let home = home();
    let server = home.serve_with(&[("ISSUECOMMAND_DISPATCH", "true")]);
    let degraded = |body: &Value| body["health"]["degraded"].to_string();
    let health = server.wait_until("/api/health", |body| degraded(body).contains("dispatch.containers: ")).await;
    assert!(degraded(&health).contains("no-such-runtime"), "{health}");
    assert!(server.stop());
}

#[test]
fn every_command_explains_itself_with_an_example() {
    let home = home();
    for command in ["run", "watch", "status", "queue", "logs", "pause", "cancel", "answer"] {
        let help = told(&home, &[command, "--help"], &[]);
        assert!(help.contains(&format!("issuecommand {command}")) && help.contains("Example"), "{help}");
    }
}

#[test]
fn a_check_of_the_configuration_tells_what_of_dispatch_will_not_work() {
    let home = home();
    let shown = told(&home, &["config", "check"], &[]);
    assert!(shown.contains("opencode by no-such-runtime, 4 at once"), "{shown}");
    assert!(shown.contains("warning: containers.runtime: there is no program \"no-such-runtime\" in PATH"), "{shown}");
    home.configure(
        "[dispatch]\nenabled = true\n[containers]\nruntime = \"host\"\n[secrets.variables]\nKEY = \"op://a/b/c\"",
    );
    let shown = as_json(&home, &["config", "check"]);
    let warnings = shown["warnings"].to_string();
    assert!(warnings.contains("WITHOUT ISOLATION") && warnings.contains("secrets.variables.KEY"), "{warnings}");
    home.configure("");
    assert_eq!(as_json(&home, &["config", "check"])["warnings"], json!([]), "who dispatches nothing hears nothing");
    home.configure("[dispatch]\nagent = \"opencod\"");
    assert!(complaint_of_check(&home).contains("there is no agent"));
    home.configure("[mcp]\nport = 3100");
    assert!(complaint_of_check(&home).contains("did you mean \"server.port\"?"));
}

fn complaint_of_check(home: &Home) -> String {
    let output = run(home, &["config", "check"], &[]);
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
