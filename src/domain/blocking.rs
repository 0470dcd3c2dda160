//! What must be closed first: `Blocked by #12`, `depends on acme/small#12`, `Depends-on: https://.../issues/12`.

use serde::{Deserialize, Serialize};

use super::references::{prose_of, reference};
use super::{IssueRef, RepoName};

/// The words that say so, in lower case, one after the other or joined by a hyphen.
const PHRASES: [(&str, &str); 6] = [
    ("blocked", "by"),
    ("blocked", "on"),
    ("depends", "on"),
    ("depends", "upon"),
    ("depend", "on"),
    ("dependent", "on"),
];
/// What turns a phrase into its opposite when it stands right before it (`no longer blocked by`).
const NEGATIONS: [&str; 7] = ["not", "longer", "never", "isn't", "isn’t", "aren't", "aren’t"];
/// What may stand between a phrase and a reference, and between two references.
const CONNECTORS: [&str; 6] = ["and", "or", "&", "+", "issue", "issues"];
/// Most blockers of one issue. GitHub's own limit for its dependencies is 50.
pub(crate) const BLOCKER_COUNT_MAX: usize = 50;

/// An issue that is to be closed before another one is worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// Which.
    pub issue: IssueRef,
    /// Whether GitHub says that it is open, be it known here or not. What only a text says blocks as long as
    /// it is known here as an open issue: a text may name a pull request, or a number that never was.
    pub stated_open: bool,
}

/// The issues that `title` and `body` of `own` say must be closed first: each once, in their order.
pub(crate) fn blockers_in(title: &str, body: &str, own: &IssueRef) -> Vec<IssueRef> {
    let mut found: Vec<IssueRef> = Vec::new();
    // Whether the phrase stood alone, as the heading of a list.
    let mut heads_list = false;
    for line in std::iter::once(title.to_owned()).chain(prose_of(body)) {
        let refs = match list_item(&line).filter(|_| heads_list) {
            Some(Item { done: true, .. }) => Vec::new(),
            Some(Item { text, .. }) => leading_refs(&mut words(text), &own.repo),
            None => {
                let (refs, ends_open) = refs_in_line(&line, &own.repo);
                heads_list = ends_open;
                refs
            }
        };
        for issue in refs {
            if issue != *own && !found.contains(&issue) && found.len() < BLOCKER_COUNT_MAX {
                found.push(issue);
            }
        }
    }
    found
}

type Words<'l> = std::iter::Peekable<Box<dyn Iterator<Item = &'l str> + 'l>>;

fn words(line: &str) -> Words<'_> {
    let split = line.split(|sign: char| sign.is_whitespace() || sign == ',' || sign == ';');
    let words: Box<dyn Iterator<Item = &str>> = Box::new(split.filter(|word| !word.is_empty()));
    words.peekable()
}

/// One entry of a Markdown list.
struct Item<'l> {
    text: &'l str,
    /// Its box is ticked.
    done: bool,
}

fn list_item(line: &str) -> Option<Item<'_>> {
    let text = line.trim_start().strip_prefix(['-', '*', '+'])?.strip_prefix(' ')?.trim_start();
    let ticked = text.strip_prefix("[x]").or_else(|| text.strip_prefix("[X]"));
    let boxed = ticked.or_else(|| text.strip_prefix("[ ]"));
    Some(Item { text: boxed.unwrap_or(text), done: ticked.is_some() })
}

/// What the phrases of a line name, and whether the last of them ends the line: then a list may follow.
fn refs_in_line(line: &str, repo: &RepoName) -> (Vec<IssueRef>, bool) {
    let mut words = words(line);
    let (mut found, mut before, mut ends_open) = (Vec::new(), String::new(), false);
    while let Some(word) = words.next() {
        let lowered = bare(word).to_lowercase();
        let joined = PHRASES.iter().any(|(first, second)| {
            lowered.strip_prefix(first).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| rest == *second)
        });
        let is_phrase = joined
            || (!word.ends_with(['.', '!', '?', ':'])
                && words.peek().is_some_and(|next| {
                    let second = bare(next).to_lowercase();
                    PHRASES.contains(&(lowered.as_str(), second.as_str()))
                }));
        if !is_phrase {
            before = lowered;
            continue;
        }
        if !joined {
            words.next();
        }
        let refs = leading_refs(&mut words, repo);
        if !NEGATIONS.contains(&before.as_str()) {
            ends_open = refs.is_empty() && words.peek().is_none();
            found.extend(refs);
        }
        before.clear();
    }
    (found, ends_open)
}

/// The references that `words` begin with.
fn leading_refs(words: &mut Words<'_>, repo: &RepoName) -> Vec<IssueRef> {
    let mut found = Vec::new();
    while let Some(word) = words.peek() {
        match reference(word, repo) {
            Some(issue) => found.push(issue),
            None if CONNECTORS.contains(&word.to_lowercase().as_str()) || word.chars().all(|c| ":*_".contains(c)) => {}
            None => break,
        }
        words.next();
    }
    found
}

/// A word without the signs around it.
fn bare(word: &str) -> &str {
    word.trim_matches(|sign: char| !sign.is_alphanumeric())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn blockers(body: &str) -> Vec<String> {
        blockers_in("", body, &"acme/small#7".parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_phrase_names_a_blocker_in_any_case_and_dress() {
        for text in [
            "Blocked by #12",
            "blocked on #12.",
            "This DEPENDS ON #12, really",
            "Depends-On: #12",
            "**Blocked by:** #12",
            "**Blocked by** : #12",
            "(dependent on issue #12)",
            "depends upon [#12](https://example.org)",
            "> depend on Acme/Small#12",
            "Blocked-by: https://github.com/acme/small/issues/12#issuecomment-9",
        ] {
            assert_eq!(blockers(text), ["acme/small#12"], "{text}");
        }
        let own = "acme/small#7".parse().unwrap();
        assert_eq!(blockers_in("[blocked by #3] crash", "", &own).len(), 1, "the title counts");
    }

    #[test]
    fn several_are_read_off_one_phrase_or_off_the_list_below_it() {
        let expected = ["acme/small#1", "other/repo#2", "a/b#3"];
        for text in [
            "Blocked by #1, other/repo#2 and https://ghe.example/a/b/issues/3",
            "Blocked by #1,other/repo#2,a/b#3 and nothing like #4",
            "Blocked by #1. Depends on other/repo#2 & a/b#3",
            "## Depends on\n\n- #1\n- [ ] other/repo#2 the parser\n* a/b#3\n- [x] #9\n\nSee #4",
            "Blocked by:\n- #1\n- a talk with Ann\n- other/repo#2\n- a/b#3\nand that is all\n- #5",
        ] {
            assert_eq!(blockers(text), expected, "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_phrase_names_nothing() {
        for text in [
            "#12",
            "unblocked by #12",
            "no longer blocked by #12",
            "This is not blocked by #12",
            "it isn't dependent on #12",
            "I am blocked. By #12 we know",
            "blocked by the rain, see #12",
            "blocked by 12",
            "blocked by #0",
            "blocked by #12abc",
            "blocked by https://github.com/acme/small/pull/12",
            "blocking #12",
            "`blocked by #12`",
            "```\nblocked by #12\n```",
            "<!-- blocked by #12 -->",
            "blocked by #7",
            "blocked by #99999999999999999999",
            "Blocked by:\n\nNothing.\n- #12",
        ] {
            assert_eq!(blockers(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn one_issue_has_fifty_blockers_at_most_and_each_once() {
        let many: String = (100..300).map(|n| format!("#{n} #{n} ")).collect();
        assert_eq!(blockers(&format!("depends on {many}")).len(), BLOCKER_COUNT_MAX);
    }

    #[test]
    fn a_huge_text_of_near_misses_is_read_in_no_time() {
        let begun = std::time::Instant::now();
        for part in ["blocked by ", "blocked ", "#1,", "- [ ] ", "depends-on ", "`` ` "] {
            blockers(&part.repeat(1_000_000 / part.len()));
        }
        assert!(begun.elapsed().as_secs() < 20, "{:?} for six texts of a megabyte", begun.elapsed());
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s)([`~#<! :,*\\-\\[\\]xa-z0-9/\\n]|blocked by|depends|on|é|ß){0,60}") {
            blockers(&text);
        }

        #[test]
        fn a_named_blocker_is_found_whatever_stands_around_it(
            before in "[a-mo-z .!\\n]{0,30}", number in 8u64..1_000_000, after in "[ .,!\\n)][ -~]{0,30}",
        ) {
            let text = format!("{before}\nBlocked by #{number}{after}");
            prop_assert_eq!(blockers(&text).into_iter().next(), Some(format!("acme/small#{number}")));
        }
    }
}
