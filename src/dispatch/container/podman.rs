//! Containers by podman's command line, or another that takes the same arguments.
//!
//! The main process of a container only waits; what works in it is started by [`ContainerRuntime::command`], so that
//! a container is there before any secret is, and secrets enter by standard input alone: variables of a container,
//! files of variables and podman's own secrets all stay in its database in plain text.

mod call;
mod images;
mod report;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::sleep;

use self::call::{CALL_SECONDS_MAX, PULL_SECONDS_MAX, last_line};
use self::report::{Inspected, USAGE, facts, usage};
use super::{
    ContainerError, ContainerId, ContainerRow, ContainerRuntime, ContainerSpec, ContainerState, ContainerUsage, Exec,
    Mount, Places, RuntimeFacts,
};

/// The labels of a container that is ours.
const SERVER_LABEL: &str = "issuecommand.server";
const RUN_LABEL: &str = "issuecommand.run";
const EPOCH_LABEL: &str = "issuecommand.epoch";

/// The user that agents are, by its number: images differ in what they call it.
const USER: &str = "1000";
/// Where the work tree is.
const WORKSPACE: &str = "/workspace";
/// Where small files are, in memory.
const RUN: &str = "/run/ic";
/// Most that they take, for the agent's output is among them.
const RUN_MEGABYTES_MAX: u32 = 256;
/// The exit code of a program that was killed.
const KILLED: i32 = 137;
/// The code of a program whose end nobody saw.
const UNSEEN: i32 = -1;
/// How often, and how many times, it is looked how a container ended whose process is gone.
const END_LOOK_EVERY: Duration = Duration::from_millis(100);
const END_LOOK_COUNT: u32 = 20;
/// How often a removal is tried: the first one fails when what watched over the container died.
const REMOVE_COUNT_MAX: u32 = 5;
/// The wait between two tries, in milliseconds.
const REMOVE_WAIT_MS: u64 = 300;

/// Whether both places can be written to.
const CHECK: &str = r#"for place do [ -w "$place" ] || { echo "$place"; exit 3; }; done"#;

/// Runs agents in containers of podman.
#[derive(Debug)]
pub struct Podman {
    program: String,
    connection: Option<String>,
    facts: OnceCell<RuntimeFacts>,
}

impl Podman {
    /// By this program, on this machine or over one of podman's connections. Nothing is asked of it yet.
    ///
    /// Over a connection to another machine, a published port is open on all addresses of that machine, for a
    /// loopback address there could not be reached from here; the agent's password guards it.
    pub fn new(program: String, connection: Option<String>) -> Self {
        Self { program, connection, facts: OnceCell::new() }
    }

    /// What `inspect` says of those of the containers that are there.
    async fn inspect(&self, ids: &[&str]) -> Result<Vec<Inspected>, ContainerError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let what = format!("look at {}", ids.join(", "));
        let mut command = self.program();
        command.args(["inspect", "--type", "container"]).args(ids);
        let output = self.output_of(&what, command, CALL_SECONDS_MAX).await?;
        // One that is gone is an error, after what was found of the others.
        let why = last_line(&output.stderr);
        if !output.status.success() && !is_absence(&why) {
            return Err(self.failed(&what, &why));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let text = if text.trim().is_empty() { "[]" } else { &text };
        Inspected::all(text).map_err(|why| self.failed(&what, &format!("its answer is out of form: {why}")))
    }

    /// Whether a container that podman says runs does. Where the process that watched over it was killed, podman
    /// goes on saying so for ever.
    async fn runs(&self, it: &Inspected) -> Result<bool, ContainerError> {
        if !it.state.running {
            return Ok(false);
        }
        let groups = format!("/proc/{}/cgroup", it.state.pid);
        let is_here = tokio::fs::read_to_string(groups).await.is_ok_and(|groups| groups.contains(&it.id));
        if self.connection.is_none() && is_here {
            return Ok(true);
        }
        let command = self.command(&ContainerId(it.id.clone()), &Exec::script(":", &[]));
        let output = self.output_of("ask whether a container runs", command, CALL_SECONDS_MAX).await?;
        Ok(output.status.success() || !is_stillness(&last_line(&output.stderr)))
    }

    /// Both places must be there for the agent: an image that lacks one is told at once, with the way out.
    async fn check_places(&self, id: &ContainerId, image: &str) -> Result<(), ContainerError> {
        let command = self.command(id, &Exec::script(CHECK, &[WORKSPACE, RUN]));
        let output = self.output_of(&format!("look into {id}"), command, CALL_SECONDS_MAX).await?;
        match output.status.code() {
            Some(0) => Ok(()),
            Some(3) => {
                let place = String::from_utf8_lossy(&output.stdout);
                let why = format!(
                    "user {USER} cannot write to {} in the image {image}; \
                     `issuecommand image build --base {image}` makes one of it that fits",
                    place.trim()
                );
                Err(self.failed("use the image", &why))
            }
            _ => Err(self.failed(&format!("use the image {image}"), &last_line(&output.stderr))),
        }
    }

    /// The host of the connection, if it is another machine.
    async fn remote_host(&self) -> Result<Option<String>, ContainerError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Connection {
            name: String,
            #[serde(rename = "URI")]
            uri: String,
        }
        let Some(name) = &self.connection else { return Ok(None) };
        const WHAT: &str = "list its connections";
        let text = self.call(WHAT, &["system", "connection", "list", "--format", "json"]).await?;
        let all: Vec<Connection> = serde_json::from_str(&text)
            .map_err(|why| self.failed(WHAT, &format!("its answer is out of form: {why}")))?;
        // The default one is marked in its name by some versions.
        let found = all.into_iter().find(|connection| connection.name.trim_end_matches('*') == name);
        let Some(found) = found else {
            return Err(self.unusable(format!("there is no connection {name:?}; `podman system connection list`")));
        };
        if found.uri.starts_with("unix:") {
            return Ok(None);
        }
        let uri: http::Uri = found.uri.parse().map_err(|why| self.unusable(format!("connection {name:?}: {why}")))?;
        Ok(uri.host().map(str::to_owned))
    }

    /// The arguments that make a container.
    fn create_arguments(&self, spec: &ContainerSpec, is_remote: bool) -> Vec<String> {
        let mut list: Vec<String> = vec!["create".into()];
        let mut set = |name: &str, value: String| list.push(format!("--{name}={value}"));
        // What lies on this machine alone is in no registry: asking one would only confuse its error.
        set("pull", if spec.image.starts_with("localhost/") { "never" } else { "missing" }.into());
        set("name", spec.name.clone());
        set("label", format!("{SERVER_LABEL}={}", spec.server));
        set("label", format!("{RUN_LABEL}={}", spec.run));
        set("label", format!("{EPOCH_LABEL}={}", spec.epoch));
        set("user", USER.into());
        set("cap-drop", "all".into());
        set("security-opt", "no-new-privileges".into());
        set("init", "true".into());
        set("cpus", spec.limits.cpus.to_string());
        set("memory", format!("{}b", spec.limits.memory_bytes));
        set("memory-swap", format!("{}b", spec.limits.memory_bytes));
        set("pids-limit", spec.limits.pids.to_string());
        set("tmpfs", format!("{RUN}:rw,noexec,nosuid,nodev,size={RUN_MEGABYTES_MAX}m,mode=1777"));
        // Nothing is printed by a process that waits; an image's own entry point is not run.
        set("log-driver", "none".into());
        set("network", spec.network.clone());
        if let Some(port) = spec.port {
            set("publish", if is_remote { port.to_string() } else { format!("{}::{port}", Ipv4Addr::LOCALHOST) });
        }
        for mount in &spec.mounts {
            match mount {
                Mount::Folder { from, to } => {
                    set("mount", format!("type=bind,source={},destination={to},readonly", from.display()));
                }
                Mount::Volume { name, to } => set("mount", format!("type=volume,source={name},destination={to}")),
            }
        }
        for (name, value) in &spec.env {
            set("env", format!("{name}={value}"));
        }
        set("workdir", "/".into());
        set("entrypoint", "sleep".into());
        list.extend([spec.image.clone(), "infinity".into()]);
        list
    }
}

#[async_trait]
impl ContainerRuntime for Podman {
    async fn probe(&self) -> Result<RuntimeFacts, ContainerError> {
        let found = self.facts.get_or_try_init(async || {
            let text = match self.call("say what it is", &["info", "--format", "{{json .}}"]).await {
                Err(ContainerError::Failed { why, .. }) => return Err(self.unusable(why)),
                other => other?,
            };
            let info = serde_json::from_str(&text).map_err(|why| self.unusable(format!("`info`: {why}")))?;
            Ok(facts(&self.program, self.connection.as_deref(), &info))
        });
        found.await.cloned()
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<ContainerId, ContainerError> {
        let is_remote = self.remote_host().await?.is_some();
        let arguments = self.create_arguments(spec, is_remote);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let what = format!("make a container of {}", spec.image);
        let made = self
            .call_within(&what, &arguments, PULL_SECONDS_MAX)
            .await
            .map_err(|error| with_image_hint(error, spec))?;
        let id = ContainerId(made.lines().last().unwrap_or_default().trim().to_owned());
        let started = match self.call(&format!("start {}", spec.name), &["start", &id.0]).await {
            Ok(_) => self.check_places(&id, &spec.image).await,
            Err(error) => Err(error),
        };
        if let Err(error) = started {
            // The reason is worth more than a second error; what stays behind is found by its labels.
            let _ = self.remove(&id).await;
            return Err(error);
        }
        Ok(id)
    }

    /// The program within lives on when the command is killed, but sees the end of its input.
    fn command(&self, container: &ContainerId, exec: &Exec) -> Command {
        let mut command = self.program();
        // Where the program within runs out of memory, who watches over it leaves an empty file `oom` in this folder.
        command.current_dir(std::env::temp_dir()).arg("exec");
        if exec.takes_input {
            command.arg("--interactive");
        }
        if let Some(folder) = &exec.folder {
            command.args(["--workdir", folder]);
        }
        command.arg(&container.0).args(&exec.argv);
        command
    }

    fn places(&self, _container: &ContainerId) -> Places {
        Places { workspace: WORKSPACE.into(), run: RUN.into() }
    }

    async fn state(&self, container: &ContainerId) -> Result<ContainerState, ContainerError> {
        let mut looks_left = END_LOOK_COUNT;
        loop {
            let found = self.inspect(&[&container.0]).await?;
            let Some(it) = found.first() else { return Ok(ContainerState::Absent) };
            if self.runs(it).await? {
                return Ok(ContainerState::Running);
            }
            if !it.state.running || looks_left == 0 {
                let code = if it.state.running { UNSEEN } else { it.state.exit_code };
                // We never kill without removing, and podman does not always know of the kernel's reasons.
                return Ok(ContainerState::Exited { code, out_of_memory: it.state.oom_killed || code == KILLED });
            }
            // Who watches over it takes a moment to write down how it ended; one who is gone, too, never will.
            looks_left -= 1;
            tokio::time::sleep(END_LOOK_EVERY).await;
        }
    }

    async fn address(&self, container: &ContainerId, port: u16) -> Result<SocketAddr, ContainerError> {
        let what = format!("say where port {port} of {container} is");
        let text = self.call(&what, &["port", &container.0, &port.to_string()]).await?;
        let published = text.lines().next().and_then(|line| line.rsplit_once(':')?.1.trim().parse::<u16>().ok());
        let published = published.ok_or_else(|| self.failed(&what, &format!("it says {:?}", text.trim())))?;
        let Some(host) = self.remote_host().await? else { return Ok((Ipv4Addr::LOCALHOST, published).into()) };
        let mut found = tokio::net::lookup_host((host.as_str(), published)).await;
        let first = found.as_mut().ok().and_then(Iterator::next);
        first.ok_or_else(|| self.failed(&what, &format!("the connection's host {host:?} has no address")))
    }

    async fn usage(&self, container: &ContainerId) -> Result<Option<ContainerUsage>, ContainerError> {
        if !self.probe().await?.limits_enforced {
            // The control groups that such a container sees are not its own.
            return Ok(None);
        }
        let command = self.command(container, &Exec::script(USAGE, &[]));
        let output = self.output_of(&format!("measure {container}"), command, CALL_SECONDS_MAX).await?;
        Ok(usage(&String::from_utf8_lossy(&output.stdout)))
    }

    async fn list(&self, server: &str) -> Result<Vec<ContainerRow>, ContainerError> {
        let filter = format!("label={SERVER_LABEL}={server}");
        let arguments = ["ps", "--all", "--no-trunc", "--quiet", "--filter", &filter];
        let ids = self.call("list containers", &arguments).await?;
        let mut rows = Vec::new();
        for it in self.inspect(&ids.split_whitespace().collect::<Vec<_>>()).await? {
            // The filter takes patterns: only the label itself says whose it is.
            if it.label(SERVER_LABEL) != Some(server) {
                continue;
            }
            let run = it.label(RUN_LABEL).unwrap_or_default().to_owned();
            let epoch = it.label(EPOCH_LABEL).and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
            let running = self.runs(&it).await?;
            rows.push(ContainerRow { id: ContainerId(it.id), run, epoch, running });
        }
        Ok(rows)
    }

    async fn remove(&self, container: &ContainerId) -> Result<(), ContainerError> {
        let what = format!("remove {container}");
        let mut tried = 1;
        loop {
            match self.call(&what, &["rm", "--force", "--volumes", &container.0]).await {
                Ok(_) => return Ok(()),
                Err(ContainerError::Failed { why, .. }) if is_absence(&why) => return Ok(()),
                Err(error @ ContainerError::Unusable { .. }) => return Err(error),
                Err(error) if tried == REMOVE_COUNT_MAX => return Err(error),
                Err(_) => tried += 1,
            }
            sleep(Duration::from_millis(REMOVE_WAIT_MS)).await;
        }
    }
}

/// Whether the reason is that there is no such container.
fn is_absence(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    why.contains("no such container") || why.contains("no such object")
}

/// Whether the reason is that the container does not run, and not that it has no process to spare.
fn is_stillness(why: &str) -> bool {
    let why = why.to_ascii_lowercase();
    ["stopped container", "not running", "state improper"].iter().any(|sign| why.contains(sign)) || is_absence(&why)
}

/// Says how an image that only this program makes comes to be.
fn with_image_hint(error: ContainerError, spec: &ContainerSpec) -> ContainerError {
    match error {
        ContainerError::Failed { runtime, what, why } if spec.image.starts_with("localhost/") => {
            let is_missing = why.contains("image not known") || why.contains("No such image");
            let hint = if is_missing { "; `issuecommand image build` makes the default image" } else { "" };
            ContainerError::Failed { runtime, what, why: why + hint }
        }
        other => other,
    }
}
