//! State in and out: exports, imports, and a mirror in a file.
//!
//! [`Envelope`] is the form that is written; [`Reading`] is what can be read: that form, and what the
//! first edition kept in JSON and in SQLite. [`take_in()`] brings a reading into a store, and [`Mirror`]
//! keeps a file up to date. A record that cannot be taken is reported with its place and its
//! reason, and keeps no other from being taken.

mod envelope;
mod mirror;
mod reading;
mod take_in;

pub use envelope::{Envelope, FORMAT, VERSION, check_version};
pub use mirror::{Mirror, MirrorStart};
pub use reading::{Found, Parts, Reading, Refusal, StateError};
pub use take_in::{ImportReport, RecordId, Skipped, take_in};
