//! PostgreSQL: one database for many servers.
//!
//! The statements are those of SQLite ([`super::sql`]); what is here is what several servers need besides:
//! connections ([`Address`], [`Session`]), one order of commits, and word of them for every server ([`Commits`]).

mod address;
mod commits;
mod listener;
mod schema;
mod session;

pub(super) use address::Address;
pub(super) use commits::{BEGIN, Commits, LEAP, NEWEST};
pub(super) use listener::listen;
pub(super) use session::Session;
