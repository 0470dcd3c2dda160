//! Lines for the server's log, at this policy's own target. A call may write few; natively they go
//! nowhere.

use crate::wit::log::Level;

/// For whoever writes the policy.
pub fn debug(message: &str) {
    write(Level::Debug, message);
}

/// For whoever runs the server.
pub fn info(message: &str) {
    write(Level::Info, message);
}

/// Something looks wrong, and the policy went on.
pub fn warn(message: &str) {
    write(Level::Warn, message);
}

/// Something is wrong.
pub fn error(message: &str) {
    write(Level::Error, message);
}

fn write(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        crate::wit::log::write(level, message);
    }
}
