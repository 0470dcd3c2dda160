//! Links between documents, and files that they name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::documents::{Block, Page, ROOT, pages};

/// Folders whose files the documents name in their prose, as in `tests/fuzz/run`.
const FOLDERS: [&str; 8] = ["benches/", "docs/", "examples/", "policies/", "src/", "tests/", "wit/", ".ci/"];

/// The anchor that GitHub gives a heading: lower case, blanks as hyphens, and most other signs left out.
fn anchor(heading: &str) -> String {
    let heading = heading.trim().to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The anchors of a page; of headings that are the same the second has `-1` at its end.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in page.prose().lines().filter(|line| line.starts_with('#')) {
        let anchor = anchor(&words_of_links(line.trim_start_matches('#')));
        let others = (1..).map(|number| format!("{anchor}-{number}"));
        let free = std::iter::once(anchor.clone()).chain(others).find(|it| !found.contains(it));
        found.extend(free);
    }
    found
}

/// A heading's text without where its links lead.
fn words_of_links(heading: &str) -> String {
    let mut text = heading.to_owned();
    while let Some((before, rest)) = text.split_once("](") {
        let after = rest.split_once(')').map_or("", |(_, after)| after);
        text = format!("{before}{after}");
    }
    text
}

/// Where the links of a page lead, and those of its pictures, code left out.
fn targets(page: &Page) -> Vec<String> {
    let prose = page.prose();
    let outside: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("`");
    let links = outside.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    links.map(|(target, _)| target.to_owned()).collect()
}

/// A path below the root that a link of a page names.
fn below_root(page: &Page, target: &str) -> PathBuf {
    let mut path = PathBuf::new();
    for part in Path::new(&page.path).parent().unwrap().join(target).components() {
        match part {
            Component::ParentDir => assert!(path.pop(), "{}: {target} leads out of the repository", page.path),
            part => path.push(part),
        }
    }
    path
}

#[test]
fn no_relative_link_or_anchor_is_dead() {
    let pages = pages();
    let (mut dead, mut count) = (Vec::new(), 0);
    for page in &pages {
        for target in targets(page).iter().filter(|target| !target.contains("://")) {
            count += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = if file.is_empty() { PathBuf::from(&page.path) } else { below_root(page, file) };
            let there = pages.iter().find(|other| Path::new(&other.path) == path);
            let is_alive = match there {
                Some(other) => anchor.is_empty() || anchors(other).contains(anchor),
                None => anchor.is_empty() && Path::new(ROOT).join(&path).exists(),
            };
            if !is_alive {
                dead.push(format!("{}: {target}", page.path));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
    assert!(count > 50, "only {count} links were found");
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let mut missing = Vec::new();
    // What was is told of in the changelog, and examples of names are in the reference.
    let is_told = |page: &&Page| page.path != "CHANGELOG.md" && !page.path.starts_with("docs/reference");
    for page in pages().iter().filter(is_told) {
        for code in page.prose().split('`').skip(1).step_by(2) {
            let path = code.split([' ', ':', '\n']).next().unwrap().trim_end_matches('/');
            let is_path =
                FOLDERS.iter().any(|folder| code.starts_with(folder)) && !path.contains(['*', '{', '<', '.', '$']);
            let is_file = FOLDERS.iter().any(|folder| code.starts_with(folder))
                && [".rs", ".md", ".toml", ".sh", ".jsonl", ".wit", ".js", ".css"]
                    .iter()
                    .any(|end| path.ends_with(end))
                && !path.contains(['*', '{', '<', '$']);
            let beside = Path::new(&page.path).parent().unwrap().join(path);
            if (is_path || is_file) && ![Path::new(path), &beside].iter().any(|it| Path::new(ROOT).join(it).exists()) {
                missing.push(format!("{}: {path}", page.path));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The words behind an option of a command line, up to the next option.
fn behind<'t>(line: &'t str, option: &str) -> Vec<&'t str> {
    let words = line.split_whitespace().skip_while(|word| *word != option).skip(1);
    words.take_while(|word| !word.starts_with(['-', '#'])).collect()
}

/// Whether something below a folder is named so, or has a function whose name holds the word.
fn is_told_below(folder: &Path, word: &str) -> bool {
    let has_function = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.split("fn ").skip(1).filter_map(|rest| rest.split('(').next()).any(|name| name.contains(word))
    };
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| {
        let is_named = path.file_stem().is_some_and(|name| name == word);
        is_named || if path.is_dir() { is_told_below(&path, word) } else { has_function(&path) }
    })
}

/// What the commands of a line name that is not there: a test, a benchmark or an example, or what it is to be narrowed to.
fn missing_of(line: &str) -> Option<String> {
    for (option, folder) in [("--test", "tests"), ("--bench", "benches"), ("--example", "examples")] {
        let words = behind(line, option);
        let Some((name, filters)) = words.split_first() else { continue };
        let place = Path::new(ROOT).join(folder).join(name);
        let is_whole = place.is_dir() && filters.iter().all(|filter| is_told_below(&place, filter));
        if !is_whole && !place.with_extension("rs").is_file() {
            return Some(line.to_owned());
        }
    }
    None
}

#[test]
fn every_test_and_benchmark_that_is_to_be_run_is_there() {
    let mut lines = Vec::new();
    for page in pages() {
        let blocks = page.blocks().into_iter().filter(Block::is_commands).map(|block| block.typed());
        let prose = page.prose();
        let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
        lines.extend(blocks.chain(spans).flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()));
    }
    lines.retain(|line| line.contains("cargo "));
    let missing: Vec<String> = lines.iter().filter_map(|line| missing_of(line)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(lines.len() > 10, "only {} were found", lines.len());
    assert!(
        missing_of("cargo test --test server dashbord").is_some() && missing_of("cargo test --test sever").is_some()
    );
}

#[test]
fn anchors_are_those_that_github_gives() {
    assert_eq!(anchor("What it takes"), "what-it-takes");
    assert_eq!(anchor("Sync and GitHub's budget"), "sync-and-githubs-budget");
    assert_eq!(anchor("`config check`: a_key, 2×"), "config-check-a_key-2");
    assert_eq!(words_of_links(" See [this](x.md#y), or that"), " See [this, or that");
}
