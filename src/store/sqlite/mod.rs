//! SQLite: embedded, the default, for one server. A lock file keeps a second one out.

mod connect;
mod first_edition;

pub(super) use connect::{Opened, hold, is_in_use, lock_file, newest_version, open, reading_connection};
pub use first_edition::{FirstEditionError, FirstEditionRow, first_edition_rows};
