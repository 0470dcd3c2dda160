//! `issuecommand token`: access tokens, made, listed and revoked.

use std::fmt;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use issuecommand::api::Call;
use issuecommand::domain::{AccessScope, AgentId, TokenId};
use serde::Deserialize;
use serde_json::{Value, json};

use super::door::{DoorArgs, UNKNOWN_FORM};
use super::runtime;

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
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Print JSON, for scripts
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub struct RevokeArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id in the list
    #[arg(value_name = "ID")]
    token_id: TokenId,
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
    let Created { token, record } = args.door.open().await?.ask_for(Call::TokenCreate, fields).await?;
    anstream::println!("{token}");
    anstream::eprintln!("{record}");
    anstream::eprintln!("Keep it now: it is shown this once.");
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let mut answer = args.door.open().await?.ask(Call::TokenList, Value::Null).await?;
    if args.json {
        anstream::println!("{:#}", answer["tokens"]);
        return Ok(ExitCode::SUCCESS);
    }
    let tokens: Vec<Record> = serde_json::from_value(answer["tokens"].take()).context(UNKNOWN_FORM)?;
    if tokens.is_empty() {
        anstream::eprintln!("There are no tokens: make one with `issuecommand token create`.");
    }
    tokens.iter().for_each(|record| anstream::println!("{record}"));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let fields = json!({ "token_id": args.token_id });
    let Revoked { record } = args.door.open().await?.ask_for(Call::TokenRevoke, fields).await?;
    anstream::println!("{record}");
    Ok(ExitCode::SUCCESS)
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

/// What is known of one token, written in one line. Times stand as the server wrote them.
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

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let agent = self.agent_id.as_ref().map_or("any agent", AgentId::as_str);
        write!(f, "{}  {:5}  {agent}  ", self.token_id, self.scope.as_str())?;
        match (&self.revoked_at, &self.expires_at) {
            (Some(at), _) => write!(f, "revoked {at}")?,
            (None, Some(at)) => write!(f, "{} {at}", if self.live { "until" } else { "expired" })?,
            (None, None) => f.write_str("for ever")?,
        }
        self.label.iter().try_for_each(|label| write!(f, "  {label}"))
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
