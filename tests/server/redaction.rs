//! That no log holds a secret, at whatever level, whichever way the secret came in and however it was used.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::harness::{Home, PATIENCE, Server};
use super::postgres::Postgres;

/// What must be nowhere. Each is of a kind of its own, so that what is found says whose it is.
const SECRETS: [(&str, &str); 4] = [
    ("API_KEY", "sesame-api-key"),
    ("GITHUB_TOKEN", "ghp_sesameGithubToken"),
    ("GITHUB_WEBHOOK_SECRET", "sesame-webhook-secret"),
    ("a key that is wrong", "sesame-wrong-key"),
];
const PASSWORD: &str = "sesame-password";

/// Asks a server in every way in which a secret comes along; the secrets that it made itself.
async fn use_secrets(server: &Server) -> Vec<String> {
    let send = async |method: &str, path: &str, key: &str, body: Value| {
        let request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.url));
        let request = request.bearer_auth(key).header("x-hub-signature-256", "sha256=00").json(&body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap_or_default())
    };
    let (key, wrong) = (SECRETS[0].1, SECRETS[3].1);
    let (status, made) = send("POST", "/api/admin/tokens", key, json!({ "scope": "claim", "agent_id": "a" })).await;
    assert_eq!(status, 200, "{made}");
    let token = made["token"].as_str().unwrap().to_owned();
    for key in [key, &token] {
        assert_ne!(send("POST", "/api/next", key, json!({})).await.0, 401);
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "get_my_claims", "arguments": { "agent_id": "a" } } });
        assert_ne!(send("POST", "/mcp", key, hello).await.0, 401);
    }
    assert_eq!(send("POST", "/api/next", wrong, json!({ "agent_id": "a" })).await.0, 401);
    assert_ne!(send("POST", "/api/webhooks/github", wrong, json!({ "zen": wrong })).await.0, 200);
    vec![token]
}

/// Everything that a server logs while it is asked, with all that it can tell.
async fn logged(github: &MockServer, more: &[(&str, &str)]) -> (String, Vec<String>) {
    let home = Home::new(&[], "");
    let config = "[server]\nport = 0\n[store]\npath = \"claims.db\"\n[log]\nlevel = \"trace,issuecommand::trace=trace,\
                  rmcp=trace,cranelift=info,wasmtime=info,regalloc2=info\"\nfile = \"it.log\"\nfile_bytes_max = \"0\"\n";
    std::fs::write(home.path("issuecommand.toml"), config).unwrap();
    // One of them from a file, as a service manager would hand it over.
    std::fs::write(home.path("token"), SECRETS[1].1).unwrap();
    let mut env = vec![("API_KEY", SECRETS[0].1), ("GITHUB_TOKEN_FILE", "token"), (SECRETS[2].0, SECRETS[2].1)];
    let uri = github.uri();
    env.push(("GITHUB_API_URL", &uri));
    env.extend(more);
    let server = home.serve_with(&env);
    let deadline = Instant::now() + PATIENCE;
    while github.received_requests().await.unwrap().is_empty() {
        assert!(Instant::now() < deadline, "GitHub never was asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let made = use_secrets(&server).await;
    assert!(server.stop());
    (std::fs::read_to_string(home.path("it.log")).unwrap(), made)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_log_holds_a_secret_at_any_level() {
    let github = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!([]))).mount(&github).await;
    let (log, made) = logged(&github, &[]).await;
    // It does tell much, of what carries requests too: else this would show nothing.
    assert!(log.contains(" TRACE ") && log.contains("hyper_util::client"), "{}", &log[..log.len().min(4000)]);
    for secret in SECRETS.iter().map(|(_, secret)| *secret).chain(made.iter().map(String::as_str)) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    assert!(!log.contains("sesame"), "part of one is too much");
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_the_password_of_a_database() {
    let database = tokio::task::spawn_blocking(|| Postgres::of_this_process().map(|server| server.database()));
    let Some(url) = database.await.unwrap() else { return };
    let github = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!([]))).mount(&github).await;
    let url = url.replace("postgres@", &format!("postgres:{PASSWORD}@"));
    let (log, _) = logged(&github, &[("DATABASE_URL", &url)]).await;
    assert_eq!(log.lines().find(|line| line.contains("sesame")), None);
}

#[test]
fn a_refused_configuration_does_not_quote_them() {
    let home = Home::new(&[], "");
    let mut command = home.command();
    command.env("API_KEY", "sesame key").env("DATABASE_URL", format!("mysql://me:{PASSWORD}@db/x"));
    command.env("GITHUB_TOKEN", "sesame\u{e9}").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(said.contains("API_KEY") && said.contains("DATABASE_URL") && said.contains("GITHUB_TOKEN"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
}
