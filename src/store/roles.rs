//! Which servers are there, and which of them does what only one at a time should.

use std::time::Duration;

use async_trait::async_trait;
use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::domain::Timestamp;

/// What one server of a database does at a time. Two that do it for a moment waste work and harm nothing: every
/// write stands by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads GitHub: repositories, issues, pull requests, and what webhooks missed.
    Sync,
    /// Finds claims whose leases ran out.
    Sweep,
    /// Works on issues; goes with [`Role::Sync`].
    Dispatch,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 3] = [Self::Sync, Self::Sweep, Self::Dispatch];

    /// Its name, as it is kept.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sync => "sync",
            Self::Sweep => "sweep",
            Self::Dispatch => "dispatch",
        }
    }
}

/// A server's word that it is there.
#[derive(Debug, Clone)]
pub struct ServerBeat {
    /// Where it is reached.
    pub url: String,
    /// Whether its configuration has it work on issues. One that has not leaves [`Role::Dispatch`], and what goes with
    /// it, to one that has.
    pub dispatches: bool,
    /// Whether it only works on runs that others queue: it takes no role.
    pub is_worker: bool,
    /// How many critical runs could begin there at once; `None` while none can.
    pub slots_free: Option<u32>,
    /// For how long it holds what it gets, from now, by the database's clock.
    pub lease: Duration,
}

/// What the database answers to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeatAnswer {
    /// The roles that the server has.
    pub held: Vec<Role>,
    /// The database's present: what all its servers tell the time by.
    pub now: Timestamp,
}

/// A server that said not long ago that it is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerSeen {
    /// Its name: another one at each start.
    pub server: String,
    /// Where it is reached; empty once it ended properly, and before it listens.
    pub url: String,
    /// The roles that it has.
    pub roles: Vec<Role>,
    /// How many runs could begin there when it was last heard of; absent where none can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots_free: Option<u32>,
    /// Milliseconds since it was last heard of.
    pub silent_ms: u64,
}

/// The part of the store that keeps servers and their roles.
#[async_trait]
pub trait RoleStore {
    /// The name of this server among those of the database.
    fn server_name(&self) -> &str;
    /// Says that this server is there, and takes or renews those of the wanted roles that nobody else has.
    async fn server_beat(&self, beat: ServerBeat) -> Result<BeatAnswer, StoreError>;
    /// Says that this server ends, and gives up its roles.
    async fn server_leave(&self) -> Result<(), StoreError>;
    /// Servers heard of within `within`, the longest known first.
    async fn server_list(&self, within: TimeDelta) -> Result<Vec<ServerSeen>, StoreError>;
}
