//! The form in which state is written.

use schemars::JsonSchema;
use serde::Serialize;

use crate::claims::Stock;
use crate::domain::{Claim, FollowUp, Timestamp};

/// What the form calls itself.
pub const FORMAT: &str = "issuecommand.state";
/// Its version: what reads it knows this one and those before. Version 1 is the first edition's state
/// file, which names no format.
pub const VERSION: u64 = 2;

/// Everything that an import can take.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Envelope {
    format: &'static str,
    version: u64,
    /// When it was read from the store.
    exported_at: Timestamp,
    /// Active claims, oldest first.
    claims: Vec<Claim>,
    /// Claims that ended, newest end first.
    history: Vec<Claim>,
    /// Active follow-ups, most urgent first, then oldest.
    followups: Vec<FollowUp>,
    /// Follow-ups that ended, newest end first.
    followup_history: Vec<FollowUp>,
}

impl Envelope {
    /// The envelope of all that is kept.
    pub fn of(stock: Stock) -> Self {
        let Stock { read_at, active, past, follow_ups, past_follow_ups } = stock;
        Self {
            format: FORMAT,
            version: VERSION,
            exported_at: read_at,
            claims: active,
            history: past,
            followups: follow_ups,
            followup_history: past_follow_ups,
        }
    }
}

/// Whether a file that says this of itself can be read.
///
/// # Errors
/// Why not.
pub fn check_version(format: &str, version: u64) -> Result<(), String> {
    if format != FORMAT {
        return Err(format!("its format is {format:?}, not {FORMAT:?}"));
    }
    if version > VERSION {
        return Err(format!("its version is {version}, and this issuecommand knows {VERSION}: upgrade issuecommand"));
    }
    Ok(())
}
