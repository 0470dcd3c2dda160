//! The work tree within a container: how it gets there, what comes out of it, and whether it changes. All of it is
//! done by the container's own git and shell, as its unprivileged user; what they answer is data.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::container::{ContainerError, ContainerId, ContainerRuntime, Exec};
use super::git::Sha;

/// Longest time to fill a work tree or to bring its commits out, in seconds.
const TRANSFER_SECONDS_MAX: u64 = 900;
/// Longest time for a look at it, in seconds: a tree of a million files takes some.
const LOOK_SECONDS_MAX: u64 = 60;
/// Most that is read of what a script prints or complains, in bytes.
const WORDS_BYTES_MAX: u64 = 16 << 10;
/// Most characters of a complaint that are shown.
const WHY_CHARS_MAX: usize = 300;

/// Takes a bundle in on standard input, and checks the branch `$3` out where the branch `$2` of the remote is.
/// May be run again: what an earlier one left is overwritten.
const FILL: &str = r#"
set -eu
mkdir -p "$1"
cd "$1"
git init --quiet
cat > .git/incoming.bundle
git fetch --quiet --no-write-fetch-head .git/incoming.bundle '+refs/remotes/origin/*:refs/remotes/origin/*'
rm .git/incoming.bundle
git config user.name "$4"
git config user.email "$5"
git checkout --quiet --force --no-track -B "$3" "refs/remotes/origin/$2"
git rev-parse HEAD
"#;

/// Prints what branch `$3` has beyond `$2` as a bundle; nothing where that is nothing.
const BRING_OUT: &str = r#"
set -eu
cd "$1"
git rev-parse --quiet --verify "refs/heads/$3^{commit}" > /dev/null || { echo "the branch $3 is gone" >&2; exit 1; }
count=$(git rev-list --count "$2..refs/heads/$3")
[ "$count" != 0 ] || exit 0
exec git bundle create --quiet - "$2..refs/heads/$3"
"#;

/// Prints how many files differ from the newest commit, or are not in it and not ignored.
const UNCOMMITTED: &str = r#"
set -eu
cd "$1"
git status --porcelain --no-renames | wc -l
"#;

/// Prints a path that changed since the last look, if there is one; `.` at the first. The mark of the next look is
/// made before this one looks, so that nothing falls between the two.
const CHANGED: &str = r#"
set -eu
cd "$1"
mark=$2/looked
: > "$mark.next"
if [ -e "$mark" ]; then find . -newer "$mark" 2> /dev/null | head -n 1; else echo .; fi
mv "$mark.next" "$mark"
"#;

/// The work tree of one container.
#[derive(Debug, Clone, Copy)]
pub struct Workspace<'w> {
    runtime: &'w dyn ContainerRuntime,
    container: &'w ContainerId,
}

/// What a work tree is filled with.
#[derive(Debug, Clone, Copy)]
pub struct Filling<'f> {
    /// A bundle, as [`Mirror::bundle`](super::git::Mirror::bundle) writes it.
    pub bundle: &'f Path,
    /// The branch of the remote that the work goes on from; it must be in the bundle.
    pub from: &'f str,
    /// The branch to work on.
    pub branch: &'f str,
    /// Who commits.
    pub git_name: &'f str,
    /// The address that commits carry.
    pub git_email: &'f str,
}

impl<'w> Workspace<'w> {
    /// That of `container`.
    pub fn of(runtime: &'w dyn ContainerRuntime, container: &'w ContainerId) -> Self {
        Self { runtime, container }
    }

    /// Makes the work tree, and says which commit it begins from.
    ///
    /// # Errors
    /// [`ContainerError::Failed`] with the last words of the container's git; it may be tried again.
    pub async fn fill(&self, filling: &Filling<'_>) -> Result<Sha, ContainerError> {
        const WHAT: &str = "make the work tree";
        let bundle = File::open(filling.bundle).map_err(|error| failed(WHAT, error.to_string()))?;
        let Filling { from, branch, git_name, git_email, .. } = filling;
        let exec = self.script(FILL, &[from, branch, git_name, git_email]).with_input();
        let said = self.run(WHAT, &exec, Stdio::from(bundle), TRANSFER_SECONDS_MAX).await?;
        said.trim().parse().map_err(|_| failed(WHAT, "git in the container names no commit"))
    }

    /// Writes what `branch` has beyond `base` as a bundle into a file, which is empty where that is nothing.
    ///
    /// # Errors
    /// [`ContainerError::Failed`] when the branch is gone, or takes more than `bytes_max`.
    pub async fn bring_out(&self, base: &Sha, branch: &str, into: &Path, bytes_max: u64) -> Result<(), ContainerError> {
        const WHAT: &str = "bring the commits out";
        let file = tokio::fs::File::create(into).await.map_err(|error| failed(WHAT, error.to_string()))?;
        let exec = self.script(BRING_OUT, &[base.as_str(), branch]);
        self.piped(WHAT, &exec, Stdio::null(), TRANSFER_SECONDS_MAX, file, bytes_max).await
    }

    /// How many files differ from the newest commit: work that would be lost.
    pub async fn uncommitted_count(&self) -> Result<usize, ContainerError> {
        const WHAT: &str = "look for changes without a commit";
        let said = self.run(WHAT, &self.script(UNCOMMITTED, &[]), Stdio::null(), LOOK_SECONDS_MAX).await?;
        said.trim().parse().map_err(|_| failed(WHAT, "the answer is no number"))
    }

    /// Whether a file changed since this was last asked; yes at the first time.
    pub async fn changed(&self) -> Result<bool, ContainerError> {
        let places = self.runtime.places(self.container);
        let exec = Exec::script(CHANGED, &[&places.workspace, &places.run]);
        let said = self.run("look for changed files", &exec, Stdio::null(), LOOK_SECONDS_MAX).await?;
        Ok(!said.trim().is_empty())
    }

    /// A script that is given the work tree's folder first.
    fn script(&self, text: &str, arguments: &[&str]) -> Exec {
        let workspace = self.runtime.places(self.container).workspace;
        let arguments: Vec<_> = [workspace.as_str()].into_iter().chain(arguments.iter().copied()).collect();
        Exec::script(text, &arguments)
    }

    async fn run(&self, what: &str, exec: &Exec, input: Stdio, seconds: u64) -> Result<String, ContainerError> {
        let mut words = Vec::new();
        self.piped(what, exec, input, seconds, &mut words, WORDS_BYTES_MAX).await?;
        Ok(String::from_utf8_lossy(&words).into_owned())
    }

    /// Runs a script, and hands what it prints on.
    async fn piped(
        &self,
        what: &str,
        exec: &Exec,
        input: Stdio,
        seconds: u64,
        mut into: impl tokio::io::AsyncWrite + Unpin,
        bytes_max: u64,
    ) -> Result<(), ContainerError> {
        let unusable = |error: std::io::Error| failed(what, error.to_string());
        let mut command = self.runtime.command(self.container, exec);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(unusable)?;
        let (printed, complained) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let printed = copy(printed, &mut into, bytes_max);
            let mut complaint = Vec::new();
            let complained = copy(complained, &mut complaint, WORDS_BYTES_MAX);
            let (byte_count, _) = tokio::try_join!(printed, complained)?;
            into.flush().await?;
            Ok((byte_count, child.wait().await?, complaint))
        };
        let ended = timeout(Duration::from_secs(seconds), ended).await;
        let ended = ended.map_err(|_| failed(what, format!("it took longer than {seconds} s")))?;
        let (byte_count, status, complaint) = ended.map_err(unusable)?;
        if byte_count > bytes_max {
            return Err(failed(what, format!("it takes {byte_count} bytes, and {bytes_max} is the most")));
        }
        if !status.success() {
            return Err(failed(what, last_words(&String::from_utf8_lossy(&complaint), status)));
        }
        Ok(())
    }
}

/// Hands on what is read, up to `bytes_max`, and reads the rest too: who prints must not wait. Says how much it was.
async fn copy<R: AsyncRead + Unpin, W: tokio::io::AsyncWrite + Unpin>(
    from: Option<R>,
    into: &mut W,
    bytes_max: u64,
) -> std::io::Result<u64> {
    let Some(mut from) = from else { return Ok(0) };
    let copied = tokio::io::copy(&mut (&mut from).take(bytes_max), into).await?;
    Ok(copied + tokio::io::copy(&mut from, &mut tokio::io::sink()).await?)
}

fn last_words(complaint: &str, status: std::process::ExitStatus) -> String {
    let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty());
    let last = last.map_or_else(|| format!("it ended with {status}"), str::to_owned);
    last.chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect()
}

fn failed(what: &str, why: impl Into<String>) -> ContainerError {
    ContainerError::Failed { runtime: "git in the container".into(), what: what.to_owned(), why: why.into() }
}
