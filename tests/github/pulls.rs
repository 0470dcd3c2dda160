//! Pull requests and the feedback on them, read back after lost webhooks.

use std::sync::Arc;

use issuecommand::domain::{FeedbackKind, Merged, PullRequest, PullState, RepoName};
use issuecommand::github::{FileSource, IssueSource};
use issuecommand::sync::{PullNews, PullReading, PullWatch};
use serde_json::{Value, json};
use wiremock::matchers::{header, query_param, query_param_is_missing};
use wiremock::{MockServer, ResponseTemplate};

use crate::hand_made::{at, get, issue, ok, request_count, small, source, with_next};
use crate::standin::Standin;
use crate::world::World;

const PULLS: &str = "/repos/acme/small/pulls";

/// A pull request as GitHub lists it, changed at `minute`.
fn pull_row(number: u64, minute: u32) -> Value {
    json!({
        "number": number, "title": format!("Pull {number}"), "body": "Fixes #1", "state": "open", "merged_at": null,
        "head": { "ref": format!("agent/{number}"), "sha": "abc" }, "user": { "login": "ann" },
        "html_url": format!("https://github.com/acme/small/pull/{number}"),
        "created_at": at(0), "updated_at": at(minute),
    })
}

fn comment(id: u64, minute: u32, login: &str) -> Value {
    json!({ "id": id, "user": { "login": login, "type": "User" }, "body": "Please", "created_at": at(minute) })
}

/// Mounts what was said on pull request 7.
async fn feedback_on_seven(server: &MockServer, reviews: Value, on_lines: Value, below: Value) {
    get(&format!("{PULLS}/7/reviews")).respond_with(ok(reviews)).mount(server).await;
    get(&format!("{PULLS}/7/comments")).respond_with(ok(on_lines)).mount(server).await;
    get("/repos/acme/small/issues/7/comments").respond_with(ok(below)).mount(server).await;
}

/// A world in which acme/small#1 was claimed at minute 2, and its watch.
async fn watched(server: &MockServer) -> (World, PullWatch) {
    let source = Arc::new(source(server));
    let world = World::new(Arc::clone(&source) as _);
    world.knows("acme/small#1").await;
    world.claim("acme/small#1").await;
    let watch = PullWatch::new(source, Arc::clone(&world.store));
    (world, watch)
}

async fn read(watch: &PullWatch) -> PullReading {
    watch.read(&[small()], |pull| pull.closing_refs().contains(&issue("acme/small#1"))).await.unwrap()
}

fn numbers(news: &[PullNews]) -> Vec<u64> {
    news.iter().map(|news| news.pull.number.get()).collect()
}

#[tokio::test]
async fn one_pull_request_is_read_with_whether_it_was_merged() {
    let server = MockServer::start().await;
    let mut merged = pull_row(7, 5);
    merged["state"] = json!("closed");
    merged["merged"] = json!(true);
    get(&format!("{PULLS}/7")).respond_with(ok(merged)).mount(&server).await;
    get(&format!("{PULLS}/8")).respond_with(ResponseTemplate::new(502)).mount(&server).await;
    let source = source(&server);
    let pull = source.pull_get(&issue("acme/small#7")).await.unwrap().unwrap();
    assert_eq!((pull.merged, pull.state, pull.head_branch.as_str()), (Merged::Yes, PullState::Closed, "agent/7"));
    assert_eq!(pull.closing_refs(), [issue("acme/small#1")]);
    assert_eq!(source.pull_get(&issue("acme/small#9")).await.unwrap(), None);
    source.pull_get(&issue("acme/small#8")).await.expect_err("unreachable is not 'no'");
}

#[tokio::test]
async fn feedback_of_all_three_kinds_is_read_oldest_first() {
    let server = MockServer::start().await;
    let review = |id, state, minute| json!({ "id": id, "user": { "login": "bob" }, "body": "No", "state": state, "submitted_at": at(minute), "commit_id": "abc" });
    let mut on_line = comment(3, 8, "renovate[bot]");
    on_line["path"] = json!("src/lib.rs");
    on_line["line"] = json!(12);
    let reviews =
        json!([review(1, "CHANGES_REQUESTED", 9), review(2, "APPROVED", 9), review(4, "changes_requested", 1)]);
    feedback_on_seven(&server, reviews, json!([on_line]), json!([comment(5, 7, "ann")])).await;
    get(&format!("{PULLS}/7")).respond_with(ok(pull_row(7, 9))).mount(&server).await;
    let source = source(&server);
    let pull = source.pull_get(&issue("acme/small#7")).await.unwrap().unwrap();
    let feedback = source.feedback_list(&pull, Some(at(5))).await.unwrap();
    let keys: Vec<_> = feedback.iter().map(|one| one.kind.source_key(one.id)).collect();
    assert_eq!(keys, ["issue_comment:5", "review_comment:3", "review:1"], "review 4 is older");
    assert_eq!(feedback[1].place, Some(("src/lib.rs".into(), Some(12))));
    assert!(feedback[1].by_bot && !feedback[0].by_bot);
    assert_eq!((feedback[2].kind, feedback[2].commit.as_deref()), (FeedbackKind::ReviewChangesRequested, Some("abc")));
    let asked = server.received_requests().await.unwrap();
    let since = asked.iter().filter(|request| request.url.query().unwrap_or("").contains("since=2020-05-05T00:05:00Z"));
    assert_eq!(since.count(), 2, "comments are filtered by GitHub");
}

#[tokio::test]
async fn news_come_until_they_are_kept_and_not_after() {
    let server = MockServer::start().await;
    let (world, watch) = watched(&server).await;
    let tagged = ok(json!([pull_row(7, 9), pull_row(6, 1)])).insert_header("etag", "\"p\"");
    get(PULLS).and(header("if-none-match", "\"p\"")).respond_with(ResponseTemplate::new(304)).mount(&server).await;
    get(PULLS).and(query_param("state", "all")).respond_with(tagged).mount(&server).await;
    feedback_on_seven(&server, json!([]), json!([]), json!([comment(5, 7, "ann")])).await;
    let first = read(&watch).await;
    assert_eq!(numbers(&first.news), [7], "6 last changed before the claim");
    assert_eq!(first.news[0].feedback[0].id, 5);
    assert_eq!(read(&watch).await.news, first.news, "nobody said that they were taken in");

    // A restart: another watch on the same store.
    let again = PullWatch::new(Arc::new(source(&server)), Arc::clone(&world.store));
    assert_eq!(read(&again).await.news, first.news);
    again.keep(&first).await.unwrap();
    let before = request_count(&server).await;
    let after = PullWatch::new(Arc::new(source(&server)), Arc::clone(&world.store));
    assert!(read(&after).await.news.is_empty());
    assert_eq!(request_count(&server).await, before + 1, "one conditional request");
}

#[tokio::test]
async fn a_failed_read_of_feedback_moves_nothing_and_fails_no_other_repository() {
    let server = MockServer::start().await;
    let (_world, watch) = watched(&server).await;
    get(PULLS).respond_with(ok(json!([pull_row(7, 9)]))).mount(&server).await;
    get("/repos/acme/other/pulls").respond_with(ok(json!([pull_row(3, 9)]))).mount(&server).await;
    get(&format!("{PULLS}/7/reviews")).respond_with(ResponseTemplate::new(500)).up_to_n_times(1).mount(&server).await;
    let repos: [RepoName; 2] = [small(), "acme/other".parse().unwrap()];
    let reading = watch.read(&repos, |_| true).await.unwrap();
    assert!(reading.news.is_empty(), "{reading:?}");
    assert_eq!(reading.failures.iter().map(|(repo, _)| repo.as_str()).collect::<Vec<_>>(), ["acme/small"]);
    watch.keep(&reading).await.unwrap();
    feedback_on_seven(&server, json!([]), json!([]), json!([comment(5, 7, "ann")])).await;
    let reading = watch.read(&repos, |_| true).await.unwrap();
    assert_eq!(numbers(&reading.news), [7]);
    assert_eq!(reading.news[0].feedback.len(), 1);
}

#[tokio::test]
async fn feedback_is_read_only_where_it_matters() {
    let server = MockServer::start().await;
    let (_world, watch) = watched(&server).await;
    let mut other = pull_row(7, 9);
    other["body"] = json!("Fixes #2");
    get(PULLS).respond_with(ok(json!([other]))).mount(&server).await;
    let reading = read(&watch).await;
    assert_eq!((numbers(&reading.news), request_count(&server).await), (vec![7], 1));
}

#[tokio::test]
async fn where_the_list_does_not_say_whether_it_was_merged_the_pull_request_is_read() {
    let server = MockServer::start().await;
    let (_world, watch) = watched(&server).await;
    let mut unsaid = pull_row(7, 9);
    unsaid["state"] = json!("closed");
    unsaid.as_object_mut().unwrap().remove("merged_at");
    get(PULLS).respond_with(ok(json!([unsaid]))).mount(&server).await;
    feedback_on_seven(&server, json!([]), json!([]), json!([])).await;
    let broken = ResponseTemplate::new(500);
    get(&format!("{PULLS}/7")).respond_with(broken).up_to_n_times(1).mount(&server).await;
    let reading = read(&watch).await;
    assert_eq!((reading.news.len(), reading.failures.len()), (0, 1), "not knowing is no news");
    unsaid["merged"] = json!(true);
    get(&format!("{PULLS}/7")).respond_with(ok(unsaid)).mount(&server).await;
    assert_eq!(read(&watch).await.news[0].pull.merged, Merged::Yes);
}

#[tokio::test]
async fn a_walk_over_pages_ends_at_what_is_known_and_names_each_once() {
    let server = MockServer::start().await;
    let (_world, watch) = watched(&server).await;
    let first = with_next(&server, json!([pull_row(9, 30), pull_row(8, 20)]), &format!("{PULLS}?page=2"));
    get(PULLS).and(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    let last =
        with_next(&server, json!([pull_row(8, 20), pull_row(7, 10), pull_row(6, 1)]), &format!("{PULLS}?page=3"));
    get(PULLS).and(query_param("page", "2")).respond_with(last).mount(&server).await;
    let reading = watch.read(&[small()], |_: &PullRequest| false).await.unwrap();
    assert_eq!(numbers(&reading.news), [9, 8, 7]);
}

#[tokio::test]
async fn a_file_has_no_pull_requests_and_says_so_without_an_error() {
    let source =
        FileSource::from_text(r#"{"repo":"acme/small","number":1,"created_at":"2020-05-05T00:00:00Z"}"#).unwrap();
    assert_eq!(source.pull_get(&issue("acme/small#7")).await.unwrap(), None);
    let world = World::new(Arc::new(source));
    let source = Arc::new(
        FileSource::from_text(r#"{"repo":"acme/small","number":1,"created_at":"2020-05-05T00:00:00Z"}"#).unwrap(),
    );
    let reading = PullWatch::new(source, Arc::clone(&world.store)).read(&[small()], |_| true).await.unwrap();
    assert!(reading.news.is_empty() && reading.failures.is_empty());
}

#[tokio::test]
async fn a_lost_review_is_found_by_reading_the_stand_in() {
    let Some(standin) = tokio::task::spawn_blocking(Standin::start).await.unwrap() else { return };
    let call = async |method: &str, path: &str, body: Value| standin.call(method, path, &body).await;
    call("POST", "/repos/alice/widget/issues", json!({ "title": "Broken" })).await;
    let main = call("GET", "/repos/alice/widget/git/ref/heads/main", Value::Null).await;
    let sha = main["object"]["sha"].clone();
    call("POST", "/repos/alice/widget/git/refs", json!({ "ref": "refs/heads/agent/1", "sha": sha })).await;
    let config = issuecommand::config::GithubConfig {
        token: issuecommand::config::Secret::new(crate::standin::TOKEN),
        api_url: standin.url().into(),
        ..issuecommand::config::GithubConfig::default()
    };
    let source = Arc::new(crate::hand_made::source_of(&config).unwrap());
    let world = World::new(Arc::clone(&source) as _);
    world.sync().await;
    world.claim("alice/widget#1").await;
    let pull = json!({ "title": "Mend", "head": "agent/1", "base": "main", "body": "Closes #1" });
    let number = call("POST", "/repos/alice/widget/pulls", pull).await["number"].as_u64().unwrap();
    let review = json!({ "event": "REQUEST_CHANGES", "body": "Not yet" });
    call("POST", &format!("/repos/alice/widget/pulls/{number}/reviews"), review).await;
    let below = json!({ "body": "And a test" });
    call("POST", &format!("/repos/alice/widget/issues/{number}/comments"), below).await;

    let watch = PullWatch::new(source, Arc::clone(&world.store));
    let repos = ["alice/widget".parse().unwrap()];
    let reading = watch.read(&repos, |pull| !pull.closing_refs().is_empty()).await.unwrap();
    assert_eq!((reading.news.len(), reading.failures.len()), (1, 0), "{reading:?}");
    let news = &reading.news[0];
    assert_eq!((news.pull.merged, news.pull.closing_refs()), (Merged::No, vec![issue("alice/widget#1")]));
    let kinds: Vec<_> = news.feedback.iter().map(|feedback| feedback.kind).collect();
    assert!(
        kinds.contains(&FeedbackKind::ReviewChangesRequested) && kinds.contains(&FeedbackKind::PrComment),
        "{kinds:?}"
    );
    watch.keep(&reading).await.unwrap();

    call("PUT", &format!("/repos/alice/widget/pulls/{number}/merge"), json!({})).await;
    let reading = watch.read(&repos, |_| true).await.unwrap();
    assert_eq!(reading.news[0].pull.merged, Merged::Yes);
}
