//! Many runs of one server: the GitHub stand-in, git over HTTP, `issuecommand watch`, and for an agent a script that
//! does what the issue's text says. In containers, or in folders of this machine, which is faster.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use issuecommand::config::StoreConfig;
use issuecommand::domain::{Claim, Event, EventSeq, Run, RunStatus};
use issuecommand::store::{Change, CommitObserver, RunFilter, SqlStore, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::git::git;
use crate::image::{AGENT_IMAGE, podman_with_agents};
use crate::kit::GitServer;
use crate::page::Page;
use crate::peek;
use crate::standin::{Standin, TOKEN};

mod server;

pub use server::Server;

/// The repository, which has the topic that lets the dispatcher in.
pub const REPO: &str = "alice/widget";
/// What a run comes back as when its question is answered.
pub const ANSWER: &str = "Blue it is, said the painter";
/// What signs deliveries.
const HOOK_SECRET: &str = "a-secret-of-these-tests";

/// The agent: it does as the issue's `[[do:...]]` says.
const AGENT: &str = r#"
prompt=$(cat)
told() { case $prompt in *"$1"*) return 0 ;; esac; return 1; }
commit() {
  date +%s%N >> work.txt
  git add --all && git commit --quiet --message "Work on it" && echo "Done: committed."
}
echo "I read the issue."
if told '[[do:slow]]'; then
  for second in 1 2 3 4 5 6 7 8; do echo "second $second"; sleep 1; done
  commit
elif told '[[do:once]]'; then
  case $(git branch --show-current) in *-e1) echo "not the first time" >&2; exit 1 ;; *) commit ;; esac
elif told '[[do:fail]]'; then echo "the tests fail" >&2; exit 1
elif told '[[do:stuck]]'; then exec sleep 600
elif told '[[do:long]]'; then while :; do echo "still at it"; sleep 1; done
elif told '[[do:ask]]'; then
  if told 'Blue it is'; then commit; else echo "NEEDS-INPUT: which colour?"; fi
elif told '[[do:nobody]]'; then echo "NEEDS-INPUT: is anybody there?"
elif told '[[do:nothing]]'; then echo "Done: there was nothing to do."
elif told '[[do:memory]]'; then tail /dev/zero; exit $?
elif told '[[do:forget]]'; then
  if [ -e work.txt ]; then commit; else echo forgotten > work.txt; echo "Done."; fi
elif told '[[do:workflow]]'; then
  mkdir -p .github/workflows && echo "on: push" > .github/workflows/ci.yml && commit
elif told '[[do:leave]]'; then setsid sleep 600 > /dev/null 2>&1 & commit
else commit
fi
"#;

/// All of it.
pub struct Fleet {
    pub github: Standin,
    pub git: GitServer,
    folder: TempDir,
    podman: Option<String>,
}

/// What the database holds while nobody serves it.
#[derive(Debug)]
pub struct Kept {
    pub runs: Vec<Run>,
    pub events: Vec<Event>,
    pub claims: Vec<Claim>,
}

impl Fleet {
    /// One whose agents are processes of this machine, if what it needs is here.
    pub async fn on_host(more: &str) -> Option<Self> {
        Self::with(None, more).await
    }

    /// One whose agents are in containers.
    pub async fn in_podman(more: &str) -> Option<Self> {
        Self::with(Some(podman_with_agents()?), more).await
    }

    async fn with(podman: Option<String>, more: &str) -> Option<Self> {
        let github = Standin::start()?;
        let folder = tempfile::tempdir().unwrap();
        seed(folder.path());
        let git = GitServer::start(&folder.path().join("git"), TOKEN).await;
        for name in ["home", "agent"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        // Others may look into it: agents in containers are nobody here.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("agent/agent.sh"), AGENT).unwrap();
        let fleet = Self { github, git, folder, podman };
        fleet.configure(more);
        Some(fleet)
    }

    /// Writes the configuration: what every test needs, and `more` on top of it.
    pub fn configure(&self, more: &str) {
        let agent = self.folder.path().join("agent");
        let (runtime, agent_script) = match &self.podman {
            Some(podman) => (podman.as_str(), Path::new("/agent").join("agent.sh")),
            None => ("host", agent.join("agent.sh")),
        };
        let mounts = if self.podman.is_some() { format!("{:?} = \"/agent\"", agent) } else { String::new() };
        let essentials = format!(
            r#"
            server = {{ port = 0 }}
            store = {{ path = "claims.db" }}
            rate_limits = {{ enabled = false }}
            github = {{ api_url = "{}", poll_interval = "1s", requests_per_minute_max = 0 }}
            dispatch = {{ agent = "script", git_url = "{}", attempt_count_max = 1, retry_wait = "1s" }}
            containers = {{ runtime = "{runtime}", base_image = "{AGENT_IMAGE}", heartbeat = "1s", mounts = {{ {mounts} }} }}
            agents = {{ script = {{ kind = "command", command = ["sh", {agent_script:?}] }} }}
            "#,
            self.github.url(),
            self.git.url("{repo}.git"),
        );
        let mut settings: toml::Table = essentials.parse().unwrap();
        merge(&mut settings, more.parse().unwrap());
        fs::write(self.home().join("issuecommand.toml"), settings.to_string()).unwrap();
    }

    /// Where the program is run.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The program in its folder, with nothing inherited from the environment of the test.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        command.env("GITHUB_TOKEN", TOKEN).env("GITHUB_WEBHOOK_SECRET", HOOK_SECRET).env("USER", "ann");
        command.current_dir(self.home()).args(arguments).stdin(Stdio::null());
        command
    }

    /// Starts `issuecommand watch`.
    pub async fn watch(&self) -> Server {
        self.serve(&["watch"], &[]).await
    }

    /// Starts the program as a server, and waits until it listens or is dead.
    pub async fn serve(&self, arguments: &[&str], env: &[(&str, &str)]) -> Server {
        let log = self.home().join("server.log");
        let written = File::options().create(true).append(true).open(&log).unwrap();
        let before = written.metadata().unwrap().len();
        let mut command = self.command(arguments);
        command.envs(env.iter().copied()).stdout(Stdio::null()).stderr(written);
        Server::started(command, log, before).await
    }

    /// Starts `issuecommand watch` or `worker` as another machine would: in a folder of its own, on the same database.
    pub async fn serve_elsewhere(&self, what: &str, name: &str, config: &str, database: &str) -> Server {
        let place = self.folder.path().join(name);
        fs::create_dir_all(&place).unwrap();
        fs::copy(self.home().join(config), place.join("issuecommand.toml")).unwrap();
        let log = place.join("server.log");
        let mut command = self.command(&[what]);
        command.env("DATABASE_URL", database).current_dir(&place);
        command.stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Server::started(command, log, 0).await
    }

    /// The repository on GitHub.
    pub fn page(&self) -> Page<'_> {
        Page { github: &self.github, repo: REPO }
    }

    /// Opens an issue for which the agent does `what`.
    pub async fn open_issue(&self, what: &str, labels: &[&str]) -> u64 {
        self.page().open_issue(&format!("To do: {what}"), &format!("[[do:{what}]]"), labels).await
    }

    /// Every pull request that closes an issue.
    pub async fn pulls_for(&self, number: u64) -> Vec<Value> {
        let pulls = self.page().list("/pulls?state=all&per_page=100").await;
        let closes = format!("Closes #{number}\n");
        pulls.into_iter().filter(|pull| pull["body"].as_str().is_some_and(|body| body.contains(&closes))).collect()
    }

    /// The repository that stands for GitHub's.
    pub fn upstream(&self) -> PathBuf {
        self.folder.path().join("git").join(REPO).with_extension("git")
    }

    /// The branches that one run pushed.
    pub fn branches_of(&self, run: &Run) -> Vec<String> {
        let name = format!("refs/heads/agent/{}-*", run.run_id.short());
        let names = git(&self.upstream(), &["for-each-ref", "--format=%(refname:short)", &name]);
        names.lines().map(str::to_owned).collect()
    }

    /// What the database holds; nobody may serve it.
    pub async fn kept(&self) -> Kept {
        let config = StoreConfig { path: self.home().join("claims.db"), ..StoreConfig::default() };
        let opening = tokio::task::spawn_blocking(move || SqlStore::open(&config, Arc::new(Unwatched)));
        let store: Arc<dyn Store> = Arc::new(opening.await.unwrap().unwrap());
        let filter = RunFilter { with_ended: true, ..RunFilter::default() };
        Kept {
            runs: store.run_list(filter, 1000).await.unwrap(),
            events: store.event_list_after(EventSeq(0), 1_000_000).await.unwrap(),
            claims: store.snapshot_load().await.unwrap().claims,
        }
    }

    /// What is left of where agents worked: folders, containers, and processes that were started there.
    pub fn leftovers(&self) -> Vec<String> {
        let host = self.home().join("claims.db.dispatch/host");
        let folders = fs::read_dir(&host).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut left: Vec<String> = folders.map(|path| path.display().to_string()).collect();
        left.extend(processes_of(&host));
        left.extend(self.containers());
        left
    }

    fn containers(&self) -> Vec<String> {
        let Some(podman) = &self.podman else { return Vec::new() };
        let runs = peek::runs(&self.home().join("claims.db"));
        let list = ["ps", "--all", "--filter", "label=issuecommand.server", "--format={{.Names}}"];
        let names = Command::new(podman).args(list).stdin(Stdio::null()).output().unwrap();
        let names = String::from_utf8_lossy(&names.stdout).into_owned();
        let is_ours = |name: &str| runs.iter().any(|run| name.contains(run.as_str()));
        names.lines().filter(|name| is_ours(name)).map(str::to_owned).collect()
    }

    /// That an issue's run ended well and in order: one pull request, its branch, its claim, its story.
    pub async fn is_done(&self, number: u64, kept: &Kept) {
        let run = kept.run_on(number);
        let whole = format!("{run:#?}");
        assert_eq!(run.status(), RunStatus::Completed, "{whole}");
        let pulls = self.pulls_for(number).await;
        let [pull] = pulls.as_slice() else { panic!("one pull request: {pulls:#?}\n{whole}") };
        assert_eq!(pull["html_url"].as_str(), run.pr_url.as_deref());
        let of_issue = kept.runs.iter().filter(|run| run.issue_number.get() == number);
        let branches: Vec<String> = of_issue.flat_map(|run| self.branches_of(run)).collect();
        assert_eq!(branches, [pull["head"]["ref"].as_str().unwrap()], "{whole}");
        let claims: Vec<_> = kept.claims.iter().filter(|claim| claim.issue_number.get() == number).collect();
        let [claim] = claims.as_slice() else { panic!("one claim: {claims:?}") };
        assert_eq!((claim.status().as_str(), claim.pr_url()), ("pr_submitted", run.pr_url.as_deref()), "{whole}");
        assert_eq!(run.hold.as_ref().map(|hold| hold.epoch), Some(claim.lease.epoch), "{whole}");
        let comments = self.stories(number).await;
        assert!(comments.len() == 1 && comments[0].contains("**Done**"), "{comments:?}\n{whole}");
        assert!(self.page().labels(number).await.contains(&"agent/done".into()), "{whole}");
    }

    /// That an issue's run failed for a reason, and nothing is left of it but its story.
    pub async fn has_failed(&self, number: u64, reason: &str, kept: &Kept) {
        let run = kept.run_on(number);
        let whole = format!("{run:#?}");
        assert_eq!(run.status(), RunStatus::Failed, "{whole}");
        assert!(run.reason.as_deref().is_some_and(|why| why.contains(reason)), "{reason}: {whole}");
        assert_eq!((self.pulls_for(number).await, self.branches_of(run)), (vec![], vec![]), "{whole}");
        assert!(kept.claims.iter().all(|claim| claim.issue_number.get() != number), "it is given back: {whole}");
        let comments = self.stories(number).await;
        assert!(comments.len() == 1 && comments[0].contains("**Failed**"), "{comments:?}\n{whole}");
        assert!(comments[0].contains(reason), "{comments:?}");
        let labels = self.page().labels(number).await;
        assert!(labels.contains(&"agent/failed".into()) && !labels.contains(&"agent/running".into()), "{labels:?}");
    }

    /// The status comments of an issue.
    pub async fn stories(&self, number: u64) -> Vec<String> {
        let comments = self.page().comments(number).await;
        comments.into_iter().filter(|comment| comment.contains("issuecommand:story")).collect()
    }
}

impl Drop for Fleet {
    /// Also of a test that failed, nothing is left.
    fn drop(&mut self) {
        for container in self.containers() {
            let podman = self.podman.as_ref().expect("only podman has containers");
            let _ = Command::new(podman).args(["rm", "--force", "--time=0", &container]).output();
        }
        for process in processes_of(self.folder.path()) {
            let id = process.split(' ').next().expect("the id is first");
            let _ = Command::new("kill").args(["-KILL", id]).output();
        }
        if std::thread::panicking() {
            let log = fs::read_to_string(self.home().join("server.log")).unwrap_or_default();
            eprintln!("the server said:\n{log}");
        }
    }
}

impl Kept {
    /// The newest run on an issue.
    pub fn run_on(&self, number: u64) -> &Run {
        let mut of_issue = self.runs.iter().filter(|run| run.issue_number.get() == number);
        of_issue.next_back().unwrap_or_else(|| panic!("no run on {number}: {:#?}", self.runs))
    }
}

#[derive(Debug)]
struct Unwatched;

impl CommitObserver for Unwatched {
    fn committed(&self, _: Vec<Change>) {}
}

/// The processes whose environment names a folder below `folder` as the one they were started in.
pub fn processes_of(folder: &Path) -> Vec<String> {
    let mark = format!("ISSUECOMMAND_HOST_FOLDER={}", folder.display());
    let is_marked = |process: &PathBuf| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(mark.as_bytes()))
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let line = |process: PathBuf| {
        let words = fs::read(process.join("cmdline")).unwrap_or_default();
        format!("{} {}", process.file_name().unwrap().display(), String::from_utf8_lossy(&words).replace('\0', " "))
    };
    processes.filter(is_marked).map(line).collect()
}

/// A bare repository with one commit.
fn seed(folder: &Path) {
    let tree = folder.join("seed");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("README.md"), "# widget\n").unwrap();
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "--all"]);
    git(&tree, &["commit", "--quiet", "--message=first"]);
    git(folder, &["clone", "--quiet", "--bare", "seed", &format!("git/{REPO}.git")]);
    git(&folder.join("git").join(REPO).with_extension("git"), &["config", "http.receivepack", "true"]);
}

fn merge(settings: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (settings.get_mut(&key), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(value)) => merge(known, value),
            (_, value) => drop(settings.insert(key, value)),
        }
    }
}
