//! `issuecommand policy new`: a folder with a policy that builds as it is.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use issuecommand::authoring::{Language, PolicyKind, scaffold};

use super::short;

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The policy's name, or the folder to make, whose last part is the name
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Lang,
    /// What it decides; all but rankers are written in Rust
    #[arg(long, value_enum, default_value = "ranker")]
    kind: Kind,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    /// Which issue comes first
    Ranker,
    /// How live claims are doing
    StaleRule,
    /// Which repositories take part
    RepoFilter,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Lang {
    /// Rust: fast and small; unit tests run on this machine
    #[value(alias = "rs")]
    Rust,
    /// JavaScript, on Node.js's ComponentizeJS
    #[value(alias = "javascript")]
    Js,
    /// Python, on componentize-py
    #[value(alias = "py")]
    Python,
    /// C, on clang and wasi-libc
    C,
}

pub fn run(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let language = match args.lang {
        Lang::Rust => Language::Rust,
        Lang::Js => Language::Js,
        Lang::Python => Language::Python,
        Lang::C => Language::C,
    };
    let kind = match args.kind {
        Kind::Ranker => PolicyKind::Ranker,
        Kind::StaleRule => PolicyKind::StaleRule,
        Kind::RepoFilter => PolicyKind::RepoFilter,
    };
    let project = scaffold(&std::path::absolute(&args.folder)?, language, kind)?;
    let folder = short(&project.folder);
    say!("made {folder}, a {kind} in {language}; its README.md says what is where");
    say!("next: cd {folder} && issuecommand policy build && issuecommand policy test");
    Ok(ExitCode::SUCCESS)
}
