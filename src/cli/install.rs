//! `issuecommand mcp install`: tells MCP clients how to start us.

use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use clap::builder::PossibleValuesParser;
use issuecommand::config::{CONFIG_FILE_NAME, ToolProfile};
use issuecommand::local::install::{CLIENTS, Client, Entry, Homes, Written, write};
use serde_json::json;

use super::ConfigFile;
use super::mcp::Identity;
use super::show::print_json;
use super::table::{Table, text as column, whole};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand mcp install                          which clients are here, and set up
  issuecommand mcp install claude-code              for all your projects
  issuecommand mcp install codex --agent codex-1    under a name of your choice
  issuecommand mcp install vscode --project         for the project in this folder
  issuecommand mcp install claude-desktop --print   to paste it yourself

The client's file keeps its comments, its order and everything else in it, and a copy of
the old one is put beside it. A file that cannot be parsed is left alone. Without
--profile it gets \"minimal\", the five tools that an agent needs.")]
pub struct InstallArgs {
    /// The client; without one, lists them all
    #[arg(value_parser = PossibleValuesParser::new(CLIENTS.each_ref().map(|client| client.name)))]
    client: Option<String>,
    /// Print what belongs into the file, and write nothing
    #[arg(long, requires = "client")]
    print: bool,
    /// Write the project's file in this folder, not your own
    #[arg(long, requires = "client")]
    project: bool,
    /// Print the list as JSON, for scripts
    #[arg(long, conflicts_with = "client")]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    identity: Identity,
}

pub fn run(args: &InstallArgs) -> anyhow::Result<ExitCode> {
    let homes = Homes::of_process().context("failed to find the working folder")?;
    let Some(client) = args.client.as_deref().and_then(Client::named) else {
        list(&homes, args.json);
        return Ok(ExitCode::SUCCESS);
    };
    let entry = entry(args)?;
    let path = client.file(&homes, args.project)?;
    if args.print {
        tell!("{} reads {}:", client.title, path.display());
        say!("{}", client.with_entry("", &entry, &path)?.trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let (title, file) = (client.title, path.display());
    match write(client, &entry, &path)? {
        Written::Unchanged => say!("{title} is set up already: {file}"),
        Written::Created => say!("{title} is set up in the new file {file}; restart it if it runs"),
        Written::Changed { backup } => {
            say!("{title} is set up in {file}; restart it if it runs\nthe old file is kept as {}", backup.display());
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What the client is to start: this program, with paths that hold in any folder.
fn entry(args: &InstallArgs) -> anyhow::Result<Entry> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let config = args.file.config.clone().unwrap_or_else(|| CONFIG_FILE_NAME.into());
    let config = std::path::absolute(&config).with_context(|| format!("failed to find {}", config.display()))?;
    if !config.is_file() {
        bail!(
            "there is no {}: clients start us in folders of their own, so the database must be named by a file; \
             create it (an empty one will do) or name another with --config",
            config.display()
        );
    }
    let profile = args.identity.profile.unwrap_or(ToolProfile::Minimal).as_str();
    let mut arguments = ["mcp", "--config", text(&config)?, "--profile", profile].map(str::to_owned).to_vec();
    if let Some(agent) = &args.identity.agent {
        arguments.extend(["--agent".to_owned(), agent.to_string()]);
    }
    Ok(Entry { command: text(&program)?.to_owned(), arguments })
}

fn text(path: &std::path::Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is no UTF-8 text, which the client's file must be", path.display()))
}

fn list(homes: &Homes, as_json: bool) {
    let rows = CLIENTS.each_ref().map(|client| {
        let file = client.file(homes, false).map(|path| path.display().to_string());
        let file = file.unwrap_or_else(|error| error.to_string());
        (
            client,
            client.is_found(homes),
            client.is_set_up(homes).map_err(|error| format!("{:#}", anyhow::Error::from(error))),
            file,
        )
    });
    if as_json {
        let rows = rows.map(|(client, found, set_up, file)| {
            let mut row = json!({ "client": client.name, "title": client.title, "found": found, "file": file });
            match set_up {
                Ok(set_up) => row["set_up"] = json!(set_up),
                Err(problem) => row["problem"] = json!(problem),
            }
            row
        });
        return print_json(&json!(rows));
    }
    let mut table = Table::of([column("client"), column("found"), column("set up"), whole("file")]);
    for (client, found, set_up, file) in &rows {
        let word = |flag: &bool| if *flag { "yes" } else { "-" };
        table.row([client.name, word(found), set_up.as_ref().map_or("broken", word), file]);
    }
    table.print();
}
