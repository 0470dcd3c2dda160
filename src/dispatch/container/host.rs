//! No container at all: programs run on this machine, as this user. For development only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{
    ContainerError, ContainerId, ContainerRow, ContainerRuntime, ContainerSpec, ContainerState, ContainerUsage, Exec,
    Places, RuntimeFacts,
};

/// The variable by which the programs of a folder are found again, whatever group or session they made.
const MARK: &str = "ISSUECOMMAND_HOST_FOLDER";
/// What is known of a folder's making, beside it.
const RECORD: &str = "made.json";
/// How often programs are told to end before [`HostProcess::remove`] gives up: one that forks is found again.
const KILL_COUNT_MAX: u32 = 50;
/// The wait between two looks, in milliseconds.
const KILL_WAIT_MS: u64 = 20;

/// Runs agents **without a container**, each in a folder of its own. Nothing is kept apart: an agent may read,
/// write and run all that this user may, and so may the repository that it works on. For development, on issues
/// that you wrote yourself. Linux only: what is left running is found in `/proc`.
#[derive(Debug)]
pub struct HostProcess {
    folder: PathBuf,
}

/// What [`RECORD`] holds. When it was made is the file's own time.
#[derive(Debug, Serialize, Deserialize)]
struct Made {
    server: String,
    run: String,
    epoch: u64,
    env: BTreeMap<String, String>,
    /// The container's port, and the one of this machine that plays it.
    port: Option<(u16, u16)>,
}

impl HostProcess {
    /// Keeps a folder for each container in `folder`, which is made when it is missing.
    pub fn new(folder: PathBuf) -> Self {
        tracing::warn!(
            "agents run WITHOUT a container, as this user, in {}: they may read and change whatever this user may; \
             set containers.runtime = \"podman\" for anything but development",
            folder.display()
        );
        Self { folder: std::path::absolute(&folder).unwrap_or(folder) }
    }

    fn home_of(&self, container: &ContainerId) -> PathBuf {
        self.folder.join(&container.0)
    }

    fn made(&self, container: &ContainerId) -> Option<Made> {
        read_made(&self.home_of(container))
    }

    fn try_start(&self, spec: &ContainerSpec) -> io::Result<ContainerId> {
        if !is_plain(&spec.name) {
            return Err(io::Error::other(format!("{:?} is no name for a folder", spec.name)));
        }
        fs::create_dir_all(&self.folder)?;
        let home = self.folder.join(&spec.name);
        fs::create_dir(&home)?;
        for part in ["workspace", "run", "home"] {
            fs::create_dir(home.join(part))?;
        }
        let port = spec.port.map(|port| free_port().map(|own| (port, own))).transpose()?;
        let (server, run, env) = (spec.server.clone(), spec.run.clone(), spec.env.clone());
        let made = Made { server, run, epoch: spec.epoch, env, port };
        // Last: a folder without it was never a container.
        fs::write(home.join(RECORD), serde_json::to_vec_pretty(&made)?)?;
        Ok(ContainerId(spec.name.clone()))
    }

    /// The port of this machine that plays `port`.
    fn own_port(&self, container: &ContainerId, port: u16) -> Option<u16> {
        self.made(container)?.port.filter(|(within, _)| *within == port).map(|(_, own)| own)
    }
}

#[async_trait]
impl ContainerRuntime for HostProcess {
    async fn probe(&self) -> Result<RuntimeFacts, ContainerError> {
        let description = "processes of this machine, kept apart from nothing".to_owned();
        Ok(RuntimeFacts { description, limits_enforced: false, isolates: false })
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerId, ContainerError> {
        self.try_start(spec).map_err(|why| failed(&format!("make a folder for {}", spec.name), why))
    }

    fn command(&self, container: &ContainerId, exec: &Exec) -> Command {
        let home = self.home_of(container);
        // One that is gone has no variables; its folder is missing, which the caller is told on spawning.
        let env = self.made(container).map(|made| made.env).unwrap_or_default();
        let places = self.places(container);
        let (program, arguments) = exec.argv.split_first().expect("an Exec names a program");
        let mut command = Command::new(program);
        command.args(arguments).env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.env("HOME", home.join("home")).env("LANG", "C.UTF-8").envs(env).env(MARK, &home);
        command.current_dir(exec.folder.as_ref().unwrap_or(&places.workspace)).process_group(0);
        command
    }

    fn places(&self, container: &ContainerId) -> Places {
        let home = self.home_of(container);
        let place = |part: &str| home.join(part).to_string_lossy().into_owned();
        Places { workspace: place("workspace"), run: place("run") }
    }

    async fn state(&self, container: &ContainerId) -> Result<ContainerState, ContainerError> {
        Ok(if self.made(container).is_some() { ContainerState::Running } else { ContainerState::Absent })
    }

    async fn address(&self, container: &ContainerId, port: u16) -> Result<SocketAddr, ContainerError> {
        let own = self.own_port(container, port).ok_or_else(|| {
            failed(&format!("say where port {port} of {container} is"), io::Error::other("it was made without it"))
        })?;
        Ok((Ipv4Addr::LOCALHOST, own).into())
    }

    /// Never more than this machine itself may see, and the port that [`ContainerRuntime::address`] tells.
    fn listens_on(&self, container: &ContainerId, port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.own_port(container, port).unwrap_or(port)).into()
    }

    async fn usage(&self, _container: &ContainerId) -> Result<Option<ContainerUsage>, ContainerError> {
        Ok(None)
    }

    async fn list(&self, server: &str) -> Result<Vec<ContainerRow>, ContainerError> {
        let rows = fs::read_dir(&self.folder).into_iter().flatten().flatten().filter_map(|entry| {
            let made = read_made(&entry.path()).filter(|made| made.server == server)?;
            let id = ContainerId(entry.file_name().to_string_lossy().into_owned());
            Some(ContainerRow { id, run: made.run, epoch: made.epoch, running: true })
        });
        Ok(rows.collect())
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), ContainerError> {
        let home = self.home_of(container);
        // Without a record the folder was half made: it goes all the same.
        if is_plain(&container.0) && home.exists() {
            end_marked(&home).await.map_err(|why| failed(&format!("end what runs in {container}"), why))?;
            let removed = tokio::fs::remove_dir_all(&home).await;
            removed.map_err(|why| failed(&format!("remove {}", home.display()), why))?;
        }
        Ok(())
    }
}

/// Whether a name stays within the folder that it is put in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

fn read_made(home: &Path) -> Option<Made> {
    serde_json::from_slice(&fs::read(home.join(RECORD)).ok()?).ok()
}

/// A port that nothing listens on now. Another program may take it before the agent does, which then does not start.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Ends the process groups of every program that was started in `home`.
async fn end_marked(home: &Path) -> io::Result<()> {
    let mark = format!("{MARK}={}", home.display());
    for _ in 0..KILL_COUNT_MAX {
        let groups = marked_groups(&mark);
        if groups.is_empty() {
            return Ok(());
        }
        let mut kill = Command::new("sh");
        kill.args(["-c", "kill -KILL \"$@\"", "sh"]).args(groups.iter().map(|group| format!("-{group}")));
        // One that ended by itself meanwhile is no failure: the next look decides.
        kill.output().await?;
        tokio::time::sleep(Duration::from_millis(KILL_WAIT_MS)).await;
    }
    Err(io::Error::other("its programs start new ones faster than they are ended"))
}

/// The process groups of live programs whose environment holds `mark`.
fn marked_groups(mark: &str) -> BTreeSet<u32> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|entry| group_of(&entry.path(), mark)).collect()
}

fn group_of(process: &Path, mark: &str) -> Option<u32> {
    let environment = fs::read(process.join("environ")).ok()?;
    environment.split(|&byte| byte == 0).find(|variable| *variable == mark.as_bytes())?;
    // `pid (name) state parent group ...`, where the name may hold anything, parentheses too.
    let line = fs::read_to_string(process.join("stat")).ok()?;
    let mut rest = line.rsplit_once(')')?.1.split_ascii_whitespace();
    (rest.next()? != "Z").then_some(())?;
    rest.nth(1)?.parse().ok().filter(|&group| group > 1)
}

fn failed(what: &str, why: io::Error) -> ContainerError {
    ContainerError::Failed { runtime: "host".into(), what: what.to_owned(), why: why.to_string() }
}
