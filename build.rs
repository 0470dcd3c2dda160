//! Builds the policies in policies/ into components, which the server embeds.
//!
//! They go through a cargo of their own, for WebAssembly, into a target directory of their own: one
//! shared with the outer build would wait for itself. Nothing of the outer build's flags or of this
//! machine's paths reaches them, so that every checkout builds the same bytes.

use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wit_component::{ComponentEncoder, DecodedWasm};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Cargo package, name of the component.
const POLICIES: [(&str, &str); 4] = [
    ("policy-rules", "rules"),
    ("policy-conflict-aware", "conflict-aware"),
    ("policy-lease-timeouts", "lease-timeouts"),
    ("policy-allow-list", "allow-list"),
];

/// No file system, clock or network: only what the policy package of wit/ offers.
const TARGET: &str = "wasm32-unknown-unknown";

/// The profile in Cargo.toml with which policies are built.
const PROFILE: &str = "policy";

/// The only package whose interfaces a policy may import.
const IMPORTS_ALLOWED: &str = "issuecommand:policy/";

/// Variables of the outer build that must not reach the inner one.
const SCRUBBED: [&str; 5] =
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "CARGO_TARGET_DIR"];
/// And those that start with one of these.
const SCRUBBED_PREFIXES: [&str; 4] = ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_WASM32", "CARGO_UNSTABLE_"];

fn main() {
    // Said in plain lines: returning it would print the compiler's messages as one quoted line.
    if let Err(error) = build() {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn build() -> Result<()> {
    for input in ["build.rs", "Cargo.toml", "Cargo.lock", "policies", "wit", "src/authoring/templates"] {
        println!("cargo::rerun-if-changed={input}");
    }
    let root = PathBuf::from(required("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(required("OUT_DIR")?);
    provide_target()?;
    let modules = build_modules(&root, &out)?;
    for (package, name) in POLICIES {
        let module = modules.join(package.replace('-', "_")).with_extension("wasm");
        let component =
            encode(&module).map_err(|e| format!("failed to make a component of {}: {e}", module.display()))?;
        refuse_foreign_imports(name, &component)?;
        fs::write(out.join(name).with_extension("wasm"), component)?;
    }
    Ok(())
}

fn required(variable: &str) -> Result<std::ffi::OsString> {
    env::var_os(variable).ok_or_else(|| format!("cargo did not set {variable}").into())
}

/// Sees to it that the compiler has the target; asks rustup for it once.
fn provide_target() -> Result<()> {
    if has_target()? {
        return Ok(());
    }
    println!("cargo::warning=the target {TARGET} is missing: running `rustup target add {TARGET}`");
    let added = Command::new("rustup").args(["target", "add", TARGET]).status().is_ok_and(|status| status.success());
    if added && has_target()? {
        return Ok(());
    }
    Err(format!(
        "policies are built for {TARGET}, which is not installed. Run `rustup target add {TARGET}` and build again."
    )
    .into())
}

fn has_target() -> Result<bool> {
    let output = Command::new(required("RUSTC")?).args(["--print", "target-libdir", "--target", TARGET]).output()?;
    Ok(output.status.success() && Path::new(String::from_utf8(output.stdout)?.trim()).is_dir())
}

/// Compiles all policies and says where the modules are.
fn build_modules(root: &Path, out: &Path) -> Result<PathBuf> {
    let target_dir = inner_target_dir(out);
    let mut cargo = Command::new(required("CARGO")?);
    for (variable, _) in env::vars_os() {
        if is_scrubbed(&variable) {
            cargo.env_remove(variable);
        }
    }
    cargo
        .current_dir(root)
        .args(["build", "--locked", "--lib", "--target", TARGET, "--profile", PROFILE, "--target-dir"])
        .arg(&target_dir)
        .args(POLICIES.iter().flat_map(|(package, _)| ["--package", package]))
        .env("CARGO_ENCODED_RUSTFLAGS", remapped_paths(root, &target_dir)?);
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(format!("failed to build the policies:\n{}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(target_dir.join(TARGET).join(PROFILE))
}

/// One directory for check, clippy, test and release, below the outer target directory, which cargo
/// marks with a CACHEDIR.TAG. Without the mark, this build's own directory.
fn inner_target_dir(out: &Path) -> PathBuf {
    let marked = out.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    marked.unwrap_or(out).join("policies")
}

fn is_scrubbed(variable: &OsStr) -> bool {
    let name = variable.to_string_lossy();
    SCRUBBED.contains(&name.as_ref()) || SCRUBBED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Panic messages name source files: under names that are the same everywhere. The last prefix that
/// fits a path is the one that counts.
fn remapped_paths(root: &Path, target_dir: &Path) -> Result<String> {
    let cargo_home = match env::var_os("CARGO_HOME") {
        Some(home) => PathBuf::from(home),
        None => env::home_dir().ok_or("neither CARGO_HOME nor a home directory is known")?.join(".cargo"),
    };
    let prefixes = [(cargo_home.as_path(), "/cargo"), (root, "/issuecommand"), (target_dir, "/target")];
    let flags = prefixes.map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    Ok(flags.join("\u{1f}"))
}

fn encode(module: &Path) -> Result<Vec<u8>> {
    Ok(ComponentEncoder::default().validate(true).module(&fs::read(module)?)?.encode()?)
}

fn refuse_foreign_imports(name: &str, component: &[u8]) -> Result<()> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        return Err(format!("{name} is no component").into());
    };
    for key in resolve.worlds[world].imports.keys() {
        let import = resolve.name_world_key(key);
        if !import.starts_with(IMPORTS_ALLOWED) {
            return Err(format!("{name} imports {import}; a policy may import {IMPORTS_ALLOWED}* only").into());
        }
    }
    Ok(())
}
