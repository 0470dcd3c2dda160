//! What enters a repository's environment, so that an agent finds the programs that the repository needs.

mod devcontainer;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::time::timeout;

use super::container::{ContainerError, ContainerId, ContainerRuntime, Exec, Followed, follow};

pub use devcontainer::{DEVCONTAINER_FILES, Devcontainer, DevcontainerBuild};

/// Longest time for what runs once, in seconds: a first `nix develop` fetches and builds.
pub const PREPARE_SECONDS_MAX: u64 = 30 * 60;
/// Longest devcontainer.json, in bytes.
const FILE_BYTES_MAX: &str = "262144";

/// What the repository brings, what the image has, and whether all that runs once did.
const LOOK: &str = r#"
[ -f "$1" ] && [ "$(cat "$1")" = "$2" ] && echo "$3"
for file in flake.nix .devcontainer/devcontainer.json .devcontainer.json .envrc; do
  [ -f "$file" ] && echo "$file"
done
for program in nix direnv; do
  command -v "$program" > /dev/null && echo "$program"
done
exit 0
"#;
/// The file with the setting for which all that runs once did, and the word by which [`LOOK`] tells of it.
const DONE_FILE: &str = "environment-is-prepared";
const DONE: &str = "done";
/// Nix as it enters a flake: it writes no lock file, which an agent would commit.
pub(super) const NIX: [&str; 6] =
    ["nix", "--extra-experimental-features", "nix-command flakes", "develop", "--no-write-lock-file", "--command"];

/// An environment that can be entered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepared {
    /// What goes before a command, to run it within: `nix develop --command`; often empty.
    pub command: Vec<String>,
    /// Variables that the repository sets. What is configured here goes before them.
    pub env: BTreeMap<String, String>,
}

/// A way into an environment.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    Plain,
    Nix,
    Devcontainer,
    Direnv,
    Own(String),
}

/// Finds out what enters the environment of the work tree, as `containers.environment` has it, and runs what must
/// run once in this container: whoever asks again is answered at once. What happens is told line by line.
///
/// A flake, a .envrc or a command of one's own that cannot be entered is an error, for nothing could be started in
/// it. Where a command of a devcontainer fails, the rest of them is left out, and this is told: the agent finds the
/// programs of the image.
pub async fn prepare(
    runtime: &dyn ContainerRuntime,
    container: &ContainerId,
    setting: &str,
    on_line: &mut (dyn FnMut(String) + Send + Sync),
) -> Result<Prepared, ContainerError> {
    if setting == "none" {
        return Ok(Prepared::default());
    }
    let places = runtime.places(container);
    let done_file = format!("{}/{DONE_FILE}", places.run);
    let mut desk = Desk { runtime, container, workspace: places.workspace, is_done: false, on_line };
    let found = desk.printed(&Exec::script(LOOK, &[&done_file, setting, DONE])).await?;
    let found: Vec<_> = found.lines().collect();
    desk.is_done = found.contains(&DONE);
    let prepared = desk.prepare(setting, &found).await?;
    if !desk.is_done {
        desk.printed(&Exec::script(r#"printf %s "$2" > "$1""#, &[&done_file, setting])).await?;
    }
    Ok(prepared)
}

/// Which way, and what must be said about it.
fn choose(setting: &str, found: &[&str]) -> (Way, Option<String>) {
    let there = |name: &str| found.contains(&name);
    let is_devcontainer = DEVCONTAINER_FILES.iter().any(|file| there(file));
    let ways = [
        ("nix", Way::Nix, there("flake.nix"), "flake.nix", there("nix")),
        ("devcontainer", Way::Devcontainer, is_devcontainer, "devcontainer.json", true),
        ("direnv", Way::Direnv, there(".envrc"), ".envrc", there("direnv")),
    ];
    let is_known = setting == "auto" || ways.iter().any(|(name, ..)| *name == setting);
    if !is_known {
        return (Way::Own(setting.to_owned()), None);
    }
    let mut warning = None;
    for (name, way, is_there, file, has_program) in ways {
        let is_wanted = setting == name;
        if is_wanted && !is_there {
            let text = format!("containers.environment is {name:?}, but the repository has no {file}");
            return (Way::Plain, Some(text));
        }
        if !is_there || !(is_wanted || setting == "auto") {
            continue;
        }
        if has_program {
            return (way, warning);
        }
        let text = format!("the repository has {file}, but there is no {name} in the image: it is not entered");
        warning.get_or_insert(text);
    }
    (Way::Plain, warning)
}

/// One container, and who is told what happens in it.
struct Desk<'a> {
    runtime: &'a dyn ContainerRuntime,
    container: &'a ContainerId,
    workspace: String,
    /// Whether all that runs once did.
    is_done: bool,
    on_line: &'a mut (dyn FnMut(String) + Send + Sync),
}

impl Desk<'_> {
    async fn prepare(&mut self, setting: &str, found: &[&str]) -> Result<Prepared, ContainerError> {
        let (way, warning) = choose(setting, found);
        if let Some(warning) = warning.filter(|_| !self.is_done) {
            (self.on_line)(format!("warning: {warning}"));
        }
        match way {
            Way::Plain => Ok(Prepared::default()),
            Way::Nix => self.entered(NIX.map(str::to_owned).into()).await,
            Way::Direnv => self.direnv().await,
            Way::Devcontainer => self.devcontainer(found).await,
            // The words are the shell's, so that quotes mean what they should.
            Way::Own(line) => {
                self.entered(vec!["sh".into(), "-c".into(), format!("exec {line} \"$@\""), "sh".into()]).await
            }
        }
    }

    /// Enters once, so that what takes long is over before the agent's own time begins.
    async fn entered(&mut self, command: Vec<String>) -> Result<Prepared, ContainerError> {
        if self.is_done {
            return Ok(Prepared { command, env: BTreeMap::new() });
        }
        let mut argv = command.clone();
        argv.push("true".into());
        let (code, last) = self.told(argv).await?;
        if code != 0 {
            return Err(failed("enter the repository's environment", last));
        }
        Ok(Prepared { command, env: BTreeMap::new() })
    }

    async fn direnv(&mut self) -> Result<Prepared, ContainerError> {
        if !self.is_done {
            let allow = ["direnv", "allow", "."].map(str::to_owned).into();
            let (code, last) = self.told(allow).await?;
            if code != 0 {
                return Err(failed("allow the repository's .envrc", last));
            }
        }
        self.entered(vec!["direnv".into(), "exec".into(), self.workspace.clone()]).await
    }

    async fn devcontainer(&mut self, found: &[&str]) -> Result<Prepared, ContainerError> {
        let file = DEVCONTAINER_FILES.iter().find(|file| found.contains(file)).unwrap_or(&DEVCONTAINER_FILES[0]);
        let text = self.printed(&Exec::script(r#"head -c "$2" "$1""#, &[file, FILE_BYTES_MAX])).await?;
        let read = match Devcontainer::parse(&text) {
            Ok(read) => read,
            Err(why) => {
                (self.on_line)(format!("warning: {file} cannot be read: {why}"));
                return Ok(Prepared::default());
            }
        };
        let there = self.printed(&Exec::script("env", &[])).await?;
        let pairs = there.lines().filter_map(|line| line.split_once('='));
        let there = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let env = read.variables(&self.workspace, &there);
        let once = if self.is_done { &[] } else { read.commands() };
        for (stage, command) in once {
            (self.on_line)(format!("{stage} of {file}"));
            let argv = ["env".to_owned()].into_iter().chain(env.iter().map(|(name, value)| format!("{name}={value}")));
            let (code, _) = self.told(argv.chain(command.iter().cloned()).collect()).await?;
            if code != 0 {
                (self.on_line)(format!("warning: {stage} ended with code {code}; what follows it is left out"));
                break;
            }
        }
        Ok(Prepared { command: Vec::new(), env })
    }

    /// Runs a command in the work tree and tells what it prints. Answers its code, and its last line.
    async fn told(&mut self, argv: Vec<String>) -> Result<(i32, String), ContainerError> {
        let what = format!("run {}", argv.join(" ").chars().take(200).collect::<String>());
        let exec = Exec { argv, ..Exec::default() }.within(&self.workspace);
        let command = self.runtime.command(self.container, &exec);
        let done = follow(command, Duration::from_secs(PREPARE_SECONDS_MAX), self.on_line).await;
        done.map(|Followed { code, last }| (code, last)).map_err(|why| failed(&what, why.to_string()))
    }

    /// What a short script prints, in the work tree.
    async fn printed(&self, exec: &Exec) -> Result<String, ContainerError> {
        let exec = exec.clone().within(&self.workspace);
        let mut command = self.runtime.command(self.container, &exec);
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        let what = "look at the repository's environment";
        let output = timeout(Duration::from_secs(60), output).await;
        let output = output.map_err(|_| failed(what, "it took more than 60 seconds".into()))?;
        let output = output.map_err(|why| failed(what, why.to_string()))?;
        if !output.status.success() {
            return Err(failed(what, String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn failed(what: &str, why: String) -> ContainerError {
    ContainerError::Failed { runtime: "the container".into(), what: what.to_owned(), why }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_flake_goes_before_a_devcontainer_and_that_before_direnv() {
        let all = ["flake.nix", ".devcontainer.json", ".envrc", "nix", "direnv"];
        assert_eq!(choose("auto", &all), (Way::Nix, None));
        assert_eq!(choose("auto", &all[1..]), (Way::Devcontainer, None));
        assert_eq!(choose("auto", &all[2..]), (Way::Direnv, None));
        assert_eq!(choose("auto", &["nix", "direnv"]), (Way::Plain, None));
        assert_eq!(choose("direnv", &all), (Way::Direnv, None));
        assert_eq!(choose("mise exec --", &all), (Way::Own("mise exec --".into()), None));
    }

    #[test]
    fn what_the_image_lacks_is_told_and_the_next_way_is_taken() {
        let (way, warning) = choose("auto", &["flake.nix", ".envrc", "direnv"]);
        assert_eq!(way, Way::Direnv);
        assert!(warning.unwrap().contains("no nix in the image"));
        let (way, warning) = choose("nix", &["flake.nix", ".envrc", "direnv"]);
        assert_eq!(way, Way::Plain);
        assert!(warning.unwrap().contains("no nix in the image"));
        let (way, warning) = choose("nix", &["nix"]);
        assert_eq!(way, Way::Plain);
        assert!(warning.unwrap().contains("no flake.nix"));
    }
}
