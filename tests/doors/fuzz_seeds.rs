//! What the fuzz targets begin with, and what they once broke by: each must hold here, too, where nothing is random.

use std::fs;
use std::path::Path;

use crate::fuzzed;

/// Runs a target over its seeds.
fn holds(name: &str, target: fn(&[u8]), count_min: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/seeds").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= count_min, "{} seeds", files.len());
    for file in files {
        eprintln!("{}", file.display());
        target(&fs::read(file).unwrap());
    }
}

#[test]
fn configurations() {
    holds("config", fuzzed::config, 5);
}

#[test]
fn deliveries() {
    holds("webhook", fuzzed::webhook, 20);
}

#[test]
fn requests() {
    holds("http", fuzzed::http, 30);
}

#[test]
fn frames() {
    holds("mcp", fuzzed::mcp, 7);
}

#[test]
fn components() {
    holds("component", fuzzed::component, 10);
}
