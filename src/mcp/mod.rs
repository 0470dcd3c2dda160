//! The MCP door: the calls of the API as tools, and what can be read and watched, over stdio, any byte
//! stream and Streamable HTTP.
//!
//! `tools.rs` is the table of tools and `compact.rs` what their answers leave out; `resources.rs` names
//! what can be read and `updates.rs` tells who watches; `server.rs` puts them behind the protocol,
//! `transports.rs` behind byte streams, and `http.rs` behind `/mcp`, with the `sessions.rs` of older clients
//! and answers that go on (`lasting.rs`).

mod batch;
mod compact;
#[cfg(feature = "conformance")]
mod conformance;
mod http;
mod lasting;
mod resources;
mod server;
mod sessions;
mod tools;
mod transports;
mod updates;

pub use http::McpDoor;
pub use server::{Connection, IssueCommandTools, RESENT_KEY, agent_in, skills_in};
pub use transports::{AGENT_VARIABLE, serve_io, serve_stdio};
