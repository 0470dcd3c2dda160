//! What strangers write in issues, and what agents say of themselves, where people read it: terminals, logs and pages.

use std::fs;

use serde_json::{Value, json};

use super::commands::{run, told};
use super::harness::{Home, PATIENCE, issue};

/// Sets a terminal's title, clears it, turns the direction of text, begins a line of its own, and is markup.
const EVIL: &str = "Fix\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt.exe\u{202c}\r\n2026-01-01T00:00:00Z  INFO forged: all is well\
    <script>alert(1)</script><img src=x onerror=alert(2)>\u{0}";
const KEY: &str = "the-key-of-this-test";

fn home() -> Home {
    let mut evil = issue("acme/small", 1, &["bug"]);
    evil["title"] = json!(EVIL);
    evil["body"] = json!(EVIL);
    evil["labels"] = json!(["bug", format!("area/{EVIL}")]);
    evil["author"] = json!(EVIL);
    let settings = format!(
        "[containers]\nruntime = \"no-such-runtime\"\n[log]\nlevel = \"debug\"\nfile = \"server.log\"\n[server]\napi_key = \"{KEY}\"\n"
    );
    let settings = settings.replace("[server]\n", "[server]\nport = 0\n");
    let home = Home::new(&[evil, issue("acme/small", 2, &[])], "");
    let text = format!(
        "{settings}[store]\npath = \"claims.db\"\n[github]\nissues_file = \"backlog.jsonl\"\n[rate_limits]\nenabled = false\n\
         [policies.ranker.settings]\nrules = [{{ field = \"label\", op = \"is\", value = \"bug\", weight = 5 }}]\n"
    );
    fs::write(home.path("issuecommand.toml"), text).unwrap();
    home
}

/// No sign that a terminal would obey, and no line that was not ours.
#[track_caller]
fn is_harmless(what: &str, text: &str) {
    let is_sign =
        |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(is_sign), "{what}: {text:?}");
    assert!(text.lines().all(|line| !line.starts_with("2026-01-01T00:00:00Z  INFO forged")), "{what}: {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_write_moves_no_terminal_forges_no_log_and_is_no_markup() {
    let home = home();
    let server = home.serve();
    let client = reqwest::Client::new();
    let call = async |method: &str, path: &str, body: Value| {
        let request = client.request(method.parse().unwrap(), format!("{}{path}", server.url)).bearer_auth(KEY);
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap()
    };
    let health = async || call("GET", "/api/health", Value::Null).await.json::<Value>().await.unwrap();
    let begun = std::time::Instant::now();
    while health().await["health"]["open_issues"] != 2 {
        assert!(begun.elapsed() < PATIENCE, "the backlog was not synced");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // What waits is shown with its title.
    told(&home, &["pause"], &[]);
    let queued = told(&home, &["run", "acme/small#1", "--detach"], &[]);
    let taken = call("POST", "/api/next", json!({ "agent_id": "a" })).await;
    let status = taken.status();
    let taken_claim = taken.json::<Value>().await.unwrap();
    assert_eq!(status, 200, "{taken_claim}");
    let evil_agent = call("POST", "/api/next", json!({ "agent_id": EVIL })).await;
    assert_eq!(evil_agent.status(), 400, "no name of an agent");
    is_harmless("an error", &evil_agent.text().await.unwrap());

    let commands: [&[&str]; 9] = [
        &["queue"],
        &["status", "--ended"],
        &["logs", queued.trim()],
        &["policy", "explain", "acme/small#1"],
        &["policy", "explain", "acme/small#2"],
        &["policy", "explain", "--last"],
        &["policy", "show"],
        &["policy", "candidate"],
        &["release", "acme/small#1", "--note", "take\u{1b}[2Jback"],
    ];
    let (mut shown, mut all) = (0, String::new());
    for command in commands {
        let output = run(&home, command, &[]);
        for text in [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()) {
            is_harmless(&command.join(" "), &text);
            shown += usize::from(text.contains("pwned"));
            all.push_str(&text);
        }
    }
    assert!(shown >= 2, "the title is shown by {shown} commands: {all}");

    let decision = call("GET", "/api/decisions", Value::Null).await.json::<Value>().await.unwrap();
    let decision = decision["decisions"][0]["decision_id"].as_str().unwrap().to_owned();
    let claim = format!("/claims/{}", taken_claim["claim"]["claim_id"].as_str().unwrap());
    let run = format!("/runs/{}", queued.trim());
    let decision = format!("/decisions/{decision}");
    for page in [
        "/",
        "/queue",
        "/agents",
        "/claims",
        "/claims?ended=1",
        &claim,
        "/runs",
        &run,
        "/explain/acme/small/1",
        "/explain/acme/small/2",
        "/decisions",
        &decision,
        "/policies",
        "/health",
    ] {
        let password = format!("Basic {}", base64(&format!("x:{KEY}")));
        let page_text =
            client.get(format!("{}{page}", server.url)).header("authorization", password).send().await.unwrap();
        assert_eq!(page_text.status(), 200, "{page}");
        let policy = page_text.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{page}: {policy}");
        let text = page_text.text().await.unwrap();
        assert!(text.matches("<script").count() == 1 && !text.contains("<img"), "its own only, {page}: {text}");
        // A page's line ends are spaces: they begin no line that a reader would see.
        is_harmless(page, &text.replace('\n', " "));
    }
    assert!(server.stop());
    let log = fs::read_to_string(home.path("server.log")).unwrap();
    is_harmless("the log", &log);
    assert!(log.contains("acme/small#1") && !log.contains(KEY), "{log}");
}

fn base64(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
