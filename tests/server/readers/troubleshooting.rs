//! The page of messages: each is one that the program has.

use std::fs;
use std::path::Path;

use crate::documents::{ROOT, pages};

/// Stands in a message for what differs each time.
const ANYTHING: char = '…';

/// All of the program's source, each file with its texts in one piece.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(joined(&fs::read_to_string(path).unwrap()));
        }
    }
}

/// A source without the breaks of long texts, where a line ends with a backslash.
fn joined(source: &str) -> String {
    let mut lines = source.split("\\\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let whole = lines.fold(first, |whole, line| whole + line.trim_start());
    whole.replace("\\\"", "\"")
}

/// Whether one file has all parts of a message.
fn is_there(message: &str, sources: &[String]) -> bool {
    let parts: Vec<&str> = message.split(ANYTHING).map(str::trim).filter(|part| part.len() > 3).collect();
    !parts.is_empty() && sources.iter().any(|source| parts.iter().all(|part| source.contains(part)))
}

#[test]
fn every_message_of_the_page_is_one_of_the_program() {
    let page = pages().into_iter().find(|page| page.path == "docs/troubleshooting.md").unwrap();
    let mut all = Vec::new();
    sources(&Path::new(ROOT).join("src"), &mut all);
    let prose = page.prose();
    let messages = prose.lines().filter_map(|line| line.strip_prefix("### `")?.strip_suffix('`'));
    let messages: Vec<&str> = messages.collect();
    let strangers: Vec<_> = messages.iter().filter(|message| !is_there(message, &all)).collect();
    assert!(strangers.is_empty(), "no file of src has these: {strangers:#?}");
    assert!(messages.len() > 15, "only {} messages were found", messages.len());
    assert!(!is_there("the server is … tired", &all), "anything would be found");
}
