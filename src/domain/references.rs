//! Issues that texts name, where GitHub would see a name: not in code, not in hidden comments.

use super::{IssueNumber, IssueRef, RepoName};

/// Issues that a Markdown text names, in its order, each as often as it does.
pub fn named_in(text: &str, repo: &RepoName) -> Vec<IssueRef> {
    let named = |line: &String| line.split_whitespace().filter_map(|word| reference(word, repo)).collect::<Vec<_>>();
    prose_of(text).iter().flat_map(named).collect()
}

/// The lines of a Markdown text without its code and its hidden comments, where GitHub sees no keywords.
pub(super) fn prose_of(text: &str) -> Vec<String> {
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

/// `#12`, `owner/name#12` or the address of an issue, perhaps with signs around it.
pub(super) fn reference(word: &str, repo: &RepoName) -> Option<IssueRef> {
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
    use super::*;

    #[test]
    fn what_a_text_names_is_found_in_its_prose_and_nowhere_else() {
        let text = "As in #12, (acme/large#3) and https://github.com/acme/small/issues/4.\n`#5`, #x, #6a\n```\n#7\n```";
        let named: Vec<_> = named_in(text, &"acme/small".parse().unwrap()).iter().map(ToString::to_string).collect();
        assert_eq!(named, ["acme/small#12", "acme/large#3", "acme/small#4"]);
    }
}
