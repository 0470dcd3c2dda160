//! The mirror of one repository: what GitHub has under `refs/remotes/origin`, what runs bring under `refs/runs`.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::command::{Call, Said};
use super::{BroughtOut, GitError, PushOutcome, Sha, branch_name, bundle};
use crate::domain::RepoName;
use crate::github::Remote;

/// How long one waits for another that fetches into the same mirror, in seconds.
const LOCK_SECONDS_MAX: u64 = 1800;
/// Pause between two looks whether it is through, in milliseconds.
const LOCK_LOOK_MS: u64 = 50;
/// How git may reach a repository.
const PROTOCOLS: &str = "http:https";
/// The same, and on this machine's own disk.
const PROTOCOLS_AND_FILES: &str = "http:https:file";
/// Where a repository says what GitHub runs.
const WORKFLOW_FOLDERS: [&[u8]; 2] = [b".github/workflows/", b".github/actions/"];

/// A bare repository on this machine that follows one on GitHub. Any number of processes may use it at once.
#[derive(Debug, Clone)]
pub struct Mirror {
    folder: PathBuf,
    protocols: &'static str,
}

impl Mirror {
    /// The mirror of `repo` among those in `folder`. Touches nothing yet.
    pub fn open(folder: PathBuf, repo: &RepoName) -> Self {
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self { folder: folder.join(repo.owner()).join(format!("{}.git", repo.name())), protocols: PROTOCOLS }
    }

    /// Lets it follow a repository on this machine's disk too: for trials without a server.
    pub fn allowing_files(self) -> Self {
        Self { protocols: PROTOCOLS_AND_FILES, ..self }
    }

    /// Brings every branch of the remote; makes the mirror if there is none. Waits for another that does so.
    ///
    /// # Errors
    /// [`GitError::Failed`] with git's words when the remote refuses or is out of reach.
    pub async fn fetch(&self, remote: &Remote) -> Result<(), GitError> {
        self.reachable(remote)?;
        let _lock = self.lock().await?;
        if !self.folder.join("HEAD").exists() {
            self.call("make a mirror", &["init", "--quiet", "--bare", "--template="]).done().await?;
        }
        let branches = "+refs/heads/*:refs/remotes/origin/*";
        let arguments = ["fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head", &remote.url, branches];
        let call = self.call(format!("fetch {}", remote.url), &arguments);
        call.reaching(remote, self.protocols).done().await.map(drop)
    }

    /// The newest commit of a branch, as last fetched; `None` where there is no such branch.
    pub async fn head_of(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.commit_at(&origin(branch)?).await
    }

    /// The newest commit that the run on `branch` brought; `None` where it brought none.
    pub async fn brought(&self, branch: &str) -> Result<Option<Sha>, GitError> {
        self.commit_at(&of_run(branch)?).await
    }

    /// Writes branches, as last fetched, into a bundle for a container: `refs/remotes/origin/BRANCH`. A file at
    /// `into` is replaced; only its owner may read it.
    pub async fn bundle(&self, branches: &[&str], into: &Path) -> Result<(), GitError> {
        let what = format!("bundle {}", branches.join(" and "));
        let references = branches.iter().map(|branch| origin(branch)).collect::<Result<BTreeSet<_>, _>>()?;
        let output = private(into).map_err(|error| GitError::Failed { what: what.clone(), why: error.to_string() })?;
        let mut arguments = vec!["bundle", "create", "--quiet", "-"];
        arguments.extend(references.iter().map(String::as_str));
        self.call(what, &arguments).writing(output).done().await.map(drop)
    }

    /// Takes the commits of `branch` in that a container brought out as a bundle of at most `bytes_max` bytes. Each
    /// object is checked, and the branch must go on from `base`. An empty file means that nothing was done.
    ///
    /// # Errors
    /// [`GitError::Refused`] for what is no such bundle; the run's earlier commits stay as they were.
    pub async fn take_in(&self, path: &Path, bytes_max: u64, branch: &str, base: &Sha) -> Result<BroughtOut, GitError> {
        let reference = format!("refs/heads/{}", branch_name(branch)?);
        let Some((objects, head)) = bundle::open(path, &reference, bytes_max)? else {
            let head = base.clone();
            return Ok(BroughtOut { head, commit_count: 0, file_count: 0, changes_workflows: false });
        };
        let what = "check what came out of the container";
        let unpack = ["index-pack", "--stdin", "--fix-thin", "--strict"];
        let said = self.call(what, &unpack).reading(objects).ended().await?;
        if !said.ok {
            return Err(GitError::Refused { why: format!("the objects are not sound: {}", said.why) });
        }
        let descends = self.call(what, &["merge-base", "--is-ancestor", base.as_str(), head.as_str()]);
        if !descends.ended().await?.ok {
            return Err(GitError::Refused { why: format!("{branch} does not go on from {base}") });
        }
        let range = format!("{base}..{head}");
        let count = self.call(what, &["rev-list", "--count", &range]).done().await?.text();
        let commit_count = count.trim().parse().map_err(|_| failed(what, "it did not count"))?;
        let tree = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", base.as_str(), head.as_str()];
        let changed = self.call(what, &tree).done().await?;
        let paths = || changed.out.split(|byte| *byte == 0).filter(|path| !path.is_empty());
        let file_count = paths().count();
        let changes_workflows = paths().any(|path| WORKFLOW_FOLDERS.iter().any(|folder| path.starts_with(folder)));
        self.call(what, &["update-ref", &of_run(branch)?, head.as_str()]).done().await?;
        Ok(BroughtOut { head, commit_count, file_count, changes_workflows })
    }

    /// Pushes what the run on `branch` brought, if the branch on the remote is still at `expected` (`None`: is not
    /// there yet). One that is there already counts as pushed.
    ///
    /// # Errors
    /// [`GitError::Failed`] when the remote refuses or is out of reach: nothing is known then of what it did.
    pub async fn push(&self, remote: &Remote, branch: &str, expected: Option<&Sha>) -> Result<PushOutcome, GitError> {
        let brought = self.brought(branch).await?;
        let brought = brought.ok_or_else(|| failed("push", &format!("no run brought {branch}")))?;
        self.change(remote, branch, expected, Some(&brought)).await
    }

    /// Takes the branch away from the remote, if it is still at `expected`. One that is gone counts as taken away.
    pub async fn delete_remote(&self, remote: &Remote, branch: &str, expected: &Sha) -> Result<PushOutcome, GitError> {
        self.change(remote, branch, Some(expected), None).await
    }

    /// Forgets what a run brought.
    pub async fn forget(&self, branch: &str) -> Result<(), GitError> {
        self.call("forget a run", &["update-ref", "-d", &of_run(branch)?]).done().await.map(drop)
    }

    /// A file as it is in a commit, as data; `None` where there is none, or none of at most `bytes_max`.
    pub async fn show(&self, at: &Sha, path: &str, bytes_max: u64) -> Result<Option<Vec<u8>>, GitError> {
        let what = format!("read {path}");
        let listed = self.call(&what, &["ls-tree", "-z", "-l", at.as_str(), "--", path]).done().await?.text();
        // `100644 blob SHA    SIZE\tPATH`; links, folders and modules are something else.
        let fields: Vec<_> = listed.split_whitespace().take(4).collect();
        let [mode, "blob", sha, size] = fields[..] else { return Ok(None) };
        if !mode.starts_with("100") || size.parse().map_or(true, |size: u64| size > bytes_max) {
            return Ok(None);
        }
        Ok(Some(self.call(&what, &["cat-file", "blob", sha]).done().await?.out))
    }

    /// The files of a commit, by path; the first `count_max`.
    pub async fn file_list(&self, at: &Sha, count_max: usize) -> Result<Vec<String>, GitError> {
        let said = self.call("list files", &["ls-tree", "-r", "-z", "--name-only", at.as_str()]).done().await?;
        let paths = said.out.split(|byte| *byte == 0).filter(|path| !path.is_empty()).take(count_max);
        Ok(paths.map(|path| String::from_utf8_lossy(path).into_owned()).collect())
    }

    /// Lays the files of a commit out in an empty folder, as data for a build in a container. Links are laid out as
    /// links, and may lead anywhere.
    pub async fn export(&self, at: &Sha, into: &Path) -> Result<(), GitError> {
        const WHAT: &str = "lay out files";
        let why = |error: io::Error| failed(WHAT, &error.to_string());
        let archive = tempfile::NamedTempFile::new().map_err(why)?;
        let output = archive.reopen().map_err(why)?;
        self.call(WHAT, &["archive", "--format=tar", at.as_str()]).writing(output).done().await?;
        let mut tar = tokio::process::Command::new("tar");
        tar.args(["--extract", "--no-same-owner", "--file"]).arg(archive.path()).arg("--directory").arg(into);
        let output = tar.kill_on_drop(true).output().await.map_err(why)?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(failed(WHAT, said.trim())) }
    }

    /// The folder of the mirror.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Moves a branch of the remote from `expected` to `wanted`; `None` is where there is no such branch.
    async fn change(
        &self,
        remote: &Remote,
        branch: &str,
        expected: Option<&Sha>,
        wanted: Option<&Sha>,
    ) -> Result<PushOutcome, GitError> {
        self.reachable(remote)?;
        let change = format!("{}:refs/heads/{}", wanted.map_or("", Sha::as_str), branch_name(branch)?);
        let lease = format!("--force-with-lease=refs/heads/{branch}:{}", expected.map_or("", Sha::as_str));
        let what = format!("push {branch} to {}", remote.url);
        let arguments = ["push", "--porcelain", "--no-verify", &lease, &remote.url, &change];
        let said = self.call(&what, &arguments).reaching(remote, self.protocols).ended().await?;
        if said.ok {
            return Ok(PushOutcome::Pushed);
        }
        let Some(reason) = rejection(&said) else { return Err(failed(&what, &said.why)) };
        // Whether it was too late is read off the branch, not off words: servers have many for it.
        let actual = self.remote_head(remote, branch).await?;
        match () {
            () if actual.as_ref() == wanted => Ok(PushOutcome::Pushed),
            () if actual.as_ref() != expected => Ok(PushOutcome::Stale { actual }),
            () => Err(failed(&what, &format!("{reason}: {}", said.why))),
        }
    }

    /// Where a branch is on the remote now.
    pub async fn remote_head(&self, remote: &Remote, branch: &str) -> Result<Option<Sha>, GitError> {
        self.reachable(remote)?;
        let reference = format!("refs/heads/{}", branch_name(branch)?);
        let call = self.call(format!("look at {}", remote.url), &["ls-remote", &remote.url, &reference]);
        let text = call.reaching(remote, self.protocols).done().await?.text();
        let line = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, name)| *name == reference);
        line.map(|(sha, _)| sha.parse()).transpose()
    }

    async fn commit_at(&self, reference: &str) -> Result<Option<Sha>, GitError> {
        let commit = format!("{reference}^{{commit}}");
        let said = self.call("look at a branch", &["rev-parse", "--quiet", "--verify", &commit]).ended().await?;
        if said.ok { said.text().trim().parse().map(Some) } else { Ok(None) }
    }

    fn call(&self, what: impl Into<String>, arguments: &[&str]) -> Call<'_> {
        Call::to(&self.folder, what, arguments)
    }

    /// Only plain addresses are handed to git: a name or a token in one would be seen by everybody on this machine.
    fn reachable(&self, remote: &Remote) -> Result<(), GitError> {
        let refused = |why: &str| Err(GitError::Refused { why: why.to_owned() });
        let url = remote.url.as_str();
        if self.protocols == PROTOCOLS_AND_FILES && url.starts_with("file://") {
            return Ok(());
        }
        let Some(rest) = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")) else {
            return refused("git is only used over http and https: look at dispatch.git_url");
        };
        if rest.split('/').next().is_some_and(|host| host.contains('@')) {
            return refused("the address for git must hold no name and no password: look at dispatch.git_url");
        }
        Ok(())
    }

    /// The lock of whoever changes what the mirror follows. It is the system's, and goes with the process.
    async fn lock(&self) -> Result<File, GitError> {
        let what = format!("lock the mirror {}", self.folder.display());
        let file = self.lock_file().map_err(|error| failed(&what, &error.to_string()))?;
        let deadline = Instant::now() + Duration::from_secs(LOCK_SECONDS_MAX);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(failed(&what, &error.to_string())),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(failed(&what, "another fetch does not end"));
                }
                Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(LOCK_LOOK_MS)).await,
            }
        }
    }

    fn lock_file(&self) -> io::Result<File> {
        fs::create_dir_all(&self.folder)?;
        OpenOptions::new().create(true).truncate(false).write(true).open(self.folder.with_extension("lock"))
    }
}

/// Why the remote, or git itself, did not take a branch: the words behind `!` in what `push --porcelain` prints.
fn rejection(said: &Said) -> Option<String> {
    let text = said.text();
    let line = text.lines().find_map(|line| line.strip_prefix("!\t"))?;
    Some(line.split('\t').next_back()?.chars().filter(|c| !c.is_control()).collect())
}

fn origin(branch: &str) -> Result<String, GitError> {
    Ok(format!("refs/remotes/origin/{}", branch_name(branch)?))
}

fn of_run(branch: &str) -> Result<String, GitError> {
    Ok(format!("refs/runs/{}", branch_name(branch)?))
}

fn failed(what: &str, why: &str) -> GitError {
    GitError::Failed { what: what.to_owned(), why: why.to_owned() }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(path)
}
