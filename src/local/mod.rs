//! Agents on this machine: one server for all of them, behind a unix socket only its owner can reach.
//!
//! MCP clients start a process of their own each. That process is a thin [`Shim`]: it carries lines
//! between the client and the server, starts the server if none answers, and outlives it. The server's
//! side is [`LocalDoor`]; where both meet is a [`Place`], derived from the database, so that one database
//! has one server. [`install`] writes the shim into the configuration of MCP clients.

mod agent_name;
mod background;
mod conversation;
mod door;
mod greeting;
mod idle;
pub mod install;
mod lines;
mod place;
mod reach;
mod shim;

pub use agent_name::AgentName;
pub use background::{Background, Standing};
pub use door::{Hosting, LocalDoor};
pub use greeting::{GREETING_VERSION, Greeting, Reply};
pub use idle::Idle;
pub(crate) use idle::Present;
pub use place::Place;
pub use reach::serving;
pub use shim::Shim;
