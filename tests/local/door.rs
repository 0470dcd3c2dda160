//! The socket: who may come in, and how it is found.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::json;

use super::harness::{Client, Home, eventually, knock, signal};

#[test]
fn the_socket_is_its_owners_alone_in_a_folder_nobody_else_can_enter() {
    let home = Home::new(1, "");
    let _client = home.client("codex");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home.socket()), 0o600);
    assert_eq!(mode(home.socket().parent().unwrap()), 0o700);
}

#[test]
fn a_client_of_another_version_and_a_stranger_are_told_so_in_one_line() {
    let home = Home::new(1, "");
    let _client = home.client("codex");
    let reply = knock(&home.socket(), r#"{"issuecommand":7,"version":"9.9.9","agent":"codex"}"#).unwrap();
    assert_eq!((&reply["ok"], &reply["issuecommand"]), (&json!(false), &json!(1)));
    assert!(reply["error"].as_str().unwrap().contains("9.9.9"), "{reply}");
    let reply = knock(&home.socket(), r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#).unwrap();
    assert!(reply["error"].as_str().unwrap().contains("issuecommand mcp"), "{reply}");
}

#[test]
fn a_socket_left_by_a_dead_server_is_replaced_and_one_in_use_is_not() {
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let socket = shared.path().join("ic.sock");
    let homes = [Home::new(3, ""), Home::new(3, "")];
    let server = format!("port = 0\nsocket = {:?}", socket.to_str().unwrap());
    homes.iter().for_each(|home| home.configure(&server, ""));
    let first = || homes[0].server_on(&socket);

    let mut client = homes[0].client("codex");
    let pid = first().unwrap();
    let refused = homes[1].command(&["serve"]).stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("another server listens on"), "{why}");
    assert_eq!(first(), Some(pid));
    let mut stranger = Client::start(homes[1].command(&["mcp"]));
    let asked = stranger.ask_greeting("codex");
    let why = stranger.answer(asked)["error"]["message"].to_string();
    assert!(why.contains("server.socket of its own"), "{why}");

    signal(pid, "KILL");
    client.claim();
    assert_ne!(first(), Some(pid));
}

#[test]
fn serve_in_the_background_starts_one_server_and_says_where_it_is() {
    let home = Home::new(3, "");
    let say = || {
        let said = home.command(&["serve", "--background"]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        String::from_utf8(said.stdout).unwrap()
    };
    let (first, second) = (say(), say());
    let pid = format!("pid {}", home.server().unwrap());
    assert!(first.starts_with("started: http://127.0.0.1:") && first.contains(&pid), "{first}");
    assert!(second.starts_with("already there: ") && second.contains(&pid), "{second}");
    let mut client = Client::start(home.command(&["mcp"]));
    client.greet("codex");
    client.claim();
    home.assert_started(1);
}

#[test]
fn of_two_servers_that_begin_at_once_one_serves_and_the_other_finds_it() {
    let home = Home::new(3, "");
    // A port that both of them want, and nobody else.
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    home.configure(&format!("port = {port}"), "");
    for _ in 0..3 {
        let begin = || {
            let mut command = home.command(&["serve", "--background"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let both = [begin(), begin()].map(|child| child.wait_with_output().unwrap());
        let server = home.server().unwrap();
        for said in both {
            let told = String::from_utf8_lossy(&said.stdout);
            assert!(said.status.success() && told.contains(&format!("pid {server}")), "{said:?}");
        }
        let next = home.command(&["next", "--agent", "a", "--json"]).output().unwrap();
        assert!(matches!(next.status.code(), Some(0 | 3)), "{next:?}");
        signal(server, "TERM");
        eventually("its end", || home.server().is_none().then_some(()));
    }
}

#[test]
fn a_server_beside_another_is_refused_with_who_is_there_and_the_code_for_it() {
    let home = Home::new(3, "");
    let _client = home.client("codex");
    let pid = home.server().unwrap();
    let refused = home.command(&["serve"]).stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(75), "{why}");
    assert!(why.contains(&format!("pid {pid}, http://127.0.0.1:")) && why.contains("claims.db"), "{why}");
    let beside = home.command(&["serve", "--background", "--port", "4711"]).output().unwrap();
    let note = String::from_utf8_lossy(&beside.stderr).into_owned();
    assert!(beside.status.success() && note.contains("keeps its port"), "{note}");
}

#[test]
fn clients_of_a_database_whose_server_listens_elsewhere_are_soon_told_where_it_is() {
    let home = Home::new(3, "");
    let folder = home.path("run");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700)).unwrap();
    home.configure("port = 0\nsocket = \"run/ic.sock\"", "");
    let said = home.command(&["serve", "--background"]).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    let url = said.split_once("http://").unwrap().1.split(['/', ',', ' ', '\n']).next().unwrap().to_owned();

    home.configure("port = 0", "");
    let begun = std::time::Instant::now();
    let mut client = Client::start(home.command(&["mcp"]));
    let asked = client.ask_greeting("codex");
    let why = client.answer(asked)["error"]["message"].to_string();
    assert!(why.contains(&url) && why.contains("mcp.sock") && why.contains("claims.db"), "{url}: {why}");
    assert!(begun.elapsed().as_secs() < 40, "it took {:?}", begun.elapsed());
}

#[test]
fn a_socket_in_a_folder_that_others_enter_is_refused_before_the_database_is_made() {
    let home = Home::new(3, "");
    home.configure("port = 0\nsocket = \"ic.sock\"", "");
    let folder = home.config().parent().unwrap().to_owned();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
    for words in [&["config", "check"][..], &["serve"]] {
        let refused = home.command(words).stdin(Stdio::null()).output().unwrap();
        let why = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && why.contains("server.socket = \"run/mcp.sock\""), "{words:?}: {why}");
    }
    assert!(!home.path("claims.db").exists());
    home.configure("port = 0\nsocket = \"run/mcp.sock\"", "");
    assert!(home.command(&["config", "check"]).output().unwrap().status.success());
    home.client("codex").claim();
}

#[test]
fn what_cannot_be_opened_is_named_with_its_cause_once() {
    let home = Home::new(3, "");
    std::os::unix::fs::symlink("gone/claims.db", home.path("claims.db")).unwrap();
    let refused = home.command(&["serve"]).stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("a link that points to nothing") && why.contains("gone/claims.db"), "{why}");
    std::fs::remove_file(home.path("claims.db")).unwrap();
    let folder = home.config().parent().unwrap().to_owned();
    let refused = home.command(&["serve"]).env("LOG_FILE", folder).stdin(Stdio::null()).output().unwrap();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(why.contains("LOG_FILE") && why.matches("os error").count() == 1, "the cause once: {why}");
}

#[test]
fn a_folder_for_passing_files_that_cannot_be_used_costs_nothing() {
    let home = Home::new(3, "");
    let mut command = home.command(&["mcp"]);
    command.env("TMPDIR", "/nonexistent");
    let mut client = Client::start(command);
    client.greet("codex");
    client.claim();
}

#[test]
fn a_database_deep_in_the_file_system_has_a_socket_all_the_same() {
    let deep = tempfile::tempdir().unwrap();
    let folder = deep.path().join("x".repeat(150));
    std::fs::create_dir(&folder).unwrap();
    let home = Home::new(3, "");
    let config = std::fs::read_to_string(home.config()).unwrap();
    let database = format!("path = {:?}", folder.join("claims.db").to_str().unwrap());
    std::fs::write(home.config(), config.replace("path = \"claims.db\"", &database)).unwrap();
    let mut clients = [home.client("codex"), home.client("codex")];
    assert_ne!(clients[0].claim(), clients[1].claim());

    // Its socket is outside of the test's folder: the server takes it away itself.
    let said = String::from_utf8(home.command(&["serve", "--background"]).output().unwrap().stdout).unwrap();
    let pid = said.split_once("pid ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok()).unwrap();
    signal(pid, "TERM");
    let log = folder.join("claims.db.run/server.log");
    eventually("its end", || std::fs::read_to_string(&log).unwrap().contains("stopped").then_some(()));
}
