//! The whole server, as its users meet it: the real binary, started with a configuration file,
//! spoken to over HTTP and MCP.

#![allow(clippy::unwrap_used)]

mod drain;
mod harness;
mod kill;
mod reload;
