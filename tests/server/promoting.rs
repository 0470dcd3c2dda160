//! Rankers promoted and put back, while a server runs and agents work.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::{complaint, told};
use super::harness::{Home, Server, wait_for_address};
use super::policies::{URGENT_FIRST, backlog, candidate, head, started, tried};
use crate::cosign::Team;
use crate::workshop::{PLAIN, WITHOUT_WORK_ORDER, component};

#[tokio::test(flavor = "multi_thread")]
async fn promote_and_rollback_are_one_command_each_and_say_who_did_it() {
    let home = Home::new(&backlog(), &candidate("shadow", URGENT_FIRST));
    let server = started(&home).await;
    let who = [("USER", "ann")];
    assert_eq!(head(&server, "a").await, 1);
    let shown = told(&home, &["policy", "show", "--agent", "a", "--repo", "acme/small"], &[]);
    assert!(shown.starts_with("for repository acme/small, agent a\nview         default\nranker\n  base "), "{shown}");
    assert!(shown.contains("\ncandidate    builtin:rules"), "{shown}");

    let promoted = told(&home, &["policy", "promote", "--note", "it agreed with us"], &who);
    assert!(promoted.starts_with("promoted builtin:rules (") && promoted.ends_with("): in force now\n"), "{promoted}");
    assert_eq!(head(&server, "a").await, 4, "in force when the command ends");
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("# Kept.") && !text.contains("candidate"), "{text}");
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert_eq!(
        (&sets[0]["why"], &sets[0]["by"]),
        (&json!("promoted: it agreed with us"), &json!("ann (local)")),
        "{sets:#}"
    );
    assert!(complaint(&home, &["policy", "promote"], &[]).contains("there is no candidate"));

    let back = told(&home, &["policy", "rollback"], &who);
    assert!(back.starts_with("builtin:rules is on trial again (shadow), as it was then\nrolled back to "), "{back}");
    assert!(back.contains(": in force now\n(once more undoes this"), "{back}");
    // The trial goes on: the candidate is asked behind the very next answer.
    let before = server.get("/api/policies/candidate").await["trial"].clone();
    assert_eq!((&before["candidate"]["mode"], &before["counts"]["disagreed"]), (&json!("shadow"), &json!(1)));
    assert_eq!(head(&server, "a").await, 1);
    assert_eq!(tried(&server, 2).await["counts"]["disagreed"], 2);
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("# Kept.") && text.contains("[policies.candidate]"), "{text}");

    let over = told(&home, &["policy", "rollback", "--note", "we miss it"], &who);
    assert!(over.starts_with("the candidate is the ranker now, so its trial is over\nrolled back to "), "{over}");
    assert_eq!(head(&server, "a").await, 4, "a second one undoes the first");
    assert!(server.get("/api/policies/candidate").await.get("trial").is_none());
    let list = told(&home, &["policy", "rollback", "--list"], &[]);
    assert_eq!(list.lines().count(), 5, "{list}");
    assert!(list.lines().nth(1).unwrap().contains("rolled back: to set 2; we miss it, by ann (local)"), "{list}");

    assert!(server.stop());
    let back = told(&home, &["policy", "rollback", "--note", "at night"], &who);
    assert!(back.contains("no server runs, so it is in force at the next start\n"), "{back}");
    let at_rest = told(&home, &["policy", "rollback", "--list"], &[]);
    assert_eq!(at_rest, list, "it was not in force yet, and nothing that was written is another");
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 1);
    let newest = server.wait_until("/api/policies/history", |body| body["sets"].as_array().unwrap().len() == 5).await;
    let why = newest["sets"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("rolled back: to set ") && why.ends_with("; at night"), "{why}");
    assert!(server.stop());
    told(&home, &["policy", "promote"], &who);
    told(&home, &["policy", "rollback"], &who);
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 1, "a rollback undoes what was promoted, be it in force or not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_is_promoted_at_the_server_that_runs_with_the_file_or_not_at_all() {
    let (home, elsewhere) = (Home::new(&backlog(), &candidate("shadow", URGENT_FIRST)), Home::new(&backlog(), ""));
    let (server, other) = (started(&home).await, started(&elsewhere).await);
    let url = other.url.clone();
    let before = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let why = complaint(&home, &["policy", "promote", "--url", &url], &[]);
    assert!(why.contains("leave --url and ISSUECOMMAND_URL out"), "{why}");
    let why = complaint(&home, &["policy", "promote"], &[("ISSUECOMMAND_URL", &url)]);
    assert!(why.contains("the server that runs with this file is at http://127.0.0.1:"), "{why}");
    assert_eq!(std::fs::read_to_string(home.path("issuecommand.toml")).unwrap(), before);
    assert_eq!(head(&server, "a").await, 1);
    let own = server.url.replace("127.0.0.1", "localhost");
    assert!(told(&home, &["policy", "promote", "--url", &own], &[]).contains("in force now"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_beside_an_override_for_every_repository_ends_as_soon_as_it_is_in_force() {
    let everywhere = "[[policies.override]]\nrepos = [\"*\"]\nranker = { settings = { tiers = [[\"slow\"]] } }\n";
    let home = Home::new(&backlog(), &format!("{}{everywhere}", candidate("shadow", URGENT_FIRST)));
    let server = started(&home).await;
    let answer = |args: &[&str]| -> Value { serde_json::from_str(&told(&home, args, &[])).unwrap() };
    let promoted = answer(&["policy", "promote", "--json"]);
    assert_eq!((&promoted["ok"], &promoted["outcome"]), (&json!(true), &json!("in_force")), "{promoted}");
    assert_eq!(promoted["ranker"]["source"], "builtin:rules");
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert!(sets[0]["ranker"]["settings"].to_string().contains("urgent"), "{sets:#}");
    let back = answer(&["policy", "rollback", "--json"]);
    assert_eq!((&back["ok"], &back["outcome"]), (&json!(true), &json!("in_force")), "{back}");
    assert!(back["said"][0].as_str().unwrap().contains("is on trial again") && back["of"].is_string(), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_whose_file_is_gone_is_on_trial_again_from_the_history_and_a_newer_one_stays() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("mine.wasm"), &bytes).unwrap();
    home.configure(&candidate("shadow", "ranker = { source = \"mine.wasm\" }"));
    let server = started(&home).await;
    let sets = |count: usize| move |body: &Value| body["sets"].as_array().is_some_and(|sets| sets.len() >= count);
    server.wait_until("/api/policies/history", sets(1)).await;
    told(&home, &["policy", "promote"], &[]);
    std::fs::remove_file(home.path("mine.wasm")).unwrap();
    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.contains("mine.wasm is another file now; the one of then is policies/"), "{back}");
    assert!(back.contains(".wasm is on trial again (shadow), as it was then\nrolled back to builtin:rules"), "{back}");
    let trial = server.get("/api/policies/candidate").await["trial"].clone();
    assert_eq!(std::fs::read(home.path(trial["candidate"]["ranker"]["source"].as_str().unwrap())).unwrap(), bytes);

    // A trial that was given up is only told of when the ranker that came later is taken back.
    let essentials = "[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n";
    home.configure(&format!("{essentials}ranker = {{ settings = {{ tiers = [[\"urgent\"]] }} }}\n"));
    server.wait_until("/api/policies/history", sets(4)).await;
    let back = told(&home, &["policy", "rollback"], &[]);
    let line = ".wasm was on trial then and is not now; set [policies.candidate] to try it again\nrolled back to builtin:rules";
    assert!(back.contains(line), "{back}");
    assert!(server.get("/api/policies/candidate").await.get("trial").is_none(), "nobody asked for it");

    // Who tries something else meanwhile goes on trying it.
    let other = "candidate = { mode = \"canary\", ranker = { settings = { tiers = [[\"slow\"]] } } }\n";
    home.configure(&format!("{essentials}ranker = {{ settings = {{ tiers = [[\"urgent\"]] }} }}\n{other}"));
    server.wait_until("/api/policies/candidate", |body| body["trial"]["candidate"]["mode"] == "canary").await;
    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.starts_with("rolled back to builtin:rules"), "{back}");
    assert_eq!(server.get("/api/policies/candidate").await["trial"]["candidate"]["mode"], "canary");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_ranker_is_put_back_with_its_signature() {
    let (one, other) = spawn_blocking(|| (component(&PLAIN), component(&WITHOUT_WORK_ORDER))).await.unwrap();
    let (home, team) = (Home::new(&backlog(), ""), Team::new());
    std::fs::write(home.path("team.pub"), team.public_key()).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::write(home.path("mine.wasm.sigstore.json"), team.sign_blob(bytes)).unwrap();
        std::fs::write(home.path("mine.wasm"), bytes).unwrap();
    };
    put(&one);
    let ranker = "[policies.ranker]\nsource = \"mine.wasm\"\nsigned_by = { key = \"team.pub\" }\n";
    home.configure(&format!("[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n{ranker}"));
    let server = started(&home).await;
    let digest = |body: &Value| body["sets"][0]["ranker_stamp"]["digest"].clone();
    let first = server.wait_until("/api/policies/history", |body| digest(body).is_string()).await;
    put(&other);
    server.wait_until("/api/policies/history", |body| digest(body) != digest(&first)).await;

    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.contains(": in force now\n(once more undoes this"), "{back}");
    let policy = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!(policy["ranker"]["digest"], digest(&first));
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("signed_by"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_whose_file_is_another_now_is_put_back_from_the_history_and_pinned() {
    let (one, other) = spawn_blocking(|| (component(&PLAIN), component(&WITHOUT_WORK_ORDER))).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("mine.wasm"), &one).unwrap();
    home.configure("[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n[policies.ranker]\nsource = \"mine.wasm\"\n");
    let server = started(&home).await;
    let digest = |body: &Value| body["sets"][0]["ranker_stamp"]["digest"].clone();
    let first = server.wait_until("/api/policies/history", |body| digest(body).is_string()).await;
    std::fs::write(home.path("mine.wasm"), &other).unwrap();
    server.wait_until("/api/policies/history", |body| digest(body) != digest(&first)).await;

    let back = told(&home, &["policy", "rollback"], &[]);
    let name = format!("policies/{}.wasm", &digest(&first).as_str().unwrap()[..12]);
    assert!(back.contains(&format!("mine.wasm is another file now; the one of then is {name}")), "{back}");
    assert_eq!(std::fs::read(home.path(&name)).unwrap(), one);
    let policy = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!((&policy["ranker"]["source"], &policy["ranker"]["digest"]), (&json!(name), &digest(&first)));
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains(&format!("sha256 = {}", digest(&first))), "{text}");
}

/// A folder with a candidate that loads, and works on the samples that are shown to it then, which are older; it fails on
/// the live backlog.
async fn faulty_on_trial() -> Home {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("faulty.wasm"), &bytes).unwrap();
    let fault =
        r#"ranker = { source = "faulty.wasm", settings = { at = "score", do = "panic", from = "1767225600000" } }"#;
    home.configure(&candidate("shadow", fault));
    home
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_refused_leaves_the_file_as_it_was() {
    let home = faulty_on_trial().await;
    let server = started(&home).await;
    let file = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let before = file();

    let why = complaint(&home, &["policy", "promote"], &[]);
    assert!(why.contains("the server refused it, the file is as it was: "), "{why}");
    assert!(why.contains("faulty.wasm") && why.contains("full of bees"), "{why}");
    assert_eq!(file(), before);
    assert_eq!(head(&server, "a").await, 1, "the ranker in force serves on");

    // What does not even load never comes near the server.
    let bytes = std::fs::read(home.path("faulty.wasm")).unwrap();
    std::fs::write(home.path("faulty.wasm"), &bytes[..bytes.len() / 2]).unwrap();
    let why = complaint(&home, &["policy", "promote"], &[]);
    assert!(why.contains("faulty.wasm") && !why.contains("the server refused it"), "{why}");
    assert_eq!(file(), before);
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert!(sets.as_array().unwrap().iter().all(|set| set["ranker_stamp"]["source"] == "builtin:rules"), "{sets:#}");
}

/// The form of a page, as a browser at `server` sends it; the status, and where it leads or what is shown.
async fn sent(server: &Server, path: &str, form: &[(&str, &str)]) -> (u16, String) {
    let pairs: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let request = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let request = request.post(format!("{}{path}", server.url)).header("origin", &server.url);
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(pairs.join("&"));
    let response = request.send().await.unwrap();
    let next = response.headers().get("location").map(|next| next.to_str().unwrap().to_owned());
    (response.status().as_u16(), next.unwrap_or(response.text().await.unwrap()))
}

/// What forms of the page of policies bring back.
async fn seen(server: &Server) -> String {
    let page = server.client.get(format!("{}/policies", server.url)).send().await.unwrap().text().await.unwrap();
    let (_, rest) = page.split_once("name=\"seen\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_promotes_is_refused_by_the_server_as_a_commands_is_and_the_file_is_as_it_was() {
    let home = faulty_on_trial().await;
    let server = started(&home).await;
    let file = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let before = file();
    let (status, text) = sent(&server, "/policies/promote", &[("seen", &seen(&server).await), ("note", "")]).await;
    assert!(status == 409 && text.contains("the server refused it, the file is as it was"), "{status}: {text}");
    assert!(text.contains("faulty.wasm") && text.contains("full of bees"), "{text}");
    assert_eq!(file(), before);
    assert_eq!(head(&server, "a").await, 1, "the ranker in force serves on");

    // What is given up is on trial no more, and who said so is in the history.
    let (status, next) =
        sent(&server, "/policies/give-up", &[("seen", &seen(&server).await), ("note", "it+fails")]).await;
    assert_eq!((status, next.as_str()), (303, "/policies"));
    assert!(server.get("/api/policies/candidate").await.get("trial").is_none());
    let newest = server.get("/api/policies/history").await["sets"][0].clone();
    assert_eq!((&newest["why"], &newest["by"]), (&json!("trial given up: it fails"), &json!("local")), "{newest:#}");
    assert!(!file().contains("candidate") && file().contains("# Kept."), "{}", file());
}

/// Has `sh` mount its first argument read-only, where only it and its children see that.
const SHUT: [&str; 4] = ["--map-root-user", "--mount", "sh", "-c"];
const MOUNT: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"";

/// Whether that can be done here; says so where not.
fn can_shut(folder: &std::path::Path) -> bool {
    let output = Command::new("unshare").args(SHUT).arg(MOUNT).arg(folder).output();
    let can = output.as_ref().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("skipped: nothing can be mounted read-only here: {output:?}");
    }
    can
}

/// A server with the configuration in `folder`, which units, containers and ConfigMaps mount read-only.
fn serve_from(home: &Home, folder: &std::path::Path, is_shut: bool) -> Server {
    let serve = home.command();
    let file = folder.join("issuecommand.toml");
    let mut command = Command::new(if is_shut { "unshare".as_ref() } else { serve.get_program() });
    if is_shut {
        command.args(SHUT).arg(format!("{MOUNT} && exec \"$@\"")).arg(folder).arg(serve.get_program());
    }
    command.args(serve.get_args()).arg("--config").arg(file).env_clear().current_dir(home.root());
    command.envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let url = wait_for_address(&mut child);
    Server { child, url, client: reqwest::Client::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_configuration_is_mounted_read_only_pages_say_so_and_offer_nothing_that_cannot_work() {
    let home = Home::new(&backlog(), &candidate("shadow", URGENT_FIRST));
    let (folder, file) = (home.path("conf"), home.path("conf/issuecommand.toml"));
    if !can_shut(home.root()) {
        return;
    }
    std::fs::create_dir(&folder).unwrap();
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let text = text.replace("\"claims.db\"", "\"../claims.db\"").replace("\"backlog.jsonl\"", "\"../backlog.jsonl\"");
    std::fs::write(&file, &text).unwrap();
    let server = serve_from(&home, &folder, false);
    let before = seen(&server).await;
    assert!(server.stop());

    let server = serve_from(&home, &folder, true);
    let page = server.client.get(format!("{}/policies", server.url)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("The candidate"), "what is on trial is told all the same: {page}");
    let (_, tried) = sent(&server, "/playground", &[("settings", "tiers%20%3D%20%5B%5B%22slow%22%5D%5D")]).await;
    for (name, text) in [("policies", page), ("playground", tried)] {
        assert!(!text.contains("name=\"seen\""), "{name} offers what cannot work: {text}");
        assert!(text.contains("Nothing is put in force or back from here, for "), "{name}: {text}");
        assert!(text.contains("conf/issuecommand.toml is read-only. Edit it where it comes from"), "{name}: {text}");
    }
    // Somebody whose page is from before it was so.
    let (status, told) = sent(&server, "/policies/promote", &[("seen", &before), ("note", "")]).await;
    assert!(status == 409 && told.contains("is read-only: nothing was changed"), "{status}: {told}");
    assert_eq!(std::fs::read_to_string(file).unwrap(), text);
}
