//! What the dispatcher does on GitHub, against the stand-in and against hand-made answers.

use std::path::Path;

use issuecommand::config::{GithubAppConfig, GithubConfig, Secret};
use issuecommand::dispatch::story::{self, Story, StoryState};
use issuecommand::domain::{IssueRef, RepoName};
use issuecommand::github::{CommentId, Credentials, Forge, GithubSource, Label, PullWish, SourceError};
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path, query_param};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

use crate::standin::{self, Standin};

const TOKEN: &str = "ghp_T0ken5ecret";
const BRANCH: &str = "agent/7";
const LABELS: [Label; 2] = [
    Label { name: "agent/running", color: "1d76db", description: "An agent works on it" },
    Label { name: "agent/done", color: "0e8a16", description: "An agent opened a pull request" },
];

fn forge_at(url: &str, token: &str) -> GithubSource {
    let config = GithubConfig {
        token: Secret::new(token),
        api_url: url.to_owned(),
        connect_timeout_seconds: 1,
        read_timeout_seconds: 1,
        use_gh_token: false,
        requests_per_minute_max: 0,
        ..GithubConfig::default()
    };
    GithubSource::new(&config, Credentials::of(&config, Path::new("")).unwrap()).unwrap()
}

fn forge(server: &MockServer) -> GithubSource {
    forge_at(&server.uri(), TOKEN)
}

fn small() -> RepoName {
    "acme/small".parse().unwrap()
}

fn issue() -> IssueRef {
    "acme/small#3".parse().unwrap()
}

fn wish(repo: &str) -> PullWish {
    PullWish {
        repo: repo.parse().unwrap(),
        branch: BRANCH.into(),
        base: "main".into(),
        title: "Mend the door".into(),
        body: "Closes #3".into(),
        draft: false,
    }
}

fn get(at: &str) -> MockBuilder {
    Mock::given(method("GET")).and(path(at))
}

fn post(at: &str) -> MockBuilder {
    Mock::given(method("POST")).and(path(at))
}

fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

fn pull(number: u64, state: &str, head_repo: &str) -> Value {
    let head = json!({ "ref": BRANCH, "repo": { "full_name": head_repo } });
    json!({ "number": number, "state": state, "html_url": format!("https://x/{number}"), "body": null, "head": head })
}

async fn who(server: &MockServer, login: &str) {
    get("/user").respond_with(ok(json!({ "login": login }))).mount(server).await;
}

#[tokio::test]
async fn git_is_told_the_address_the_branch_and_the_token_in_its_form() {
    let server = MockServer::start().await;
    let body = json!({ "clone_url": "https://github.example/acme/small.git", "default_branch": "trunk" });
    get("/repos/acme/small").respond_with(ok(body)).mount(&server).await;
    let remote = forge(&server).remote(&small()).await.unwrap();
    assert_eq!(
        (remote.url.as_str(), remote.default_branch.as_str()),
        ("https://github.example/acme/small.git", "trunk")
    );
    // x-access-token:ghp_T0ken5ecret
    let basic = "Basic eC1hY2Nlc3MtdG9rZW46Z2hwX1Qwa2VuNWVjcmV0";
    assert_eq!(remote.authorization.as_ref().unwrap().expose(), basic);
    assert!(!format!("{remote:?}").contains("eC1h"));
    assert_eq!(forge_at(&server.uri(), "").remote(&small()).await.unwrap().authorization, None);
}

#[tokio::test]
async fn a_pull_request_that_is_there_is_not_opened_again() {
    let server = MockServer::start().await;
    let rows = json!([pull(9, "open", "mallory/small"), pull(8, "open", "Acme/Small")]);
    let asked = get("/repos/acme/small/pulls").and(query_param("head", "acme:agent/7"));
    asked.respond_with(ok(rows)).mount(&server).await;
    post("/repos/acme/small/pulls").respond_with(ResponseTemplate::new(500)).expect(0).mount(&server).await;
    assert_eq!(forge(&server).pull_open(&wish("acme/small")).await.unwrap().number.get(), 8);
}

#[tokio::test]
async fn the_second_of_two_runs_finds_the_pull_request_of_the_first() {
    for refusal in [422, 502] {
        let server = MockServer::start().await;
        let list = || get("/repos/acme/small/pulls");
        list().respond_with(ok(json!([]))).up_to_n_times(1).mount(&server).await;
        list().respond_with(ok(json!([pull(8, "open", "acme/small")]))).mount(&server).await;
        let opened = post("/repos/acme/small/pulls").and(body_partial_json(json!({ "head": BRANCH, "base": "main" })));
        opened.respond_with(ResponseTemplate::new(refusal)).expect(1).mount(&server).await;
        let found = forge(&server).pull_open(&wish("acme/small")).await.unwrap();
        assert_eq!((found.number.get(), found.url.as_str(), found.is_open), (8, "https://x/8", true));
    }
}

#[tokio::test]
async fn a_pull_request_that_cannot_be_says_what_to_look_at() {
    let server = MockServer::start().await;
    get("/repos/acme/small/pulls").respond_with(ok(json!([]))).expect(2).mount(&server).await;
    post("/repos/acme/small/pulls").respond_with(ResponseTemplate::new(422)).expect(1).mount(&server).await;
    let error = forge(&server).pull_open(&wish("acme/small")).await.unwrap_err().to_string();
    assert!(error.contains("from agent/7 into main"), "{error}");
}

#[tokio::test]
async fn a_comment_or_pull_request_is_sent_once_even_when_no_answer_comes() {
    let server = MockServer::start().await;
    post("/repos/acme/small/issues/3/comments").respond_with(ResponseTemplate::new(502)).expect(1).mount(&server).await;
    let error = forge(&server).comment_create(&issue(), "Hello").await.unwrap_err();
    assert!(matches!(error, SourceError::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn nothing_is_sent_while_github_asks_for_a_pause() {
    let server = MockServer::start().await;
    let refusal = ResponseTemplate::new(403).insert_header("retry-after", "60");
    post("/repos/acme/small/issues/3/comments").respond_with(refusal).expect(1).mount(&server).await;
    let forge = forge(&server);
    for _ in 0..2 {
        let error = forge.comment_create(&issue(), "Hello").await.unwrap_err();
        assert!(matches!(error, SourceError::Paused { .. }), "{error:?}");
    }
    assert!(matches!(forge.label_change(&issue(), &["a"], &[]).await.unwrap_err(), SourceError::Paused { .. }));
    assert!(matches!(forge.remote(&small()).await.unwrap_err(), SourceError::Paused { .. }));
}

#[tokio::test]
async fn labels_are_listed_once_and_the_missing_one_is_made_once() {
    let server = MockServer::start().await;
    let rows = json!([{ "name": "Agent/Running" }, { "name": "bug" }]);
    get("/repos/acme/small/labels").respond_with(ok(rows)).expect(1).mount(&server).await;
    let made =
        post("/repos/acme/small/labels").and(body_partial_json(json!({ "name": "agent/done", "color": "0e8a16" })));
    // Somebody else made it meanwhile.
    made.respond_with(ResponseTemplate::new(422)).expect(1).mount(&server).await;
    let forge = forge(&server);
    for _ in 0..2 {
        forge.label_ensure(&small(), &LABELS).await.unwrap();
    }
}

#[tokio::test]
async fn labels_change_only_where_they_differ_and_one_that_is_gone_is_gone() {
    let server = MockServer::start().await;
    let at = "/repos/acme/small/issues/3/labels";
    get(at).respond_with(ok(json!([{ "name": "agent" }, { "name": "agent/running" }]))).mount(&server).await;
    let added = post(at).and(body_partial_json(json!({ "labels": ["agent/done"] })));
    added.respond_with(ok(json!([]))).expect(1).mount(&server).await;
    let removed = Mock::given(method("DELETE")).and(path("/repos/acme/small/issues/3/labels/agent%2Frunning"));
    removed.respond_with(ResponseTemplate::new(404)).expect(1).mount(&server).await;
    let forge = forge(&server);
    forge.label_change(&issue(), &["agent", "agent/done"], &["agent/running", "agent/waiting"]).await.unwrap();
    let error = forge.label_change(&"acme/small#4".parse().unwrap(), &["x"], &[]).await.unwrap_err();
    assert!(matches!(error, SourceError::NotFound { .. }), "{error:?}");
}

fn comment(id: u64, login: &str, body: &str) -> Value {
    json!({ "id": id, "user": { "login": login, "type": "User" }, "author_association": "MEMBER", "body": body,
            "created_at": "2020-05-05T10:00:00Z" })
}

#[tokio::test]
async fn a_marker_that_somebody_else_copied_is_not_our_comment() {
    let server = MockServer::start().await;
    who(&server, "dispatcher").await;
    let marker = "<!-- issuecommand:run 7 -->";
    let rows = json!([comment(1, "mallory", marker), comment(2, "Dispatcher", marker), comment(3, "dispatcher", "x")]);
    get("/repos/acme/small/issues/3/comments").respond_with(ok(rows)).mount(&server).await;
    let forge = forge(&server);
    assert_eq!(forge.comment_find(&issue(), marker).await.unwrap(), Some(CommentId(2)));
    assert_eq!(forge.comment_find(&issue(), "<!-- issuecommand:run 8 -->").await.unwrap(), None);
}

#[tokio::test]
async fn where_the_account_cannot_be_known_the_marker_alone_counts() {
    let server = MockServer::start().await;
    get("/user").respond_with(ResponseTemplate::new(403)).expect(1).mount(&server).await;
    let rows = json!([comment(1, "someone", "<!-- issuecommand:run 7 -->")]);
    get("/repos/acme/small/issues/3/comments").respond_with(ok(rows)).mount(&server).await;
    let forge = forge(&server);
    for _ in 0..2 {
        assert!(forge.comment_find(&issue(), "issuecommand:run 7").await.unwrap().is_some());
    }
}

#[tokio::test]
async fn replies_are_those_of_others_after_the_question_and_programs_are_marked() {
    let server = MockServer::start().await;
    who(&server, "ann").await;
    let mut bot = comment(13, "ci", "built");
    bot["user"]["type"] = json!("Bot");
    let rows = json!([
        comment(10, "bob", "before"),
        comment(11, "ann", "<!-- issuecommand:run 7 -->\nWhich one?"),
        bot,
        comment(12, "ann", "The second one."),
        comment(14, "ann", "<!-- issuecommand:run 8 -->\nWorking"),
        { "id": 15, "user": null, "body": null, "created_at": "2020-05-05T11:00:00Z" },
    ]);
    get("/repos/acme/small/issues/3/comments").respond_with(ok(rows)).mount(&server).await;
    let replies = forge(&server).reply_list(&issue(), CommentId(11)).await.unwrap();
    let told: Vec<_> = replies.iter().map(|it| (it.id.0, it.author.as_str(), it.is_bot, it.body.as_str())).collect();
    assert_eq!(told, [(12, "ann", false, "The second one."), (13, "ci", true, "built"), (15, "ghost", false, "")]);
    assert_eq!((replies[0].association.as_str(), replies[2].association.as_str()), ("MEMBER", ""));
}

#[tokio::test]
async fn a_long_conversation_is_read_from_the_question_on() {
    let server = MockServer::start().await;
    who(&server, "dispatcher").await;
    let at = "/repos/acme/small/issues/3/comments";
    let late = get(at).and(query_param("since", "2020-05-05T10:00:00Z"));
    late.respond_with(ok(json!([comment(500, "ann", "yes")]))).expect(1).mount(&server).await;
    let next = format!("<{}{at}?page=2>; rel=\"next\"", server.uri());
    let first = ok(json!([comment(1, "bob", "early")])).insert_header("link", next.as_str());
    get(at).respond_with(first).expect(1).mount(&server).await;
    get("/repos/acme/small/issues/comments/400").respond_with(ok(comment(400, "dispatcher", "?"))).mount(&server).await;
    let replies = forge(&server).reply_list(&issue(), CommentId(400)).await.unwrap();
    assert_eq!(replies.iter().map(|reply| reply.id.0).collect::<Vec<_>>(), [500]);
}

#[tokio::test]
async fn a_diff_is_asked_for_as_such_and_cut_where_it_is_too_long() {
    let server = MockServer::start().await;
    let asked = get("/repos/acme/small/pulls/3").and(header("accept", "application/vnd.github.diff"));
    let diff = format!("diff --git a/x b/x\n{}", "+more\n".repeat(100));
    asked.respond_with(ResponseTemplate::new(200).set_body_string(&diff)).mount(&server).await;
    let forge = forge(&server);
    assert_eq!(forge.pull_diff(&issue(), 10_000).await.unwrap(), diff);
    let short = forge.pull_diff(&issue(), 64).await.unwrap();
    assert!(short.len() <= 64 && short.starts_with("diff --git") && short.contains("cut here"), "{short}");
}

#[tokio::test]
async fn where_there_is_no_diff_the_files_tell_it() {
    for answer in [ResponseTemplate::new(406), ok(json!({ "number": 3 }))] {
        let server = MockServer::start().await;
        get("/repos/acme/small/pulls/3").respond_with(answer).mount(&server).await;
        let rows = json!([{ "filename": "a.rs", "status": "modified", "patch": "@@ -1 +1 @@\n-a\n+b" },
                          { "filename": "b.png", "status": "added" }]);
        get("/repos/acme/small/pulls/3/files").respond_with(ok(rows)).mount(&server).await;
        let diff = forge(&server).pull_diff(&issue(), 10_000).await.unwrap();
        assert!(diff.contains("a/a.rs b/a.rs") && diff.contains("+b\n") && diff.contains("b/b.png"), "{diff}");
    }
}

#[tokio::test]
async fn what_the_dispatcher_does_stands_on_a_github_that_nobody_here_wrote() {
    let Some(standin) = tokio::task::spawn_blocking(Standin::start).await.unwrap() else { return };
    standin.call("POST", "/user/repos", &json!({ "name": "gui", "auto_init": true })).await;
    standin.call("POST", "/repos/alice/gui/issues", &json!({ "title": "A door is stuck" })).await;
    let forge = forge_at(standin.url(), standin::TOKEN);
    let (repo, issue): (RepoName, IssueRef) = ("alice/gui".parse().unwrap(), "alice/gui#1".parse().unwrap());

    let remote = forge.remote(&repo).await.unwrap();
    assert!(remote.url.ends_with("gui.git") && remote.default_branch == "main", "{remote:?}");

    for _ in 0..2 {
        forge.label_ensure(&repo, &LABELS).await.unwrap();
        forge.label_change(&issue, &["agent/running"], &["agent/done"]).await.unwrap();
        forge.label_change(&issue, &["agent/done"], &["agent/running"]).await.unwrap();
    }
    let read = standin.call("GET", "/repos/alice/gui/issues/1", &Value::Null).await;
    assert_eq!(read["labels"].as_array().unwrap().len(), 1, "{read}");
    assert_eq!(read["labels"][0]["name"], "agent/done");

    let comment = forge.comment_create(&issue, "<!-- issuecommand:run 7 -->\nQueued").await.unwrap();
    forge.comment_edit(&issue, comment, "<!-- issuecommand:run 7 -->\nWorking").await.unwrap();
    assert_eq!(forge.comment_find(&issue, "<!-- issuecommand:run 7 -->").await.unwrap(), Some(comment));
    standin.call("POST", "/repos/alice/gui/issues/1/comments", &json!({ "body": "Take the left one" })).await;
    let replies = forge.reply_list(&issue, comment).await.unwrap();
    assert_eq!(replies.iter().map(|reply| reply.body.as_str()).collect::<Vec<_>>(), ["Take the left one"]);
    let gone = forge.comment_edit(&issue, CommentId(999_999), "x").await.unwrap_err();
    assert!(matches!(gone, SourceError::NotFound { .. }), "{gone:?}");

    let opened = forge.pull_open(&wish("alice/gui")).await.unwrap();
    assert_eq!(forge.pull_open(&wish("alice/gui")).await.unwrap(), opened);
    assert!(opened.is_open && opened.url.contains("/alice/gui/pull/"), "{opened:?}");
    assert_eq!(forge.pull_of_branch(&repo, BRANCH).await.unwrap().as_ref(), Some(&opened));
    let closed = format!("/repos/alice/gui/pulls/{}", opened.number);
    standin.call("PATCH", &closed, &json!({ "state": "closed" })).await;
    assert!(!forge.pull_of_branch(&repo, BRANCH).await.unwrap().unwrap().is_open);
    assert_eq!(forge.pull_of_branch(&repo, "agent/8").await.unwrap(), None);
}

/// An issue on the stand-in, and what the dispatcher tells there.
#[tokio::test]
async fn an_issue_has_one_comment_whatever_happens_to_it() {
    let Some(standin) = tokio::task::spawn_blocking(Standin::start).await.unwrap() else { return };
    standin.call("POST", "/user/repos", &json!({ "name": "gui" })).await;
    standin.call("POST", "/repos/alice/gui/issues", &json!({ "title": "A door is stuck" })).await;
    let forge = forge_at(standin.url(), standin::TOKEN);
    let issue: IssueRef = "alice/gui#1".parse().unwrap();
    let story = |state| Story { run: "r1", agent: "opencode", attempt: 1, state };
    let comments = || standin.call("GET", "/repos/alice/gui/issues/1/comments", &Value::Null);

    let queued = story(StoryState::Queued { position: 2 });
    let first = story::tell(&forge, &issue, None, &queued).await.unwrap();
    let done = story(StoryState::Done { pull_url: "https://x/1" });
    assert_eq!(story::tell(&forge, &issue, Some(first), &queued).await.unwrap(), first);
    // The server was killed before it noted the comment.
    assert_eq!(story::tell(&forge, &issue, None, &done).await.unwrap(), first);
    let rows = comments().await;
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert!(rows[0]["body"].as_str().unwrap().contains("https://x/1"), "{rows}");
    // Another run on the same issue goes on telling there.
    let other = Story { run: "r2", ..queued };
    assert_eq!(story::tell(&forge, &issue, None, &other).await.unwrap(), first);
}

#[tokio::test]
async fn a_comment_that_somebody_deleted_is_written_again() {
    let server = MockServer::start().await;
    let gone = Mock::given(method("PATCH")).and(path("/repos/acme/small/issues/comments/5"));
    gone.respond_with(ResponseTemplate::new(404)).expect(1).mount(&server).await;
    let made = post("/repos/acme/small/issues/3/comments");
    made.respond_with(ok(comment(6, "dispatcher", "x"))).expect(1).mount(&server).await;
    let story = Story { run: "r1", agent: "pi", attempt: 1, state: StoryState::Queued { position: 1 } };
    let told = story::tell(&forge(&server), &issue(), Some(CommentId(5)), &story).await.unwrap();
    assert_eq!(told, CommentId(6));
}

/// Made for tests; no app has it.
const APP_KEY: &str = include_str!("../github/throwaway-app-key.pem");

#[tokio::test]
async fn an_app_pushes_with_the_token_of_its_installation_and_knows_its_comments_by_its_id() {
    let server = MockServer::start().await;
    let installation = json!({ "id": 1, "account": { "login": "acme" }, "suspended_at": null });
    get("/app/installations").respond_with(ok(json!([installation]))).mount(&server).await;
    let token = json!({ "token": "ghs_inst", "expires_at": "2999-01-01T00:00:00Z" });
    let minted = post("/app/installations/1/access_tokens");
    minted.respond_with(ResponseTemplate::new(201).set_body_json(token)).expect(1).mount(&server).await;
    let with_token = |at: &str| get(at).and(header("authorization", "Bearer ghs_inst"));
    let body = json!({ "clone_url": "https://github.example/acme/small.git", "default_branch": "main" });
    with_token("/repos/acme/small").respond_with(ok(body)).mount(&server).await;
    let mut ours = comment(2, "dispatcher[bot]", "<!-- issuecommand:run 7 -->");
    ours["performed_via_github_app"] = json!({ "id": 4242 });
    let rows = json!([comment(1, "mallory", "<!-- issuecommand:run 7 -->"), ours, comment(3, "ann", "yes")]);
    with_token("/repos/acme/small/issues/3/comments").respond_with(ok(rows)).mount(&server).await;

    let app = GithubAppConfig { id: Some(4242), private_key: Secret::new(APP_KEY), ..GithubAppConfig::default() };
    let config = GithubConfig { app, api_url: server.uri(), requests_per_minute_max: 0, ..GithubConfig::default() };
    let forge = GithubSource::new(&config, Credentials::of(&config, Path::new("")).unwrap()).unwrap();
    let remote = forge.remote(&small()).await.unwrap();
    // x-access-token:ghs_inst
    assert_eq!(remote.authorization.unwrap().expose(), "Basic eC1hY2Nlc3MtdG9rZW46Z2hzX2luc3Q=");
    assert_eq!(forge.comment_find(&issue(), "issuecommand:run 7").await.unwrap(), Some(CommentId(2)));
    let replies = forge.reply_list(&issue(), CommentId(1)).await.unwrap();
    assert_eq!(replies.iter().map(|reply| reply.id.0).collect::<Vec<_>>(), [3]);
}
