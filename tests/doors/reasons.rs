//! Why an issue was given out, or was not; why there was nothing; and the pages on which people look at it.

use issuecommand::config::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{KEY, Server, config, issue};

fn with_settings(settings: Value) -> Config {
    let mut config = config();
    config.policies.ranker.settings = settings.as_object().unwrap().clone();
    config
}

async fn explained(server: &Server, number: u64, more: &str) -> Value {
    let (status, body) = server.get(&format!("/api/explain?repo=acme/small&issue_number={number}{more}")).await;
    assert_eq!(status, 200, "{body}");
    body["explanation"].clone()
}

async fn next(server: &Server, agent: &str) -> (u16, Value) {
    server.post("/api/next", json!({ "agent_id": agent })).await
}

#[tokio::test]
async fn an_issue_on_offer_says_its_place_its_terms_and_what_it_would_take() {
    let settings = json!({ "tiers": [], "rules": [
        { "field": "label", "op": "is", "value": "bug", "weight": 10 },
        { "field": "label", "op": "is", "value": "docs", "weight": 2.5, "name": "documents" },
    ] });
    let backlog = [issue(1, &[]), issue(2, &["docs"]), issue(3, &["bug", "docs"]), issue(4, &[])];
    let server = Server::over(with_settings(settings), &backlog).await;

    let best = explained(&server, 3, "").await;
    assert_eq!((&best["standing"], &best["rank"], &best["ready_count"]), (&json!("on_offer"), &json!(1), &json!(4)));
    assert_eq!(best["why"], "the next to be given out, of 4 on offer");
    let second = explained(&server, 2, "").await;
    assert_eq!(second["why"], "2nd of 4 on offer; 10 points more would make it the next");
    assert_eq!((&second["score"], &second["points_missing"]), (&json!(2.5), &json!(10.0)));
    assert_eq!(second["reasons"], json!([{ "rule": "documents", "amount": 2.5 }]));
    assert_eq!(second["ranker"]["source"], "builtin:rules");
    let first: Vec<_> = second["first"].as_array().unwrap().iter().map(|row| row["number"].as_u64().unwrap()).collect();
    assert_eq!(first, [3, 2, 1, 4]);
    let last = explained(&server, 4, "").await;
    assert_eq!(last["why"], "4th of 4 on offer; 12.5 points more would make it the next");

    // The order of the explanation is the order in which agents get them.
    for number in [3, 2, 1, 4] {
        assert_eq!(explained(&server, number, "").await["rank"], 1);
        assert_eq!(next(&server, "a").await.1["issue"]["number"], number);
    }
}

#[tokio::test]
async fn an_issue_that_is_held_says_who_has_it_and_which_decision_gave_it_out() {
    let server = Server::over(config(), &[issue(1, &["p0"]), issue(2, &[])]).await;
    let (_, got) = next(&server, "a").await;
    let held = explained(&server, 1, "").await;
    assert_eq!(held["why"], "held by a since 2026-11-01 00:00 UTC (claimed)");
    assert_eq!(held["held_by"]["claim_id"], got["claim"]["claim_id"]);
    assert_eq!(held["given_out"]["decision_id"], got["claim"]["decision_id"]);
    assert_eq!((&held["given_out"]["agent_id"], &held["given_out"]["why"]), (&json!("a"), &got["why"]));
    let other = explained(&server, 2, "").await;
    assert_eq!((&other["rank"], &other["not_chosen"][0]["place"]), (&json!(1), &json!(2)));
    assert_eq!(other["not_chosen"][0]["decision"]["chosen"], "acme/small#1");
}

#[tokio::test]
async fn what_is_not_on_offer_says_why() {
    let settings = json!({ "skip": [{ "field": "label", "op": "is", "value": "wontfix" }] });
    let mut config = with_settings(settings);
    config.policies.repo_filter.settings = json!({ "allow": ["acme/*"] }).as_object().unwrap().clone();
    let elsewhere =
        json!({ "repo": "other/one", "number": 1, "title": "secret", "created_at": "2026-01-01T00:00:00Z" });
    let server = Server::over(config, &[issue(1, &["wontfix"]), issue(2, &[]), elsewhere]).await;
    let skipped = explained(&server, 1, "").await;
    assert_eq!(
        (&skipped["standing"], &skipped["why"]),
        (&json!("skipped"), &json!("skipped by the policy: label is wontfix"))
    );
    assert_eq!((skipped.get("score"), &skipped["skip_reasons"]), (None, &json!(["label is wontfix"])), "{skipped:#}");
    let unknown = explained(&server, 99, "").await;
    assert_eq!(unknown["standing"], "unknown");
    let (_, body) = server.get("/api/explain?repo=other/one&number=1").await;
    let not_admitted = &body["explanation"];
    assert_eq!(not_admitted["standing"], "not_admitted", "{body}");
    assert!(not_admitted["why"].as_str().unwrap().starts_with("its repository takes no part: "), "{body}");
    assert!(!body.to_string().contains("secret"), "nothing else is told of it: {body}");
    let (status, body) = server.get("/api/explain?repo=acme/small").await;
    assert_eq!((status, &body["error"]), (400, &json!("request_failed")));
    // Finished here, still open there.
    let (_, got) = next(&server, "a").await;
    let id = got["claim"]["claim_id"].as_str().unwrap();
    for step in ["in_progress", "pr_submitted", "pr_merged", "closed"] {
        let body = json!({ "agent_id": "a", "status": step, "pr_url": "https://github.com/acme/small/pull/9" });
        assert_eq!(server.patch(&format!("/api/claims/{id}"), body).await.0, 200);
    }
    assert_eq!(explained(&server, 2, "").await["standing"], "finished");
}

#[tokio::test]
async fn a_skipped_issue_tells_every_reason_of_every_stage_and_no_score() {
    let skip = |label: &str| json!({ "field": "label", "op": "is", "value": label });
    let mut config = with_settings(json!({
        "skip_blocked": true,
        "require_approval": true,
        "skip": [skip("wontfix"), skip("parked"), skip("other")],
        "rules": [{ "field": "label", "op": "is", "value": "wontfix", "weight": 5 }],
    }));
    let more = json!({ "name": "more", "role": "filter", "source": "builtin:rules", "settings": { "skip": [skip("parked")] } });
    config.policies.ranker.stage = vec![serde_json::from_value(more).unwrap()];
    let server = Server::over(config, &[issue(1, &["wontfix", "parked"]), issue(2, &["other"]), issue(3, &[])]).await;
    let told = explained(&server, 1, "").await;
    let waits = "rules: waits for a maintainer's approval";
    let reasons = [waits, "rules: label is wontfix", "rules: label is parked", "more: label is parked"];
    assert_eq!(told["skip_reasons"], json!(reasons), "{told:#}");
    assert_eq!(told["kept_back_because"], waits);
    let line = format!("skipped by the policy: {}; {}; {}; and 1 more", reasons[0], reasons[1], reasons[2]);
    assert_eq!(told["why"], line);
    assert_eq!((told.get("score"), told.get("reasons")), (None, None), "{told:#}");
    // What agents are told, and what is counted, stays one reason an issue.
    let (_, nothing) = next(&server, "a").await;
    assert_eq!(nothing["counts"]["skip_reasons"], json!([[waits, 3]]), "{nothing}");

    let (_, _, _, text) = page(&server, "/explain/acme/small/1", Some(KEY)).await;
    assert!(text.contains("<li>more: label is parked</li>"), "{text}");
    assert!(!text.contains("Its score") && !text.contains("<rect"), "a skipped issue has no score: {text}");
}

#[tokio::test]
async fn an_agent_at_its_cap_learns_so_and_it_is_recorded_once() {
    let server = Server::over(
        with_settings(json!({ "max_claims_per_agent": 1 })),
        &[issue(1, &[]), issue(2, &[]), issue(3, &[])],
    )
    .await;
    assert_eq!(next(&server, "a").await.0, 200);
    let for_a = explained(&server, 2, "&agent_id=a").await;
    assert_eq!(for_a["standing"], "passed_over", "{for_a}");
    let reason = for_a["kept_back_because"].as_str().unwrap().to_owned();
    assert_eq!(for_a["why"], format!("on offer, but not to a now: {reason}"));
    assert_eq!(explained(&server, 2, "&agent_id=b").await["standing"], "on_offer");

    let (status, told) = next(&server, "a").await;
    assert_eq!(status, 409);
    assert_eq!(told["why"], format!("3 open, 1 claimed, 2 skipped by policy ({reason})"));
    assert_eq!(told["counts"]["skip_reasons"], json!([[reason, 2]]));
    for _ in 0..5 {
        next(&server, "a").await;
    }
    let (_, body) = server.get("/api/decisions?agent_id=a").await;
    let decisions = body["decisions"].as_array().unwrap();
    assert_eq!(decisions.len(), 2, "the pick, and once that there was nothing: {body:#}");
    assert_eq!((&decisions[0]["why"], &decisions[0]["passed_over_count"]), (&told["why"], &json!(2)));
    assert!(decisions[0].get("chosen").is_none() && decisions[1]["chosen"] == "acme/small#1");
    server.pass(11);
    next(&server, "a").await;
    let (_, body) = server.get("/api/decisions?agent_id=a").await;
    assert_eq!(body["decisions"].as_array().unwrap().len(), 3, "after a while it is news again");
    let passed = explained(&server, 2, "").await;
    assert_eq!(passed["not_chosen"][0]["passed_over"], json!(reason));
}

#[tokio::test]
async fn nothing_for_you_always_says_why() {
    let server = Server::start(config()).await;
    assert_eq!(next(&server, "a").await.1["why"], "0 open");

    let mut planned = issue(3, &[]);
    planned["milestone"] = json!("v1");
    let mut both = issue(4, &["bug"]);
    both["milestone"] = json!("v1");
    let backlog = [issue(1, &["bug"]), issue(2, &["bug", "wontfix"]), planned, both];
    let settings = json!({ "skip": [{ "field": "label", "op": "is", "value": "wontfix" }] });
    let server = Server::over(with_settings(settings), &backlog).await;
    let ask = async |fields: Value| {
        let mut asked = json!({ "agent_id": "a" });
        asked.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        server.post("/api/next", asked.clone()).await.1
    };
    assert_eq!(ask(json!({ "label": "docs" })).await["why"], "0 open as asked for, 4 in all");
    assert_eq!(ask(json!({ "label": "wontfix" })).await["why"], "1 open, 1 skipped by policy (label is wontfix)");
    let one_of_both = json!({ "label": "bug", "milestone": "v1" });
    assert_eq!(ask(one_of_both.clone()).await["issue"]["number"], 4);
    assert_eq!(ask(one_of_both).await["why"], "1 open, 1 claimed", "of the issues that have both");
    let (_, body) = server.post("/api/next-work", json!({ "agent_id": "b", "label": "docs" })).await;
    assert_eq!(body["why"], "0 open as asked for, 4 in all");
    assert_eq!(ask(json!({})).await["issue"]["number"], 1);
    assert_eq!(ask(json!({})).await["issue"]["number"], 3);
    assert_eq!(ask(json!({})).await["why"], "4 open, 3 claimed, 1 skipped by policy (label is wontfix)");
    let (_, body) = server.get("/api/decisions?agent_id=a&limit=1").await;
    assert_eq!(body["decisions"][0]["nothing"]["skip_reasons"], json!([["label is wontfix", 1]]));
}

#[tokio::test]
async fn a_decision_is_told_whole_and_found_by_agent_repository_and_issue() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let (_, first) = next(&server, "a").await;
    next(&server, "b").await;
    let count = async |query: &str| {
        let (status, body) = server.get(&format!("/api/decisions{query}")).await;
        (status, body["decisions"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(count("").await, (200, 2));
    assert_eq!(count("?agent_id=b").await, (200, 1));
    assert_eq!(count("?repo=acme/small&number=2").await, (200, 2), "considered by both");
    assert_eq!(count("?repo=acme/small&number=1").await, (200, 1));
    assert_eq!(count("?repo=acme/none").await, (200, 0));
    assert_eq!(count("?limit=1").await, (200, 1));
    assert_eq!(count("?limit=0").await.0, 400);
    assert_eq!(count("?number=1").await.0, 400, "a number without a repository");
    let id = first["claim"]["decision_id"].as_str().unwrap();
    let (_, body) = server.get(&format!("/api/decisions/{id}")).await;
    let decision = &body["decision"];
    assert_eq!((&decision["chosen"], &decision["pages"][0]["row_count"]), (&json!("acme/small#1"), &json!(2)));
    assert_eq!(decision["considered"][1]["seen"]["place"], 1);
    let state = decision["considered"][1]["seen"]["facts"].as_str().unwrap();
    assert_eq!(body["states"][state]["facts"]["title"], "Issue 2", "with what the policy saw");
}

/// A page: its status, its headers of interest, and its text.
async fn page(server: &Server, path: &str, password: Option<&str>) -> (u16, Option<String>, Option<String>, String) {
    let request = server.bare(Method::GET, path);
    let request = if let Some(password) = password { request.basic_auth("me", Some(password)) } else { request };
    let response = request.send().await.unwrap();
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (asks, policy) = (header("www-authenticate"), header("content-security-policy"));
    (response.status().as_u16(), asks, policy, response.text().await.unwrap())
}

#[tokio::test]
async fn people_see_it_as_a_page_on_which_titles_are_text() {
    let mut evil = issue(1, &["p0", "<i>x"]);
    evil["title"] = json!("<script>alert(1)</script> & \"quotes\"");
    let settings = json!({ "rules": [{ "field": "label", "op": "is", "value": "<i>x", "weight": 3 }] });
    let server = Server::over(with_settings(settings), &[evil, issue(2, &[])]).await;
    let (status, _, policy, text) = page(&server, "/explain/acme/small/1", Some(KEY)).await;
    assert_eq!(status, 200);
    let policy = policy.unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(text.matches("<script").count(), 1, "the page's own: {text}");
    assert!(
        text.contains("<script type=\"module\" src=\"/assets/live.js?v=")
            && text.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; "),
        "{text}"
    );
    assert!(!text.contains("<i>x") && text.contains("<rect"), "{text}");
    assert!(text.contains("the next to be given out, of 2 on offer"), "{text}");

    let (_, got) = next(&server, "a").await;
    let decision = format!("/decisions/{}", got["claim"]["decision_id"].as_str().unwrap());
    let (status, _, _, text) = page(&server, &decision, Some(KEY)).await;
    assert_eq!(status, 200);
    assert!(text.contains("a got acme/small#1") && !text.contains("<i>x") && text.contains("&lt;i&gt;x"), "{text}");
    let (_, _, _, text) = page(&server, "/explain/acme/small/1?agent_id=b", Some(KEY)).await;
    assert!(text.contains("held by a since") && text.contains(&decision), "{text}");

    for (path, status) in [
        ("/explain/acme/small/0", 400),
        ("/explain/acme/small/x", 400),
        ("/decisions/x", 400),
        ("/decisions/00000000-0000-4000-8000-000000000000", 404),
    ] {
        let (found, _, policy, text) = page(&server, path, Some(KEY)).await;
        assert_eq!((found, policy.is_some()), (status, true), "{path}: {text}");
    }
}

#[tokio::test]
async fn people_are_told_that_no_decision_will_ever_be_recorded() {
    let mut config = config();
    config.store.decision_max_entries = 0;
    let server = Server::over(config, &[issue(1, &[])]).await;
    assert_eq!(next(&server, "a").await.0, 200);
    for path in ["/decisions", "/decisions?agent_id=a"] {
        let (_, _, _, text) = page(&server, path, Some(KEY)).await;
        assert!(text.contains("Decisions are not recorded: store.decision_max_entries is 0."), "{path}: {text}");
        assert!(!text.contains("No decision") && !text.contains("No such decision"), "{path}: {text}");
    }
    let (_, body) = server.get("/api/decisions").await;
    assert_eq!(body["is_recording"], false, "{body}");
}

#[tokio::test]
async fn people_see_the_last_decisions_and_narrow_them_as_programs_do() {
    let settings = json!({ "rules": [{ "field": "label", "op": "is", "value": "<i>x", "weight": 3 }] });
    let server = Server::over(with_settings(settings), &[issue(1, &["<i>x"]), issue(2, &[])]).await;
    let (status, _, policy, text) = page(&server, "/decisions", Some(KEY)).await;
    assert_eq!((status, policy.is_some()), (200, true));
    assert!(text.contains("No decision is recorded yet"), "{text}");

    let mut ids = Vec::new();
    for agent in ["<b>&a", "b", "c"] {
        let (_, got) = next(&server, agent).await;
        ids.push(got["claim"]["decision_id"].as_str().map(|id| format!("<a href=\"/decisions/{id}\">")));
    }
    let links = |text: &str| {
        let rows: Vec<&str> = text.split("<tr").collect();
        rows.iter().filter(|row| row.contains("<a href=\"/decisions/")).map(|row| (*row).to_owned()).collect::<Vec<_>>()
    };
    let shown = async |query: &str| {
        let (status, _, _, text) = page(&server, &format!("/decisions{query}"), Some(KEY)).await;
        assert_eq!(status, 200, "{query}: {text}");
        text
    };
    let all = shown("").await;
    let rows = links(&all);
    assert_eq!(rows.len(), 3, "{all}");
    assert!(rows[0].contains(">c</a>") && rows[0].contains("<td>nothing</td>"), "the newest first: {}", rows[0]);
    let (second, first) = (ids[1].as_deref().unwrap(), ids[0].as_deref().unwrap());
    assert!(rows[1].contains(second) && rows[1].contains("<a href=\"/explain/acme/small/2\">"), "{}", rows[1]);
    assert!(rows[2].contains(first) && rows[2].contains("label is &lt;i&gt;x +3"), "{}", rows[2]);
    assert!(rows[2].contains("<a href=\"/decisions?agent_id=%3Cb%3E%26a\">&lt;b&gt;&amp;a</a>"), "{}", rows[2]);
    assert!(!all.contains("<b>") && !all.contains("<i>"), "{all}");
    assert!(all.contains("<a href=\"/decisions\" aria-current=\"page\">Decisions</a>"), "{all}");

    for (query, count) in [
        ("?agent_id=b", 1),
        ("?agent_id=%3Cb%3E%26a", 1),
        ("?repo=acme/small", 2),
        ("?repo=acme/none", 0),
        ("?repo=acme/small&issue_number=1", 1),
        ("?repo=acme/small&issue_number=2", 2),
        ("?limit=1", 1),
    ] {
        let text = shown(query).await;
        assert_eq!(links(&text).len(), count, "{query}: {text}");
    }
    assert!(
        shown("?limit=1&agent_id=b").await.contains("<a href=\"/decisions?agent_id=b&amp;limit=5\">Show up to 5</a>")
    );
    assert!(shown("?agent_id=z").await.contains("No such decision is recorded"));
    let about = "<a href=\"/decisions?issue_number=2&amp;repo=acme%2Fsmall\">All decisions that considered it</a>";
    let (_, _, _, text) = page(&server, "/explain/acme/small/2", Some(KEY)).await;
    assert!(text.contains(about), "{text}");

    for (query, told) in [("?issue_number=1", "repo"), ("?limit=0", "expected 1 to 1000"), ("?colour=red", "colour")] {
        let (status, _, _, text) = page(&server, &format!("/decisions{query}"), Some(KEY)).await;
        assert!(status == 400 && text.contains(told), "{query} {status}: {text}");
    }
    let (status, asks, ..) = page(&server, "/decisions", None).await;
    assert_eq!((status, asks.as_deref()), (401, Some("Bearer")));
}

#[tokio::test]
async fn pages_say_in_words_where_scores_have_no_terms_and_which_terms_were_not_recorded() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let (_, _, _, text) = page(&server, "/explain/acme/small/1", Some(KEY)).await;
    assert!(text.contains("0, without a term") && text.contains("Each of them scores 0"), "{text}");
    assert!(!text.contains("What it saw") && !text.contains("<figure"), "nothing is drawn of nothing: {text}");

    let settings = json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": 10 }] });
    let bugs: Vec<Value> = (1..=6).map(|number| issue(number, &["bug"])).collect();
    let server = Server::over(with_settings(settings), &bugs).await;
    let (_, got) = next(&server, "a").await;
    let decision = format!("/decisions/{}", got["claim"]["decision_id"].as_str().unwrap());
    let (_, _, _, text) = page(&server, &decision, Some(KEY)).await;
    assert!(text.contains("The terms of a score are recorded of the first 3."), "{text}");
    assert_eq!(text.matches("terms not recorded").count(), 1, "one key for the grey bars: {text}");
}

#[tokio::test]
async fn only_pages_take_the_key_as_a_password() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let (status, asks, ..) = page(&server, "/explain/acme/small/1", None).await;
    assert_eq!(status, 401);
    assert_eq!(asks.as_deref(), Some("Bearer"), "the page asks, not the browser");
    assert_eq!(page(&server, "/explain/acme/small/1", Some("wrong")).await.0, 401);
    assert_eq!(page(&server, "/explain/acme/small/1", Some(KEY)).await.0, 200);
    let (status, asks, ..) = page(&server, "/api/health", Some(KEY)).await;
    assert_eq!((status, asks.as_deref()), (401, Some("Bearer")), "the API is for programs");
    let with_bearer = server.request(Method::GET, "/explain/acme/small/1").send().await.unwrap();
    assert_eq!(with_bearer.status(), 200);
}
