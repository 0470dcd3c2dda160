//! The dashboard as a person walks it, in a real browser: who works on what, live; a stuck claim taken back; in and out.
//! Pictures of every page are kept for people to look at.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

use super::browser::Browser;
use super::harness::{Home, PATIENCE, Server, issue};

const KEY: &str = "the-key-of-this-dashboard";
/// The release of axe-core that judges how well everybody can use a page.
const AXE: &str = "axe-core@4.14.1";
/// Every page that needs no claim.
const PAGES: [&str; 10] =
    ["/", "/queue", "/agents", "/claims", "/runs", "/decisions", "/policies", "/playground", "/replays", "/health"];
/// A title that would do harm as markup, as a script, or as an address.
const HOSTILE: &str = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>\" onclick=\"javascript:alert(1)";

/// A server over a backlog of three repositories, with a rule that scores.
fn home() -> Home {
    let mut issues: Vec<Value> = (1..=9).map(|number| issue("acme/small", number, &["bug"])).collect();
    issues
        .extend((1..=5).map(|number| issue("acme/large", number, if number % 2 == 0 { &["bug", "p0"] } else { &[] })));
    issues[0]["title"] = json!(HOSTILE);
    let home = Home::new(&issues, "");
    let rules = "# The team's rules.\n[policies.ranker.settings]\nrules = [\n  { field = \"label\", op = \"is\", value = \"bug\", weight = 5 },\n  \
                 { field = \"label\", op = \"is\", value = \"p0\", weight = 40 },\n]\n";
    let text = format!(
        "[server]\nport = 0\napi_key = \"{KEY}\"\n[containers]\nruntime = \"no-such-runtime\"\n[store]\npath = \"claims.db\"\n\
         [github]\nissues_file = \"backlog.jsonl\"\n[rate_limits]\nenabled = false\n{rules}"
    );
    std::fs::write(home.path("issuecommand.toml"), text).unwrap();
    home
}

/// Calls the API with the key.
async fn call(server: &Server, method: &str, path: &str, body: Value) -> Value {
    let request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.url)).bearer_auth(KEY);
    let request = if body.is_null() { request } else { request.json(&body) };
    let response = request.send().await.unwrap();
    let status = response.status();
    let body: Value = response.json().await.unwrap();
    assert!(status.is_success(), "{path}: {body}");
    body
}

async fn next(server: &Server, agent: &str) -> Value {
    call(server, "POST", "/api/next", json!({ "agent_id": agent })).await["claim"].clone()
}

async fn synced(server: &Server) {
    let begun = Instant::now();
    while call(server, "GET", "/api/health", Value::Null).await["health"]["open_issues"] != 14 {
        assert!(begun.elapsed() < PATIENCE, "the backlog was not synced");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

async fn log_in(browser: &Browser, server: &Server) {
    browser.go(&format!("{}/login", server.url)).await;
    browser.fill("Key or token", KEY).await;
    browser.click("Log in").await;
    browser.wait_for("document.querySelector('nav')").await;
}

/// A browser at a server of its own, logged in; `None` where there is no browser.
async fn logged_in() -> Option<(Browser, Home, Server)> {
    let browser = Browser::open().await?;
    let home = home();
    let server = home.serve();
    synced(&server).await;
    log_in(&browser, &server).await;
    Some((browser, home, server))
}

/// No request left for another host, and nothing went wrong on any page.
async fn kept_to_itself(browser: &Browser, server: &Server) {
    let own = format!("{}/", server.url);
    let asked = browser.asked_for().await;
    assert!(!asked.is_empty() && asked.iter().all(|url| url.starts_with(&own)), "{asked:#?}");
    let complaints = browser.complaints().await;
    let expected = |line: &String| line.contains("status of 401");
    assert!(complaints.iter().all(expected), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_walks_the_dashboard() {
    let Some(browser) = Browser::open().await else { return };
    let home = home();
    let server = home.serve();
    synced(&server).await;

    browser.go(&server.url).await;
    browser.wait_for("document.querySelector('input[type=password]')").await;
    browser.picture("login").await;
    browser.fill("Key or token", "wrong").await;
    browser.click("Log in").await;
    browser.wait_for_text("neither the key nor a token").await;
    browser.fill("Key or token", KEY).await;
    browser.click("Log in").await;
    browser.wait_for("document.title == 'Board · IssueCommand'").await;
    browser.wait_for("document.querySelector('#live').className == 'on'").await;

    // Nobody reloads the page from here on, and a claim appears.
    browser.run("window.isTheSamePage = true").await;
    let claim = next(&server, "agent-a").await;
    let granted = Instant::now();
    browser.wait_for_text("agent-a").await;
    eprintln!("a claim stood on the board {} ms after its answer", granted.elapsed().as_millis());
    for agent in ["agent-b", "agent-c", "agent-d"] {
        next(&server, agent).await;
    }
    browser.wait_for_text("4 claims under way by 4 agents").await;
    assert_eq!(browser.run("return window.isTheSamePage").await, true);
    browser.picture("board").await;

    let issue = format!("{}#{}", claim["repo"].as_str().unwrap(), claim["issue_number"]);
    browser.click(&issue).await;
    browser.wait_for_text("Its life so far").await;
    browser.run("window.isTheSamePage = true").await;
    let at = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
    call(&server, "PATCH", &at, json!({ "agent_id": "agent-a", "status": "in_progress", "note": "reading the code" }))
        .await;
    browser.wait_for_text("reading the code").await;
    // What somebody types is not taken from under their hands.
    browser.fill("Why", "stuck since noon").await;
    let pull = "https://github.com/acme/large/pull/70";
    call(&server, "PATCH", &at, json!({ "agent_id": "agent-a", "status": "pr_submitted", "pr_url": pull })).await;
    browser.wait_for_text(pull).await;
    assert_eq!(browser.run("return document.querySelector('[name=note]').value").await, "stuck since noon");
    assert_eq!(browser.run("return window.isTheSamePage").await, true);
    browser.picture("claim").await;
    browser.click("Take it back").await;
    browser.wait_for_text("stuck since noon").await;
    browser.wait_for("document.querySelector('.badge.released')").await;
    let claims = call(&server, "GET", "/api/claims", Value::Null).await;
    assert_eq!(claims["claims"].as_array().unwrap().len(), 3, "{claims}");

    for page in PAGES {
        browser.go(&format!("{}{page}", server.url)).await;
        browser.wait_for("document.querySelector('#live').className == 'on'").await;
        browser.picture(&format!("page{}", page.replace('/', "-"))).await;
    }
    browser.go(&format!("{}/queue", server.url)).await;
    browser.fill("Repository", "acme/small").await;
    browser.click("Show").await;
    browser.wait_for("!document.querySelector('main').innerText.includes('acme/large#')").await;
    browser.fill("Issue", "acme/large#2").await;
    browser.click("Explain").await;
    browser.wait_for("document.title == 'acme/large#2 · IssueCommand'").await;

    browser.click("Log out").await;
    browser.wait_for("document.querySelector('input[type=password]')").await;
    browser.go(&server.url).await;
    browser.wait_for("document.querySelector('input[type=password]')").await;
    kept_to_itself(&browser, &server).await;
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_strangers_write_stays_text_in_a_browser() {
    let Some((browser, _home, server)) = logged_in().await else { return };
    let wish = json!({ "agent_id": "agent-a", "repo": "acme/small", "issue_number": 1 });
    let claim = call(&server, "POST", "/api/claims", wish).await["claim"].clone();
    let at = format!("/claims/{}", claim["claim_id"].as_str().unwrap());
    for page in ["/", "/claims", "/agents", &at, "/explain/acme/small/1"] {
        browser.go(&format!("{}{page}", server.url)).await;
        browser.wait_for_text("<img src=x onerror=").await;
        browser.wait_for("document.querySelector('#live').className == 'on'").await;
        let title = browser.run("return document.title").await;
        assert!(title.as_str().unwrap().ends_with("· IssueCommand"), "{page}: {title}");
        assert_eq!(browser.run("return document.querySelectorAll('main script, main img, [onclick]').length").await, 0);
    }
    // By the script too, which puts what it fetched in its place.
    browser.go(&server.url).await;
    browser.wait_for("document.querySelector('#live').className == 'on'").await;
    call(
        &server,
        "PATCH",
        &format!("/api{at}"),
        json!({ "agent_id": "agent-a", "status": "in_progress", "note": HOSTILE }),
    )
    .await;
    browser.wait_for("document.querySelector('[data-key=in_progress] .cards li')").await;
    assert_eq!(browser.run("return document.title").await, "Board · IssueCommand");
    kept_to_itself(&browser, &server).await;
}

/// The source of axe-core, installed once below the target directory. `None`, after a line that says why.
fn axe() -> Option<String> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("axe");
    let source = home.join("node_modules/axe-core/axe.min.js");
    if !source.is_file() {
        std::fs::create_dir_all(&home).unwrap();
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund", AXE]).current_dir(&home);
        let installed = npm.output().map_err(|error| error.to_string()).and_then(|output| {
            output.status.success().then_some(()).ok_or_else(|| "npm could not install it".to_owned())
        });
        if let Err(why) = installed {
            eprintln!("skipped: there is no {AXE} here ({why}), so nobody judged how well everybody can use the pages");
            return None;
        }
    }
    Some(std::fs::read_to_string(source).unwrap())
}

/// Has axe find fault with the page that is shown, which may not be wider than its window either.
async fn judge(browser: &Browser, axe: &str, page: &str) {
    browser.run(axe).await;
    let judged = browser.run_and_wait("axe.run().then(arguments[arguments.length - 1])").await;
    let faults = judged["violations"].as_array().unwrap_or_else(|| panic!("{page}: {judged}"));
    assert!(judged["passes"].as_array().unwrap().len() > 10, "{page}: it was judged");
    let told: Vec<_> = faults.iter().map(|it| format!("{}: {} {}", it["impact"], it["help"], it["nodes"])).collect();
    assert!(told.is_empty(), "{page}: {told:#?}");
    let nameless = "[...document.querySelectorAll('div[tabindex]')].filter((it) => !it.role || !it.ariaLabel).map((it) => it.innerText)";
    assert_eq!(
        browser.run(&format!("return {nameless}")).await,
        json!([]),
        "{page}: keys stop where nothing has a name"
    );
    let too_wide = browser.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(too_wide.as_i64().unwrap() <= 0, "{page} is {too_wide} wider than its window");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_can_use_every_page_dark_and_light_wide_and_narrow() {
    let Some(browser) = Browser::open().await else { return };
    let Some(axe) = axe() else { return };
    let home = home();
    let server = home.serve();
    synced(&server).await;
    let claim = next(&server, "agent-a").await;
    next(&server, "agent-b").await;
    log_in(&browser, &server).await;
    let claim = format!("/claims/{}", claim["claim_id"].as_str().unwrap());
    let decision = call(&server, "GET", "/api/decisions", Value::Null).await["decisions"][0]["decision_id"].clone();
    let decision = format!("/decisions/{}", decision.as_str().unwrap());
    let pages: Vec<&str> = PAGES
        .into_iter()
        .chain([claim.as_str(), &decision, "/explain/acme/large/2", "/explain", "/claims?ended=1", "/policies/sets/1"])
        .collect();
    for (scheme, width) in [("light", 1280), ("dark", 1280), ("light", 380)] {
        browser.prefer(scheme).await;
        browser.resize(width, 900).await;
        for (nth, page) in pages.iter().enumerate() {
            browser.go(&format!("{}{page}", server.url)).await;
            browser.wait_for("document.querySelector('#live').className == 'on'").await;
            judge(&browser, &axe, &format!("{page}, {scheme}, {width} wide")).await;
            if width < 400 {
                fits_a_phone(&browser, page).await;
            }
            let name = page.split(['/', '?']).find(|part| !part.is_empty()).unwrap_or("board");
            browser.picture(&format!("{nth:02}-{name}-{scheme}-{width}")).await;
        }
        browser.go(&format!("{}/explain/nothing", server.url)).await;
        browser.wait_for_text("There is no page at").await;
        judge(&browser, &axe, &format!("no page, {scheme}, {width} wide")).await;
        browser.picture(&format!("nothing-here-{scheme}-{width}")).await;
        browser.go(&format!("{}/playground", server.url)).await;
        browser.run("document.querySelector('summary').click()").await;
        write_settings(&browser, "").await;
        judge(&browser, &axe, &format!("what can be set, {scheme}, {width} wide")).await;
        browser.picture(&format!("playground-keys-{scheme}-{width}")).await;
    }
}

/// The pages stand on one line with this one in sight, and no date is broken.
async fn fits_a_phone(browser: &Browser, page: &str) {
    let header = browser.run("return document.querySelector('header').offsetHeight").await;
    assert!(header.as_i64().unwrap() <= 96, "{page}: the header is {header} high");
    let seen = "const here = document.querySelector('nav [aria-current]').getBoundingClientRect(); \
                const line = document.querySelector('nav').getBoundingClientRect(); \
                return here.left >= line.left - 1 && here.right <= line.right + 1";
    if !page.starts_with("/explain") {
        assert_eq!(browser.run(seen).await, true, "{page}: its name is out of sight");
    }
    let broken = "return [...document.querySelectorAll('td a[href^=\"/decisions/\"]')].filter((date) => date.getClientRects().length > 1).length";
    assert_eq!(browser.run(broken).await, 0, "{page}: dates over several lines");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_tried_on_the_live_backlog_and_nothing_comes_of_it() {
    let Some((browser, _home, server)) = logged_in().await else { return };
    let before = call(&server, "GET", "/api/policies/effective", Value::Null).await;
    browser.click("Playground").await;
    browser.wait_for("document.querySelector('#settings').value.includes('p0')").await;
    let typed = "[[rules]]\nfield = \"label\"\nop = \"is\"\nvalue = \"bug\"\nweight = -50\n";
    browser.run(&format!("document.querySelector('#settings').value = {}", json!(typed))).await;
    browser.click("Try them").await;
    browser.wait_for_text("What would come first").await;
    let rows =
        browser.run("return [...document.querySelectorAll('.queue tbody tr')].map((row) => row.innerText)").await;
    let of = |issue: &str| {
        let rows = rows.as_array().unwrap().iter().map(|row| row.as_str().unwrap());
        rows.enumerate().find(|(_, row)| row.contains(issue)).unwrap_or_else(|| panic!("{issue} has no row"))
    };
    let ((up, rose), (down, fell)) = (of("acme/large#1"), of("acme/small#1"));
    assert!(up < down && rose.contains('↑') && fell.contains('↓'), "{rows:#}");
    assert_eq!(browser.run("return document.querySelector('#settings').value").await, typed, "what was typed stays");
    browser.picture("playground").await;
    browser.run("document.querySelector('#settings').value = 'rules = 7'").await;
    browser.click("Try them").await;
    browser.wait_for("document.querySelector('[role=alert]')").await;
    let told = browser.run("return document.querySelector('[role=alert]').innerText").await;
    assert!(told.as_str().unwrap().contains("builtin:rules does not take them: rules"), "{told}");
    browser.picture("playground-refused").await;
    assert_eq!(call(&server, "GET", "/api/policies/effective", Value::Null).await, before, "nothing came of it");
    assert_eq!(next(&server, "agent-a").await["repo"], "acme/large", "the settings in force decide");
    kept_to_itself(&browser, &server).await;
}

/// The number of the issue that the next agent gets; given back at once.
async fn head(server: &Server, agent: &str) -> String {
    let claim = next(server, agent).await;
    let at = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
    call(server, "DELETE", &at, json!({ "agent_id": agent })).await;
    format!("{}#{}", claim["repo"].as_str().unwrap(), claim["issue_number"])
}

/// Types into the field of settings as a person who replaces it all.
async fn write_settings(browser: &Browser, text: &str) {
    browser.run(&format!("document.querySelector('#settings').value = {}", json!(text))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_tried_put_on_trial_promoted_and_taken_back_in_the_browser_alone() {
    let Some((browser, home, server)) = logged_in().await else { return };
    let axe = axe();
    let looked_at = async |name: &str| {
        for (scheme, width) in [("dark", 380), ("light", 1280)] {
            browser.prefer(scheme).await;
            browser.resize(width, 900).await;
            if let Some(axe) = &axe {
                judge(&browser, axe, &format!("{name}, {scheme}, {width} wide")).await;
            }
            browser.picture(&format!("{name}-{scheme}-{width}")).await;
        }
    };
    let text = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let before = text();
    assert_eq!(head(&server, "agent-a").await, "acme/large#2", "what the rules in force say");

    browser.click("Playground").await;
    browser.wait_for("document.querySelector('#settings').value.includes('p0')").await;
    write_settings(
        &browser,
        "# By hand.\ntiers = []\n[[rules]]\nfield = \"label\"\nop = \"is\"\nvalue = \"bug\"\nweight = -50\n",
    )
    .await;
    browser.click("Try them").await;
    browser.wait_for_text("What would come first").await;
    assert_eq!(text(), before, "trying is without effect");
    browser.fill("Why", "features first").await;
    looked_at("playground-tried").await;
    browser.click("Put them on trial").await;
    browser.wait_for("document.title == 'Policies · IssueCommand'").await;
    browser.wait_for_text("put on trial: features first").await;
    browser.wait_for_text("in shadow: asked behind every answer").await;
    browser.wait_for_text("weight = -50").await;
    assert_eq!(head(&server, "agent-a").await, "acme/large#2", "a trial serves nobody");
    browser.wait_for_text("Agreed on 0 of 1 requests").await;
    // What the drawing shows stands in numbers, and stays open while the page is brought up to date.
    browser.wait_for("document.querySelector('details summary')").await;
    browser.run("document.querySelector('details summary').click()").await;
    assert_eq!(head(&server, "agent-b").await, "acme/large#2");
    browser.wait_for_text("Agreed on 0 of 2 requests").await;
    let sum = "[...document.querySelectorAll('details[open] tbody td:nth-child(2)')].reduce((sum, cell) => sum + Number(cell.innerText), 0)";
    browser.wait_for(&format!("{sum} == 2")).await;
    looked_at("policies-trial").await;

    browser.fill("Why", "it agreed with us").await;
    browser.click("Promote it").await;
    browser.wait_for_text("promoted: it agreed with us, by api key").await;
    assert_eq!(head(&server, "agent-a").await, "acme/large#1", "the next answer follows it");
    let promoted = text();
    assert!(
        promoted.contains("weight = -50")
            && promoted.contains("# The team's rules.")
            && !promoted.contains("candidate"),
        "{promoted}"
    );
    looked_at("policies-promoted").await;

    browser.click("Replays").await;
    browser.click("Replay them").await;
    browser.wait_for_text("recorded decisions can be made again").await;
    looked_at("replays").await;

    browser.click("Policies").await;
    browser.click("1").await;
    browser.wait_for_text("Put it back").await;
    looked_at("policies-set").await;
    browser.fill("Why", "we miss them").await;
    browser.click("Roll back to this one").await;
    browser.wait_for_text("rolled back: to set 1; we miss them, by api key").await;
    assert_eq!(head(&server, "agent-a").await, "acme/large#2");
    assert!(text().contains("weight = 40") && text().contains("# The team's rules."), "{}", text());

    browser.click("Playground").await;
    browser.wait_for("document.querySelector('#settings').value.includes('p0')").await;
    write_settings(&browser, "tiers = []\n[[rules]]\nfield = \"label\"\nop = \"is\"\nvalue = \"bug\"\nweight = 50\n")
        .await;
    browser.click("Try them").await;
    browser.wait_for_text("What would come first").await;
    browser.click("Put them in force").await;
    browser.wait_for_text("promoted: settings from the playground, by api key").await;
    assert_eq!(head(&server, "agent-a").await, "acme/small#1", "the oldest bug");
    kept_to_itself(&browser, &server).await;
}
