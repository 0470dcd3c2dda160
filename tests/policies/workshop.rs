//! Where the tests' own guests are built: a nested cargo, in a target directory of its own, from a copy of a
//! folder of tests/guests in which some words may be replaced.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

const TARGET: &str = "wasm32-unknown-unknown";

/// A build of one of the guests.
pub struct Variant {
    /// The package's name.
    pub name: &'static str,
    /// Its folder in tests/guests, and the name in it.
    pub guest: &'static str,
    /// What to replace in every file, its WIT included; each text must occur somewhere.
    pub replacements: &'static [(&'static str, &'static str)],
}

/// The guest as it is.
pub const PLAIN: Variant = Variant { name: "faulty", guest: "faulty", replacements: &[] };
/// The guest with a schema that knows its settings and no others. It does not look at them itself.
pub const CLOSED: Variant = Variant {
    name: "faulty_closed",
    guest: "faulty",
    replacements: &[(
        "\"{}\".into()",
        "r#\"{\"additionalProperties\":false,\"properties\":{\"at\":{\"type\":\"string\"},\"do\":{\"type\":\"string\"},\
         \"from\":{\"type\":\"integer\"},\"deny\":{\"enum\":[\"forks\",\"none\"]}}}\"#.into()",
    )],
};
/// The guest with something else than a schema.
pub const NO_SCHEMA: Variant =
    Variant { name: "faulty_no_schema", guest: "faulty", replacements: &[("\"{}\".into()", "\"none\".into()")] };
/// The guest with a schema of which a keyword is not read.
pub const UNREAD: Variant = Variant {
    name: "faulty_unread",
    guest: "faulty",
    replacements: &[(
        "\"{}\".into()",
        "r#\"{\"properties\":{\"at\":{},\"do\":{}},\"unevaluatedProperties\":false}\"#.into()",
    )],
};
/// The guest built against a later 0.1.x, which has a function that this server does not know.
pub const NEWER: Variant = Variant {
    name: "faulty_newer",
    guest: "faulty",
    replacements: &[
        ("@0.1.0", "@0.1.7"),
        (
            "    comment-counts: func() -> list<u32>;\n",
            "    comment-counts: func() -> list<u32>;\n    /// Lines.\n    body-lines: func() -> list<u32>;\n",
        ),
        ("fn probe() {}", "fn probe() { black_box(candidates::body_lines()); }"),
    ],
};
/// The guest as it was built before rankers could have a say in review feedback.
pub const WITHOUT_WORK_ORDER: Variant = Variant {
    name: "faulty_without_work_order",
    guest: "faulty",
    replacements: &[
        ("policy/ranker-with-work-order@", "policy/ranker-policy@"),
        ("#[cfg(all())]\nmod work_order", "#[cfg(any())]\nmod work_order"),
    ],
};
/// The guest with a work order that lacks its function.
pub const OTHER_WORK_ORDER: Variant = Variant {
    name: "faulty_other_work_order",
    guest: "faulty",
    replacements: &[
        ("choose-work: func(now: instant)", "order-work: func(now: instant)"),
        ("fn choose_work(now: u64)", "fn order_work(now: u64)"),
    ],
};
/// The guest built against a version of another year.
pub const OTHER_VERSION: Variant =
    Variant { name: "faulty_other_version", guest: "faulty", replacements: &[("@0.1.0", "@0.2.0")] };
/// The guest with an import that policies may not have.
pub const WASI: Variant = Variant {
    name: "faulty_wasi",
    guest: "faulty",
    replacements: &[
        (
            "package stranger:faulty;",
            "package stranger:faulty; package wasi:clocks@0.2.6 { interface wall-clock { now: func() -> u64; } }",
        ),
        ("world everything {", "world everything { import wasi:clocks/wall-clock@0.2.6; "),
        ("fn probe() {}", "fn probe() { black_box(wasi::clocks::wall_clock::now()); }"),
    ],
};

/// A guest built against the WIT package as it was before policies were offered further facts.
pub const FROZEN: Variant = Variant { name: "frozen", guest: "frozen", replacements: &[] };
/// A ranker of few lines, built with the SDK.
pub const WEIGHTS: Variant = Variant {
    name: "weights",
    guest: "weights",
    replacements: &[("../../../policies/sdk", concat!(env!("CARGO_MANIFEST_DIR"), "/policies/sdk"))],
};

/// The core module of a variant; built once for each run of the tests.
pub fn core_module(variant: &Variant) -> Vec<u8> {
    static BUILT: OnceLock<Mutex<HashMap<&'static str, Vec<u8>>>> = OnceLock::new();
    // Held while building: nested cargos would wait for each other anyway.
    let mut built = BUILT.get_or_init(Mutex::default).lock().unwrap();
    built.entry(variant.name).or_insert_with(|| build(variant)).clone()
}

/// The component of a variant.
pub fn component(variant: &Variant) -> Vec<u8> {
    let module = core_module(variant);
    wit_component::ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

fn build(variant: &Variant) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guest = root.join("tests/guests").join(variant.guest);
    let workshop = Path::new(env!("CARGO_TARGET_TMPDIR")).join("guests");
    let dir = workshop.join(variant.name);
    let mut texts: Vec<(PathBuf, String)> = ["Cargo.toml", "src/lib.rs", "wit/package.wit"]
        .into_iter()
        .filter(|file| guest.join(file).exists())
        .map(|file| (dir.join(file), fs::read_to_string(guest.join(file)).unwrap()))
        .collect();
    let (own_name, name) = (format!("name = \"{}\"", variant.guest), format!("name = \"{}\"", variant.name));
    for (from, to) in [&(own_name.as_str(), name.as_str())].into_iter().chain(variant.replacements) {
        assert!(texts.iter().any(|(_, text)| text.contains(from)), "nothing to replace: {from}");
        texts.iter_mut().for_each(|(_, text)| *text = text.replace(from, to));
    }
    for (file, text) in &texts {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        // Untouched files keep their time, so cargo has nothing to do when nothing changed.
        if fs::read_to_string(file).ok().as_ref() != Some(text) {
            fs::write(file, text).unwrap();
        }
    }
    // The server's own lock file: the same versions, already fetched.
    fs::copy(root.join("Cargo.lock"), dir.join("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    for (key, _) in std::env::vars().filter(|(key, _)| shapes_a_build(key)) {
        cargo.env_remove(key);
    }
    let output = cargo
        .args(["build", "--release", "--offline", "--target", TARGET, "--target-dir"])
        .arg(workshop.join("target"))
        .current_dir(&dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(workshop.join("target").join(TARGET).join("release").join(format!("{}.wasm", variant.name))).unwrap()
}

/// Whether a variable that the outer cargo or its caller set would leak into the guest's build.
fn shapes_a_build(key: &str) -> bool {
    let exact = ["RUSTFLAGS", "RUSTC", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_ENCODED_RUSTFLAGS"];
    exact.contains(&key)
        || ["CARGO_TARGET_", "CARGO_BUILD_", "CARGO_PROFILE_"].iter().any(|prefix| key.starts_with(prefix))
}
