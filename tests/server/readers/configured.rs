//! Configuration and data in the documents are taken by the program as they stand there.

use std::fs;

use issuecommand::config::{ConfigSource, load};
use serde_json::Value;

use crate::documents::{Block, pages};

/// What is wrong with a configuration, if anything is.
fn refused(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("issuecommand.toml");
    fs::write(&file, text).unwrap();
    load(&ConfigSource { file: Some(file), env: [].into(), dotenv: None }).err().map(|report| report.to_string())
}

/// The configurations of a block: the whole of it, or what its commands write into issuecommand.toml.
fn configurations(block: &Block) -> Vec<&str> {
    match block.language.as_str() {
        "toml" if block.note.is_none() => vec![&block.text],
        _ if block.is_commands() => {
            let written = block.text.split("issuecommand.toml <<'END'\n").skip(1);
            written.filter_map(|rest| rest.split("END\n").next()).collect()
        }
        _ => Vec::new(),
    }
}

#[test]
fn every_configuration_is_one_that_the_server_takes() {
    let mut count = 0;
    for block in pages().iter().flat_map(|page| page.blocks()) {
        for text in configurations(&block) {
            count += 1;
            assert_eq!(refused(text), None, "{}", block.place);
        }
    }
    assert!(count > 5, "only {count} configurations were found");
    assert!(refused("[server]\nprt = 1\n").unwrap().contains("server.prt"));
}

#[test]
fn every_json_document_is_one() {
    for block in pages().iter().flat_map(|page| page.blocks()).filter(|block| block.language == "json") {
        let read = serde_json::from_str::<Value>(&block.text);
        assert!(read.is_ok(), "{}: {}", block.place, read.unwrap_err());
    }
}

/// Comments before configurations say which other file they are of; such files are held by tests of their own.
#[test]
fn only_files_of_policies_are_no_configurations() {
    for block in pages().iter().flat_map(|page| page.blocks()).filter(|block| block.language == "toml") {
        let note = block.note.as_deref().unwrap_or("policy.toml");
        assert!(["policy.toml", "golden.toml"].contains(&note), "{}: {note}", block.place);
    }
}
