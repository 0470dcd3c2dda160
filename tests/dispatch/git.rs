//! The mirror on this machine, with real git: what it fetches, hands out, takes in and pushes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use issuecommand::config::Secret;
use issuecommand::dispatch::git::{GitError, Mirror, PushOutcome, Sha};
use issuecommand::github::Remote;
use tempfile::TempDir;
use wiremock::matchers::{any, header, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const BRANCH: &str = "agent/7";
const BUNDLE_BYTES_MAX: u64 = 1 << 20;

/// Runs git in a folder, and says what it printed.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=ann", "-c", "user.email=ann@example.org", "-c", "init.defaultBranch=main"]);
    command.args(arguments).current_dir(folder).env("GIT_CONFIG_GLOBAL", "/dev/null").env_remove("GIT_DIR");
    let output = command.output().expect("git is there");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository that stands for GitHub's, with one commit on `main`, and a mirror of it.
pub struct World {
    pub scratch: TempDir,
    pub upstream: PathBuf,
    pub remote: Remote,
    pub mirror: Mirror,
}

impl World {
    pub async fn new() -> Self {
        let world = Self::unfetched();
        world.mirror.fetch(&world.remote).await.unwrap();
        world
    }

    fn unfetched() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let upstream = scratch.path().join("upstream.git");
        let seed = scratch.path().join("seed");
        fs::create_dir(&seed).unwrap();
        git(&seed, &["init", "--quiet"]);
        commit(&seed, "README.md", "hello\n");
        git(scratch.path(), &["clone", "--quiet", "--bare", "seed", "upstream.git"]);
        let url = format!("file://{}", upstream.display());
        let remote = Remote { url, default_branch: "main".into(), authorization: None };
        let mirror = Mirror::open(scratch.path().join("mirrors"), &"acme/small".parse().unwrap()).allowing_files();
        Self { scratch, upstream, remote, mirror }
    }

    /// Where the branch is upstream.
    fn upstream_at(&self, branch: &str) -> Option<Sha> {
        let reference = format!("refs/heads/{branch}");
        let said = git(&self.upstream, &["for-each-ref", "--format=%(objectname)", &reference]);
        (!said.is_empty()).then(|| said.parse().unwrap())
    }

    pub async fn base(&self) -> Sha {
        self.mirror.head_of("main").await.unwrap().unwrap()
    }

    /// A clone from the mirror's bundle, as a container has it, on the run's branch.
    async fn workspace(&self, name: &str) -> PathBuf {
        let bundle = self.scratch.path().join("out.bundle");
        self.mirror.bundle(&["main"], &bundle).await.unwrap();
        let folder = self.scratch.path().join(name);
        fs::create_dir(&folder).unwrap();
        git(&folder, &["init", "--quiet"]);
        git(&folder, &["fetch", "--quiet", bundle.to_str().unwrap(), "refs/remotes/origin/*:refs/remotes/origin/*"]);
        git(&folder, &["checkout", "--quiet", "-b", BRANCH, "refs/remotes/origin/main"]);
        folder
    }

    /// What `folder` did on its branch since `base`, as a bundle.
    fn bundle_of(&self, folder: &Path, range: &str) -> PathBuf {
        let path = self.scratch.path().join("in.bundle");
        git(folder, &["bundle", "create", "--quiet", path.to_str().unwrap(), range]);
        path
    }

    /// One commit by a run, taken in.
    async fn one_commit(&self) -> Sha {
        let (base, folder) = (self.base().await, self.workspace("work").await);
        commit(&folder, "new.txt", "new\n");
        let bundle = self.bundle_of(&folder, &format!("{base}..{BRANCH}"));
        let out = self.mirror.take_in(&bundle, BUNDLE_BYTES_MAX, BRANCH, &base).await.unwrap();
        assert_eq!((out.commit_count, out.file_count), (1, 1));
        out.head
    }

    async fn refusal(&self, bundle: &Path, bytes_max: u64) -> String {
        let refused = self.mirror.take_in(bundle, bytes_max, BRANCH, &self.base().await).await.unwrap_err();
        assert!(matches!(refused, GitError::Refused { .. }), "{refused:?}");
        assert_eq!(self.mirror.brought(BRANCH).await.unwrap(), None);
        refused.to_string()
    }
}

pub fn commit(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--message", &format!("Write {name}")]);
}

#[tokio::test]
async fn what_a_run_commits_is_taken_in_and_pushed_under_its_branch() {
    let world = World::new().await;
    let head = world.one_commit().await;
    assert_eq!(world.mirror.brought(BRANCH).await.unwrap().as_ref(), Some(&head));
    assert_eq!(world.mirror.push(&world.remote, BRANCH, None).await.unwrap(), PushOutcome::Pushed);
    assert_eq!(world.upstream_at(BRANCH).as_ref(), Some(&head));
    assert_eq!(git(&world.upstream, &["show", &format!("{BRANCH}:new.txt")]), "new");
    // The answer was lost, and the step is done again.
    assert_eq!(world.mirror.push(&world.remote, BRANCH, None).await.unwrap(), PushOutcome::Pushed);
}

#[tokio::test]
async fn a_late_run_does_not_overwrite_what_another_pushed() {
    let world = World::new().await;
    let head = world.one_commit().await;
    git(&world.upstream, &["branch", BRANCH, "main"]);
    let before = world.upstream_at(BRANCH).unwrap();
    let stale = world.mirror.push(&world.remote, BRANCH, None).await.unwrap();
    assert_eq!(stale, PushOutcome::Stale { actual: Some(before.clone()) });
    assert_eq!(world.upstream_at(BRANCH).as_ref(), Some(&before));
    let elsewhere = "1".repeat(40).parse().unwrap();
    let stale = world.mirror.push(&world.remote, BRANCH, Some(&elsewhere)).await.unwrap();
    assert_eq!(stale, PushOutcome::Stale { actual: Some(before.clone()) });
    assert_eq!(world.mirror.push(&world.remote, BRANCH, Some(&before)).await.unwrap(), PushOutcome::Pushed);
    assert_eq!(world.upstream_at(BRANCH), Some(head));
}

#[tokio::test]
async fn a_branch_is_taken_away_only_from_where_it_was_left() {
    let world = World::new().await;
    let (head, base) = (world.one_commit().await, world.base().await);
    world.mirror.push(&world.remote, BRANCH, None).await.unwrap();
    let stale = world.mirror.delete_remote(&world.remote, BRANCH, &base).await.unwrap();
    assert_eq!(stale, PushOutcome::Stale { actual: Some(head.clone()) });
    for _ in 0..2 {
        assert_eq!(world.mirror.delete_remote(&world.remote, BRANCH, &head).await.unwrap(), PushOutcome::Pushed);
        assert_eq!(world.upstream_at(BRANCH), None);
    }
}

#[tokio::test]
async fn a_push_that_the_server_forbids_says_why() {
    let world = World::new().await;
    world.one_commit().await;
    let hook = world.upstream.join("hooks/pre-receive");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, "#!/bin/sh\necho 'branches of agents are not wanted' >&2\nexit 1\n").unwrap();
    make_runnable(&hook);
    let error = world.mirror.push(&world.remote, BRANCH, None).await.unwrap_err().to_string();
    assert!(error.contains("declined") && error.contains("are not wanted"), "{error}");
}

#[tokio::test]
async fn no_commit_is_nothing_done_and_no_error() {
    let world = World::new().await;
    let empty = world.scratch.path().join("empty");
    fs::write(&empty, "").unwrap();
    let base = world.base().await;
    let out = world.mirror.take_in(&empty, BUNDLE_BYTES_MAX, BRANCH, &base).await.unwrap();
    assert_eq!((out.head, out.commit_count, out.file_count), (base, 0, 0));
}

#[tokio::test]
async fn a_branch_with_another_past_is_refused() {
    let world = World::new().await;
    let folder = world.workspace("work").await;
    git(&folder, &["checkout", "--quiet", "--orphan", "other"]);
    commit(&folder, "other.txt", "other\n");
    git(&folder, &["branch", "--force", BRANCH, "other"]);
    let why = world.refusal(&world.bundle_of(&folder, BRANCH), BUNDLE_BYTES_MAX).await;
    assert!(why.contains("does not go on from"), "{why}");
}

#[tokio::test]
async fn objects_that_git_would_trip_over_are_refused() {
    let world = World::new().await;
    let folder = world.workspace("work").await;
    // A tree with a folder called `.git`: checked out, it would be a repository's own configuration.
    let blob = git(&folder, &["hash-object", "-w", "README.md"]);
    let tree = |lines: String| {
        fs::write(folder.join("lines"), lines).unwrap();
        let script = "git mktree --missing < lines";
        let output = Command::new("sh").args(["-c", script]).current_dir(&folder).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let inner = tree(format!("100644 blob {blob}\tconfig\n"));
    let outer = tree(format!("040000 tree {inner}\t.git\n"));
    let commit = git(&folder, &["commit-tree", &outer, "-p", "HEAD", "-m", "trap"]);
    git(&folder, &["update-ref", &format!("refs/heads/{BRANCH}"), &commit]);
    let why = world.refusal(&world.bundle_of(&folder, &format!("origin/main..{BRANCH}")), BUNDLE_BYTES_MAX).await;
    assert!(why.contains("not sound") && why.contains("hasDotgit"), "{why}");
}

#[tokio::test]
async fn what_is_too_large_broken_or_of_another_branch_is_refused() {
    let world = World::new().await;
    let folder = world.workspace("work").await;
    commit(&folder, "new.txt", "new\n");
    let bundle = world.bundle_of(&folder, &format!("origin/main..{BRANCH}"));
    assert!(world.refusal(&bundle, 10).await.contains("10 is the most"));
    let mut bytes = fs::read(&bundle).unwrap();
    let last = bytes.len() - 30;
    bytes[last] ^= 0xff;
    fs::write(&bundle, bytes).unwrap();
    assert!(world.refusal(&bundle, BUNDLE_BYTES_MAX).await.contains("not sound"));
    git(&folder, &["branch", "agent/8"]);
    let other = world.bundle_of(&folder, "origin/main..agent/8");
    assert!(world.refusal(&other, BUNDLE_BYTES_MAX).await.contains("does not bring refs/heads/agent/7"));
}

#[tokio::test]
async fn links_and_modules_are_only_data() {
    let world = World::new().await;
    let (base, folder) = (world.base().await, world.workspace("work").await);
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link")).unwrap();
    git(&folder, &["update-index", "--add", "--cacheinfo", &format!("160000,{base},module")]);
    git(&folder, &["add", "link"]);
    git(&folder, &["commit", "--quiet", "--message", "A link and a module"]);
    let bundle = world.bundle_of(&folder, &format!("{base}..{BRANCH}"));
    let out = world.mirror.take_in(&bundle, BUNDLE_BYTES_MAX, BRANCH, &base).await.unwrap();
    assert_eq!((out.commit_count, out.file_count), (1, 2));
    assert_eq!(world.mirror.show(&out.head, "link", 100).await.unwrap(), None);
    assert_eq!(world.mirror.show(&out.head, "module", 100).await.unwrap(), None);
    assert_eq!(world.mirror.show(&out.head, "README.md", 100).await.unwrap().unwrap(), b"hello\n");
    assert_eq!(world.mirror.show(&out.head, "README.md", 5).await.unwrap(), None);
    assert_eq!(world.mirror.file_list(&out.head, 10).await.unwrap(), ["README.md", "link", "module"]);
}

#[tokio::test]
async fn a_change_of_what_github_runs_by_itself_is_told() {
    let world = World::new().await;
    let (base, folder) = (world.base().await, world.workspace("work").await);
    let mut told = Vec::new();
    for name in ["docs/.github/workflows/no.yml", ".github/workflows/ci.yml"] {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        commit(&folder, name, "on: push\n");
        let bundle = world.bundle_of(&folder, &format!("{base}..{BRANCH}"));
        told.push(world.mirror.take_in(&bundle, BUNDLE_BYTES_MAX, BRANCH, &base).await.unwrap().changes_workflows);
    }
    assert_eq!(told, [false, true]);
}

#[tokio::test]
async fn a_fetch_follows_the_remote_and_leaves_what_runs_brought() {
    let world = World::new().await;
    let head = world.one_commit().await;
    git(&world.upstream, &["branch", "gone", "main"]);
    world.mirror.fetch(&world.remote).await.unwrap();
    assert!(world.mirror.head_of("gone").await.unwrap().is_some());
    git(&world.upstream, &["branch", "-D", "gone"]);
    world.mirror.fetch(&world.remote).await.unwrap();
    assert_eq!(world.mirror.head_of("gone").await.unwrap(), None);
    assert_eq!(world.mirror.brought(BRANCH).await.unwrap(), Some(head));
    world.mirror.forget(BRANCH).await.unwrap();
    assert_eq!(world.mirror.brought(BRANCH).await.unwrap(), None);
}

#[tokio::test]
async fn many_may_fetch_into_one_mirror_at_once() {
    let world = World::unfetched();
    let fetch = || world.mirror.fetch(&world.remote);
    let folder = world.mirror.folder().to_owned();
    fs::create_dir_all(&folder).unwrap();
    let another = fs::File::create(folder.with_extension("lock")).unwrap();
    another.lock().unwrap();
    tokio::time::timeout(Duration::from_millis(500), fetch()).await.expect_err("it waits for who fetches already");
    another.unlock().unwrap();
    let results = tokio::join!(fetch(), fetch(), fetch(), fetch());
    assert!(results.0.is_ok() && results.1.is_ok() && results.2.is_ok() && results.3.is_ok(), "{results:?}");
    assert!(world.mirror.head_of("main").await.unwrap().is_some());
}

#[tokio::test]
async fn a_mirror_that_was_never_fetched_knows_nothing_and_runs_no_hook_later() {
    let world = World::unfetched();
    assert_eq!(world.mirror.head_of("main").await.unwrap(), None);
    world.mirror.fetch(&world.remote).await.unwrap();
    let (hooks, trace) = (world.mirror.folder().join("hooks"), world.scratch.path().join("trace"));
    fs::create_dir_all(&hooks).unwrap();
    for hook in ["reference-transaction", "pre-push", "post-update"] {
        fs::write(hooks.join(hook), format!("#!/bin/sh\ntouch {}\n", trace.display())).unwrap();
        make_runnable(&hooks.join(hook));
    }
    world.one_commit().await;
    world.mirror.push(&world.remote, BRANCH, None).await.unwrap();
    assert!(!trace.exists());
}

#[tokio::test]
async fn only_plain_web_addresses_are_handed_to_git() {
    let world = World::unfetched();
    let strict = Mirror::open(world.scratch.path().join("strict"), &"acme/small".parse().unwrap());
    let remote = |url: &str| Remote { url: url.into(), ..world.remote.clone() };
    for url in [
        world.remote.url.as_str(),
        "ext::sh -c id",
        "--upload-pack=id",
        "ssh://host/x",
        "/srv/x.git",
        "https://me:pw@host/x",
    ] {
        let error = strict.fetch(&remote(url)).await.unwrap_err();
        assert!(matches!(error, GitError::Refused { .. }), "{url}: {error:?}");
        assert!(!error.to_string().contains("pw"));
    }
    assert!(!strict.folder().exists());
}

/// A server that knows no repository, and notes what it is asked.
async fn fetch_from(server: &MockServer, world: &World) -> String {
    let authorization = Some(Secret::new("Basic c2VjcmV0LXRva2Vu"));
    let remote = Remote { url: format!("{}/acme/small.git", server.uri()), authorization, ..world.remote.clone() };
    world.mirror.fetch(&remote).await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_token_goes_to_the_remote_and_into_no_error() {
    let (world, server) = (World::unfetched(), MockServer::start().await);
    let asked = Mock::given(path("/acme/small.git/info/refs")).and(header("authorization", "Basic c2VjcmV0LXRva2Vu"));
    asked.respond_with(ResponseTemplate::new(403)).expect(1).mount(&server).await;
    let error = fetch_from(&server, &world).await;
    assert!(error.contains("403") && error.contains("acme/small.git"), "{error}");
    assert!(!error.contains("c2Vj"), "{error}");
}

#[tokio::test]
async fn a_token_is_not_carried_to_where_a_redirect_leads() {
    let (world, server, elsewhere) = (World::unfetched(), MockServer::start().await, MockServer::start().await);
    Mock::given(any()).respond_with(ResponseTemplate::new(500)).expect(0).mount(&elsewhere).await;
    let to = format!("{}/acme/small.git/info/refs?service=git-upload-pack", elsewhere.uri());
    let redirect = ResponseTemplate::new(301).insert_header("location", to.as_str());
    Mock::given(any()).respond_with(redirect).expect(1).mount(&server).await;
    let error = fetch_from(&server, &world).await;
    assert!(error.contains("could not fetch"), "{error}");
}

fn make_runnable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}
