//! `issuecommand token`: access tokens, made, listed and revoked.

use std::fmt;
use std::process::ExitCode;

use anstyle::Style;
use anyhow::anyhow;
use clap::{Args, Subcommand};
use issuecommand::api::Call;
use issuecommand::domain::{AccessScope, AgentId, TokenId, in_one_line};
use serde::Deserialize;
use serde_json::{Value, json};

use super::door::{DoorArgs, read};
use super::show::{Format, SOFT};
use super::table::{Table, long, text, whole};
use super::{output, runtime};

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and print it: this once, on standard output, and nothing else there
    Create(CreateArgs),
    /// List tokens, ended ones too; never the tokens themselves
    List(ListArgs),
    /// End a token, at once
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand token create --agent claude-1 --scope claim --expires 90d")]
pub struct CreateArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// The agent it speaks for; without one it may name any, as a script may
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
    /// How much it may ask: read, claim (which reads too), or admin (which does all)
    #[arg(long, default_value = "claim", value_name = "SCOPE")]
    scope: AccessScope,
    /// For how long it holds, in days, as in 90d; for ever if left out
    #[arg(long, value_name = "DAYS", value_parser = days)]
    expires: Option<u64>,
    /// A word about it, for the list
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id in the list
    #[arg(value_name = "ID")]
    token_id: TokenId,
    #[command(flatten)]
    format: Format,
}

pub fn run(command: TokenCommand) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        match command {
            TokenCommand::Create(args) => create(&args).await,
            TokenCommand::List(args) => list(&args).await,
            TokenCommand::Revoke(args) => revoke(&args).await,
        }
    })
}

fn days(text: &str) -> Result<u64, String> {
    let days = text.strip_suffix('d').unwrap_or(text).parse::<u64>();
    days.ok().filter(|days| (1..=3650).contains(days)).ok_or_else(|| "expected 1d to 3650d".to_owned())
}

async fn create(args: &CreateArgs) -> anyhow::Result<ExitCode> {
    let fields = json!({
        "agent_id": args.agent, "scope": args.scope, "expires_days": args.expires, "label": args.label,
    });
    let answer = args.door.open().await?.ask(Call::TokenCreate, fields).await?;
    let Created { token, record } = read(&answer)?;
    args.format.show(&answer, || say!("{token}"));
    // A reader who left before this has not read it either.
    output::check().map_err(|unwritten| {
        let id = record.token_id;
        anyhow!(
            "{unwritten}; token {id} is made all the same: `issuecommand token revoke {id}` ends it, then make another"
        )
    })?;
    if !args.format.json {
        tell!("{record}");
    }
    tell!("Keep it now: it is shown this once.");
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let answer = args.door.open().await?.ask(Call::TokenList, Value::Null).await?;
    let tokens: Vec<Record> = read(&answer["tokens"])?;
    args.format.show(&answer["tokens"], || tell(&tokens));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let fields = json!({ "token_id": args.token_id });
    let answer = args.door.open().await?.ask(Call::TokenRevoke, fields).await?;
    let Revoked { record } = read(&answer)?;
    args.format.show(&answer, || say!("{record}"));
    Ok(ExitCode::SUCCESS)
}

fn tell(tokens: &[Record]) {
    if tokens.is_empty() {
        return tell!("There are no tokens: make one with `issuecommand token create`.");
    }
    let mut table = Table::of([whole("token"), text("scope"), text("agent"), text("holds"), long("label")]);
    for record in tokens {
        let style = if record.live { Style::new() } else { SOFT };
        let label = record.label.as_deref().unwrap_or_default();
        let (token_id, life) = (record.token_id.to_string(), record.life());
        table.marked_row(style, [&token_id, record.scope.as_str(), record.agent(), &life, label]);
    }
    table.print();
}

/// A token as it is made.
#[derive(Debug, Deserialize)]
struct Created {
    token: String,
    record: Record,
}

/// A token as it is ended.
#[derive(Debug, Deserialize)]
struct Revoked {
    record: Record,
}

/// What is known of one token. Times stand as the server wrote them.
#[derive(Debug, Deserialize)]
struct Record {
    token_id: TokenId,
    scope: AccessScope,
    agent_id: Option<AgentId>,
    label: Option<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    live: bool,
}

impl Record {
    fn agent(&self) -> &str {
        self.agent_id.as_ref().map_or("any agent", AgentId::as_str)
    }

    /// Until when it holds, or since when no more.
    fn life(&self) -> String {
        match (&self.revoked_at, &self.expires_at) {
            (Some(at), _) => format!("revoked {at}"),
            (None, Some(at)) => format!("{} {at}", if self.live { "until" } else { "expired" }),
            (None, None) => "for ever".to_owned(),
        }
    }
}

/// In one line.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:5}  {}  {}", self.token_id, self.scope.as_str(), self.agent(), self.life())?;
        self.label.iter().try_for_each(|label| write!(f, "  {}", in_one_line(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_told_in_days() {
        assert_eq!((days("90d"), days("1"), days("3650d")), (Ok(90), Ok(1), Ok(3650)));
        for wrong in ["", "d", "0d", "3651d", "90h", "-1d", "1.5d"] {
            assert!(days(wrong).is_err(), "{wrong:?}");
        }
    }
}
