//! The MCP door: the calls of the API as tools, over stdio and Streamable HTTP.

mod server;
mod tools;
mod transports;

pub use server::{IssueCommandTools, agent_in};
pub use transports::{AGENT_VARIABLE, http_service, serve_io, serve_stdio};
