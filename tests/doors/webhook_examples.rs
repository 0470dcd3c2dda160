//! Every example payload that GitHub publishes (as packed by `@octokit/webhooks-examples`), signed and
//! sent as GitHub would.
//!
//! They hold no `issues.closed` and no review that requests changes; those are made by hand in
//! `deliveries.rs`. What is not proven: that GitHub still sends what it published.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::Value;

use crate::deliveries::{HOOK, SECRET, configured, signature};
use crate::server::{DEADLINE, Server, issue, sent};
use crate::standin;

/// How many there are in the version that is installed.
const EXAMPLE_COUNT: usize = 329;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_published_example_gets_a_proper_answer_and_none_with_a_wrong_signature() {
    let Some(packages) = standin::packages() else { return };
    let file = packages.join("@octokit/webhooks-examples/api.github.com/index.json");
    let events: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let mut config = configured();
    // The examples are of one repository; with it allowed they go all the way.
    config.policies.repo_filter.settings.insert("allow".into(), serde_json::json!(["acme/*", "codertocat/*"]));
    let mut of_theirs = issue(1, &[]);
    of_theirs["repo"] = "codertocat/hello-world".into();
    let server = Server::over(config, &[issue(1, &[]), of_theirs]).await;

    let mut answers: BTreeMap<String, usize> = BTreeMap::new();
    let mut count = 0;
    for event in &events {
        let name = event["name"].as_str().unwrap();
        for payload in event["examples"].as_array().unwrap() {
            count += 1;
            let body = payload.to_string();
            let ask = |secret: &str| {
                let request = server
                    .bare(Method::POST, HOOK)
                    .timeout(DEADLINE)
                    .header("content-type", "application/json")
                    .header("x-github-event", name)
                    .header("x-github-delivery", format!("example-{count}"))
                    .header("x-hub-signature-256", signature(secret, body.as_bytes()));
                sent(request.body(body.clone()))
            };
            let (status, answer) = ask("a-wrong-secret").await;
            assert_eq!((status, &answer["reason"]), (401, &Value::from("invalid_signature")), "{name}: {answer}");
            let (status, answer) = ask(SECRET).await;
            assert_eq!((status, &answer["ok"]), (202, &Value::from(true)), "{name}: {answer}\n{body}");
            let kind = if answer["processed"] == true { "processed" } else { "ignored" };
            assert!(kind == "processed" || answer["reason"].is_string(), "{name}: {answer}");
            *answers.entry(format!("{kind} {name}")).or_default() += 1;
            assert_eq!(ask(SECRET).await.1["duplicate"], true, "{name}");
        }
    }
    assert_eq!(count, EXAMPLE_COUNT);
    // Its comments are all below issues, not pull requests.
    for name in ["issues", "pull_request", "pull_request_review_comment"] {
        assert!(answers.contains_key(&format!("processed {name}")), "none of {name} was processed: {answers:#?}");
    }
}
