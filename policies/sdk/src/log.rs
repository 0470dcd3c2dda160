//! Lines for the server's log, at the target `policy`. A call may write eight of up to 500 bytes; natively they go
//! nowhere.

use crate::wit::log::Level;

/// For whoever writes the policy; off unless the server is told otherwise.
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

/// Something is wrong. The last one of a call that fails is told with the failure.
pub fn error(message: &str) {
    write(Level::Error, message);
}

fn write(level: Level, message: &str) {
    if cfg!(target_arch = "wasm32") {
        crate::wit::log::write(level, message);
    }
}
