//! The whole server, as its users meet it: the real binary, started with a configuration file,
//! spoken to over HTTP and MCP.

#![allow(clippy::unwrap_used)]

#[path = "../cosign/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod cosign;

#[path = "../documents/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod documents;

#[path = "../dispatch/image.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod image;
#[path = "../replay/invented.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod invented;
#[path = "../postgres/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod postgres;
#[path = "../standin/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod standin;
#[path = "../policies/workshop.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod workshop;

mod attacks;
mod browser;
mod commands;
mod container;
mod crowd;
mod dashboard;
mod deploy;
mod dispatch;
mod drain;
mod ending;
mod explain;
mod fleet;
mod harness;
mod history;
mod hosts;
mod kill;
mod metrics;
mod output;
mod people;
mod policies;
mod profile;
mod promoting;
mod promql;
mod readers;
mod redaction;
mod reload;
mod screen;
mod settings;
mod soak;
mod state;
mod streams;
mod terminal;
mod traces;
