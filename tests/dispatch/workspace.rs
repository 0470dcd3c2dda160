//! The work tree within a container, filled and emptied by real git; a folder of this machine stands for the
//! container.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use issuecommand::dispatch::container::{
    ContainerError, ContainerId, ContainerRow, ContainerRuntime, ContainerSpec, ContainerState, ContainerUsage, Exec,
    Places, RuntimeFacts,
};
use issuecommand::dispatch::git::{PushOutcome, Sha};
use issuecommand::dispatch::workspace::{Filling, Workspace};
use tokio::process::Command;

use crate::git::{World, commit, git};

const BRANCH: &str = "agent/7";
const BYTES_MAX: u64 = 1 << 20;

/// Runs what it is given in a folder, with an environment of its own.
#[derive(Debug)]
struct Folder(PathBuf);

fn elsewhere<T>() -> Result<T, ContainerError> {
    Err(ContainerError::Unusable { runtime: "a folder".into(), why: "it only runs commands".into() })
}

#[async_trait]
impl ContainerRuntime for Folder {
    async fn probe(&self) -> Result<RuntimeFacts, ContainerError> {
        elsewhere()
    }
    async fn start(&self, _: &ContainerSpec) -> Result<ContainerId, ContainerError> {
        elsewhere()
    }
    fn command(&self, _: &ContainerId, exec: &Exec) -> Command {
        let mut command = Command::new(&exec.argv[0]);
        command.args(&exec.argv[1..]).current_dir(&self.0).env_clear();
        let home = ("HOME".to_owned(), self.0.display().to_string());
        let path = ("PATH".to_owned(), std::env::var("PATH").unwrap());
        command.envs(BTreeMap::from([home, path]));
        command
    }
    fn places(&self, _: &ContainerId) -> Places {
        let place = |name: &str| self.0.join(name).display().to_string();
        Places { workspace: place("workspace"), run: place("run") }
    }
    async fn state(&self, _: &ContainerId) -> Result<ContainerState, ContainerError> {
        elsewhere()
    }
    async fn address(&self, _: &ContainerId, _: u16) -> Result<SocketAddr, ContainerError> {
        elsewhere()
    }
    async fn usage(&self, _: &ContainerId) -> Result<Option<ContainerUsage>, ContainerError> {
        elsewhere()
    }
    async fn list(&self, _: &str) -> Result<Vec<ContainerRow>, ContainerError> {
        elsewhere()
    }
    async fn remove(&self, _: &ContainerId) -> Result<(), ContainerError> {
        elsewhere()
    }
}

/// A mirror, and a container with a work tree from it.
struct Ground {
    world: World,
    runtime: Folder,
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
        let folder = world.scratch.path().join("container");
        fs::create_dir_all(folder.join("run")).unwrap();
        let (tree, out) = (folder.join("workspace"), world.scratch.path().join("out.bundle"));
        Self { world, runtime: Folder(folder), container: ContainerId("c1".into()), tree, out }
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
