//! The policies that come with the server: components that build.rs made of the crates in policies/.

/// A policy that comes with the server. What it decides stands in its exports, as with any other.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// What configuration calls it, after `builtin:`.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// Every policy that comes with the server: a ranker, a stale rule and a repository filter.
pub const BUILTINS: [Builtin; 3] = [
    Builtin { name: "rules", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/rules.wasm")) },
    Builtin { name: "lease-timeouts", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/lease-timeouts.wasm")) },
    Builtin { name: "allow-list", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/allow-list.wasm")) },
];

/// The policy that comes with the server under this name.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}
