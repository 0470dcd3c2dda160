//! What the server costs a model, in tokens of a real tokenizer: every word is paid for again and again.

use issuecommand::config::ToolProfile;
use rmcp::model::Tool;
use serde_json::{Value, json};
use tiktoken_rs::CoreBPE;

use crate::server::{Inside, config, issue};
use crate::tools::{body, client_of, client_shown};

/// Most tokens of `tools/list`, by profile.
const LIST_TOKENS_MAX: [(ToolProfile, usize); 3] =
    [(ToolProfile::Minimal, 365), (ToolProfile::Standard, 865), (ToolProfile::Full, 1450)];
/// Most tokens of `next_work` beyond the title, the text and the labels of the issue.
const NEXT_WORK_TOKENS_MAX: usize = 60;
/// Most tokens of the answer that there is no work.
const NOTHING_TOKENS_MAX: usize = 30;
/// Most tokens of the answer to a status update.
const UPDATE_TOKENS_MAX: usize = 45;
/// Most tokens of a run, and of one place in the queue, with a short title.
const RUN_TOKENS_MAX: usize = 90;
/// Most tokens of how dispatch stands, without runs under way.
const DISPATCH_STATUS_TOKENS_MAX: usize = 120;
/// Most tokens of all settings of dispatch.
const DISPATCH_CONFIG_TOKENS_MAX: usize = 800;

fn tokenizer() -> &'static CoreBPE {
    tiktoken_rs::o200k_base_singleton()
}

fn tokens(text: &str) -> usize {
    tokenizer().encode_ordinary(text).len()
}

fn tokens_of(value: &Value) -> usize {
    tokens(&value.to_string())
}

/// A tool as a model sees it.
fn seen(tool: &Tool) -> String {
    let (name, description) = (json!(tool.name), json!(tool.description));
    format!(r#"{{"name":{name},"description":{description},"inputSchema":{}}}"#, json!(tool.input_schema))
}

#[tokio::test]
async fn the_tools_of_each_profile_keep_to_their_budget() {
    let inside = Inside::open(&config(), &[]).await;
    for (profile, tokens_max) in LIST_TOKENS_MAX {
        let tools = client_shown(&inside.api, None, profile).await.client.list_all_tools().await.unwrap();
        let seen = format!("[{}]", tools.iter().map(seen).collect::<Vec<_>>().join(","));
        let spent = tokens(&seen);
        eprintln!("{profile}: {spent} of {tokens_max} tokens for {} tools", tools.len());
        assert!(spent <= tokens_max, "{profile} takes {spent} of {tokens_max} tokens: {seen}");
        let introduction = tokens(inside_instructions(&inside).await.as_str());
        assert!(introduction <= 90, "the instructions take {introduction} tokens");
    }
}

async fn inside_instructions(inside: &Inside) -> String {
    client_of(&inside.api, None).await.client.peer_info().unwrap().instructions.clone().unwrap()
}

#[tokio::test]
async fn what_is_told_of_dispatch_keeps_to_its_budgets() {
    let inside = Inside::open(&config(), &[issue(1, &[])]).await;
    let client = client_of(&inside.api, Some("claude-1")).await;
    let wish = json!({ "repo": "acme/small", "issue_number": 1 });
    for (tool, fields, tokens_max) in [
        ("commander_dispatch", wish, RUN_TOKENS_MAX),
        ("commander_queue", json!({}), RUN_TOKENS_MAX),
        ("commander_status", json!({}), DISPATCH_STATUS_TOKENS_MAX),
        ("commander_config", json!({}), DISPATCH_CONFIG_TOKENS_MAX),
    ] {
        let told = body(&client.call(tool, fields).await);
        let spent = tokens_of(&told);
        eprintln!("{tool}: {spent} of {tokens_max} tokens: {told}");
        assert!(spent <= tokens_max, "{tool}: {spent} tokens: {told}");
    }
}

#[tokio::test]
async fn work_and_progress_keep_to_their_budgets() {
    let body_text = "The login page stays blank in Safari 17 after the second redirect.";
    let backlog: Vec<Value> = [&["p0", "bug"][..], &["p1"], &["docs"], &[]]
        .into_iter()
        .zip(1..)
        .map(|(labels, number)| {
            let mut issue = issue(number, labels);
            issue["repo"] = json!("acme/web-shop-frontend");
            issue["number"] = json!(10_480 + number);
            issue["body"] = json!(body_text);
            issue
        })
        .collect();
    let inside = Inside::open(&config(), &backlog).await;
    let client = client_of(&inside.api, Some("claude-1")).await;
    for _ in &backlog {
        let work = body(&client.call("next_work", json!({})).await);
        let issue = &work["issue"];
        let labels = issue["labels"].as_array().map_or(&[][..], Vec::as_slice);
        let own =
            [&issue["title"], &issue["body"]].into_iter().chain(labels).map(|text| tokens(text.as_str().unwrap()));
        let beyond = tokens_of(&work) - own.sum::<usize>();
        eprintln!("next_work: {beyond} of {NEXT_WORK_TOKENS_MAX} tokens beyond the issue: {work}");
        assert!(beyond <= NEXT_WORK_TOKENS_MAX, "{beyond} tokens beyond the issue: {work}");
        for step in [
            json!({ "status": "in_progress" }),
            json!({ "status": "in_progress" }),
            json!({ "status": "pr_submitted", "pr_url": "https://github.com/acme/web-shop-frontend/pull/10999" }),
            json!({ "status": "pr_merged", "note": "after two rounds of review" }),
            json!({ "status": "closed" }),
        ] {
            let mut step = step;
            step["claim_id"] = work["claim"]["claim_id"].clone();
            let moved = body(&client.call("update_claim_status", step).await);
            assert_eq!(moved["ok"], true, "{moved}");
            let spent = tokens_of(&moved);
            eprintln!("update: {spent} of {UPDATE_TOKENS_MAX} tokens: {moved}");
            assert!(spent <= UPDATE_TOKENS_MAX, "{spent} tokens: {moved}");
        }
    }
    let nothing = body(&client.call("next_work", json!({})).await);
    eprintln!("nothing: {} of {NOTHING_TOKENS_MAX} tokens: {nothing}", tokens_of(&nothing));
    assert_eq!(nothing["ok"], false);
    assert!(tokens_of(&nothing) <= NOTHING_TOKENS_MAX, "{} tokens: {nothing}", tokens_of(&nothing));
    let empty = Inside::open(&config(), &[]).await;
    let nothing = body(&client_of(&empty.api, Some("claude-1")).await.call("next_work", json!({})).await);
    eprintln!("an empty queue: {} of {NOTHING_TOKENS_MAX} tokens: {nothing}", tokens_of(&nothing));
    assert!(tokens_of(&nothing) <= NOTHING_TOKENS_MAX, "{} tokens: {nothing}", tokens_of(&nothing));
}
