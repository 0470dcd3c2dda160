//! Which series a text names: a question to Prometheus, or what a server tells it.

/// A series, with the labels that are asked of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Series {
    pub name: String,
    /// Name, and the value or pattern.
    pub labels: Vec<(String, String)>,
}

/// Whether a name may have this letter; recorded ones have colons.
fn is_of_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == ':'
}

/// All series of IssueCommand in a text, in order.
pub fn named_in(text: &str) -> Vec<Series> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some(start) = rest.find(is_of_name) {
        let word = &rest[start..];
        let end = word.find(|letter| !is_of_name(letter)).unwrap_or(word.len());
        let (name, behind) = word.split_at(end);
        rest = behind;
        if !name.starts_with("issuecommand_") && !name.contains(":issuecommand_") {
            continue;
        }
        let (labels, behind) = match behind.strip_prefix('{') {
            Some(selector) => selected(selector),
            None => (Vec::new(), behind),
        };
        found.push(Series { name: name.to_owned(), labels });
        rest = behind;
    }
    found
}

/// The labels of a selector, and what is behind its end.
fn selected(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return (labels, behind);
        }
        let Some((name, behind)) = rest.split_once(['=', '!']) else { return (labels, "") };
        let Some((value, behind)) = behind.trim_start_matches(['=', '~']).trim_start_matches('"').split_once('"')
        else {
            return (labels, "");
        };
        labels.push((name.trim().to_owned(), value.to_owned()));
        rest = behind;
    }
}

#[test]
fn series_are_found_with_their_labels() {
    let found =
        named_in("1 - sum by (job) (rate(issuecommand_a_total{b=\"c\", d!~\"e|f\"}[5m])) / job:issuecommand_g:h");
    let series = |name: &str, labels: &[(&str, &str)]| Series {
        name: name.into(),
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let expected = [series("issuecommand_a_total", &[("b", "c"), ("d", "e|f")]), series("job:issuecommand_g:h", &[])];
    assert_eq!(found, expected);
}
