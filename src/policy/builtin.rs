//! The policies that come with the server.

/// A component that is part of the server.
#[derive(Debug)]
pub struct Builtin {
    /// Its name after `builtin:`.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// The built-in policy of this name, if there is one.
pub fn builtin(_name: &str) -> Option<&'static Builtin> {
    None
}
