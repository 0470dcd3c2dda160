//! IssueCommand: one server that says which coding agent works on which GitHub issue.
//!
//! A map of the house, from the doors down; ARCHITECTURE.md walks one request through it:
//!
//! - [`http`] and [`mcp`] are the doors, [`api`] what both say in the same words, [`local`] the way in for
//!   agents on this machine;
//! - [`claims`] is the only door to state: it asks the policies and the store;
//! - [`policy`] runs WebAssembly components; [`store`] is the authority on who holds what; [`github`]
//!   is where issues come from, and [`sync`] brings them in;
//! - [`areas`] guesses which part of a repository an issue touches;
//! - [`state`] carries claims from one server to another, and mirrors them in a file;
//! - [`domain`] is pure: nouns and the rules between them;
//! - [`dispatch`] does the work itself: an agent in a container for each issue;
//! - [`promotion`] puts another ranker in force by somebody's word, from a command or a page;
//! - [`authoring`] is the way of a policy from an opinion to its component, for who writes one;
//! - [`config`], [`logging`], [`metrics`], [`telemetry`] and [`build_info`] serve all, and [`server`] puts everything
//!   together.

pub mod api;
pub mod areas;
pub mod authoring;
pub mod build_info;
pub mod claims;
pub mod config;
pub mod dispatch;
pub mod domain;
pub mod github;
pub mod http;
pub mod local;
pub mod logging;
pub mod mcp;
pub mod metrics;
pub mod policy;
pub mod promotion;
pub mod replay;
pub mod server;
pub mod state;
pub mod store;
pub mod sync;
pub mod telemetry;
