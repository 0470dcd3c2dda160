//! The policies that come with the server: components that build.rs made of the crates in policies/.

use std::sync::LazyLock;

use super::source::sha256_hex;

/// A policy that comes with the server. What it decides stands in its exports, as with any other.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// What configuration calls it, after `builtin:`.
    pub name: &'static str,
    /// The component.
    pub bytes: &'static [u8],
}

/// Every policy that comes with the server: a ranker and a stage to go behind it, a stale rule, and a
/// repository filter.
pub const BUILTINS: [Builtin; 4] = [
    Builtin { name: "rules", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/embedded/rules.wasm")) },
    Builtin {
        name: "conflict-aware",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/embedded/conflict-aware.wasm")),
    },
    Builtin {
        name: "lease-timeouts",
        bytes: include_bytes!(concat!(env!("OUT_DIR"), "/embedded/lease-timeouts.wasm")),
    },
    Builtin { name: "allow-list", bytes: include_bytes!(concat!(env!("OUT_DIR"), "/embedded/allow-list.wasm")) },
];

/// SHA-256 of each, in hex; worked out once.
static DIGESTS: LazyLock<[String; BUILTINS.len()]> = LazyLock::new(|| BUILTINS.map(|it| sha256_hex(it.bytes)));

impl Builtin {
    /// SHA-256 of the component, in hex.
    pub(super) fn digest(&self) -> &'static str {
        let at = BUILTINS.iter().position(|builtin| builtin.name == self.name);
        &DIGESTS[at.expect("there are no others than these")]
    }
}

/// The policy that comes with the server under this name.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

/// What configuration calls the policies that come with the server, after `builtin:`.
pub fn builtin_names() -> [&'static str; BUILTINS.len()] {
    BUILTINS.map(|it| it.name)
}

/// The component of the policy that comes with the server under this name.
pub fn builtin_component(name: &str) -> Option<&'static [u8]> {
    builtin(name).map(|builtin| builtin.bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wit_component::DecodedWasm;

    use super::*;

    fn exports(name: &str) -> Vec<String> {
        let bytes = builtin(name).unwrap().bytes;
        let DecodedWasm::Component(resolve, world) = wit_component::decode(bytes).unwrap() else {
            panic!("{name} is no component")
        };
        let mut names: Vec<_> = resolve.worlds[world].exports.keys().map(|key| resolve.name_world_key(key)).collect();
        names.sort();
        names
    }

    #[test]
    fn what_a_policy_may_export_besides_is_joined_to_it_in_one_component() {
        let rules = ["issuecommand:policy/ranker@0.1.0", "issuecommand:policy/work-order@0.1.0"];
        assert_eq!(exports("rules"), rules);
        assert_eq!(exports("lease-timeouts"), ["issuecommand:policy/stale-rule@0.1.0"]);
        assert_eq!(exports("allow-list"), ["issuecommand:policy/repo-filter@0.1.0"]);
    }
}
