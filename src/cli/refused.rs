//! Answers that say no, as a command tells them.

use anyhow::anyhow;
use issuecommand::api::Call;
use issuecommand::domain::clean;
use serde_json::Value;

use super::door::TOKEN_VARIABLE;

/// An answer that says no.
#[derive(Debug, thiserror::Error)]
#[error("{told}")]
pub struct Refused {
    /// In one word, for programs.
    pub reason: String,
    told: String,
}

/// What an answer that says no comes to.
pub fn refusal(call: Call, status: u16, body: &Value) -> anyhow::Error {
    let told = ["message", "reason", "error"].iter().find_map(|field| body[field].as_str());
    match (status, told) {
        (401, None | Some("unauthorized")) => {
            anyhow!("the server does not know the key: set API_KEY, or {TOKEN_VARIABLE} to a token")
        }
        (429, _) => anyhow!("asked too often: ask again in {} s", body["retry_after_seconds"]),
        (404, Some(told)) if body["error"] == "not_found" && names_a_run(call) => {
            anyhow!("{told}: `issuecommand status --ended` lists the runs there are")
        }
        (_, Some(told)) => {
            let reason = ["reason", "error"].iter().find_map(|field| body[field].as_str()).unwrap_or_default();
            Refused { reason: reason.to_owned(), told: clean(told, usize::MAX) }.into()
        }
        (_, None) => anyhow!("the server answered {status}: {body}"),
    }
}

/// Whether a call is about one run.
fn names_a_run(call: Call) -> bool {
    matches!(
        call,
        Call::DispatchRun | Call::DispatchCancel | Call::DispatchAnswer | Call::DispatchLogs | Call::DispatchQueue
    )
}
