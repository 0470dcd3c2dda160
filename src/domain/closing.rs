//! GitHub's closing keywords: `Fixes #12`, `closes: acme/small#12`, `Resolves https://.../issues/12`.

use super::{IssueNumber, IssueRef, RepoName};

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

/// The lines of a Markdown text without its code and its hidden comments, where GitHub sees no keywords.
fn prose_of(text: &str) -> Vec<String> {
    let text = without_comments(text);
    let mut fence: Option<(char, usize)> = None;
    let mut prose = Vec::new();
    for line in text.lines() {
        let marker = fence_of(line);
        match (fence, marker) {
            // A fence is closed by one of its own kind, at least as long, with nothing behind it.
            (Some((sign, length)), Some((other, count, rest))) => {
                if sign == other && count >= length && rest.trim().is_empty() {
                    fence = None;
                }
            }
            (Some(_), None) => {}
            (None, Some((sign, count, _))) => fence = Some((sign, count)),
            (None, None) => prose.push(line),
        }
    }
    // Code spans may run over line ends, but never over a blank line.
    prose
        .join("\n")
        .split("\n\n")
        .flat_map(|part| without_code_spans(part).lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A line that opens or closes a block of code: its sign, how many of them, and what follows.
fn fence_of(line: &str) -> Option<(char, usize, &str)> {
    let start = line.trim_start_matches(' ');
    let sign = start.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
    let rest = start.trim_start_matches(sign);
    let count = start.len() - rest.len();
    let opens = count >= 3 && line.len() - start.len() <= 3 && !(sign == '`' && rest.contains('`'));
    opens.then_some((sign, count, rest))
}

fn without_comments(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        kept.push_str(before);
        kept.push(' ');
        rest = after.split_once("-->").map_or("", |(_, after)| after);
    }
    kept + rest
}

/// A run of backticks opens a span that the next run of the same length closes; without one it is text.
fn without_code_spans(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('`') {
        kept.push_str(&rest[..at]);
        let run = rest[at..].bytes().take_while(|byte| *byte == b'`').count();
        let behind = &rest[at + run..];
        rest = match end_of_span(behind, run) {
            Some(end) => {
                kept.push(' ');
                &behind[end..]
            }
            None => {
                kept.push_str(&rest[at..at + run]);
                behind
            }
        };
    }
    kept + rest
}

/// Where the span ends that `run` backticks opened before `text`.
fn end_of_span(text: &str, run: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(next) = text[at..].find('`').map(|found| at + found) {
        let count = text[next..].bytes().take_while(|byte| *byte == b'`').count();
        at = next + count;
        if count == run {
            return Some(at);
        }
    }
    None
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

/// `#12`, `owner/name#12` or the address of an issue, perhaps with signs around it.
fn reference(word: &str, repo: &RepoName) -> Option<IssueRef> {
    let word = word.trim_start_matches(['(', '[', '*', '_', '<', '"', '\'']);
    let (repo, digits) = match word.strip_prefix("https://").or_else(|| word.strip_prefix("http://")) {
        Some(address) => {
            let mut parts = address.split('/').skip(1);
            let (owner, name) = (parts.next()?, parts.next()?);
            let _ = parts.next().filter(|part| *part == "issues")?;
            (format!("{owner}/{name}").parse().ok()?, parts.next()?)
        }
        None => {
            let (before, digits) = word.split_once('#')?;
            (if before.is_empty() { repo.clone() } else { before.parse().ok()? }, digits)
        }
    };
    let end = digits.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(digits.len());
    // `#12a` is no number of an issue.
    if digits[end..].starts_with(|sign: char| sign.is_alphanumeric() || sign == '_') {
        return None;
    }
    let number = IssueNumber::new(digits[..end].parse().ok()?).ok()?;
    Some(IssueRef::new(repo, number))
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
