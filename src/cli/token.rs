//! `issuecommand token`: access tokens, made, listed and revoked.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use issuecommand::api::Call;
use issuecommand::domain::{AccessScope, AgentId, TokenId};
use serde_json::{Value, json};

use super::door::DoorArgs;
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
    let answer = args.door.open().await?.ask(Call::TokenCreate, fields).await?;
    let token = answer["token"].as_str().context("the server answered without a token")?;
    anstream::println!("{token}");
    anstream::eprintln!("{}", line(&answer["record"]));
    anstream::eprintln!("Keep it now: it is shown this once.");
    Ok(ExitCode::SUCCESS)
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let answer = args.door.open().await?.ask(Call::TokenList, Value::Null).await?;
    if args.json {
        anstream::println!("{:#}", answer["tokens"]);
        return Ok(ExitCode::SUCCESS);
    }
    let tokens = answer["tokens"].as_array().map(Vec::as_slice).unwrap_or_default();
    if tokens.is_empty() {
        anstream::eprintln!("There are no tokens: make one with `issuecommand token create`.");
    }
    tokens.iter().for_each(|record| anstream::println!("{}", line(record)));
    Ok(ExitCode::SUCCESS)
}

async fn revoke(args: &RevokeArgs) -> anyhow::Result<ExitCode> {
    let answer = args.door.open().await?.ask(Call::TokenRevoke, json!({ "token_id": args.token_id })).await?;
    anstream::println!("{}", line(&answer["record"]));
    Ok(ExitCode::SUCCESS)
}

/// One token in one line.
fn line(record: &Value) -> String {
    let text = |field: &str| record[field].as_str();
    let agent = text("agent_id").unwrap_or("any agent");
    let ends = match (text("revoked_at"), text("expires_at"), record["live"].as_bool()) {
        (Some(at), _, _) => format!("revoked {at}"),
        (None, Some(at), Some(false)) => format!("expired {at}"),
        (None, Some(at), _) => format!("until {at}"),
        (None, None, _) => "for ever".to_owned(),
    };
    let label = text("label").map(|label| format!("  {label}")).unwrap_or_default();
    let (id, scope) = (text("token_id").unwrap_or("?"), text("scope").unwrap_or("?"));
    format!("{id}  {scope:5}  {agent}  {ends}{label}")
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
