//! Files, the files of pull requests, and what reviewers and checks say of them.

use issuecommand::domain::{CiSignal, IssueNumber, Merged, PullRequest, PullSigns, PullState, ReviewSignal};
use issuecommand::github::{FileReading, IssueSource};
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{MockServer, ResponseTemplate};

use crate::hand_made::{at, get, issue, ok, request_count, small, source, with_next};

const OWNERS: &str = "/repos/acme/small/contents/.github/CODEOWNERS";
const SHA: &str = "0123456789abcdef0123456789abcdef01234567";

fn pull() -> PullRequest {
    PullRequest {
        repo: small(),
        number: IssueNumber::new(7).unwrap(),
        url: "https://github.com/acme/small/pull/7".into(),
        title: "Fix it".into(),
        body: String::new(),
        state: PullState::Open,
        merged: Merged::No,
        merged_at: None,
        draft: false,
        labels: Vec::new(),
        awaits: Vec::new(),
        head_branch: "fix".into(),
        head_sha: SHA.into(),
        author: "agent".into(),
        trusted: true,
        from_here: true,
        opened_at: at(0),
        updated_at: at(1),
    }
}

fn tagged(body: Value, etag: &str) -> ResponseTemplate {
    ok(body).insert_header("etag", etag)
}

#[tokio::test]
async fn a_file_is_read_once_and_then_asked_for_by_its_tag() {
    let server = MockServer::start().await;
    get(OWNERS)
        .and(header("if-none-match", "\"v1\""))
        .respond_with(ResponseTemplate::new(304))
        .with_priority(1)
        .mount(&server)
        .await;
    // GitHub breaks the coded text into lines.
    let file = json!({ "encoding": "base64", "content": "KiBAYW5u\nCg==\n" });
    get(OWNERS).respond_with(tagged(file, "\"v1\"")).mount(&server).await;
    let source = source(&server);
    let path = ".github/CODEOWNERS";
    let etag = Some("\"v1\"".to_owned());
    assert_eq!(
        source.file_get(&small(), path, None).await,
        Ok(FileReading::Found { text: "* @ann\n".into(), etag: etag.clone() })
    );
    assert_eq!(source.file_get(&small(), path, etag.as_deref()).await, Ok(FileReading::Unchanged));
    assert_eq!(source.file_get(&small(), "CODEOWNERS", None).await, Ok(FileReading::Absent));
}

#[tokio::test]
async fn the_files_of_a_pull_request_are_read_over_all_pages() {
    let server = MockServer::start().await;
    let files = "/repos/acme/small/pulls/7/files";
    get(files)
        .and(wiremock::matchers::query_param("page", "2"))
        .respond_with(ok(json!([{ "filename": "src/b.c" }])))
        .with_priority(1)
        .mount(&server)
        .await;
    let first = with_next(&server, json!([{ "filename": "src/a.c" }]), &format!("{files}?page=2"));
    get(files).respond_with(first).mount(&server).await;
    let source = source(&server);
    assert_eq!(source.pull_files(&issue("acme/small#7")).await, Ok(vec!["src/a.c".into(), "src/b.c".into()]));
    assert_eq!(source.pull_files(&issue("acme/small#8")).await, Ok(vec![]), "there is no such pull request");
}

#[tokio::test]
async fn signs_of_life_are_read_once_and_cost_nothing_where_nothing_changed() {
    let server = MockServer::start().await;
    let commit = format!("/repos/acme/small/commits/{SHA}");
    let answers = [
        ("/repos/acme/small/pulls/7/reviews".to_owned(), json!([{ "user": { "login": "ann" }, "state": "APPROVED" }])),
        (format!("{commit}/check-runs"), json!({ "check_runs": [{ "status": "completed", "conclusion": "success" }] })),
        (format!("{commit}/status"), json!({ "state": "failure", "total_count": 1 })),
        (format!("/repos/acme/small/git/commits/{SHA}"), json!({ "committer": { "date": at(5) } })),
    ];
    for (path, body) in answers {
        let unchanged = ResponseTemplate::new(304);
        get(&path).and(header("if-none-match", "\"v\"")).respond_with(unchanged).with_priority(1).mount(&server).await;
        get(&path).respond_with(tagged(body, "\"v\"")).mount(&server).await;
    }
    let source = source(&server);
    let expected = PullSigns { review: ReviewSignal::Approved, ci: CiSignal::Failure, committed_at: Some(at(5)) };
    assert_eq!(source.pull_signs(&pull()).await, Ok(Some(expected)));
    assert_eq!(source.pull_signs(&pull()).await, Ok(Some(expected)), "by the tags alone");
    assert_eq!(request_count(&server).await, 8);
}

#[tokio::test]
async fn a_token_that_may_not_see_checks_is_no_failure_and_a_strange_commit_is_never_asked_for() {
    let server = MockServer::start().await;
    get("/repos/acme/small/pulls/7/reviews").respond_with(ok(json!([]))).mount(&server).await;
    let source = source(&server);
    let unknown = PullSigns::default();
    assert_eq!(source.pull_signs(&pull()).await, Ok(Some(unknown)), "everything else is 404");
    let strange = PullRequest { head_sha: "../../../user".into(), ..pull() };
    let before = request_count(&server).await;
    assert_eq!(source.pull_signs(&strange).await, Ok(Some(unknown)));
    assert_eq!(request_count(&server).await, before + 1, "the reviews alone");
}
