//! `issuecommand issues` and `repos`: what there is to do.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{Clock, Issue, RepoName, SystemClock};
use serde::Deserialize;
use serde_json::{Value, json};

use super::door::{Door, DoorArgs, read};
use super::runtime;
use super::show::{Format, SOFT, span};
use super::table::{Cell, Table, long, number, place, text};

/// Issues that are listed where nobody says how many: what people read. JSON has all of them.
const ISSUE_COUNT: usize = 50;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand issues                                 of all repositories, the first 50
  issuecommand issues acme/webshop --label bug
  issuecommand issues acme/webshop --json | jq -r '.issues[].title'

In which order agents get them is the policy's: `issuecommand explain OWNER/REPO#N`.")]
pub struct IssuesArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Of which repositories; of all that take part, if none is named
    #[arg(value_name = "OWNER/REPO")]
    repos: Vec<RepoName>,
    /// Only with this label
    #[arg(long, value_name = "LABEL")]
    label: Option<String>,
    /// Only of this milestone
    #[arg(long, value_name = "TITLE")]
    milestone: Option<String>,
    /// How many to list at most [default: 50; with --json all]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand repos
  issuecommand repos --json | jq -r '.repos[].full_name'")]
pub struct ReposArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    format: Format,
}

/// A repository that takes part.
#[derive(Debug, Deserialize)]
struct RepoRow {
    full_name: RepoName,
    private: bool,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    open_issue_count: usize,
}

#[derive(Debug, Deserialize)]
struct Repos {
    repos: Vec<RepoRow>,
}

pub fn issues(args: &IssuesArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(listed(args))?;
    let issues: Vec<Issue> = read(&answer["issues"])?;
    args.format.show(&answer, || tell(&issues, &answer));
    Ok(ExitCode::SUCCESS)
}

/// The answer for one repository, or those for several as one.
async fn listed(args: &IssuesArgs) -> anyhow::Result<Value> {
    let door = args.door.open().await?;
    door.say_if_at_rest();
    let repos = if args.repos.is_empty() { with_issues(&door).await? } else { args.repos.clone() };
    let limit = args.limit.map(|limit| limit as usize).or((!args.format.json).then_some(ISSUE_COUNT));
    let (mut issues, mut left) = (Vec::new(), json!({}));
    for (place, repo) in repos.iter().enumerate() {
        let room = limit.map(|limit| limit.saturating_sub(issues.len()));
        if room == Some(0) {
            left["more_repos"] = (repos.len() - place).into();
            break;
        }
        let fields = json!({ "repo": repo, "label": args.label, "milestone": args.milestone, "limit": room });
        let mut answer = door.ask(Call::OpenIssues, fields).await?;
        issues.extend(answer["issues"].as_array_mut().into_iter().flat_map(std::mem::take));
        if let Some(more) = answer["more"].as_u64() {
            left["more"] = more.into();
        }
    }
    left["issues"] = issues.into();
    Ok(left)
}

/// The repositories in which there is anything to list.
async fn with_issues(door: &Door) -> anyhow::Result<Vec<RepoName>> {
    let Repos { repos } = door.ask_for(Call::Repos, Value::Null).await?;
    Ok(repos.into_iter().filter(|repo| repo.open_issue_count > 0).map(|repo| repo.full_name).collect())
}

fn tell(issues: &[Issue], answer: &Value) {
    if issues.is_empty() {
        return tell!("there is no open issue that nobody holds");
    }
    let now = SystemClock.now();
    let mut table = Table::of([place("issue"), number("open for"), long("title"), long("labels")]);
    for issue in issues {
        table.row([
            Cell::from(issue.issue_ref().to_string()),
            span(now - issue.created_at).into(),
            issue.title.as_str().into(),
            Cell::styled(&issue.labels.join(", "), SOFT),
        ]);
    }
    table.print();
    let more = answer["more"].as_u64().map(|count| format!("{count} more there"));
    let more_repos = answer["more_repos"].as_u64().map(|count| match count {
        1 => "those of one more repository".to_owned(),
        _ => format!("those of {count} more repositories"),
    });
    let left: Vec<String> = [more, more_repos].into_iter().flatten().collect();
    if !left.is_empty() {
        tell!("not listed: {}; --limit takes in more", left.join(", and "));
    }
}

pub fn repos(args: &ReposArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        door.ask(Call::Repos, Value::Null).await
    })?;
    let Repos { repos } = read(&answer)?;
    args.format.show(&answer, || {
        if repos.is_empty() {
            return tell!("no repository takes part; `issuecommand health` says whether the sync went well");
        }
        let mut table = Table::of([place("repository"), number("open issues"), text("seen by"), long("description")]);
        for repo in &repos {
            let seen_by = if repo.private { "members" } else { "all" };
            let description = repo.description.as_deref().unwrap_or_default();
            table.row([repo.full_name.as_str(), &repo.open_issue_count.to_string(), seen_by, description]);
        }
        table.print();
    });
    Ok(ExitCode::SUCCESS)
}
