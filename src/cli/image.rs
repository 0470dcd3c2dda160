//! `issuecommand image`: the images that agents work in.

use std::process::{Command, ExitCode};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use issuecommand::config::{ConfigSource, load};
use issuecommand::dispatch::image::{AgentPackage, DEFAULT_BASE, ImageBuild};

use super::ConfigFile;

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// Build an image with coding agents, git, Node.js and nix, over any Debian
    Build(BuildArgs),
}

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The agents in it
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "opencode")]
    agents: Vec<AgentPackage>,
    /// What it is made of: a Debian, or whatever your builds already use
    #[arg(long, value_name = "IMAGE", default_value = DEFAULT_BASE)]
    base: String,
    /// Its name [default: containers.base_image of the configuration]
    #[arg(long, value_name = "IMAGE")]
    tag: Option<String>,
    #[command(flatten)]
    config: ConfigFile,
    /// More arguments of `podman build`, after --
    #[arg(last = true, value_name = "ARGUMENTS")]
    own: Vec<String>,
}

pub fn run(command: ImageCommand) -> anyhow::Result<ExitCode> {
    let ImageCommand::Build(args) = command;
    let source = ConfigSource::from_process(args.config.config.clone());
    let Ok(loaded) = load(&source).map_err(|report| report.print()) else { return Ok(ExitCode::FAILURE) };
    let containers = loaded.config.containers;
    if containers.runtime == "host" {
        bail!("containers.runtime is \"host\", which has no images; set it to \"podman\"");
    }
    let build = ImageBuild { base: args.base, agents: args.agents, tag: args.tag.unwrap_or(containers.base_image) };
    let folder = ImageBuild::folder().context("failed to write what the build reads")?;
    let mut command = Command::new(&containers.runtime);
    if let Some(connection) = &containers.connection {
        command.args(["--remote", "--connection", connection]);
    }
    // What it prints goes straight to whoever asked.
    let status = command.args(build.arguments(folder.path(), &args.own)).status();
    let status = status.with_context(|| format!("failed to run {}: is it installed?", containers.runtime))?;
    if !status.success() {
        bail!("{} could not build {}: see above", containers.runtime, build.tag);
    }
    say!("{} is ready", build.tag);
    Ok(ExitCode::SUCCESS)
}
