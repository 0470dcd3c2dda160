//! C: clang makes a core module of the policy, its SDK and bindings made here, and this process a component of it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmparser::{Parser, Payload};
use wit_bindgen_core::Files;
use wit_parser::Resolve;

use super::toolbox::run;
use super::{WORLD, encode};
use crate::authoring::{AuthoringError, Project};

/// Where bindings and the module are made, in the policy's folder. What is there can be looked at.
const BUILD_FOLDER: &str = "target/c";
/// What the policy is made of, beside the bindings.
const SOURCES: [&str; 2] = ["policy.c", "sdk.c"];
/// With a C library for `malloc`, `memcpy` and `snprintf`. What would ask a system for something is refused below.
const TARGET: &str = "--target=wasm32-wasi";
/// Where wasi-sdk is, if it is used instead of the system's clang.
const WASI_SDK: &str = "WASI_SDK_PATH";
const CLANG_MISSING: &str = "clang for WebAssembly is not installed: get it with `apt-get install clang lld wasi-libc \
                             libclang-rt-dev-wasm32` (Debian, Ubuntu), or unpack wasi-sdk \
                             (https://github.com/WebAssembly/wasi-sdk/releases), set WASI_SDK_PATH to its \
                             folder, and build again";
/// What clang and its linker say where a part for WebAssembly is not there.
const SIGNS_OF_MISSING_PARTS: [&str; 5] =
    ["unable to create target", "wasm-ld", "crt1-reactor.o", "libclang_rt.builtins", "'stdlib.h' file not found"];

pub(super) fn build(project: &Project, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, AuthoringError> {
    let folder = project.folder.join(BUILD_FOLDER);
    fs::create_dir_all(&folder).map_err(AuthoringError::io("make", &folder))?;
    let bindings = write_bindings(&project.wit(), &folder)?;
    let module = folder.join("policy.wasm");
    progress("compiling policy.c");
    run(&mut clang(project, &bindings, &module), "`clang`", CLANG_MISSING, progress).map_err(with_hint)?;
    let bytes = fs::read(&module).map_err(AuthoringError::io("read what clang built,", &module))?;
    asks_no_system(&bytes)?;
    progress("making a component of the module");
    encode(&bytes, "Does policy.c define all functions that sdk.h asks of a policy?")
}

/// Writes what C needs to speak the policy's world: a header, its functions, and an object with the world's
/// description. Returns what is to be compiled and linked of it.
fn write_bindings(wit: &Path, folder: &Path) -> Result<Vec<PathBuf>, AuthoringError> {
    let wrong = |error: &dyn std::fmt::Display| {
        AuthoringError::Project(format!("{} cannot be turned into C: {error:#}", wit.display()))
    };
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(|error| wrong(&error))?;
    let world = resolve.select_world(&[package], Some(WORLD)).map_err(|error| wrong(&error))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files).map_err(|error| wrong(&error))?;
    let mut linked = Vec::new();
    for (name, bytes) in files.iter() {
        let file = folder.join(name);
        fs::write(&file, bytes).map_err(AuthoringError::io("write", &file))?;
        if file.extension().is_some_and(|extension| extension == "c" || extension == "o") {
            linked.push(file);
        }
    }
    Ok(linked)
}

fn clang(project: &Project, bindings: &[PathBuf], module: &Path) -> Command {
    let sdk = env::var_os(WASI_SDK).filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut command = Command::new(sdk.as_ref().map_or_else(|| "clang".into(), |sdk| sdk.join("bin/clang")));
    if let Some(sdk) = &sdk {
        command.arg("--sysroot").arg(sdk.join("share/wasi-sysroot"));
    }
    command.current_dir(&project.folder).args([TARGET, "-mexec-model=reactor", "-std=c11", "-O2", "-Wall", "-Wextra"]);
    // Made code, and with it only, has parameters that it does not use.
    command.args(["-Wno-unused-parameter", "-Wl,--strip-all", "-I", "."]).arg("-I").arg(BUILD_FOLDER);
    // What the C library formats numbers with otherwise would write to a file when it meets a `long double`.
    command.args(SOURCES).args(bindings).args(["-lc-printscan-long-double", "-o"]).arg(module);
    command
}

/// A function of the C library that needs a system brings an import along.
fn asks_no_system(module: &[u8]) -> Result<(), AuthoringError> {
    let damaged =
        |error: wasmparser::BinaryReaderError| AuthoringError::Component(format!("what clang built: {error}"));
    let mut asked = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(imports) = payload.map_err(damaged)? {
            for import in imports.into_imports() {
                let import = import.map_err(damaged)?;
                if import.module.starts_with("wasi") {
                    asked.push(format!("{}.{}", import.module, import.name));
                }
            }
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    Err(AuthoringError::Component(format!(
        "policy.c uses what a policy does not have: it would import {}. Files, printf, clocks, exit and randomness are \
         not there: write to the log with sdk_log, take the time from `now`, and leave the rest out",
        asked.join(", ")
    )))
}

/// clang may be there without its parts for WebAssembly.
fn with_hint(error: AuthoringError) -> AuthoringError {
    match error {
        AuthoringError::ToolFailed { output, .. }
            if SIGNS_OF_MISSING_PARTS.iter().any(|sign| output.contains(sign)) =>
        {
            let line = output.lines().find(|line| SIGNS_OF_MISSING_PARTS.iter().any(|sign| line.contains(sign)));
            AuthoringError::ToolMissing(format!("{CLANG_MISSING}. clang says: {}", line.unwrap_or_default().trim()))
        }
        other => other,
    }
}
