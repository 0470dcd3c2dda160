//! `issuecommand completions` and `man`: for shells and for `man`, made of the same words as `--help`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, output};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand completions bash > ~/.local/share/bash-completion/completions/issuecommand
  issuecommand completions zsh > ~/.zfunc/_issuecommand        with `fpath+=~/.zfunc` before compinit
  issuecommand completions fish > ~/.config/fish/completions/issuecommand.fish")]
pub struct CompletionsArgs {
    /// For which shell
    shell: Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand man ~/.local/share/man/man1     one page a command; then `man issuecommand-next`
  issuecommand man | man -l -                  the first page, to read now")]
pub struct ManArgs {
    /// The folder to write a page for each command into, made if it is not there; without one, the first page goes to
    /// standard output
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn completions(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "issuecommand", &mut script);
    output::print_bytes(&script);
    Ok(ExitCode::SUCCESS)
}

pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command().disable_help_subcommand(true)).render(&mut page)?;
        output::print_bytes(&page);
        return Ok(ExitCode::SUCCESS);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .with_context(|| format!("failed to write manual pages into {}", folder.display()))?;
    tell!("manual pages are in {}", folder.display());
    Ok(ExitCode::SUCCESS)
}
