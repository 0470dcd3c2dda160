//! Where an agent runs: a port, and one adapter for each way of keeping it apart from this machine.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::config::{ContainersConfig, LimitsConfig, processors};

mod follow;
mod host;
mod podman;

pub use follow::{Followed, follow};
pub use host::HostProcess;
pub use podman::Podman;

/// The port. Every call names one container by the id that [`ContainerRuntime::start`] answered.
#[async_trait]
pub trait ContainerRuntime: Send + Sync + fmt::Debug + 'static {
    /// What runs containers, for people: `podman 4.3.1, rootful`.
    async fn probe(&self) -> Result<RuntimeFacts, ContainerError>;
    /// Makes and starts a container that does nothing yet, and waits until it is there.
    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerId, ContainerError>;
    /// A command that runs `exec` within the container, ready to be spawned: what the caller pipes into it
    /// reaches the program inside and is kept nowhere.
    fn command(&self, container: &ContainerId, exec: &Exec) -> Command;
    /// Where the folders of [`Places`] are within the container.
    fn places(&self, container: &ContainerId) -> Places;
    /// Whether it still runs, and why not.
    async fn state(&self, container: &ContainerId) -> Result<ContainerState, ContainerError>;
    /// Where this process reaches the container's published port.
    async fn address(&self, container: &ContainerId, port: u16) -> Result<SocketAddr, ContainerError>;
    /// Where a program within listens, so that [`ContainerRuntime::address`] reaches it there.
    fn listens_on(&self, _container: &ContainerId, port: u16) -> SocketAddr {
        (Ipv4Addr::UNSPECIFIED, port).into()
    }
    /// What it uses now; `None` where this cannot be told.
    async fn usage(&self, container: &ContainerId) -> Result<Option<ContainerUsage>, ContainerError>;
    /// Every container that the server of this name made, running or not.
    async fn list(&self, server: &str) -> Result<Vec<ContainerRow>, ContainerError>;
    /// Ends and removes a container; one that is gone is removed.
    async fn remove(&self, container: &ContainerId) -> Result<(), ContainerError>;
}

/// What runs agents, by the configuration. Without containers, folders of `folder` stand for them.
pub fn of(config: &ContainersConfig, folder: &Path) -> Arc<dyn ContainerRuntime> {
    match config.runtime.as_str() {
        HOST_PROCESS => Arc::new(HostProcess::new(folder.to_owned())),
        program => Arc::new(Podman::new(program.to_owned(), config.connection.clone())),
    }
}

/// The word for no container at all.
pub(super) const HOST_PROCESS: &str = "host";

/// A container's name at its runtime.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ContainerId(pub String);

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a container is made of. Nothing in it is secret: a runtime keeps all of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// Its name, unique on this machine: `issuecommand-<run>-<epoch>`.
    pub name: String,
    /// Who made it: containers of other servers are never touched.
    pub server: String,
    /// The run it is for.
    pub run: String,
    /// The epoch of the run's lease.
    pub epoch: u64,
    /// The image.
    pub image: String,
    /// Most it may use.
    pub limits: Limits,
    /// Which network it is on, in the runtime's words; `none` for none.
    pub network: String,
    /// A port within that this process reaches on a loopback address.
    pub port: Option<u16>,
    /// Folders of this machine that it sees, read-only, and shared volumes.
    pub mounts: Vec<Mount>,
    /// Variables that every program within sees.
    pub env: BTreeMap<String, String>,
}

/// The most that a container may use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Processors.
    pub cpus: f64,
    /// Memory, in bytes; swap counts.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
}

impl Limits {
    /// Those of a configuration that was checked, for a priority that may have others of its own.
    pub fn of(config: &ContainersConfig, priority: &LimitsConfig) -> Self {
        let cpus = priority.cpu_limit.as_ref().unwrap_or(&config.cpu_limit);
        Self {
            cpus: processors(cpus).expect("the configuration was checked when it was read"),
            memory_bytes: priority.memory_limit.unwrap_or(config.memory_limit).0,
            pids: priority.pids_limit.unwrap_or(config.pids_limit),
        }
    }
}

/// What a container sees beside its own files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// A folder of this machine, read-only.
    Folder {
        /// On this machine.
        from: PathBuf,
        /// Within.
        to: String,
    },
    /// A volume that runs share, and may write to.
    Volume {
        /// Its name.
        name: String,
        /// Within.
        to: String,
    },
}

/// A program to run within a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program and its arguments; never a secret.
    pub argv: Vec<String>,
    /// Whether the caller pipes something into it.
    pub takes_input: bool,
    /// Where it starts; the container's own place if `None`.
    pub folder: Option<String>,
}

impl Exec {
    /// A script for the POSIX shell, with what it is given as `$1`, `$2` and so on.
    pub fn script(text: &str, arguments: &[&str]) -> Self {
        let head = ["sh", "-c", text, "sh"].into_iter();
        let argv = head.chain(arguments.iter().copied()).map(str::to_owned).collect();
        Self { argv, ..Self::default() }
    }

    /// The same, with something piped in.
    pub fn with_input(self) -> Self {
        Self { takes_input: true, ..self }
    }

    /// The same, in a folder.
    pub fn within(self, folder: &str) -> Self {
        Self { folder: Some(folder.to_owned()), ..self }
    }
}

/// Folders within a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The work tree.
    pub workspace: String,
    /// Small files in memory, kept from no one within: pipes, the agent's output.
    pub run: String,
}

/// Whether a container runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// It does.
    Running,
    /// It ended by itself.
    Exited {
        /// With this code; -1 where nobody saw it.
        code: i32,
        /// Whether memory ran out, as far as can be told.
        out_of_memory: bool,
    },
    /// There is none.
    Absent,
}

/// A container that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRow {
    /// Its id.
    pub id: ContainerId,
    /// The run it was made for.
    pub run: String,
    /// The epoch it was made under.
    pub epoch: u64,
    /// Whether it runs.
    pub running: bool,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ContainerUsage {
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// Processor time so far, in milliseconds.
    pub cpu_ms: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Processes that were killed because memory ran out. The container itself may live on.
    #[serde(default)]
    pub oom_kills: u64,
}

/// What is known of a container runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeFacts {
    /// For people: `podman 4.3.1, rootful`.
    pub description: String,
    /// Whether limits hold: rootless podman without cgroups v2 ignores them silently.
    pub limits_enforced: bool,
    /// Whether what runs within is kept apart from this machine.
    pub isolates: bool,
}

/// Why a container runtime did not do as told.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// It is not there, or does not work on this machine.
    #[error("{runtime} cannot be used: {why}")]
    Unusable {
        /// Which.
        runtime: String,
        /// What it said, or what to do.
        why: String,
    },
    /// It refused.
    #[error("{runtime} could not {what}: {why}")]
    Failed {
        /// Which.
        runtime: String,
        /// What was attempted, to follow "could not".
        what: String,
        /// The last line of what it said.
        why: String,
    },
}
