//! What in examples/deploy watches a server: that it asks for what a server tells, and that Prometheus takes it. Where
//! that is missing, it is said.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::harness::{Home, Server};
use super::promql::{Series, named_in};

/// The folder with all of them.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/deploy")
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The documents of a YAML file.
pub fn yaml(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What a program says of its arguments; `None`, after a line that says so, where it is not here.
pub fn run(program: &str, arguments: &[&str], place: &Path) -> Option<Output> {
    match Command::new(program).args(arguments).current_dir(place).output() {
        Ok(output) => Some(output),
        Err(error) => {
            eprintln!("skipped: {program} is not here ({error})");
            None
        }
    }
}

pub fn assert_taken(output: &Output) {
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", said(&output.stdout), said(&output.stderr));
}

/// A server that has met everything that it counts: GitHub, calls of every kind, a configuration that is refused.
async fn told_by_a_server() -> String {
    let github = MockServer::start().await;
    let answer = ResponseTemplate::new(200)
        .set_body_json(json!([]))
        .insert_header("x-ratelimit-remaining", "4999")
        .insert_header("x-ratelimit-resource", "core");
    Mock::given(any()).respond_with(answer).mount(&github).await;
    let home = Home::new(&[], "");
    let config = home.path("issuecommand.toml");
    std::fs::write(&config, "[server]\nport = 0\n[store]\npath = \"claims.db\"\n[rate_limits]\nenabled = false\n")
        .unwrap();
    let server = home.serve_with(&[("GITHUB_TOKEN", "token"), ("GITHUB_API_URL", &github.uri())]);
    server.wait_until("/api/health", |body| body["health"]["last_github_sync_at"].is_string()).await;
    let claim = "/api/claims/01a1fcbe-4c87-73ec-a443-ac97a93b60d6";
    for (method, path, body) in [
        ("POST", "/api/next", json!({ "agent_id": "a" })),
        ("POST", "/api/next-work", json!({ "agent_id": "a" })),
        ("POST", "/api/claims", json!({ "agent_id": "a", "repo": "acme/small", "issue_number": 1 })),
        ("PATCH", claim, json!({ "agent_id": "a", "status": "in_progress" })),
        ("DELETE", claim, json!({ "agent_id": "a" })),
    ] {
        server.send(method, path, body).await;
    }
    server.send("GET", "/api/explain?repo=acme/small&issue_number=1", Value::Null).await;
    std::fs::write(&config, "[server]\nport = \"no\"\n").unwrap();
    server.wait_until("/api/health", |body| body["health"]["state"] == "degraded").await;
    metrics(&server).await
}

async fn metrics(server: &Server) -> String {
    server.client.get(format!("{}/metrics", server.url)).send().await.unwrap().text().await.unwrap()
}

/// The labels of each series, with their values.
type Labels = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The series that `told` declares (its TYPE lines), with the labels that they have in it.
fn declared(told: &str) -> Labels {
    let mut declared = Labels::new();
    for line in told.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_count", "_sum"],
            "info" => &["_info"],
            "gauge" => &[""],
            other => panic!("nobody here knows the type {other}"),
        };
        declared.extend(endings.iter().map(|ending| (format!("{name}{ending}"), BTreeMap::new())));
    }
    for series in told.lines().filter(|line| !line.starts_with('#')).flat_map(named_in) {
        let of = declared.get_mut(&series.name).unwrap_or_else(|| panic!("{} has no type", series.name));
        for (label, value) in series.labels {
            of.entry(label).or_default().insert(value);
        }
    }
    declared
}

/// Labels that Prometheus puts on everything.
const OF_PROMETHEUS: [&str; 2] = ["job", "instance"];
/// Labels whose values depend on what happened: not all of them can be seen.
const OPEN_VALUES: [&str; 5] = ["part", "policy", "function", "resource", "status"];

/// What is wrong with a series that somebody asks for; `None` if nothing is.
fn wrong_with(series: &Series, declared: &Labels, recorded: &BTreeSet<String>) -> Option<String> {
    if recorded.contains(&series.name) {
        return None;
    }
    let Some(known) = declared.get(&series.name) else { return Some(format!("no server tells {}", series.name)) };
    series.labels.iter().filter(|(label, _)| !OF_PROMETHEUS.contains(&label.as_str())).find_map(|(label, asked)| {
        let Some(values) = known.get(label) else { return Some(format!("{} has no label {label}", series.name)) };
        let is_open = OPEN_VALUES.contains(&label.as_str()) && series.name != "issuecommand_dispatch_runs";
        let strangers: Vec<_> = asked.split('|').filter(|value| !is_open && !values.contains(*value)).collect();
        (!strangers.is_empty()).then(|| format!("{} has no {label} {}", series.name, strangers.join(", ")))
    })
}

/// Every text in a document.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

/// The names that recording rules give.
fn recorded() -> BTreeSet<String> {
    let rules = yaml(&text("prometheus/rules.yml"));
    let rules = rules[0]["groups"][0]["rules"].as_array().unwrap().clone();
    rules.iter().map(|rule| rule["record"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboard_and_rules_ask_for_what_a_server_tells_and_for_nothing_else() {
    let told = told_by_a_server().await;
    let (declared, recorded) = (declared(&told), recorded());
    let mut asked: BTreeMap<&str, Vec<Series>> = BTreeMap::new();
    for file in ["grafana/issuecommand.json", "prometheus/rules.yml", "prometheus/alerts.yml", "prometheus/tests.yml"] {
        let mut found = Vec::new();
        yaml(&text(file)).iter().for_each(|document| texts(document, &mut found));
        asked.insert(file, found.iter().flat_map(|text| named_in(text)).collect());
        assert!(!asked[file].is_empty(), "{file} asks for nothing");
    }
    let wrong: Vec<String> = asked
        .iter()
        .flat_map(|(file, all)| all.iter().map(move |series| (file, series)))
        .filter_map(|(file, series)| Some(format!("{file}: {}", wrong_with(series, &declared, &recorded)?)))
        .collect();
    assert!(wrong.is_empty(), "{}\n\n{told}", wrong.join("\n"));
    // And the other way round: what is counted can be seen.
    let shown: BTreeSet<_> = asked["grafana/issuecommand.json"].iter().map(|series| series.name.clone()).collect();
    let is_shown = |name: &str| {
        let of = |ending: &str| shown.contains(&format!("{name}{ending}"));
        ["", "_total", "_bucket", "_count", "_info"].into_iter().any(of)
    };
    let families = told.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let unseen: Vec<_> = families.filter(|name| !is_shown(name)).collect();
    assert!(unseen.is_empty(), "on no panel: {unseen:?}");
}

#[test]
fn a_misspelt_metric_label_or_value_is_found() {
    let told = "# TYPE issuecommand_calls counter\nissuecommand_calls_total{call=\"next\",status=\"200\"} 1\n\
                # TYPE issuecommand_call_seconds histogram\nissuecommand_call_seconds_bucket{le=\"0.004\",call=\"next\"} 1\n";
    let (declared, recorded) = (declared(told), BTreeSet::from(["job:issuecommand_calls:rate5m".to_owned()]));
    let wrong = |asked: &str| named_in(asked).iter().find_map(|series| wrong_with(series, &declared, &recorded));
    for right in [
        "sum(rate(issuecommand_calls_total{job=~\"$job\", call=\"next\", status=~\"5..\"}[5m]))",
        "job:issuecommand_calls:rate5m > 1",
        "rate(issuecommand_call_seconds_count[5m]) - rate(issuecommand_call_seconds_bucket{le=\"0.004\"}[5m])",
    ] {
        assert_eq!(wrong(right), None, "{right}");
    }
    for (asked, expected) in [
        ("rate(issuecommand_call_total[5m])", "no server tells issuecommand_call_total"),
        ("issuecommand_calls", "no server tells issuecommand_calls"),
        ("job:issuecommand_call:rate5m", "no server tells job:issuecommand_call:rate5m"),
        ("issuecommand_calls_total{verb=\"next\"}", "issuecommand_calls_total has no label verb"),
        ("issuecommand_calls_total{call=~\"next|nexd\"}", "issuecommand_calls_total has no call nexd"),
        ("issuecommand_call_seconds_bucket{le=\"0.04\"}", "issuecommand_call_seconds_bucket has no le 0.04"),
    ] {
        assert_eq!(wrong(asked).as_deref(), Some(expected));
    }
}

#[test]
fn prometheus_takes_the_rules_and_they_pass_their_own_tests() {
    let place = folder().join("prometheus");
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["check", "rules", "rules.yml", "alerts.yml"],
        &["test", "rules", "tests.yml"],
    ] {
        let Some(output) = run("promtool", arguments, &place) else { return };
        assert_taken(&output);
    }
}

#[test]
fn every_alert_is_tried_and_says_what_to_do() {
    let (alerts, tests) = (yaml(&text("prometheus/alerts.yml")), text("prometheus/tests.yml"));
    for rule in alerts[0]["groups"][0]["rules"].as_array().unwrap() {
        let name = rule["alert"].as_str().unwrap();
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name} is not tried");
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(), "{name}");
    }
}

#[test]
fn prometheus_takes_every_question_of_the_dashboard() {
    let dashboard: Value = serde_json::from_str(&text("grafana/issuecommand.json")).unwrap();
    let (mut rules, mut ids) = (String::from("groups:\n- name: dashboard\n  rules:\n"), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {}", panel["title"]);
        for target in panel["targets"].as_array().into_iter().flatten() {
            let asked = target["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            let name = format!("dashboard:panel_{}:{}", panel["id"], target["refId"].as_str().unwrap());
            rules.push_str(&format!("  - record: {name}\n    expr: {}\n", json!(asked)));
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join("dashboard.yml"), rules).unwrap();
    if let Some(output) = run("promtool", &["check", "rules", "dashboard.yml"], scratch.path()) {
        assert_taken(&output);
    }
}
