//! `issuecommand config check`: is this configuration fit for use, policies included?

use std::process::ExitCode;

use clap::Args;
use issuecommand::config::{Config, ConfigSource, Loaded, Summary, load};
use issuecommand::dispatch::doubts;
use issuecommand::github::{Credentials, SourceError};
use issuecommand::local::Place;
use issuecommand::policy::PolicyHost;

use super::{ConfigFile, output};

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let source = ConfigSource::from_process(args.file.config.clone());
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(report) => {
            if args.json {
                let problems: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
                say!("{}", serde_json::json!({ "ok": false, "problems": problems }));
            } else {
                report.print();
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let socket = Place::check_socket(&loaded);
    if let (Err(error), true) = (&socket, args.json) {
        say!("{}", serde_json::json!({ "ok": false, "problems": [format!("{error:#}")] }));
        return Ok(ExitCode::FAILURE);
    }
    socket?;
    let source = match source_of(&loaded) {
        Ok(source) => source,
        Err(error) if args.json => {
            say!("{}", serde_json::json!({ "ok": false, "problems": [error.to_string()] }));
            return Ok(ExitCode::FAILURE);
        }
        Err(error) => return Err(error.into()),
    };
    // Policies are compiled, configured and tried as the server would, without a cache to hide behind.
    let policies = PolicyHost::new(None)?.load(&loaded.config.effective_policies(), &loaded.folder);
    match policies {
        Ok(policies) => {
            let [ranker, stale_rule, repo_filter] = policies.stamps();
            if args.json {
                let stamps =
                    serde_json::json!({ "ranker": ranker, "stale_rule": stale_rule, "repo_filter": repo_filter });
                let doubts = doubts(&loaded.config);
                say!(
                    "{}",
                    serde_json::json!({ "ok": true, "source": source, "policies": stamps, "dispatch": dispatch(&loaded.config), "warnings": doubts })
                );
            } else {
                output::print(Summary::of(&loaded));
                say!("  {:11} {source}", "issues from");
                for (part, stamp) in [("ranker", ranker), ("stale rule", stale_rule), ("repo filter", repo_filter)] {
                    say!("  {part:11} {} (sha256 {})", stamp.source, &stamp.digest[..12]);
                }
                say!("  {:11} {}", "dispatch", dispatch(&loaded.config));
                for doubt in doubts(&loaded.config) {
                    say!("{WARNING}warning:{WARNING:#} {doubt}");
                }
            }
            Ok(ExitCode::SUCCESS)
        }
        Err(rejected) => {
            if args.json {
                say!("{}", serde_json::json!({ "ok": false, "problems": [rejected.to_string()] }));
                return Ok(ExitCode::FAILURE);
            }
            Err(rejected.into())
        }
    }
}

const WARNING: anstyle::Style = anstyle::AnsiColor::Yellow.on_default().bold();

/// What is worked on here, and how, in a line.
fn dispatch(config: &Config) -> String {
    let (dispatch, containers, github) = (&config.dispatch, &config.containers, &config.github);
    let how = format!("{} by {}, {} at once", dispatch.agent, containers.runtime, containers.max_concurrent);
    match dispatch.enabled {
        true => {
            format!("issues labelled {:?}, in repositories with topic {:?}: {how}", github.trigger_label, github.topic)
        }
        false => format!("what `issuecommand run` says: {how}"),
    }
}

/// Where issues come from, and as whom they are read. Asks nobody on the network.
fn source_of(loaded: &Loaded) -> Result<String, SourceError> {
    let github = &loaded.config.github;
    match &github.issues_file {
        Some(file) => Ok(format!("file {}", loaded.folder.join(file).display())),
        None => Ok(format!("{}, {}", github.api_url, Credentials::of(github, &loaded.folder)?)),
    }
}
