//! How answers are shown: as JSON for scripts, and the words for times.

use anstyle::{AnsiColor, Style};
use chrono::TimeDelta;
use clap::Args;
use issuecommand::domain::{Claim, ClaimStatus, Timestamp, is_visible};
use serde::Serialize;
use serde_json::Value;

use super::table::Cell;

pub const BOLD: Style = Style::new().bold();
pub const SOFT: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const MARK: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();

/// In which form an answer is printed.
#[derive(Debug, Clone, Copy, Args)]
pub struct Format {
    /// Print the whole answer as JSON, for scripts
    #[arg(long)]
    pub json: bool,
}

impl Format {
    /// Prints an answer as JSON if that is asked for, else as `told` does.
    pub fn show(self, answer: &Value, told: impl FnOnce()) {
        if self.json {
            print_json(answer);
        } else {
            told();
        }
    }
}

/// Prints one JSON document.
pub fn print_json(answer: &impl Serialize) {
    let json = serde_json::to_string_pretty(answer).expect("what is shown has a JSON form");
    say!("{}", written_out(&json));
}

/// JSON in which what a terminal would obey, or a reader not see, is written out: for who parses it the texts are the
/// same.
pub fn written_out(json: &str) -> String {
    let mut told = String::with_capacity(json.len());
    for c in json.chars() {
        if is_visible(c) {
            told.push(c);
        } else {
            // Such characters stand in strings only.
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| told.push_str(&format!("\\u{unit:04x}")));
        }
    }
    told
}

/// How long something takes or lasts, in the largest unit of which it has two: `90s`, `3m`, `2h`, `5d`.
pub fn span(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// What is left of a claim's lease.
pub fn lease_left(claim: &Claim, now: Timestamp) -> Cell {
    let left = claim.lease.expires_at - now;
    match claim.lease.is_expired_at(now) {
        true => Cell::styled("lapsed", BAD),
        false if left < TimeDelta::minutes(5) => Cell::styled(&span(left), MARK),
        false => span(left).into(),
    }
}

/// A claim's status, as it stands out.
pub fn status(status: ClaimStatus) -> Cell {
    let style = match status {
        ClaimStatus::Stale => BAD,
        ClaimStatus::InProgress => GOOD,
        ClaimStatus::PrSubmitted | ClaimStatus::PrMerged => AnsiColor::Cyan.on_default(),
        ClaimStatus::Claimed | ClaimStatus::Closed | ClaimStatus::Released => Style::new(),
    };
    Cell::styled(status.as_str(), style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_span_is_told_in_the_largest_unit_of_which_it_has_two() {
        let told = [-5, 0, 119, 120, 7_199, 7_200, 172_799, 172_800, 900_000].map(|it| span(TimeDelta::seconds(it)));
        assert_eq!(told, ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d", "10d"]);
    }

    #[test]
    fn json_stays_the_same_text_and_steers_no_terminal() {
        let evil = json!({ "title": "a\u{9b}31m\u{202e}b\u{e0041}\u{1b}[2J\nc" });
        let told = written_out(&format!("{evil:#}"));
        assert!(told.chars().all(is_visible), "{told:?}");
        assert_eq!(serde_json::from_str::<Value>(&told).unwrap(), evil);
    }
}
