//! The pages as a browser meets them: how one gets in and out, what one may do there, and who else may not.

use issuecommand::config::Secret;
use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::server::{KEY, Server, config, issue, narrow};

/// A browser with at most one cookie.
pub struct Browser<'s> {
    server: &'s Server,
    client: reqwest::Client,
    pub cookie: Option<String>,
}

impl<'s> Browser<'s> {
    pub fn new(server: &'s Server) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { server, client, cookie: None }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.server.base));
        match &self.cookie {
            Some(cookie) => request.header("cookie", format!("theme=dark; {cookie}; x=y")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let response = self.request(Method::GET, path).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends a form as a page of `origin` does.
    pub async fn post_from(&self, origin: Option<&str>, path: &str, form: &[(&str, &str)]) -> Response {
        let request = self.request(Method::POST, path);
        let request = if let Some(origin) = origin { request.header("origin", origin) } else { request };
        let form: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.join("&"));
        request.send().await.unwrap()
    }

    /// Sends a form as the server's own page does; where the browser is sent on to, and the status.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Option<String>, String) {
        let response = self.post_from(Some(&self.server.base), path, form).await;
        let next = response.headers().get("location").map(|next| next.to_str().unwrap().to_owned());
        (response.status().as_u16(), next, response.text().await.unwrap())
    }

    /// Logs in, and keeps the cookie.
    pub async fn log_in(&mut self, key: &str) -> String {
        let response = self.post_from(Some(&self.server.base), "/login", &[("key", key), ("next", "/queue")]).await;
        assert_eq!((response.status().as_u16(), &response.headers()["location"]), (303, &"/queue".parse().unwrap()));
        let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
        self.cookie = Some(cookie.split(';').next().unwrap().to_owned());
        cookie
    }
}

async fn token(server: &Server, scope: &str) -> (String, String) {
    let (status, made) = server.post("/api/admin/tokens", json!({ "scope": scope, "label": "a person" })).await;
    assert_eq!(status, 200, "{made}");
    (made["token"].as_str().unwrap().to_owned(), made["record"]["token_id"].as_str().unwrap().to_owned())
}

pub async fn claimed(server: &Server, agent: &str) -> Value {
    let (status, body) = server.post("/api/next", json!({ "agent_id": agent })).await;
    assert_eq!(status, 200, "{body}");
    body["claim"].clone()
}

const PAGES: [&str; 10] =
    ["/", "/queue", "/agents", "/claims", "/runs", "/decisions", "/policies", "/playground", "/replays", "/health"];

#[tokio::test]
async fn who_is_not_in_is_asked_in_and_sees_nothing() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let browser = Browser::new(&server);
    for path in PAGES.into_iter().chain(["/claims/x", "/explain/acme/small/1"]) {
        let (status, text) = browser.get(path).await;
        assert_eq!(status, 401, "{path}");
        assert!(text.contains("name=\"key\"") && text.contains(&format!("value=\"{path}\"")), "{path}: {text}");

        assert!(!text.contains("acme/small#1") && !text.contains("<nav"), "{path}: {text}");
    }
    for path in ["/claims/x/release", "/dispatch/pause", "/playground", "/policies/promote", "/replays", "/logout"] {
        let (status, _, text) = browser.post(path, &[]).await;
        assert!(status == 401 || path == "/logout" && status == 303, "{path} {status}: {text}");
    }
    let wrong = browser.post("/login", &[("key", "wrong"), ("next", "/queue")]).await;
    assert!(wrong.0 == 401 && wrong.2.contains("neither the key nor a token"), "{wrong:?}");
    let style = browser.request(Method::GET, "/assets/style.css").send().await.unwrap();
    assert_eq!(
        (style.status().as_u16(), &style.headers()["content-type"]),
        (200, &"text/css; charset=utf-8".parse().unwrap())
    );
    assert_eq!(browser.get("/assets/other.css").await.0, 404);
}

#[tokio::test]
async fn a_session_is_begun_by_the_key_and_ended_by_its_time_and_by_logging_out() {
    let server = Server::over(config(), &[issue(1, &["bug"])]).await;
    let mut browser = Browser::new(&server);
    let cookie = browser.log_in(KEY).await;
    assert!(cookie.contains("; HttpOnly; SameSite=Strict") && cookie.contains("; Path=/; Max-Age=43200"), "{cookie}");
    assert!(!cookie.contains(KEY) && !cookie.contains("Secure"), "{cookie}");
    for path in PAGES {
        let (status, text) = browser.get(path).await;
        assert!(status == 200 && text.contains("Log out") && text.contains("api key"), "{path} {status}: {text}");
    }
    assert!(browser.get("/queue").await.1.contains("acme/small#1"));
    let stream = browser.request(Method::GET, "/sse").send().await.unwrap();
    assert_eq!(stream.status(), 200, "pages follow events");
    drop(stream);
    for path in ["/api/claims", "/api/health", "/metrics"] {
        assert_eq!(browser.get(path).await.0, 401, "{path} is for programs, and takes no cookie");
    }

    let good = browser.cookie.clone().unwrap();
    let (name, value) = good.split_once('=').unwrap();
    let parts: Vec<&str> = value.split('.').collect();
    let longer = (parts[1].parse::<i64>().unwrap() + 1).to_string();
    let token_id = token(&server, "admin").await.1;
    for forged in [
        format!("{}.{longer}.{}", parts[0], parts[2]),
        format!("{token_id}.{}.{}", parts[1], parts[2]),
        format!("key.{}.", parts[1]),
        format!("key.{}.00", parts[1]),
        format!("key.{}", parts[1]),
        "key..".to_owned(),
        String::new(),
    ] {
        browser.cookie = Some(format!("{name}={forged}"));
        assert_eq!(browser.get("/").await.0, 401, "{forged}");
    }
    browser.cookie = Some(good);
    server.inside.clock.advance(chrono::TimeDelta::hours(12) - chrono::TimeDelta::seconds(1));
    assert_eq!(browser.get("/").await.0, 200);
    server.inside.clock.advance(chrono::TimeDelta::seconds(1));
    assert_eq!(browser.get("/").await.0, 401, "its time is over");
    let (status, text) = browser.get("/queue?repo=acme/small").await;
    assert!(status == 401 && text.contains("value=\"/queue?repo=acme/small\""), "where it was going: {text}");
    let next = browser.post("/login", &[("key", KEY), ("next", "%2Fqueue%3Frepo%3Dacme%2Fsmall")]).await.1;
    assert_eq!(next.as_deref(), Some("/queue?repo=acme/small"));
    let (status, _, text) = browser.post("/claims/x/release", &[]).await;
    assert!(status == 401 && text.contains("value=\"/\""), "nobody comes back to what was sent: {text}");

    browser.log_in(KEY).await;
    let out = browser.post_from(Some(&server.base), "/logout", &[]).await;
    assert_eq!((out.status().as_u16(), &out.headers()["location"]), (303, &"/login".parse().unwrap()));
    assert!(out.headers()["set-cookie"].to_str().unwrap().contains("=; Path=/; Max-Age=0"));
}

#[tokio::test]
async fn a_session_of_a_token_may_do_what_the_token_may_and_ends_with_it() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let claim = claimed(&server, "a").await;
    let at = format!("/claims/{}", claim["claim_id"].as_str().unwrap());
    let (secret, token_id) = token(&server, "read").await;
    let mut browser = Browser::new(&server);
    browser.log_in(&secret).await;
    let (status, text) = browser.get(&at).await;
    assert!(status == 200 && text.contains("acme/small#1") && text.contains("(a person)"), "{text}");
    assert!(!text.contains("Take it back"), "who may only look is offered nothing else: {text}");
    for (path, form) in [(format!("{at}/release"), &[][..]), ("/playground".to_owned(), &[("settings", "")][..])] {
        let (status, _, text) = browser.post(&path, form).await;
        assert!(status == 403 && text.contains("scope"), "{path} {status}: {text}");
    }
    assert_eq!(server.get("/api/claims").await.1["claims"][0]["status"], "claimed");
    assert_eq!(
        server.request(Method::DELETE, &format!("/api/admin/tokens/{token_id}")).send().await.unwrap().status(),
        200
    );
    assert_eq!(browser.get(&at).await.0, 401, "the token is revoked");
}

#[tokio::test]
async fn an_operator_takes_a_claim_back_and_gives_one_to_another() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let (first, second) = (claimed(&server, "a").await, claimed(&server, "b").await);
    let at = |claim: &Value, act: &str| format!("/claims/{}{act}", claim["claim_id"].as_str().unwrap());
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    assert!(browser.get(&at(&first, "")).await.1.contains("Take it back"));
    let done = browser.post(&at(&first, "/release"), &[("note", "stuck+since+noon")]).await;
    assert_eq!((done.0, done.1.as_deref()), (303, Some(at(&first, "").as_str())));
    let (_, text) = browser.get(&at(&first, "")).await;
    assert!(text.contains("stuck since noon") && text.contains("released") && !text.contains("Take it back"), "{text}");
    let done = browser.post(&at(&second, "/reassign"), &[("agent_id", "c"), ("note", "")]).await;
    assert_eq!(done.0, 303, "{}", done.2);
    let claims = server.get("/api/claims").await.1;
    assert_eq!((&claims["claims"][0]["agent_id"], claims["claims"].as_array().unwrap().len()), (&json!("c"), 1));
    for path in ["/explain/a/b/1?x=1", "/policies?x=1", "/claims/%FF", "/claims/x", "/?repo=a&repo=b"] {
        let (status, text) = browser.get(path).await;
        assert!((400..500).contains(&status) && text.contains("<h1>Not shown"), "{path} {status}: {text}");
    }
    let again = browser.post(&at(&first, "/release"), &[]).await;
    assert!(again.0 == 404 && again.2.contains("<h1>Not shown"), "{again:?}");
    assert!(browser.get("/claims?ended=1").await.1.contains("released"));
    assert!(browser.get("/agents").await.1.contains("<strong>c</strong>"));
}

#[tokio::test]
async fn no_other_site_can_have_a_browser_do_anything() {
    let mut open = config();
    open.server.api_key = Secret::default();
    for config in [config(), open] {
        let is_open = config.server.api_key.is_empty();
        let server = Server::over(config, &[issue(1, &[])]).await;
        let claim = if is_open {
            let response =
                server.bare(Method::POST, "/api/next").json(&json!({ "agent_id": "a" })).send().await.unwrap();
            response.json::<Value>().await.unwrap()["claim"].clone()
        } else {
            claimed(&server, "a").await
        };
        let release = format!("/claims/{}/release", claim["claim_id"].as_str().unwrap());
        let mut browser = Browser::new(&server);
        if !is_open {
            browser.log_in(KEY).await;
        }
        for origin in [None, Some("https://evil.example"), Some("null"), Some("http://127.0.0.1:1")] {
            let reassign = release.replace("/release", "/reassign");
            for path in [
                release.as_str(),
                &reassign,
                "/runs/x/cancel",
                "/runs/x/answer",
                "/dispatch/pause",
                "/dispatch/resume",
                "/playground",
                "/playground/candidate",
                "/playground/in-force",
                "/policies/promote",
                "/policies/give-up",
                "/policies/sets/1/roll-back",
                "/replays",
                "/logout",
                "/login",
            ] {
                let response = browser.post_from(origin, path, &[("key", KEY)]).await;
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                assert!(status == 403 && !headers.contains_key("set-cookie"), "{path} from {origin:?}: {status}");
            }
        }
        let (status, _, text) = browser.post(&release, &[]).await;
        assert_eq!(status, 303, "its own page may: {text}");
    }
}

#[tokio::test]
async fn forms_behind_a_proxy_that_puts_its_own_host_in_are_refused_with_what_to_do_and_taken_once_that_is_done() {
    let outside = "https://issues.example.org";
    let server = Server::over(config(), &[]).await;
    let browser = Browser::new(&server);
    for path in ["/login", "/logout", "/dispatch/pause"] {
        let response = browser.post_from(Some(outside), path, &[("key", KEY)]).await;
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert!(status == 403 && text.contains(&format!("a form of {outside} is not taken here")), "{path}: {text}");
        assert!(text.contains("pass Host on, or name the origin in server.allowed_origins"), "{path}: {text}");
        assert!(!text.contains("allowed_hosts") && !text.contains("set a key"), "{path}: {text}");
    }
    // One that passes it on, and a server that knows what browsers see.
    let log_in = async |server: &Server, host: Option<&str>| {
        let form = Browser::new(server).request(Method::POST, "/login").header("origin", outside);
        let form = if let Some(host) = host { form.header("host", host) } else { form };
        let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("key={KEY}"));
        form.send().await.unwrap().headers().contains_key("set-cookie")
    };
    assert!(log_in(&server, Some("issues.example.org")).await);
    let mut named = config();
    named.server.allowed_origins = vec![outside.into()];
    assert!(log_in(&Server::over(named, &[]).await, None).await);
}

#[tokio::test]
async fn an_issue_is_found_by_its_name_and_decisions_and_policies_are_narrowed_by_forms() {
    let mut composed = config();
    composed.policies =
        toml::from_str("[[override]]\nrepos = [\"acme/large\"]\nranker = { settings = { tiers = [] } }\n").unwrap();
    let large = json!({ "repo": "acme/large", "number": 7, "title": "L", "created_at": "2026-01-01T00:00:00Z" });
    let server = Server::over(composed, &[issue(1, &[]), large]).await;
    for agent in ["ann", "bob"] {
        claimed(&server, agent).await;
    }
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    for page in ["/queue", "/queue?first=200", "/explain", "/explain/acme/small/1"] {
        let (status, text) = browser.get(page).await;
        assert!(
            status == 200 && text.contains("action=\"/explain\"") && text.contains("name=\"issue\""),
            "{page}: {text}"
        );
    }
    let led = async |query: &str| {
        let response = browser.request(Method::GET, &format!("/explain?{query}")).send().await.unwrap();
        assert_eq!(response.status(), 303, "{query}");
        response.headers()["location"].to_str().unwrap().to_owned()
    };
    assert_eq!(led("issue=+Acme%2FSmall%231+&agent_id=").await, "/explain/acme/small/1");
    let at = led("issue=acme%2Fsmall%231&agent_id=%3Cb%3E%26x").await;
    assert_eq!(at, "/explain/acme/small/1?agent_id=%3Cb%3E%26x");
    let (status, text) = browser.get(&at).await;
    assert!(status == 200 && text.contains("For &lt;b&gt;&amp;x, ") && !text.contains("<b>&"), "{text}");
    assert_eq!(browser.get("/explain/acme/small/1?agent_id=").await.0, 200, "nobody in particular");
    for wrong in ["acme/small", "%23", "%3Cscript%3Ealert(1)%3C/script%3E", "//evil.example/a%231", "a/b%230"] {
        let (status, text) = browser.get(&format!("/explain?issue={wrong}")).await;
        assert!(status == 400 && text.contains("role=\"alert\"") && text.contains("acme/webshop#7"), "{wrong}: {text}");
        assert!(!text.contains("<script>alert"), "{text}");
    }

    let (_, all) = browser.get("/decisions?repo=&agent_id=&issue_number=").await;
    assert!(all.contains(">ann</a>") && all.contains(">bob</a>") && all.contains("action=\"/decisions\""), "{all}");
    let (_, of_ann) = browser.get("/decisions?repo=&agent_id=ann&issue_number=").await;
    assert!(of_ann.contains(">ann</a>") && !of_ann.contains(">bob</a>"), "{of_ann}");
    assert!(of_ann.contains("name=\"agent_id\" value=\"ann\""), "the form says what it shows: {of_ann}");
    let (status, text) = browser.get("/decisions?repo=other%2Fgone").await;
    assert!(status == 200 && text.contains("<option value=\"other/gone\" selected>"), "{text}");
    for wrong in ["issue_number=7", "repo=%3Cb%3E", "issue_number=x&repo=acme%2Fsmall"] {
        let (status, text) = browser.get(&format!("/decisions?{wrong}")).await;
        assert!(status == 400 && text.contains("role=\"alert\"") && !text.contains("<b>"), "{wrong} {status}: {text}");
    }

    let (_, all) = browser.get("/policies?repo=&agent_id=").await;
    assert!(all.contains("an override for repositories acme/large") && all.contains("action=\"/policies\""), "{all}");
    let (_, large) = browser.get("/policies?repo=acme%2Flarge&agent_id=").await;
    assert!(large.contains("By an override for repositories acme/large"), "{large}");
    assert!(large.contains("<option value=\"acme/large\" selected>"), "{large}");
    let (status, text) = browser.get("/policies?repo=%22%3E%3Cb%3E").await;
    assert!(status == 400 && text.contains("<h1>Not shown") && !text.contains("<b>"), "{status}: {text}");
}

#[tokio::test]
async fn what_cannot_be_meant_stands_in_its_form_again_with_why() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    for (asked, why, kept) in [
        ("/decisions?issue_number=9&repo=", "Choose the repository of the issue, too", "value=\"9\""),
        ("/decisions?issue_number=x&repo=acme%2Fsmall", "issue_number", "value=\"x\""),
        ("/explain?issue=small%239&agent_id=ann", "is no", "value=\"small#9\""),
    ] {
        let (status, text) = browser.get(asked).await;
        assert!(status == 400 && text.contains("role=\"alert\"") && text.contains(why), "{asked}: {text}");
        assert!(text.contains("<form class=\"narrow\"") && text.contains(kept), "{asked}: {text}");
    }
    assert_eq!(browser.get("/decisions?issue_number=%239&repo=acme%2Fsmall").await.0, 200, "as people write it");
    let page = "/explain?issue=https%3A%2F%2Fgithub.com%2FAcme%2FSmall%2Fissues%2F1";
    let led = browser.request(Method::GET, page).send().await.unwrap();
    assert_eq!(led.headers()["location"], "/explain/acme/small/1");
}

#[tokio::test]
async fn the_queue_is_shown_as_far_down_as_was_asked_for() {
    let backlog: Vec<_> = (1..=60u64)
        .map(|number| json!({ "repo": "acme/small", "number": number, "title": "T", "created_at": "2026-01-01T00:00:00Z" }))
        .collect();
    let server = Server::over(config(), &backlog).await;
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    for (query, shown) in [("", 50), ("?first=", 50), ("?first=all", 50), ("?first=51", 60), ("?first=9999", 60)] {
        let (status, text) = browser.get(&format!("/queue{query}")).await;
        assert_eq!((status, text.matches("<tr data-key").count()), (200, shown), "{query}");
        assert!(
            text.contains("60 issues on offer") && text.contains("the first 50 stand here") == (shown == 50),
            "{query}"
        );
    }
}

#[tokio::test]
async fn logging_in_leads_to_no_other_site_and_wrong_keys_are_throttled() {
    let mut limited = config();
    limited.rate_limits = narrow();
    limited.rate_limits.principal.burst = 100;
    let server = Server::over(limited, &[]).await;
    let browser = Browser::new(&server);
    for next in
        ["https://evil.example/", "//evil.example", "/%5Cevil.example", "javascript:alert(1)", "", "/api/claims"]
    {
        let done = browser.post("/login", &[("key", KEY), ("next", next)]).await;
        assert_eq!((done.0, done.1.as_deref()), (303, Some("/")), "{next}");
    }
    assert_eq!(browser.post("/login", &[("key", "wrong")]).await.0, 401);
    let (status, _, text) = browser.post("/login", &[("key", "wrong")]).await;
    assert!(status == 429 && text.contains("too many requests"), "{status}: {text}");
    assert_eq!(browser.post("/login", &[("key", KEY)]).await.0, 303, "the right one is not");
}

#[tokio::test]
async fn without_a_key_this_machine_is_in_and_there_is_nothing_to_log_out_of() {
    let mut open = config();
    open.server.api_key = Secret::default();
    let server = Server::over(open, &[issue(1, &[])]).await;
    let browser = Browser::new(&server);
    let (status, text) = browser.get("/").await;
    assert!(status == 200 && text.contains(">local<") && !text.contains("Log out"), "{text}");
    let in_already = browser.request(Method::GET, "/login").send().await.unwrap();
    assert_eq!((in_already.status().as_u16(), &in_already.headers()["location"]), (303, &"/".parse().unwrap()));
    let rebound = browser.request(Method::GET, "/").header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
}

#[tokio::test]
async fn the_board_tells_what_needs_somebody_and_narrows_to_a_repository_and_an_agent() {
    let other =
        json!({ "repo": "acme/large", "number": 7, "title": "Elsewhere", "created_at": "2026-01-01T00:00:00Z" });
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[]), other]).await;
    let browser = Browser { cookie: None, ..Browser::new(&server) };
    let get = async |path: &str| {
        let response = browser.request(Method::GET, path).bearer_auth(KEY).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    assert!(get("/").await.1.contains("Nothing."), "nothing needs anybody");
    for agent in ["a", "b", "c"] {
        claimed(&server, agent).await;
    }
    let (_, text) = get("/").await;
    assert!(text.contains("3 claims under way by 3 agents") && text.contains("acme/large#7"), "{text}");
    let (_, narrowed) = get("/?repo=acme/large&agent_id=").await;
    assert!(narrowed.matches("<li data-key").count() == 1 && narrowed.contains("Elsewhere"), "{narrowed}");
    assert_eq!(get("/?agent_id=b").await.1.matches("<li data-key").count(), 1);
    for (path, told) in [("/?repo=none", "repo"), ("/?status=lost", "no status"), ("/claims?agent_id=%00", "agent")] {
        let (status, text) = get(path).await;
        assert!(status == 400 && text.contains(told), "{path} {status}: {text}");
    }
    server.inside.clock.advance(chrono::TimeDelta::minutes(115));
    let (_, text) = get("/").await;
    assert!(text.contains("lapses in 5 min unless"), "{text}");
    server.inside.clock.advance(chrono::TimeDelta::minutes(10));
    assert!(!get("/").await.1.contains("lapses in"), "a lease that is over is the stale rule's, and lapses no more");
    assert_eq!(server.inside.api.manager().sweep().await.unwrap().stale_marked, 3);
    let (_, text) = get("/").await;
    assert!(text.contains("lapsed") && text.contains("was not heard of"), "{text}");
    assert!(!get("/").await.1.contains("lapses in"), "what lapsed does not lapse soon");
    let (_, text) = get("/claims?status=stale").await;
    assert_eq!(text.matches("<tr data-key").count(), 3, "{text}");
}

#[tokio::test]
async fn servers_of_one_machine_log_nobody_out_of_each_other() {
    let (one, other) = (Server::start(config()).await, Server::start(config()).await);
    let (mut at_one, mut at_other) = (Browser::new(&one), Browser::new(&other));
    at_one.log_in(KEY).await;
    at_other.log_in(KEY).await;
    // A browser keeps cookies by host, whatever the port.
    let of_an_older_version = "issuecommand_session=key.1.00";
    let all = format!("{of_an_older_version}; {}; {}", at_one.cookie.unwrap(), at_other.cookie.unwrap());
    (at_one.cookie, at_other.cookie) = (Some(all.clone()), Some(all));
    assert_eq!((at_one.get("/").await.0, at_other.get("/").await.0), (200, 200));
    let left =
        |response: &Response| response.headers()["set-cookie"].to_str().unwrap().split_once('=').unwrap().0.to_owned();
    let out = [
        left(&at_one.post_from(Some(&one.base), "/logout", &[]).await),
        left(&at_other.post_from(Some(&other.base), "/logout", &[]).await),
    ];
    assert!(out[0] != out[1] && out.iter().all(|name| name.starts_with("issuecommand_session_")), "{out:?}");
}

#[tokio::test]
async fn where_there_is_nothing_a_browser_gets_a_page_and_a_program_what_the_api_says() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let mut browser = Browser::new(&server);
    let get = async |browser: &Browser<'_>, path: &str, accept: &str| {
        let response = browser.request(Method::GET, path).header("accept", accept).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    let (as_browser, nowhere) = ("text/html,application/xhtml+xml,*/*;q=0.8", "There is no page at <code>");
    let (status, text) = get(&browser, "/nopage", as_browser).await;
    assert!(status == 404 && text.contains(nowhere) && !text.contains("<nav"), "who is not in: {status} {text}");
    assert_eq!(get(&browser, "/explain/foo", as_browser).await.0, 401, "below a page one is asked in first");
    browser.log_in(KEY).await;
    for path in ["/nopage", "/explain/foo", "/%3Cb%3E", "/dispatch/pause", "/login/x"] {
        let (status, text) = get(&browser, path, as_browser).await;
        assert!(status == 404 && text.contains(&format!("{nowhere}{path}</code>")), "{path} {status}: {text}");
        assert!(
            text.contains("<nav") && text.contains("api key") && text.contains("href=\"/queue\""),
            "{path}: {text}"
        );
        for accept in ["*/*", "application/json"] {
            let (status, text) = get(&browser, path, accept).await;
            assert_eq!((status, text.as_str()), (404, r#"{"error":"not_found","ok":false}"#), "{path}, {accept}");
        }
    }
}
