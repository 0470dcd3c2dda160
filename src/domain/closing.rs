//! GitHub's closing keywords: `Fixes #12`, `closes: acme/small#12`, `Resolves https://.../issues/12`.

use super::references::{prose_of, reference};
use super::{IssueRef, RepoName};

/// The words that close, in lower case.
const KEYWORDS: [&str; 9] = ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
/// Most issues that one text closes.
const REF_COUNT_MAX: usize = 100;

/// The issues that `title` and `body`, of a pull request of `repo`, close: each once, in their order.
pub(crate) fn refs_in(title: &str, body: &str, repo: &RepoName) -> Vec<IssueRef> {
    let mut found: Vec<IssueRef> = Vec::new();
    let lines = std::iter::once(title.to_owned()).chain(prose_of(body));
    for issue in lines.flat_map(|line| refs_in_line(&line, repo)) {
        if !found.contains(&issue) && found.len() < REF_COUNT_MAX {
            found.push(issue);
        }
    }
    found
}

/// A keyword that stands by itself, perhaps a colon, blanks, and a reference.
fn refs_in_line(line: &str, repo: &RepoName) -> Vec<IssueRef> {
    let mut words = line.split_whitespace().peekable();
    let mut found = Vec::new();
    while let Some(word) = words.next() {
        let bare = word.trim_start_matches(|sign: char| !sign.is_alphanumeric());
        let lowered = bare.strip_suffix(':').unwrap_or(bare).to_ascii_lowercase();
        if !KEYWORDS.contains(&lowered.as_str()) {
            continue;
        }
        // `Fixes : #12` is GitHub's too.
        if !bare.ends_with(':') {
            words.next_if_eq(&":");
        }
        found.extend(words.peek().and_then(|next| reference(next, repo)));
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn closed_by(body: &str) -> Vec<String> {
        refs_in("", body, &"acme/small".parse().unwrap()).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_keyword_closes_in_any_case_with_or_without_a_colon() {
        for keyword in KEYWORDS {
            for text in [
                format!("{keyword} #12"),
                format!("{}: #12", keyword.to_uppercase()),
                format!("This {keyword}   #12."),
                format!("({keyword} #12)"),
                format!("- **{keyword} #12**"),
                format!("{keyword} : #12"),
            ] {
                assert_eq!(closed_by(&text), ["acme/small#12"], "{text}");
            }
        }
    }

    #[test]
    fn all_three_forms_of_a_reference_are_read() {
        let text = "Fixes #1, closes Other/Repo#2 and resolves https://github.com/Acme/Big/issues/3#issuecomment-9.";
        assert_eq!(closed_by(text), ["acme/small#1", "other/repo#2", "acme/big#3"]);
        assert_eq!(closed_by("Fixes https://ghe.example:8443/a/b/issues/4/"), ["a/b#4"]);
        assert_eq!(closed_by("Fixes [acme/big#5](https://x)"), ["acme/big#5"]);
    }

    #[test]
    fn each_issue_is_named_once_in_the_order_of_the_text() {
        assert_eq!(closed_by("Fixes #9\nCloses #2\nfixed #9"), ["acme/small#9", "acme/small#2"]);
    }

    #[test]
    fn the_title_closes_too() {
        let repo = "acme/small".parse().unwrap();
        assert_eq!(refs_in("Fix #3: crash", "", &repo).len(), 1);
    }

    #[test]
    fn what_only_looks_like_a_keyword_closes_nothing() {
        for text in [
            "#12",
            "see #12",
            "fixing #12",
            "prefix #12",
            "unresolved #12",
            "fixes 12",
            "fixes# 12",
            "fixes #",
            "fixes #0",
            "fixes #12abc",
            "fixes the bug #12",
            "fixes #99999999999999999999",
            "fixes a/b/c#1",
            "fixes ../x#1",
            "fixes https://github.com/acme/small/pull/3",
            "fixes https://github.com",
            "close\n\n#12",
        ] {
            assert_eq!(closed_by(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn code_and_hidden_text_close_nothing() {
        for text in [
            "`fixes #12`",
            "``fixes `x` #12``",
            "`a\nfixes #12`",
            "```\nfixes #12\n```",
            "~~~md\nfixes #12\n```\nfixes #13\n~~~",
            "````\n```\nfixes #12\n````",
            "```\nnever closed\nfixes #12",
            "<!-- fixes #12 -->",
            "<!-- template\nfixes #12",
        ] {
            assert_eq!(closed_by(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn text_around_code_closes() {
        for text in [
            "`x` fixes #12",
            "a ` alone, fixes #12",
            "```\ncode\n```\nfixes #12",
            "`a\n\nfixes #12 `",
            "<!-- x --> fixes #12",
        ] {
            assert_eq!(closed_by(text), ["acme/small#12"], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_it(text in "(?s)([`~#<! :a-z0-9/\\-\\n]|fixes|é){0,60}") {
            closed_by(&text);
        }
    }
}
