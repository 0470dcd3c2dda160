//! The work tree within a container, filled and emptied by real git: in a folder of this machine, and in podman.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use issuecommand::config::Secret;
use issuecommand::dispatch::container::{ContainerError, ContainerId, ContainerRuntime, HostProcess};
use issuecommand::dispatch::git::{GitError, Mirror, PushOutcome, Sha};
use issuecommand::dispatch::workspace::{Filling, Workspace};
use issuecommand::github::Remote;

use crate::containers::{Bed, spec};
use crate::git::{World, commit, git};
use crate::image::podman_with_agents;
use crate::kit::GitServer;

const BRANCH: &str = "agent/7";
const BYTES_MAX: u64 = 1 << 20;

/// A mirror, and a container with a work tree from it.
struct Ground {
    world: World,
    runtime: HostProcess,
    container: ContainerId,
    tree: PathBuf,
    out: PathBuf,
}

impl Ground {
    async fn new() -> Self {
        let ground = Self::unfilled().await;
        let began = ground.fill("main").await.unwrap();
        assert_eq!(began, ground.world.base().await);
        ground
    }

    async fn unfilled() -> Self {
        let world = World::new().await;
        let runtime = HostProcess::new(world.scratch.path().join("containers"));
        let container = runtime.start(&spec("workspace")).await.unwrap();
        let (tree, out) = (runtime.places(&container).workspace.into(), world.scratch.path().join("out.bundle"));
        Self { world, runtime, container, tree, out }
    }

    fn workspace(&self) -> Workspace<'_> {
        Workspace::of(&self.runtime, &self.container)
    }

    async fn fill(&self, from: &str) -> Result<Sha, ContainerError> {
        let bundle = self.world.scratch.path().join("fill.bundle");
        self.world.mirror.bundle(&["main", from], &bundle).await.unwrap();
        let filling =
            Filling { bundle: &bundle, from, branch: BRANCH, git_name: "agent", git_email: "agent@example.org" };
        self.workspace().fill(&filling).await
    }

    async fn bring_out(&self, bytes_max: u64) -> Result<(), ContainerError> {
        self.workspace().bring_out(&self.world.base().await, BRANCH, &self.out, bytes_max).await
    }
}

/// Commits as the agent does: by the identity that the work tree was given.
fn commit_within(tree: &Path, name: &str) {
    fs::write(tree.join(name), name).unwrap();
    for arguments in [&["add", "--all"][..], &["commit", "--quiet", "--message", name]] {
        let mut command = std::process::Command::new("git");
        command.args(arguments).current_dir(tree).env("GIT_CONFIG_GLOBAL", "/dev/null");
        assert!(command.status().unwrap().success());
    }
}

#[tokio::test]
async fn commits_go_from_the_container_to_the_remote_under_the_agents_name() {
    let ground = Ground::new().await;
    assert_eq!(fs::read_to_string(ground.tree.join("README.md")).unwrap(), "hello\n");
    assert_eq!(git(&ground.tree, &["branch", "--show-current"]), BRANCH);
    commit_within(&ground.tree, "new.txt");
    ground.bring_out(BYTES_MAX).await.unwrap();
    let (mirror, base) = (&ground.world.mirror, ground.world.base().await);
    let out = mirror.take_in(&ground.out, BYTES_MAX, BRANCH, &base).await.unwrap();
    assert_eq!((out.commit_count, out.file_count), (1, 1));
    mirror.push(&ground.world.remote, BRANCH, None).await.unwrap();
    let author = git(&ground.world.upstream, &["log", "-1", "--format=%an <%ae>", BRANCH]);
    assert_eq!(author, "agent <agent@example.org>");
}

#[tokio::test]
async fn a_run_that_did_nothing_brings_nothing_out() {
    let ground = Ground::new().await;
    ground.bring_out(BYTES_MAX).await.unwrap();
    assert_eq!(fs::read(&ground.out).unwrap(), b"");
    assert_eq!(ground.workspace().uncommitted_count().await.unwrap(), 0);
    fs::write(ground.tree.join("left.txt"), "work").unwrap();
    fs::write(ground.tree.join("README.md"), "work").unwrap();
    assert_eq!(ground.workspace().uncommitted_count().await.unwrap(), 2);
}

#[tokio::test]
async fn a_follow_up_goes_on_where_the_pull_request_is() {
    let ground = Ground::new().await;
    commit_within(&ground.tree, "new.txt");
    ground.bring_out(BYTES_MAX).await.unwrap();
    let (world, base) = (&ground.world, ground.world.base().await);
    let first = world.mirror.take_in(&ground.out, BYTES_MAX, BRANCH, &base).await.unwrap().head;
    world.mirror.push(&world.remote, BRANCH, None).await.unwrap();
    // A reviewer adds a commit of their own.
    let reviewer = world.scratch.path().join("reviewer");
    git(world.scratch.path(), &["clone", "--quiet", "--branch", BRANCH, "upstream.git", "reviewer"]);
    commit(&reviewer, "reviewed.txt", "ok\n");
    git(&reviewer, &["push", "--quiet", "origin", BRANCH]);
    world.mirror.fetch(&world.remote).await.unwrap();

    fs::remove_dir_all(&ground.tree).unwrap();
    fs::create_dir(&ground.tree).unwrap();
    let began = ground.fill(BRANCH).await.unwrap();
    assert!(began != first && ground.tree.join("reviewed.txt").exists());
    commit_within(&ground.tree, "again.txt");
    ground.workspace().bring_out(&began, BRANCH, &ground.out, BYTES_MAX).await.unwrap();
    let out = world.mirror.take_in(&ground.out, BYTES_MAX, BRANCH, &began).await.unwrap();
    assert_eq!(out.commit_count, 1);
    let pushed = world.mirror.push(&world.remote, BRANCH, Some(&began)).await.unwrap();
    assert_eq!(pushed, PushOutcome::Pushed);
}

#[tokio::test]
async fn filling_again_overwrites_what_a_crash_left() {
    let ground = Ground::new().await;
    commit_within(&ground.tree, "half.txt");
    fs::write(ground.tree.join("README.md"), "half done").unwrap();
    assert_eq!(ground.fill("main").await.unwrap(), ground.world.base().await);
    assert_eq!(fs::read_to_string(ground.tree.join("README.md")).unwrap(), "hello\n");
    assert!(!ground.tree.join("half.txt").exists());
}

#[tokio::test]
async fn what_goes_wrong_within_is_told_in_gits_own_words() {
    let ground = Ground::unfilled().await;
    let broken = ground.world.scratch.path().join("broken");
    fs::write(&broken, "no bundle").unwrap();
    let filling = Filling { bundle: &broken, from: "main", branch: BRANCH, git_name: "a", git_email: "a@b" };
    let error = ground.workspace().fill(&filling).await.unwrap_err().to_string();
    assert!(error.starts_with("git in the container could not make the work tree: ") && error.len() < 500, "{error}");

    ground.fill("main").await.unwrap();
    commit_within(&ground.tree, "new.txt");
    let error = ground.bring_out(10).await.unwrap_err().to_string();
    assert!(error.contains("10 is the most"), "{error}");
    git(&ground.tree, &["checkout", "--quiet", "--detach"]);
    git(&ground.tree, &["branch", "-D", BRANCH]);
    let error = ground.bring_out(BYTES_MAX).await.unwrap_err().to_string();
    assert!(error.contains("the branch agent/7 is gone"), "{error}");
}

#[tokio::test]
async fn a_changed_file_is_seen_once() {
    let ground = Ground::new().await;
    let workspace = ground.workspace();
    assert!(workspace.changed().await.unwrap(), "everything is new at first");
    settled(&workspace).await;
    fs::write(ground.tree.join("README.md"), "more").unwrap();
    assert!(workspace.changed().await.unwrap());
    settled(&workspace).await;
    fs::create_dir(ground.tree.join("new")).unwrap();
    assert!(workspace.changed().await.unwrap());
}

/// Waits until nothing is new: what changed within one tick of the file system's clock may be seen twice.
async fn settled(workspace: &Workspace<'_>) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while workspace.changed().await.unwrap() {
        assert!(Instant::now() < deadline, "something changes all the time");
    }
}

/// A mirror that reaches its remote over HTTP, and needs the token for it.
async fn over_http(world: &World) -> (GitServer, Remote, Mirror) {
    git(&world.upstream, &["config", "http.receivepack", "true"]);
    let server = GitServer::start(world.scratch.path(), "ghp_T0ken5ecret").await;
    let authorization = format!("Basic {}", BASE64_STANDARD.encode("x-access-token:ghp_T0ken5ecret"));
    let authorization = Some(Secret::new(authorization));
    let remote = Remote { url: server.url("upstream.git"), default_branch: "main".into(), authorization };
    let mirror = Mirror::open(world.scratch.path().join("strict"), &"acme/small".parse().unwrap());
    (server, remote, mirror)
}

#[tokio::test]
async fn without_the_token_git_gets_nothing_and_asks_nobody() {
    let world = World::new().await;
    let (_server, remote, mirror) = over_http(&world).await;
    for authorization in [None, Some(Secret::new("Basic d3Jvbmc6d3Jvbmc="))] {
        let error = mirror.fetch(&Remote { authorization, ..remote.clone() }).await.unwrap_err();
        assert!(matches!(error, GitError::Failed { .. }), "{error:?}");
        assert!(!error.to_string().contains("d3Jv"), "{error}");
    }
}

#[tokio::test]
async fn a_change_made_in_podman_arrives_at_a_remote_that_needs_a_token() {
    let Some(program) = podman_with_agents() else { return };
    let world = World::new().await;
    let (server, remote, mirror) = over_http(&world).await;
    mirror.fetch(&remote).await.unwrap();
    let base = mirror.head_of("main").await.unwrap().unwrap();
    let (bundle, out) = (world.scratch.path().join("fill.bundle"), world.scratch.path().join("out.bundle"));
    mirror.bundle(&["main"], &bundle).await.unwrap();

    let bed = Bed::of(program, spec("workspace")).await;
    let workspace = Workspace::of(&bed.podman, &bed.id);
    let filling =
        Filling { bundle: &bundle, from: "main", branch: BRANCH, git_name: "agent", git_email: "a@b.example" };
    assert_eq!(workspace.fill(&filling).await.unwrap(), base);
    settled(&workspace).await;
    let tree = bed.podman.places(&bed.id).workspace;
    bed.printed(&format!("cd {tree} && echo new > new.txt")).await;
    assert!(workspace.changed().await.unwrap());
    assert_eq!(workspace.uncommitted_count().await.unwrap(), 1);
    bed.printed(&format!("cd {tree} && git add . && git commit --quiet --message new")).await;
    assert_eq!(workspace.uncommitted_count().await.unwrap(), 0);
    workspace.bring_out(&base, BRANCH, &out, BYTES_MAX).await.unwrap();
    assert_eq!(mirror.take_in(&out, BYTES_MAX, BRANCH, &base).await.unwrap().commit_count, 1);
    assert_eq!(mirror.push(&remote, BRANCH, None).await.unwrap(), PushOutcome::Pushed);
    assert_eq!(server.push_count(), 1);
    assert_eq!(git(&world.upstream, &["show", &format!("{BRANCH}:new.txt")]), "new");
}
