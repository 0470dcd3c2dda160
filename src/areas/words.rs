//! Words of titles and labels: the area that a title begins with by convention (`qt: ...`, `wallet, rpc: ...`,
//! `[GUI] ...`, `fix(parser): ...`), and the terms by which issues are alike.

use std::collections::BTreeSet;

/// Most areas that a title may begin with.
const PREFIX_COUNT_MAX: usize = 3;
/// Longest such area, in bytes.
const PREFIX_BYTES_MAX: usize = 24;
/// Most terms of one title with its labels.
const TERM_COUNT_MAX: usize = 48;
/// Longest term, in bytes; longer words are no words.
const TERM_BYTES_MAX: usize = 40;

/// What a title may begin with that says which kind of work it is, and not where.
const KINDS: &[&str] = &[
    "bug",
    "bugfix",
    "chore",
    "crash",
    "discussion",
    "doubt",
    "enhancement",
    "epic",
    "error",
    "feat",
    "feature",
    "fix",
    "fixes",
    "fixup",
    "follow-up",
    "followup",
    "help",
    "hotfix",
    "idea",
    "info",
    "issue",
    "meta",
    "minor",
    "move-only",
    "moveonly",
    "nit",
    "note",
    "perf",
    "proposal",
    "psa",
    "question",
    "refactor",
    "refactoring",
    "release",
    "request",
    "revert",
    "rfc",
    "scripted-diff",
    "style",
    "suggestion",
    "task",
    "todo",
    "trivial",
    "typo",
    "update",
    "urgent",
    "warning",
    "wip",
];
/// Words too common to tell two issues apart; the rest is weighed by how rare it is.
const STOP_WORDS: &[&str] = &[
    "a", "add", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "by", "can", "do", "does", "don",
    "for", "from", "has", "have", "if", "in", "into", "is", "it", "its", "make", "more", "not", "of", "on", "only",
    "or", "should", "so", "some", "that", "the", "there", "this", "to", "use", "using", "via", "was", "when", "with",
    "without",
];

/// The areas that a title begins with, in lower case, each once.
pub(super) fn prefixes(title: &str) -> Vec<String> {
    let title = title.trim_start();
    let mut found = Vec::new();
    let mut rest = title;
    while let Some((inside, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        collect(inside, &mut found);
        rest = after.trim_start();
    }
    if let Some((head, after)) = rest.split_once(':')
        && !after.starts_with(':')
    {
        let head = head.trim_end_matches('!');
        match head.split_once('(').and_then(|(_, scope)| scope.strip_suffix(')')) {
            Some(scope) => collect(scope, &mut found),
            None => collect(head, &mut found),
        }
    }
    found.truncate(PREFIX_COUNT_MAX);
    found
}

/// Takes the areas of a list, or none of it when it holds what is no area: then it is a sentence.
fn collect(list: &str, found: &mut Vec<String>) {
    let parts: Vec<String> = list.split([',', '/', '|', '&', '+']).map(|part| part.trim().to_lowercase()).collect();
    let is_word = |part: &String| {
        (2..=PREFIX_BYTES_MAX).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
            && part.chars().any(|c| c.is_ascii_alphabetic())
    };
    if parts.len() > PREFIX_COUNT_MAX || !parts.iter().all(is_word) {
        return;
    }
    for part in parts {
        if !KINDS.contains(&part.as_str()) && !found.contains(&part) {
            found.push(part);
        }
    }
}

/// The terms of a title and its labels: words of two letters or more, and labels whole; sorted, each once.
pub(super) fn terms<'a>(title: &str, labels: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let lower = title.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric() && c != '_');
    let fits = |word: &&str| (2..=TERM_BYTES_MAX).contains(&word.len()) && !STOP_WORDS.contains(word);
    let words = words.filter(fits).map(stem);
    let labels = labels.into_iter().map(|label| format!("label:{}", label.trim().to_lowercase()));
    let all: BTreeSet<String> = words.chain(labels).take(TERM_COUNT_MAX).collect();
    all.into_iter().collect()
}

/// A word without the plural's `s`: the one ending that costs most matches in titles.
fn stem(word: &str) -> String {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() >= 3 && !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn titles_begin_with_their_area() {
        for (title, expected) in [
            ("qt: Remove unused wallet", vec!["qt"]),
            ("wallet, rpc: label fixes", vec!["wallet", "rpc"]),
            ("[GUI] Dark theme", vec!["gui"]),
            ("[gui][wallet] two", vec!["gui", "wallet"]),
            ("fix(parser): numbers", vec!["parser"]),
            ("feat(http/api)!: new", vec!["http", "api"]),
            ("RFC: qt: nested stays unread", vec![]),
            ("fix: a kind is no area", vec![]),
            ("Crash on exit: what now", vec![]),
            ("std::vector is slow", vec![]),
            ("Time is 12:30", vec![]),
        ] {
            assert_eq!(prefixes(title), expected, "{title}");
        }
    }

    #[test]
    fn terms_are_words_without_the_common_ones_and_labels_whole() {
        let terms = terms("Wallets: Use the dialog when signing", ["Good First Issue"]);
        assert_eq!(terms, ["dialog", "label:good first issue", "signing", "wallet"]);
    }

    proptest! {
        #[test]
        fn any_title_gives_few_plain_words(title in "\\PC{0,200}") {
            prop_assert!(prefixes(&title).len() <= PREFIX_COUNT_MAX);
            let terms = terms(&title, []);
            prop_assert!(terms.len() <= TERM_COUNT_MAX && terms.is_sorted());
        }
    }
}
