//! Checks of what policies answer: rows that exist, numbers that can be compared, texts that end.

use super::bindings::ranker::issuecommand::policy::types::Exclusion;
use crate::domain::in_one_line;

/// Longest text that a policy may attach to a row, in bytes; the rest is cut.
pub(super) const TEXT_BYTES_MAX: usize = 300;

/// A text of a policy as one line: control characters become spaces, and what is longer than
/// `bytes_max` is cut, with an ellipsis to show it.
pub(super) fn line(text: &str, bytes_max: usize) -> String {
    let cut = text.len() > bytes_max;
    let end = if cut { text.floor_char_boundary(bytes_max) } else { text.len() };
    let mut line = in_one_line(&text[..end]);
    line.truncate(line.trim_end().len());
    if cut {
        line.push('…');
    }
    line
}

/// Tells each row at most once, and only rows there are.
pub(super) struct Rows {
    what: &'static str,
    seen: Vec<bool>,
}

impl Rows {
    /// A check for `count` rows; `what` names the list in messages.
    pub(super) fn new(what: &'static str, count: usize) -> Self {
        Self { what, seen: vec![false; count] }
    }

    /// The row as an index.
    ///
    /// # Errors
    /// A sentence about a row that is out of range or named before.
    pub(super) fn take(&mut self, row: u32) -> Result<usize, String> {
        let (what, count) = (self.what, self.seen.len());
        let index = row as usize;
        match self.seen.get_mut(index) {
            None if count == 0 => Err(format!("{what} names row {row}, but there is no row at all in this call")),
            None => Err(format!("{what} names row {row}, but there are {count} rows, from 0")),
            Some(true) => Err(format!("{what} names row {row} twice")),
            Some(seen) => {
                *seen = true;
                Ok(index)
            }
        }
    }

    /// Whether the row was named.
    pub(super) fn has(&self, index: usize) -> bool {
        self.seen[index]
    }
}

/// A list that is as long as the rows are many, or empty.
pub(super) fn full_or_empty<T>(what: &str, list: &[T], count: usize) -> Result<(), String> {
    match list.len() {
        len if len == 0 || len == count => Ok(()),
        len => Err(format!("{what} has {len} entries for {count} rows: give one a row, or none at all")),
    }
}

/// The reason of an exclusion, as one bounded line.
pub(super) fn reason_of(exclusion: &Exclusion) -> String {
    match line(&exclusion.reason, TEXT_BYTES_MAX) {
        reason if reason.trim().is_empty() => "the policy gave no reason".into(),
        reason => reason,
    }
}

/// Per row, why it is left out.
pub(super) fn exclusions(what: &'static str, list: &[Exclusion], count: usize) -> Result<Vec<(usize, String)>, String> {
    let mut rows = Rows::new(what, count);
    list.iter().map(|exclusion| Ok((rows.take(exclusion.row)?, reason_of(exclusion)))).collect()
}

/// Every row once: first those that `list` names, in its order, then the others in theirs.
pub(super) fn order(what: &'static str, list: &[u32], count: usize) -> Result<Vec<usize>, String> {
    let mut named = Rows::new(what, count);
    let mut order = list.iter().map(|row| named.take(*row)).collect::<Result<Vec<_>, _>>()?;
    order.extend((0..count).filter(|row| !named.has(*row)));
    Ok(order)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_between_characters_and_shows_it() {
        assert_eq!(line("plain", 10), "plain");
        assert_eq!(line("übermut", 1), "…");
        assert_eq!(line("übermut", 4), "übe…");
        assert_eq!(line("a\nb\u{1b}[31mc\r\n", 100), "a b [31mc");
    }

    #[test]
    fn rows_are_named_once_and_exist() {
        let mut rows = Rows::new("order", 2);
        assert_eq!(rows.take(1), Ok(1));
        assert_eq!(rows.take(1).unwrap_err(), "order names row 1 twice");
        assert_eq!(rows.take(2).unwrap_err(), "order names row 2, but there are 2 rows, from 0");
        assert!(rows.has(1) && !rows.has(0));
    }

    #[test]
    fn a_column_is_full_or_empty() {
        assert_eq!(full_or_empty("values", &[0; 3], 3), Ok(()));
        assert_eq!(full_or_empty::<u8>("values", &[], 3), Ok(()));
        assert!(full_or_empty("values", &[0; 2], 3).unwrap_err().contains("2 entries for 3 rows"));
    }

    #[test]
    fn an_exclusion_without_a_reason_gets_one() {
        let list = [Exclusion { row: 0, reason: " \n".into() }];
        assert_eq!(exclusions("skipped", &list, 1).unwrap(), [(0, "the policy gave no reason".to_string())]);
    }
}
