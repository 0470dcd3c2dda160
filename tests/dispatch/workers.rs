//! Workers that were away, a foreman that cannot do their work, and commands beside them all.

use std::process::Stdio;

use serde_json::{Value, json};

use crate::fleet::{Fleet, REPO, processes_of};
use crate::patience::until;
use crate::servers::{Crew, driver};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_silent_too_long_ends_what_others_began_anew() {
    let Some(crew) = Crew::assembled(1).await else { return };
    let one = crew.worker("one").await;
    let long = crew.fleet.open_issue("long", &["agent"]).await;
    crew.foreman.until_run_is(long, &["running"]).await;
    until("its first line", async || crew.log_of(long).await.contains("I read the issue.").then_some(())).await;
    let hosts = crew.fleet.home().parent().unwrap().join("one/claims.db.dispatch/host");
    assert!(!processes_of(&hosts).is_empty(), "the agent works there");

    one.signal("STOP");
    crew.fall_silent(one.url()).await;
    let two = crew.worker("two").await;
    let moved = async || {
        let run = crew.foreman.run_on(long).await?;
        (run["status"] == "running" && run["attempts"] == 2).then_some(run)
    };
    let run = until("the second attempt", moved).await;
    assert!(!processes_of(&hosts).is_empty(), "the first goes on while its server is away");
    one.signal("CONT");
    // Long before it looks for leftovers again.
    until("the end of the first agent", async || processes_of(&hosts).is_empty().then_some(())).await;
    let now = crew.foreman.run_on(long).await.unwrap();
    assert_eq!((&now["status"], &now["attempts"]), (&"running".into(), &2.into()), "{now}");
    assert_eq!(driver(&now), driver(&run));

    // From a folder where no server is, by the database alone.
    let folder = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = crew.fleet.command(arguments);
        command.env("DATABASE_URL", &crew.database).current_dir(folder.path());
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}{}", String::from_utf8_lossy(&output.stderr));
        told
    };
    let asks = crew.fleet.open_issue("ask", &["agent"]).await;
    crew.foreman.until_run_is(asks, &["waiting_human"]).await;
    let of_asks = crew.foreman.run_on(asks).await.unwrap()["id"].as_str().unwrap().to_owned();
    assert!(command(&["answer", &of_asks, crate::fleet::ANSWER]).contains("its agent is told"));
    crew.foreman.until_run_is(asks, &["completed"]).await;
    let told = command(&["cancel", now["id"].as_str().unwrap()]);
    assert!(told.contains("is failed"), "{told}");
    assert!(command(&["logs", "--follow", &of_asks]).contains("answered: Blue it is"));
    for server in [one, two, crew.foreman] {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreman_that_could_do_none_of_it_makes_room_and_takes_nothing_from_workers() {
    let without_what_works = |text: String| {
        let mut settings: toml::Table = text.parse().unwrap();
        settings.remove("agents");
        settings["dispatch"]["agent"] = "opencode".into();
        settings["containers"]["runtime"] = "/there/is/no/podman".into();
        settings.to_string()
    };
    let Some(crew) = Crew::under(1, without_what_works).await else { return };
    let one = crew.worker("one").await;
    let long = crew.fleet.open_issue("long", &["agent"]).await;
    crew.foreman.until_run_is(long, &["running"]).await;
    let critical = crew.fleet.open_issue("commit", &["agent", "priority/critical"]).await;
    crew.foreman.until_run_is(critical, &["completed"]).await;
    let again = async || {
        let run = crew.foreman.run_on(long).await?;
        (run["status"] == "running" && run["attempts"] == 2).then_some(())
    };
    until("the run that made way", again).await;

    let url = one.url().to_owned();
    one.kill();
    let two = crew.worker("two").await;
    crew.fall_silent(&url).await;
    let moved = async || {
        let run = crew.foreman.run_on(long).await?;
        (run["attempts"] == 3 && run["status"] == "running").then_some(run)
    };
    let run = until("the run of the dead worker, at another", moved).await;
    assert_eq!(run["failures"], 0, "{run}");
    let cancelled = crew.say(long, "DELETE", "", json!({})).await;
    assert_eq!(cancelled["run"]["status"], "failed", "{cancelled}");
    two.stop().await;
    crew.foreman.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_run_different_issues_wait_for_each_other() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    let mut runs = Vec::new();
    for _ in 0..3 {
        let number = fleet.open_issue("commit", &[]).await;
        let mut command = fleet.command(&["run", &format!("{REPO}#{number}")]);
        let run = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        runs.push((number, run));
    }
    for (number, run) in runs {
        let output = tokio::task::spawn_blocking(|| run.wait_with_output().unwrap()).await.unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "#{number}: {out}{err}");
        let pulls: Vec<Value> = fleet.pulls_for(number).await;
        assert_eq!(pulls.len(), 1, "#{number}: {err}");
        assert_eq!(out.trim(), pulls[0]["html_url"], "{err}");
    }
}
