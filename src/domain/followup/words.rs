//! What a follow-up says of the feedback it came from.

use crate::domain::{Feedback, FeedbackKind};

/// Longest summary, in characters: what a model needs in order to know what is asked.
pub(super) const SUMMARY_CHARS_MAX: usize = 200;
/// Longest text of one comment that is kept, in characters; the rest stands on GitHub.
pub(super) const COMMENT_CHARS_MAX: usize = 4_000;

/// What is asked, in one line: the first line of the text that says something.
pub(super) fn summary(feedback: &Feedback) -> String {
    let line = feedback.body.lines().map(str::trim).find(|line| !line.is_empty());
    let asks = match feedback.kind {
        FeedbackKind::ReviewChangesRequested => "requested changes",
        FeedbackKind::ReviewComment => "commented on the change",
        FeedbackKind::PrComment => "commented",
    };
    let text = match line {
        Some(line) => format!("{} {asks}: {line}", feedback.author),
        None => format!("{} {asks}", feedback.author),
    };
    cut(&text, SUMMARY_CHARS_MAX)
}

/// The text to answer, with its place; `None` for a review that says nothing itself.
pub(super) fn comment(feedback: &Feedback) -> Option<String> {
    let body = feedback.body.trim();
    if body.is_empty() {
        return None;
    }
    let text = match &feedback.place {
        Some((path, Some(line))) => format!("{path}:{line}: {body}"),
        Some((path, None)) => format!("{path}: {body}"),
        None => body.to_owned(),
    };
    Some(cut(&text, COMMENT_CHARS_MAX))
}

/// `text`, or its beginning and a sign that it goes on. What was cut before is cut to the same.
pub(super) fn cut(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    fn feedback(body: &str) -> Feedback {
        Feedback {
            kind: FeedbackKind::ReviewComment,
            id: 9,
            pull: "acme/small#4".parse().unwrap(),
            pull_url: "https://github.com/acme/small/pull/4".into(),
            pull_title: "Fix it".into(),
            author: "ann".into(),
            by_bot: false,
            author_association: "MEMBER".into(),
            body: body.into(),
            place: Some(("src/a.rs".into(), Some(12))),
            commit: None,
            created_at: from_unix_ms(0),
        }
    }

    #[test]
    fn the_summary_is_one_short_line_and_the_comment_names_its_place() {
        let short = feedback("\n  Use a constant.\nIt is used twice.");
        assert_eq!(summary(&short), "ann commented on the change: Use a constant.");
        assert_eq!(comment(&short).unwrap(), "src/a.rs:12: Use a constant.\nIt is used twice.");
        let long = feedback(&"ä".repeat(9_000));
        assert_eq!(summary(&long).chars().count(), SUMMARY_CHARS_MAX + 1);
        assert_eq!(comment(&long).unwrap().chars().count(), COMMENT_CHARS_MAX + 1);
        assert_eq!(comment(&feedback(" \n")), None);
    }
}
