//! What this program was built of; build.rs finds it out.

/// The version, as in the manifest.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The version, the commit (with a `+` where the files were no longer those of the commit; only in releases, and only
/// where it is known), and the target it was compiled for.
pub const VERSION_AND_BUILD: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ISSUECOMMAND_BUILD"), ")");

/// The commit and the target alone.
pub const BUILD: &str = env!("ISSUECOMMAND_BUILD");
