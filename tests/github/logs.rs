//! What must never be told: the token, and GitHub's words.

use std::io::Write;
use std::sync::{Arc, Mutex};

use issuecommand::github::IssueSource;
use issuecommand::store::SyncCursor;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{TOKEN, issue, small, source};

const GITHUBS_WORDS: &str = "internal detail of a private repository";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn neither_errors_nor_logs_hold_the_token_or_githubs_words() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(log.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut told = String::new();
    for answer in [
        ResponseTemplate::new(403).set_body_json(json!({ "message": GITHUBS_WORDS })),
        ResponseTemplate::new(404).set_body_json(json!({ "message": GITHUBS_WORDS })),
        ResponseTemplate::new(500).set_body_string(GITHUBS_WORDS),
        ResponseTemplate::new(502).set_body_string(GITHUBS_WORDS),
        ResponseTemplate::new(200).set_body_json(json!([{ "number": GITHUBS_WORDS }])),
        ResponseTemplate::new(200).set_body_json(json!([{ "number": 1, "created_at": GITHUBS_WORDS }, { "number": 1, "created_at": "2020-01-01T00:00:00Z" }])),
        ResponseTemplate::new(200).set_body_string(GITHUBS_WORDS),
    ] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(answer).mount(&server).await;
        let source = source(&server);
        let five = issue("acme/small#5");
        told += &format!("{:?} {source:?}", source.issue_page(&small(), &SyncCursor::default(), None).await.map(drop));
        told += &format!("{:?}", source.issue_get(&five).await.map(drop));
        told += &format!("{:?}", source.repo_list().await.map(drop));
        told += &format!("{:?}", source.issue_close(&five).await);
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("attempt 1") && told.contains("Denied"), "the test hears nothing: {logged} {told}");
    for secret in [TOKEN, GITHUBS_WORDS] {
        assert!(!told.contains(secret), "{told}");
        assert!(!logged.contains(secret), "{logged}");
    }
}
