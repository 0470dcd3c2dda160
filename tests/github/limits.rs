//! Pauses, retries, timeouts and bounds.

use std::time::{Duration, Instant};

use issuecommand::github::{IssueSource, SourceError};
use issuecommand::store::SyncCursor;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wiremock::matchers::{any, method};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{config, get, issue, ok, request_count, row, small, source};

#[tokio::test]
async fn a_pause_holds_for_every_call_and_sends_nothing() {
    for refusal in [
        ResponseTemplate::new(429).insert_header("retry-after", "30"),
        ResponseTemplate::new(403).insert_header("retry-after", "30"),
        ResponseTemplate::new(403)
            .insert_header("x-ratelimit-remaining", "0")
            .insert_header("x-ratelimit-reset", "1588639830")
            .insert_header("date", "Tue, 05 May 2020 00:50:00 GMT"),
    ] {
        let server = MockServer::start().await;
        get("/repos/acme/small/issues").respond_with(refusal).mount(&server).await;
        Mock::given(any()).respond_with(ok(json!([]))).mount(&server).await;
        let source = source(&server);
        let first = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap_err();
        assert_eq!(first, SourceError::Paused { retry_after: Duration::from_secs(30) });
        let five = issue("acme/small#5");
        for error in [
            source.repo_list().await.unwrap_err(),
            source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap_err(),
            source.issue_get(&five).await.unwrap_err(),
            source.comment_list(&five).await.unwrap_err(),
            source.issue_close(&five).await.unwrap_err(),
        ] {
            let SourceError::Paused { retry_after } = error else { panic!("{error:?}") };
            assert!(retry_after <= Duration::from_secs(30) && retry_after > Duration::from_secs(20));
        }
        assert_eq!(request_count(&server).await, 1);
    }
}

#[tokio::test]
async fn the_answer_that_takes_the_last_of_the_budget_still_counts() {
    let server = MockServer::start().await;
    let last = ok(row(5, 1))
        .insert_header("x-ratelimit-remaining", "0")
        .insert_header("x-ratelimit-reset", "1588639830")
        .insert_header("date", "Tue, 05 May 2020 00:50:00 GMT");
    Mock::given(any()).respond_with(last).expect(1).mount(&server).await;
    let (source, five) = (source(&server), issue("acme/small#5"));
    assert!(source.issue_get(&five).await.unwrap().is_some());
    assert!(matches!(source.issue_get(&five).await, Err(SourceError::Paused { .. })));
}

#[tokio::test]
async fn a_read_that_failed_in_passing_is_tried_again() {
    for status in [502, 503, 504] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status)).up_to_n_times(2).expect(2).mount(&server).await;
        Mock::given(any()).respond_with(ok(row(5, 1))).expect(1).mount(&server).await;
        assert!(source(&server).issue_get(&issue("acme/small#5")).await.unwrap().is_some(), "{status}");
    }
}

#[tokio::test]
async fn a_read_is_given_up_after_three_attempts() {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(502)).expect(3).mount(&server).await;
    let error = source(&server).issue_get(&issue("acme/small#5")).await.unwrap_err();
    assert_eq!(error.to_string(), "could not read the issue acme/small#5: status 502 (3 attempts)");
}

#[tokio::test]
async fn a_write_is_sent_once_whatever_comes_back() {
    for status in [500, 502, 503, 504, 403, 422] {
        let server = MockServer::start().await;
        Mock::given(method("PATCH")).respond_with(ResponseTemplate::new(status)).expect(1).mount(&server).await;
        source(&server).issue_close(&issue("acme/small#5")).await.unwrap_err();
        assert_eq!(request_count(&server).await, 1, "{status}");
    }
}

#[tokio::test]
async fn refusals_are_not_repeated() {
    for status in [401, 403, 404, 422, 500] {
        let server = MockServer::start().await;
        Mock::given(any()).respond_with(ResponseTemplate::new(status)).expect(1).mount(&server).await;
        let error = source(&server).comment_list(&issue("acme/small#5")).await.unwrap_err();
        let as_expected = match status {
            404 => matches!(error, SourceError::NotFound { .. }),
            500 => matches!(error, SourceError::Unavailable { .. }),
            _ => matches!(error, SourceError::Denied { status: told, .. } if told == status),
        };
        assert!(as_expected, "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_in_time() {
    let server = MockServer::start().await;
    let slow = ok(json!({})).set_delay(Duration::from_secs(60));
    Mock::given(method("PATCH")).respond_with(slow).mount(&server).await;
    let began = Instant::now();
    let error = source(&server).issue_close(&issue("acme/small#5")).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(error.to_string(), "could not close the issue acme/small#5: no answer within 2 s");
}

/// Answers every connection with `text` and then leaves it open, or closes it.
async fn raw_server(text: &'static str, stays_open: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(text.as_bytes()).await;
            if stays_open {
                kept.push(stream);
            }
        }
    });
    url
}

async fn error_from(api_url: String) -> String {
    let server = MockServer::start().await;
    let config = issuecommand::config::GithubConfig { api_url, ..config(&server) };
    let source = crate::hand_made::source_of(&config).unwrap();
    source.issue_get(&issue("acme/small#5")).await.unwrap_err().to_string()
}

#[tokio::test]
async fn an_answer_that_stops_midway_is_left_in_time() {
    let url = raw_server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"number\":", true).await;
    let error = error_from(url).await;
    assert_eq!(error, "could not read the issue acme/small#5: the answer stopped for 1 s (3 attempts)");
}

#[tokio::test]
async fn a_broken_connection_says_so() {
    let error = error_from(raw_server("", false).await).await;
    assert!(error.contains("(3 attempts)") && error.contains("connection"), "{error}");
    let error = error_from("http://127.0.0.1:1".into()).await;
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut() {
    let server = MockServer::start().await;
    let endless = ResponseTemplate::new(200).set_body_bytes(vec![b' '; 33 * 1024 * 1024]);
    Mock::given(any()).respond_with(endless).expect(1).mount(&server).await;
    let error = source(&server).issue_get(&issue("acme/small#5")).await.unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}
