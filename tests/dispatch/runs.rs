//! `issuecommand run`: one issue in, one pull request out, or a reason why not, and nothing left behind.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::git::git;
use crate::world::{Ended, MODEL_KEY, REPO, TOKEN, World, start};

impl World {
    /// That an issue's run failed, said why, and left nothing behind.
    async fn is_as_before_but_for_the_reason(&self, number: u64, ended: &Ended, reason: &str) {
        assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.err.contains(reason), "{ended:?}");
        assert_eq!(self.page().labels(number).await, ["agent", "agent/failed"]);
        let comments = self.page().comments(number).await;
        let [story] = comments.as_slice() else { panic!("one comment tells it: {comments:?}") };
        assert!(story.contains("**Failed**") && story.contains(reason), "{story}");
        self.left_nothing().await;
    }

    async fn left_nothing(&self) {
        let claims = self.claims().await;
        assert!(claims.len() == 1 && claims[0]["status"] == "released", "{claims:?}");
        assert_eq!((self.containers(), self.branches()), (vec![], vec![]));
        assert_eq!(self.page().list("/pulls?state=all").await, Vec::<Value>::new());
    }
}

async fn an_issue_becomes_a_pull_request(agent: &str) {
    let Some(world) = World::with(agent).await else { return };
    let number = world.open_issue("commit").await;
    let ended = world.run(number).await;
    assert_eq!(ended.code, Some(0), "{ended:?}\n{}", world.logs());

    let pulls = world.page().list("/pulls?state=all").await;
    let [pull] = pulls.as_slice() else { panic!("one pull request: {pulls:?}") };
    let url = pull["html_url"].as_str().unwrap();
    assert_eq!(ended.out, format!("{url}\n"), "the address is all that is printed");
    let runs = world.runs();
    let [run] = runs.as_slice() else { panic!("one run: {runs:?}") };
    let body = pull["body"].as_str().unwrap();
    assert!(body.contains("<!-- issuecommand:pull ") && body.contains(run.as_str()), "{body}");
    assert!(body.contains(&format!("Closes #{number}\n")), "{body}");
    assert_eq!(pull["base"]["ref"], "main");
    assert_eq!(world.page().labels(pull["number"].as_u64().unwrap()).await, ["agent-pr"]);

    let branch = pull["head"]["ref"].as_str().unwrap();
    assert_eq!(world.branches(), [branch]);
    assert_eq!(git(&world.upstream(), &["show", &format!("{branch}:hello.txt")]), "hello world");
    let commits = git(&world.upstream(), &["log", "--format=%an <%ae> %s", &format!("main..{branch}")]);
    assert_eq!(commits, "agent <agent@example.invalid> Add hello.txt");

    assert_eq!(world.page().labels(number).await, ["agent", "agent/done"]);
    let comments = world.page().comments(number).await;
    let [story] = comments.as_slice() else { panic!("one comment tells it: {comments:?}") };
    assert!(story.contains(&format!("**Done** by `{agent}`: {url}")) && story.contains(run.as_str()), "{story}");

    let claims = world.claims().await;
    let [claim] = claims.as_slice() else { panic!("one claim: {claims:?}") };
    assert_eq!((&claim["status"], &claim["pr_url"]), (&"pr_submitted".into(), &url.into()), "{claim}");
    assert_eq!(world.containers(), Vec::<String>::new());
    for words in ["making the container", "the agent works", "git add -A", "opening the pull request"] {
        assert!(ended.err.contains(words), "progress is seen: {words}: {}", ended.err);
    }
    assert!(!ended.err.contains(TOKEN) && !ended.err.contains(MODEL_KEY), "{}", ended.err);
}

mod an_issue_becomes_a_pull_request {
    macro_rules! by {
        ($($agent:ident),+) => {$(
            #[tokio::test]
            async fn $agent() {
                super::an_issue_becomes_a_pull_request(stringify!($agent)).await;
            }
        )+};
    }
    by!(opencode, pi, claude, codex, acp, one_of_your_own);
}

#[tokio::test]
async fn a_second_run_of_the_same_issue_opens_no_second_pull_request() {
    let Some(world) = World::with("opencode").await else { return };
    let number = world.open_issue("commit").await;
    let (one, other) = (world.start_run(number), world.start_run(number));
    let (one, other) = (one.end().await, other.end().await);
    assert_eq!((one.code, other.code), (Some(0), Some(0)), "{one:?}\n{other:?}");
    assert_eq!(one.out, other.out);
    assert_eq!((world.page().list("/pulls?state=all").await.len(), world.branches().len()), (1, 1));
    // A pull request waits for people: the claim is held, and nothing is begun anew.
    let again = world.run(number).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!((world.page().list("/pulls?state=all").await.len(), world.branches().len()), (1, 1));
}

#[tokio::test]
async fn a_model_that_refuses_fails_the_run_with_its_words() {
    let Some(world) = World::with("opencode").await else { return };
    let number = world.open_issue("error400").await;
    let ended = world.run(number).await;
    world.is_as_before_but_for_the_reason(number, &ended, "scripted 400").await;
}

#[tokio::test]
async fn an_agent_that_commits_nothing_fails_the_run() {
    let Some(world) = World::with("opencode").await else { return };
    let number = world.open_issue("hello").await;
    let ended = world.run(number).await;
    world.is_as_before_but_for_the_reason(number, &ended, "committed nothing").await;
}

#[tokio::test]
async fn an_issue_that_is_not_there_is_told_so_and_nothing_begins() {
    let Some(world) = World::with("opencode").await else { return };
    let ended = world.run(999).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains(&format!("{REPO}#999 is no open issue")), "{ended:?}");
    assert_eq!((world.runs(), world.claims().await), (vec![], vec![]));
}

#[tokio::test]
async fn a_repository_that_takes_no_part_is_left_alone() {
    let Some(world) = World::with("opencode").await else { return };
    world.configure("opencode", "policies.repo_filter.settings.allow = [\"alice/dotfiles\"]");
    let number = world.open_issue("commit").await;
    let ended = world.run(number).await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains(REPO) && ended.err.contains("not an allowed repository"), "{ended:?}");
    assert_eq!((world.runs(), world.claims().await), (vec![], vec![]));
    assert_eq!(
        (world.page().labels(number).await, world.page().comments(number).await),
        (vec!["agent".into()], vec![])
    );
}

#[tokio::test]
async fn control_c_undoes_what_was_begun() {
    let Some(world) = World::with("opencode").await else { return };
    let number = world.open_issue("stall").await;
    let run = world.start_run(number);
    world.until_logged("the agent works").await;
    assert_eq!(world.containers().len(), 1);
    run.interrupt();
    let ended = run.end().await;
    assert_eq!((ended.code, ended.out.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.err.contains("interrupted: run") && ended.err.contains("cancelled by"), "{ended:?}");
    assert_eq!(world.page().labels(number).await, ["agent", "agent/failed"]);
    world.left_nothing().await;
}

#[tokio::test]
async fn without_podman_the_run_says_what_is_missing() {
    let Some(world) = World::with("opencode").await else { return };
    world.configure("opencode", "containers.runtime = \"podman\"");
    let number = world.open_issue("commit").await;
    let path = world.home().join("bin");
    std::fs::create_dir(&path).unwrap();
    let folders = std::env::var_os("PATH").unwrap();
    for program in ["git", "sh"] {
        let found = std::env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| path.exists());
        symlink(found.unwrap(), path.join(program)).unwrap();
    }
    let mut command = world.command(&["run", &format!("{REPO}#{number}")]);
    command.env("PATH", &path);
    let ended = start(command).end().await;
    world.is_as_before_but_for_the_reason(number, &ended, "podman cannot be used").await;
}

#[tokio::test]
async fn a_missing_image_is_told_with_the_way_to_make_it() {
    let Some(world) = World::with("opencode").await else { return };
    world.configure("opencode", "containers.base_image = \"localhost/nobody-made-this\"");
    let number = world.open_issue("commit").await;
    let ended = world.run(number).await;
    world.is_as_before_but_for_the_reason(number, &ended, "issuecommand image build").await;
}
