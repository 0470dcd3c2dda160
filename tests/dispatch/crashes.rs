//! A server that dies at any step of a run, steps that fail, and runs that are too late: the next start ends what was
//! begun, once, and nothing is left over.

use std::os::unix::process::ExitStatusExt;

use issuecommand::domain::{Phase, PhaseMark, RunStatus};
use serde_json::{Value, json};

use crate::fleet::{Fleet, REPO, Server};
use crate::kit::Gate;
use crate::patience::until;

/// The variable that tells a server where to die; builds for tests know it.
const DIE_AT: &str = "ISSUECOMMAND_DIE_AT";
/// The signal by which a program dies that aborts.
const SIGABRT: i32 = 6;
/// What makes every new pull request fail, for so many calls.
const NO_PULLS: &str =
    r#"{ "method": "POST", "path": "/pulls$", "status": 422, "body": { "message": "no" }, "times": 99 }"#;

/// The word for a step and how far it is, as the journal has it.
fn word(phase: Phase, mark: PhaseMark) -> String {
    let word = |value: Value| value.as_str().unwrap().to_owned();
    format!("{}.{}", word(json!(phase)), word(json!(mark)))
}

impl Fleet {
    /// Starts a server that dies at a step, waits until it has, and starts one that does not.
    async fn die_and_start_again(&self, at: &str) -> Server {
        let mut server = self.serve(&["watch"], &[(DIE_AT, at)]).await;
        assert_eq!(server.until_dead().await.signal(), Some(SIGABRT), "{at}");
        self.watch().await
    }

    /// The next server ends in good order what one began that died at a step.
    async fn a_crash_is_mended(&self, at: &str) {
        let number = self.open_issue("leave", &["agent"]).await;
        let server = self.die_and_start_again(at).await;
        server.until_run_is(number, &["completed", "failed"]).await;
        self.is_settled(at).await;
        server.stop().await;
        self.is_done(number, &self.kept().await).await;
    }

    /// The same of a run that failed, and whose server died while it undid that.
    async fn a_crash_on_the_way_back_is_mended(&self, what: &str, reason: &str, at: &str) {
        let number = self.open_issue(what, &["agent"]).await;
        let server = self.die_and_start_again(at).await;
        server.until_run_is(number, &["completed", "failed"]).await;
        self.is_settled(at).await;
        server.stop().await;
        let kept = self.kept().await;
        self.has_failed(number, reason, &kept).await;
        assert_eq!(kept.run_on(number).attempts, 1, "{at}: it had failed, and was not begun again");
    }

    /// Waits until nothing is left of where agents worked: the last word on an issue comes before the last look.
    async fn is_settled(&self, at: &str) {
        until(&format!("nothing left over after {at}: {:?}", self.leftovers()), async || {
            self.leftovers().is_empty().then_some(())
        })
        .await;
    }
}

async fn every_phase_is_mended(mark: PhaseMark) {
    let Some(fleet) = Fleet::on_host("").await else { return };
    for phase in Phase::ALL {
        fleet.a_crash_is_mended(&word(phase, mark)).await;
    }
}

#[tokio::test]
async fn a_crash_before_any_step_ends_in_one_pull_request() {
    every_phase_is_mended(PhaseMark::Doing).await;
}

#[tokio::test]
async fn a_crash_after_any_step_ends_in_one_pull_request() {
    every_phase_is_mended(PhaseMark::Done).await;
}

#[tokio::test]
async fn a_crash_while_a_failed_run_is_undone_leaves_it_failed() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    let begun = [Phase::Work, Phase::Agent, Phase::Workspace, Phase::Container, Phase::Fetch, Phase::Claim];
    for phase in begun {
        fleet.a_crash_on_the_way_back_is_mended("fail", "the tests fail", &word(phase, PhaseMark::Undoing)).await;
    }
    for phase in [Phase::Work, Phase::Container, Phase::Claim] {
        fleet.a_crash_on_the_way_back_is_mended("fail", "the tests fail", &word(phase, PhaseMark::Undone)).await;
    }
}

#[tokio::test]
async fn a_crash_while_a_pushed_branch_is_deleted_leaves_no_branch() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    fleet.github.fault(&serde_json::from_str(NO_PULLS).unwrap()).await;
    for phase in [Phase::Pull, Phase::Push, Phase::BringOut] {
        for mark in [PhaseMark::Undoing, PhaseMark::Undone] {
            fleet.a_crash_on_the_way_back_is_mended("commit", "", &word(phase, mark)).await;
        }
    }
}

/// Waits until the server is at a step of an issue's run, and kills it.
async fn kill_at(server: Server, number: u64, phase: &str) {
    until(&format!("{phase} of the run on {number}"), async || {
        let run = server.run_on(number).await?;
        let run = server.call("GET", &format!("/api/dispatch/runs/{}", run["id"].as_str()?), Value::Null).await;
        let journal = run["run"]["journal"].as_array()?;
        journal.iter().any(|entry| entry["phase"] == phase).then_some(())
    })
    .await;
    server.kill();
}

#[tokio::test]
async fn kill_9_with_containers_leaves_none_and_ends_in_one_pull_request() {
    let Some(fleet) = Fleet::in_podman("").await else { return };
    for (what, phase) in [("leave", "container"), ("slow", "work")] {
        let number = fleet.open_issue(what, &["agent"]).await;
        kill_at(fleet.watch().await, number, phase).await;
        ends_in_one_pull_request(&fleet, number, phase).await;
    }
    fleet.git.set_gate(Gate::HoldsPushes);
    let number = fleet.open_issue("leave", &["agent"]).await;
    let (server, pushed) = (fleet.watch().await, fleet.git.push_count());
    until("the push", async || (fleet.git.push_count() > pushed).then_some(())).await;
    server.kill();
    // The push of the dead server arrives, and so does that of the next one.
    fleet.git.set_gate(Gate::Open);
    ends_in_one_pull_request(&fleet, number, "push").await;
}

async fn ends_in_one_pull_request(fleet: &Fleet, number: u64, at: &str) {
    let server = fleet.watch().await;
    server.until_run_is(number, &["completed", "failed"]).await;
    fleet.is_settled(at).await;
    server.stop().await;
    fleet.is_done(number, &fleet.kept().await).await;
}

#[tokio::test]
async fn a_run_that_lost_its_claim_opens_no_pull_request() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    fleet.git.set_gate(Gate::HoldsPushes);
    let number = fleet.open_issue("commit", &["agent"]).await;
    let server = fleet.watch().await;
    until("the push", async || (fleet.git.push_count() > 0).then_some(())).await;
    let reassigned = fleet.command(&["reassign", &format!("{REPO}#{number}"), "--to", "another"]).output().unwrap();
    assert!(reassigned.status.success(), "{}", String::from_utf8_lossy(&reassigned.stderr));
    fleet.git.set_gate(Gate::Open);
    server.until_run_is(number, &["completed", "failed"]).await;
    fleet.is_settled("a lost claim").await;
    server.stop().await;
    let kept = fleet.kept().await;
    let run = kept.run_on(number);
    assert_eq!((run.status(), run.attempts), (RunStatus::Failed, 1), "{run:#?}");
    assert!(run.reason.as_deref().is_some_and(|why| why.contains("the claim is no longer this run's")), "{run:#?}");
    assert_eq!((fleet.pulls_for(number).await, fleet.branches_of(run)), (vec![], vec![]), "what came late is gone");
    let holders: Vec<_> = kept.claims.iter().map(|claim| claim.agent_id.as_str()).collect();
    assert_eq!(holders, ["another"], "it keeps what it was given");
}

/// Has a run fail, and looks that all is as before but for the story.
async fn fails_and_leaves_nothing(fleet: &Fleet, reason: &str) {
    let number = fleet.open_issue("commit", &["agent"]).await;
    let server = fleet.watch().await;
    server.until_run_is(number, &["completed", "failed"]).await;
    fleet.is_settled(reason).await;
    server.stop().await;
    fleet.has_failed(number, reason, &fleet.kept().await).await;
}

#[tokio::test]
async fn a_step_that_fails_is_undone_with_all_before_it() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    fleet.git.set_gate(Gate::Shut);
    fails_and_leaves_nothing(&fleet, "fetch").await;
    fleet.git.set_gate(Gate::RefusesPushes);
    fails_and_leaves_nothing(&fleet, "push").await;
    fleet.git.set_gate(Gate::Open);

    fleet.github.fault(&serde_json::from_str(NO_PULLS).unwrap()).await;
    fails_and_leaves_nothing(&fleet, "pull request").await;
    fleet.github.reset_stats().await;

    fleet.configure("containers.environment = \"no-such-environment --enter\"");
    fails_and_leaves_nothing(&fleet, "no-such-environment").await;
    fleet.configure("agents.script.command = [\"no-such-agent\"]");
    fails_and_leaves_nothing(&fleet, "no-such-agent").await;
    fleet.configure("secrets = { provider = \"command\", command = [\"false\"], variables = { KEY = \"a/b\" } }");
    fails_and_leaves_nothing(&fleet, "KEY").await;

    fleet.configure("");
    let number = fleet.open_issue("leave", &["agent"]).await;
    ends_in_one_pull_request(&fleet, number, "all of this").await;
}

#[tokio::test]
async fn a_missing_image_leaves_no_container() {
    let Some(fleet) = Fleet::in_podman("containers.base_image = \"localhost/nobody-made-this\"").await else { return };
    fails_and_leaves_nothing(&fleet, "localhost/nobody-made-this").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_of_one_issue_leaves_the_others_to_the_next_server() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    let other = fleet.open_issue("slow", &["agent"]).await;
    let server = fleet.watch().await;
    server.until_run_is(other, &["running"]).await;
    server.kill();
    let place = fleet.leftovers();
    assert!(!place.is_empty(), "its agent works on");

    let own = fleet.open_issue("commit", &[]).await;
    let ran = fleet.command(&["run", &format!("{REPO}#{own}")]).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let kept = fleet.kept().await;
    assert_eq!(kept.run_on(other).status(), RunStatus::Running, "nobody touched it");
    assert_eq!(fleet.leftovers().first(), place.first(), "nor where its agent works");

    let server = fleet.watch().await;
    server.until_run_is(other, &["completed", "failed"]).await;
    fleet.is_settled("another's run").await;
    server.stop().await;
    fleet.is_done(other, &fleet.kept().await).await;
}
