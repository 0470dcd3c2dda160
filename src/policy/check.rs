//! Is this file a policy of the wanted kind, and does it ask only for what policies may have?

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use super::instance::Kind;
use super::state::{CallState, Stop};

/// The package whose interfaces policies import and export.
const PACKAGE: &str = "issuecommand:policy";
/// The versions that this server speaks: functions may be added to imports within them.
const VERSION_PREFIX: &str = "0.1.";
/// The version that this server is built from.
const VERSION: &str = "0.1.0";
/// What policies are, by the interface that they export.
const KINDS: [(&str, &str, &str); 3] = [
    ("ranker", "a ranker", "ranker"),
    ("stale-rule", "a stale rule", "stale_rule"),
    ("repo-filter", "a repository filter", "repo_filter"),
];
/// The eight bytes with which every component begins.
const COMPONENT_HEAD: [u8; 8] = [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00];
/// The same of a core module.
const CORE_MODULE_HEAD: [u8; 8] = [0x00, b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00];

/// Tells a component from what else a file may hold, by its first bytes.
///
/// # Errors
/// Says what the file is instead, and how to make a component of it.
pub fn is_component(bytes: &[u8]) -> Result<(), String> {
    if bytes.is_empty() {
        return Err("the file is empty; a build that was interrupted? Build the policy again".into());
    }
    if bytes.starts_with(&COMPONENT_HEAD) {
        return Ok(());
    }
    if bytes.starts_with(&CORE_MODULE_HEAD) {
        return Err("it is a core WebAssembly module, not yet a component: build it with \
                    `issuecommand policy build`, or run `wasm-tools component new policy.wasm -o policy.component.wasm`"
            .into());
    }
    if bytes.starts_with(b"\0asm") {
        return Err("it is WebAssembly of a version that this server does not know".into());
    }
    if std::str::from_utf8(&bytes[..bytes.len().min(256)]).is_ok() {
        return Err("it is text; a policy is a WebAssembly component in binary form".into());
    }
    Err("it is no WebAssembly: a component begins with the bytes 00 61 73 6d 0d 00 01 00".into())
}

/// Checks what the component exports and imports, by name.
///
/// # Errors
/// One sentence on the first thing that is wrong, and what to do.
pub(super) fn is_policy<K: Kind>(component: &Component) -> Result<(), String> {
    let component_type = component.component_type();
    let exports: Vec<&str> = component_type.exports(component.engine()).map(|(name, _)| name).collect();
    exports_policy(K::INTERFACE, &exports)?;
    let imports: Vec<&str> = component_type.imports(component.engine()).map(|(name, _)| name).collect();
    imports_are_ours(&imports)
}

/// Whether a component with these exports is a policy of the kind that exports the interface `wanted`.
///
/// # Errors
/// What it is instead, and what to do.
pub fn exports_policy(wanted: &str, exports: &[&str]) -> Result<(), String> {
    let wanted_noun = KINDS.iter().find(|(interface, ..)| *interface == wanted).map_or("a policy", |(_, noun, _)| noun);
    let ours: Vec<(&str, &str)> = exports.iter().filter_map(|name| our_interface(name)).collect();
    if ours.iter().any(|(interface, version)| *interface == wanted && version.starts_with(VERSION_PREFIX)) {
        return Ok(());
    }
    let build = format!("build it against the world `{wanted}-policy` of {PACKAGE}@{VERSION}");
    if let Some((_, version)) = ours.iter().find(|(interface, _)| *interface == wanted) {
        return Err(format!(
            "it exports {PACKAGE}/{wanted}@{version}, and this server speaks {VERSION_PREFIX}x: {build}"
        ));
    }
    let other = KINDS.iter().find(|(interface, ..)| ours.iter().any(|(exported, _)| exported == interface));
    if let Some((_, noun, key)) = other {
        return Err(format!("it is {noun}, not {wanted_noun}: name it under [policies.{key}]"));
    }
    match exports {
        [] => Err(format!("it exports nothing: {build}")),
        _ => Err(format!("it exports {}, but not {PACKAGE}/{wanted}@{VERSION}: {build}", listed(exports))),
    }
}

/// Whether a component with these imports asks only for what policies may have.
///
/// # Errors
/// Which imports it may not have, and how to build it without.
pub fn imports_are_ours(imports: &[&str]) -> Result<(), String> {
    let (ours, foreign): (Vec<&str>, Vec<&str>) = imports.iter().partition(|name| our_interface(name).is_some());
    if !foreign.is_empty() {
        return Err(format!(
            "it imports {}: policies may import only {PACKAGE}/*; build for wasm32-unknown-unknown, \
             or with your toolchain's WASI switched off",
            listed(&foreign)
        ));
    }
    let is_other_version = |name: &&&str| !our_interface(name).is_some_and(|(_, v)| v.starts_with(VERSION_PREFIX));
    match ours.iter().find(is_other_version) {
        None => Ok(()),
        Some(name) => Err(format!(
            "it imports {name}, and this server offers {PACKAGE}/* in {VERSION_PREFIX}x: \
             build it against {PACKAGE}@{VERSION}"
        )),
    }
}

/// The first few names, and how many more there are.
fn listed(names: &[&str]) -> String {
    const NAME_COUNT_MAX: usize = 3;
    let shown = names[..names.len().min(NAME_COUNT_MAX)].join(", ");
    match names.len().saturating_sub(NAME_COUNT_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// Interface and version, if the name is `issuecommand:policy/<interface>@<version>`.
fn our_interface(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix(PACKAGE)?.strip_prefix('/')?.split_once('@')
}

/// The host's side of the component's imports. A function of ours that this server does not know (of a
/// later 0.1.x, or of another kind's world) becomes one that fails by name when it is called: guests of
/// some languages import whole interfaces, used or not.
pub(super) fn linker_for<K: Kind>(component: &Component) -> wasmtime::Result<Linker<CallState>> {
    let engine = component.engine();
    let mut linker = Linker::new(engine);
    K::link(&mut linker)?;
    for (name, import) in component.component_type().imports(engine) {
        let (Some((interface, _)), ComponentItem::ComponentInstance(instance)) = (our_interface(name), import.ty)
        else {
            continue;
        };
        // Stubs join what is offered under the version of this server; the linker matches later 0.1.x to it.
        let mut offered = linker.instance(&format!("{PACKAGE}/{interface}@{VERSION}"))?;
        for (function, item) in instance.exports(engine) {
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) {
                let full_name = format!("{name}#{function}");
                // The only way to learn whether a function is defined is to define it: it fails then.
                let _known = offered.func_new(function, move |_, _, _, _| {
                    Err(wasmtime::Error::new(Stop::NotOffered(full_name.clone())))
                });
            }
        }
    }
    Ok(linker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_component_is_told_what_it_is() {
        assert_eq!(is_component(&COMPONENT_HEAD), Ok(()));
        let message = |bytes: &[u8]| is_component(bytes).unwrap_err();
        assert!(message(b"").contains("empty"));
        assert!(message(&CORE_MODULE_HEAD).contains("core WebAssembly module"));
        assert!(message(b"(component)").contains("text"));
        assert!(message(b"\0asm\xff\0\0\0").contains("version"));
        assert!(message(&[0xff; 9]).contains("no WebAssembly"));
    }

    #[test]
    fn the_kind_is_read_from_the_exports() {
        let kind = |exports: &[&str]| exports_policy("ranker", exports);
        assert_eq!(kind(&["issuecommand:policy/ranker@0.1.0"]), Ok(()));
        assert_eq!(kind(&["issuecommand:policy/ranker@0.1.7", "a:b/c@1.0.0"]), Ok(()));
        assert!(kind(&["issuecommand:policy/ranker@0.2.0"]).unwrap_err().contains("speaks 0.1.x"));
        assert!(kind(&["issuecommand:policy/stale-rule@0.1.0"]).unwrap_err().contains("[policies.stale_rule]"));
        assert!(kind(&["wasi:cli/run@0.2.0"]).unwrap_err().contains("exports wasi:cli/run@0.2.0"));
        assert!(kind(&[]).unwrap_err().contains("exports nothing"));
    }

    #[test]
    fn foreign_imports_are_refused_by_name() {
        assert_eq!(imports_are_ours(&["issuecommand:policy/log@0.1.3"]), Ok(()));
        let names = ["issuecommand:policy/log@0.1.0", "wasi:a/b@0.2.0", "wasi:c/d@0.2.0", "env", "x"];
        let message = imports_are_ours(&names).unwrap_err();
        assert!(message.starts_with("it imports wasi:a/b@0.2.0, wasi:c/d@0.2.0, env and 1 more:"), "{message}");
        let message = imports_are_ours(&["issuecommand:policy/log@0.2.0"]).unwrap_err();
        assert!(message.contains("log@0.2.0") && message.contains("offers"), "{message}");
        assert!(imports_are_ours(&["issuecommand:policy2/log@0.1.0"]).is_err());
    }
}
