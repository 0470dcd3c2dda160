//! Builds the policies in policies/ into components, which the server embeds, with the SDK's sources for new policies,
//! and says what the server is built of.
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

/// What is embedded, in a package: cargo leaves out folders that are packages of their own, which policies are.
const PACKAGED: &str = ".packaged";

/// Names the commit that is built, where there is no repository to ask.
const COMMIT: &str = "ISSUECOMMAND_COMMIT";
const COMMIT_LENGTH: usize = 12;

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
    let embedded = out.join("embedded");
    if embedded.exists() {
        fs::remove_dir_all(&embedded)?;
    }
    let packaged = root.join(PACKAGED);
    if root.join("policies/sdk").is_dir() {
        embed_from_sources(&root, &out, &embedded)?;
    } else if packaged.is_dir() {
        copy_folder(&packaged, &embedded)?;
    } else {
        return Err(format!("neither policies/ nor {PACKAGED}/ is here: make the package with .ci/package").into());
    }
    name_the_build(&root)
}

/// The components, and what a new policy's folder gets.
fn embed_from_sources(root: &Path, out: &Path, embedded: &Path) -> Result<()> {
    copy_folder(&root.join("policies/sdk/src"), &embedded.join("sdk/src"))?;
    fs::copy(root.join("policies/sdk/Cargo.toml"), embedded.join("sdk/Cargo.toml.in"))?;
    fs::copy(root.join("Cargo.toml"), embedded.join("workspace.toml"))?;
    provide_target()?;
    let modules = build_modules(root, out)?;
    for (package, name) in POLICIES {
        let module = modules.join(package.replace('-', "_")).with_extension("wasm");
        let component =
            encode(&module).map_err(|e| format!("failed to make a component of {}: {e}", module.display()))?;
        refuse_foreign_imports(name, &component)?;
        fs::write(embedded.join(name).with_extension("wasm"), component)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Tells the server's code which target it is built for and, in a release, of which commit: whoever develops would build
/// all of it anew after each commit.
fn name_the_build(root: &Path) -> Result<()> {
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let mut commit = env::var(COMMIT).ok().filter(|commit| !commit.is_empty());
    if commit.is_none() && required("PROFILE")? == "release" {
        println!("cargo::rerun-if-changed=src");
        println!("cargo::rerun-if-changed=.git/logs/HEAD");
        commit = commit_of(root);
    }
    let target = required("TARGET")?;
    let parts = commit.into_iter().chain([target.to_string_lossy().into_owned()]);
    println!("cargo::rustc-env=ISSUECOMMAND_BUILD={}", parts.collect::<Vec<_>>().join(", "));
    Ok(())
}

/// What git says, or what cargo noted in a package of it; nothing where neither is known.
fn commit_of(root: &Path) -> Option<String> {
    if let Ok(noted) = fs::read_to_string(root.join(".cargo_vcs_info.json")) {
        return noted.split('"').find(|word| word.len() == 40).map(|commit| commit[..COMMIT_LENGTH].to_owned());
    }
    if !root.join(".git").exists() {
        return None;
    }
    let length = format!("--abbrev={COMMIT_LENGTH}");
    let mut git = Command::new("git");
    git.current_dir(root).args(["describe", "--always", "--exclude=*", "--dirty=+", &length]);
    let output = git.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
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
