//! Putting another ranker in force from a command: at the server that runs with the file, or at none.

use std::sync::Arc;

use anyhow::bail;
use async_trait::async_trait;
use issuecommand::api::Call;
use issuecommand::promotion::{Ground, Way, Word};
use issuecommand::store::SqlStore;
use serde_json::Value;

use super::super::door::{Door, DoorArgs};

#[async_trait]
impl Way for Door {
    async fn ask(&self, call: Call, fields: Value) -> anyhow::Result<Value> {
        Self::ask(self, call, fields).await
    }

    fn is_served(&self) -> bool {
        matches!(self, Self::Server(_))
    }
}

/// The configuration to edit, and the way to the server that runs with it.
///
/// # Errors
/// When the configuration is not valid, or the server that is asked runs with another: one that does run with it would
/// take up the edit, and nobody would be told.
pub async fn begin(args: &DoorArgs) -> anyhow::Result<(Arc<Ground>, Door)> {
    let loaded = args.load_to_edit()?;
    let door = args.open().await?;
    if let Door::Server(asked) = &door
        && let Some(own) = SqlStore::address_in_use(&loaded.store())
        && !asked.is_at(&own)
    {
        bail!("the server that runs with this file is at {own}, not at {asked}: leave --url and ISSUECOMMAND_URL out");
    }
    Ok((Arc::new(Ground { loaded, host: super::host()? }), door))
}

/// The word of who types: the system says who.
pub fn word(note: Option<&String>) -> Word {
    let names = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    Word { who: names.filter(|who| !who.trim().is_empty()), note: note.cloned() }
}
