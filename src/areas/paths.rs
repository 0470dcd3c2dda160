//! Paths and file names in prose: between backticks, in stack traces, diff headers and links to GitHub's
//! own pages of a file. Pure, one pass over the text, bounded.

use std::collections::HashSet;

/// Most bytes of a text that are looked at: GitHub takes no longer ones.
const TEXT_BYTES_MAX: usize = 65_536;
/// Longest word that may be a path, in bytes.
const WORD_BYTES_MAX: usize = 512;
/// Deepest path that is believed.
const SEGMENT_COUNT_MAX: usize = 12;
/// Most different paths taken from one text.
pub(super) const MENTION_COUNT_MAX: usize = 16;

/// Endings of files that people name without a folder. Others (`debug.log`, `config.json`, `example.com`) are
/// more often something else.
const SOURCE_ENDINGS: &[&str] = &[
    "c", "cc", "cmake", "cpp", "cs", "css", "cxx", "dart", "ex", "exs", "go", "gradle", "h", "hpp", "hs", "hxx",
    "java", "js", "jsx", "kt", "lua", "m", "ml", "mm", "nix", "php", "pl", "proto", "ps1", "py", "qml", "rb", "rs",
    "scala", "scss", "sh", "sql", "svelte", "swift", "tf", "ts", "tsx", "ui", "vue", "wit", "zig",
];
/// Folders at the root of many repositories: below one of them a path is believed without an ending.
const ROOTS: &[&str] = &[
    ".github", "benches", "cmd", "contrib", "crates", "depends", "docs", "examples", "include", "internal", "lib",
    "packages", "pkg", "policies", "scripts", "src", "tests",
];
/// Names of products that end like a file.
const PRODUCTS: &[&str] = &["node.js", "next.js", "vue.js", "react.js", "d3.js", "three.js", "express.js"];

/// Paths that a text names, each once, in the order of the text: `src/qt/rpcconsole.cpp`, `src/qt/` for a
/// folder, `rpcconsole.cpp` where no folder is named.
pub(super) fn mentioned(text: &str) -> Vec<String> {
    let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
    let (mut found, mut seen) = (Vec::new(), HashSet::new());
    let mut after_diff_mark = false;
    for word in text.split(is_boundary) {
        if word.is_empty() {
            continue;
        }
        let is_diff_mark = matches!(word, "---" | "+++" | "--git") || word.starts_with("a/") && after_diff_mark;
        if word.len() <= WORD_BYTES_MAX
            && let Some(path) = path_in(word, after_diff_mark)
            && seen.insert(path.clone())
        {
            found.push(path);
            if found.len() == MENTION_COUNT_MAX {
                break;
            }
        }
        after_diff_mark = is_diff_mark;
    }
    found
}

/// What stands between words: blanks, and signs that no path of source code holds.
fn is_boundary(c: char) -> bool {
    c.is_whitespace()
        || matches!(
            c,
            '`' | '"' | '\'' | '<' | '>' | '(' | ')' | '[' | ']' | '{' | '}' | ',' | ';' | '|' | '=' | '*' | '!'
        )
}

/// The path that a word is, if it is one.
fn path_in(word: &str, after_diff_mark: bool) -> Option<String> {
    let path = match word.split_once("://") {
        Some((_, address)) => path_of_page(address)?,
        None => word,
    };
    let path = without_place(path);
    let path = path.strip_prefix("./").unwrap_or(path);
    let in_diff = path.strip_prefix("a/").or_else(|| path.strip_prefix("b/")).filter(|_| after_diff_mark);
    let path = in_diff.unwrap_or(path).replace('\\', "/");
    is_path(&path).then_some(path)
}

/// The path of a page that shows a file: `github.com/OWNER/REPO/blob/REF/src/main.rs#L3`.
fn path_of_page(address: &str) -> Option<&str> {
    let mut parts = address.splitn(6, '/');
    let (_host, _owner, _repo, kind) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (_commit, path) = (parts.next()?, parts.next()?);
    matches!(kind, "blob" | "tree" | "blame" | "raw").then_some(path)
}

/// A path without what tells the place in it, and without the end of a sentence: `:12:5`, `#L3-L9`, `.`.
fn without_place(word: &str) -> &str {
    let word = word.split(['#', '?']).next().unwrap_or(word);
    let word = word.trim_start_matches(['@', ':']).trim_end_matches(['.', ':', ',', '\\', '~', '^', '_']);
    let name_begins = word.rfind('/').map_or(0, |at| at + 1);
    match word[name_begins..].find(':') {
        Some(at) => &word[..name_begins + at],
        None => word,
    }
}

fn is_path(path: &str) -> bool {
    let (folders, is_folder) = match path.strip_suffix('/') {
        Some(folder) => (folder, true),
        None => (path, false),
    };
    let segments = || folders.split('/');
    let sound = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
            && segment.bytes().any(|b| b.is_ascii_alphabetic())
    };
    let count = segments().count();
    if count > SEGMENT_COUNT_MAX || !segments().all(sound) {
        return false;
    }
    let first = segments().next().unwrap_or_default();
    let name = segments().next_back().unwrap_or_default();
    if count == 1 && !is_folder {
        return ending(name).is_some_and(|ending| SOURCE_ENDINGS.contains(&ending))
            && !name.contains('@')
            && !PRODUCTS.contains(&name.to_ascii_lowercase().as_str());
    }
    // `example.org/page.html` is an address; `.github/workflows` is not.
    let is_host = count > 1 && first.rfind('.').is_some_and(|at| at > 0);
    let below_root = ROOTS.contains(&first);
    // `N/A/` and `w/o/` are no folders.
    let is_worded = segments().any(|segment| segment.len() >= 3);
    !is_host && (below_root || (is_worded && count > 1 && (is_folder || ending(name).is_some())))
}

/// What a file's name ends with, in lower case; `None` where that is no ending of a file.
fn ending(name: &str) -> Option<&str> {
    let (stem, ending) = name.rsplit_once('.')?;
    let fits = (1..=6).contains(&ending.len())
        && ending.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && ending.starts_with(|c: char| c.is_ascii_lowercase());
    (fits && !stem.is_empty()).then_some(ending)
}

/// The folder that holds a file, with its slash: `src/qt/` of `src/qt/main.cpp`; `None` at the root.
pub(super) fn folder_of(path: &str) -> Option<&str> {
    let path = path.strip_suffix('/').map_or(path, |_| path);
    path.rfind('/').map(|at| &path[..=at])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_are_found_wherever_people_put_them() {
        for (text, expected) in [
            ("Crash in `src/qt/rpcconsole.cpp`.", vec!["src/qt/rpcconsole.cpp"]),
            ("at src/foo/bar.rs:12:5 and src/foo/baz.rs:7.", vec!["src/foo/bar.rs", "src/foo/baz.rs"]),
            ("File \"lib/py/a_b.py\", line 3, in <module>", vec!["lib/py/a_b.py"]),
            ("    at Object.<anonymous> (web/app.js:10:2)", vec!["web/app.js"]),
            ("diff --git a/src/a.c b/src/a.c\n--- a/src/a.c\n+++ b/src/a.c\n@@ -1 +1 @@", vec!["src/a.c"]),
            ("see https://github.com/acme/small/blob/main/docs/intro.md#L3-L9 !", vec!["docs/intro.md"]),
            ("https://github.com/acme/small/tree/abc123/src/qt/", vec!["src/qt/"]),
            ("everything below src/qt/ is slow; also ./build.rs", vec!["src/qt/", "build.rs"]),
            ("the file rpcconsole.cpp, again rpcconsole.cpp:99", vec!["rpcconsole.cpp"]),
            (r"src\qt\main.cpp on Windows", vec!["src/qt/main.cpp"]),
            ("add it to .github/workflows and src/wallet", vec![".github/workflows", "src/wallet"]),
            ("| [link](src/a.py) |", vec!["src/a.py"]),
        ] {
            assert_eq!(mentioned(text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_path_is_left_alone() {
        for text in [
            "and/or, client/server, 1/2, 24.0/25.1, I/O, w/o, N/A/",
            "https://example.org/a/b.html and example.org/page.html",
            "https://github.com/acme/small/issues/12",
            "Node.js on my.domain.com writes debug.log and config.json, v1.2.3, e.g. i.e. etc.",
            "../../etc/passwd /absolute/x ~/me",
            "a@b.c name@host.org",
        ] {
            assert_eq!(mentioned(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_long_list_is_cut() {
        let text: String = (0..100).map(|n| format!("src/f{n}.rs ")).collect();
        assert_eq!(mentioned(&text).len(), MENTION_COUNT_MAX);
    }

    #[test]
    fn folders_are_cut_off_files_and_stay_themselves() {
        assert_eq!(folder_of("src/qt/main.cpp"), Some("src/qt/"));
        assert_eq!(folder_of("src/qt/"), Some("src/qt/"));
        assert_eq!(folder_of("main.cpp"), None);
    }

    proptest! {
        #[test]
        fn any_text_gives_few_sound_relative_paths(text in "\\PC{0,400}|[a-z./:`\\\\ #@-]{0,400}") {
            let found = mentioned(&text);
            prop_assert!(found.len() <= MENTION_COUNT_MAX);
            for path in &found {
                prop_assert!(!path.starts_with('/') && !path.contains("//"), "{path}");
                prop_assert!(path.split('/').all(|step| step != ".."), "{path}");
                prop_assert!(path.len() <= WORD_BYTES_MAX && !path.contains(char::is_whitespace), "{path}");
            }
            let distinct: HashSet<_> = found.iter().collect();
            prop_assert_eq!(distinct.len(), found.len());
        }

        #[test]
        fn a_path_in_prose_is_found_again(
            folders in prop::collection::vec("[a-z][a-z0-9_-]{0,8}", 1..5),
            file in "[a-z][a-z0-9_]{0,10}\\.(rs|py|cpp|tsx)",
            line in 1u32..9999,
        ) {
            let path = format!("{}/{file}", folders.join("/"));
            for text in [format!("it fails in {path}."), format!("`{path}:{line}`"), format!("({path}:{line}:1)")] {
                prop_assert_eq!(mentioned(&text), vec![path.clone()]);
            }
        }
    }
}
