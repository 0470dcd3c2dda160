//! The images that agents work in: what they are made of, and how they are built.

mod prebuilt;

use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr;

use tempfile::TempDir;

pub use prebuilt::{PrebuildError, Prebuilder, Recipe, recipe};

/// What an image is made by, over any Debian.
pub const CONTAINERFILE: &str = include_str!("image/Containerfile");
/// What an image is made of where nobody says otherwise: Debian with a Node.js that every agent runs on.
pub const DEFAULT_BASE: &str = "docker.io/library/node:22-bookworm-slim";

/// A coding agent that can be put into an image, in the version that this program is tested with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgentPackage {
    /// Its name in the configuration, which is its program's too.
    pub name: &'static str,
    /// Its package at npm.
    pub package: &'static str,
    /// The version.
    pub version: &'static str,
}

/// Those that are built in.
pub const AGENT_PACKAGES: [AgentPackage; 4] = [
    AgentPackage { name: "opencode", package: "opencode-ai", version: "1.18.33" },
    AgentPackage { name: "pi", package: "@mariozechner/pi-coding-agent", version: "0.73.1" },
    AgentPackage { name: "claude", package: "@anthropic-ai/claude-code", version: "2.1.197" },
    AgentPackage { name: "codex", package: "@openai/codex", version: "0.169.0" },
];

impl FromStr for AgentPackage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = AGENT_PACKAGES.into_iter().find(|package| package.name == name.trim());
        let known = || AGENT_PACKAGES.map(|package| package.name).join(", ");
        found.ok_or_else(|| format!("no agent {name:?} is known here; expected {}", known()))
    }
}

/// An image to build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageBuild {
    /// What it is made of.
    pub base: String,
    /// The agents in it.
    pub agents: Vec<AgentPackage>,
    /// Its name.
    pub tag: String,
}

impl ImageBuild {
    /// A folder with all that the build reads; it is gone when dropped.
    pub fn folder() -> io::Result<TempDir> {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("Containerfile"), CONTAINERFILE)?;
        Ok(folder)
    }

    /// The arguments of podman that build it in such a folder, with others of one's own.
    pub fn arguments(&self, folder: &Path, own: &[String]) -> Vec<String> {
        let list = |of: &dyn Fn(&AgentPackage) -> String| self.agents.iter().map(of).collect::<Vec<_>>().join(" ");
        let packages = list(&|agent| format!("{}@{}", agent.package, agent.version));
        let programs = list(&|agent| agent.name.to_owned());
        let mut arguments = vec!["build".to_owned(), format!("--tag={}", self.tag)];
        arguments.push(format!("--file={}", folder.join("Containerfile").display()));
        for (name, value) in [("BASE", &self.base), ("AGENTS", &packages), ("PROGRAMS", &programs)] {
            arguments.push(format!("--build-arg={name}={value}"));
        }
        arguments.extend(own.iter().cloned());
        arguments.push(folder.display().to_string());
        arguments
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_pinned_and_every_program_is_tried() {
        let agents = vec!["opencode".parse().unwrap(), " pi".parse().unwrap()];
        let build = ImageBuild { base: "debian".into(), agents, tag: "localhost/x".into() };
        let arguments = build.arguments(Path::new("/tmp/x"), &["--network=host".into()]);
        let expected = [
            "build",
            "--tag=localhost/x",
            "--file=/tmp/x/Containerfile",
            "--build-arg=BASE=debian",
            "--build-arg=AGENTS=opencode-ai@1.18.33 @mariozechner/pi-coding-agent@0.73.1",
            "--build-arg=PROGRAMS=opencode pi",
            "--network=host",
            "/tmp/x",
        ];
        assert_eq!(arguments, expected);
        assert!("cursor".parse::<AgentPackage>().unwrap_err().contains("opencode, pi, claude, codex"));
    }

    #[test]
    fn the_container_file_says_the_same_of_itself() {
        assert!(CONTAINERFILE.contains(&format!("ARG BASE={DEFAULT_BASE}")));
        let opencode = AGENT_PACKAGES[0];
        assert!(CONTAINERFILE.contains(&format!("ARG AGENTS=\"{}@{}\"", opencode.package, opencode.version)));
    }
}
