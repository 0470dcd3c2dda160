//! A trial over time: its requests as bars, by what came of them.

use maud::{Markup, html};

use super::drawing::{at, key};
use super::tables::wide;
use super::words::{counted, minute};
use crate::domain::{Timestamp, TrialCounts, from_unix_ms};
use crate::store::TrialHour;

/// Sizes in units of the drawing; it grows with the page.
const WIDTH: f64 = 860.0;
const BARS_HEIGHT: f64 = 120.0;
/// Bars at most, so that each can be pointed at.
const BAR_COUNT_MAX: usize = 60;
/// Widest distance from one bar to the next: a trial that has just begun is no wall.
const STEP_WIDTH_MAX: f64 = 48.0;
/// Part of that distance that the bar takes.
const BAR_SHARE: f64 = 0.8;
const HOUR_MS: u64 = 3_600_000;
/// How many hours one bar may stand for: as few as fit. The store keeps 2,208 hours with requests; what is older
/// than sixty weeks is left out.
const SPANS_HOURS: [u64; 7] = [1, 3, 6, 12, 24, 72, 168];

/// What can come of a request, from the foot of a bar upwards.
const OUTCOMES: [Outcome; 5] = [
    Outcome { class: "c2", told: "agreed", count: |counts| counts.agreed },
    Outcome { class: "c3", told: "disagreed", count: |counts| counts.disagreed },
    Outcome { class: "c1", told: "undecided", count: |counts| counts.undecided },
    Outcome { class: "c5", told: "failed", count: |counts| counts.failed },
    Outcome { class: "plain", told: "not looked at", count: |counts| counts.dropped },
];

struct Outcome {
    class: &'static str,
    told: &'static str,
    count: fn(&TrialCounts) -> u64,
}

/// Requests of one span of time.
#[derive(Debug, PartialEq)]
struct Span {
    begins: Timestamp,
    counts: TrialCounts,
}

impl Span {
    fn total(&self) -> u64 {
        OUTCOMES.iter().map(|outcome| (outcome.count)(&self.counts)).sum()
    }
}

/// A drawing of the requests of `hours`, oldest first, and its numbers for who does not see it; nothing where there are
/// none.
pub(super) fn chart(hours: &[TrialHour]) -> Markup {
    let (span_hours, spans) = spans(hours);
    let tallest = spans.iter().map(Span::total).max().unwrap_or(0);
    let (Some(first), Some(last)) = (spans.first(), spans.last()) else { return html! {} };
    if tallest == 0 {
        return html! {};
    }
    let step = (WIDTH / spans.len() as f64).min(STEP_WIDTH_MAX);
    let outcomes: Vec<_> =
        OUTCOMES.iter().filter(|outcome| spans.iter().any(|span| (outcome.count)(&span.counts) > 0)).collect();
    let told = format!(
        "Requests by what came of them, from {} to {}: the numbers of each bar stand below",
        minute(first.begins),
        minute(last.begins)
    );
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDTH} {}", BARS_HEIGHT)) role="img" aria-label=(told) {
                @for (place, span) in spans.iter().enumerate() {
                    (drawn(span, step * place as f64, step * BAR_SHARE, BARS_HEIGHT / tallest as f64))
                }
                line .zero x1="0" x2=(WIDTH) y1=(BARS_HEIGHT) y2=(BARS_HEIGHT) {}
            }
            figcaption {
                span { (minute(first.begins)) @if spans.len() > 1 { " to " (minute(last.begins)) } }
                @for outcome in &outcomes { (key(outcome.class, outcome.told)) }
                span { "a bar is " (length(span_hours)) ", the tallest " (tallest) @if tallest == 1 { " request" } @else { " requests" } }
            }
        }
        (numbers(&spans, &outcomes))
    }
}

/// The same in numbers: a row for each bar that there is.
fn numbers(spans: &[Span], outcomes: &[&Outcome]) -> Markup {
    let bars: Vec<_> = spans.iter().filter(|span| span.total() > 0).collect();
    html! {
        details {
            summary { "The numbers of " (counted(bars.len(), "bar")) }
            (wide("Requests over time", html! { table {
                thead { tr { th { "From" } @for outcome in outcomes { th .number { (outcome.told) } } } }
                tbody {
                    @for span in bars {
                        tr { td { (minute(span.begins)) } @for outcome in outcomes { td .number { ((outcome.count)(&span.counts)) } } }
                    }
                }
            } }))
        }
    }
}

/// A bar of its outcomes, each as high as it is often.
fn drawn(span: &Span, x: f64, width: f64, per_request: f64) -> Markup {
    let counts = OUTCOMES.iter().map(|outcome| (outcome, (outcome.count)(&span.counts)));
    let pieces = counts.scan(BARS_HEIGHT, |foot, (outcome, count)| {
        let height = count as f64 * per_request;
        *foot -= height;
        Some((outcome, count, *foot, height))
    });
    html! {
        g {
            @for (outcome, count, foot, height) in pieces {
                @if count > 0 {
                    rect class=(outcome.class) x=(at(x)) y=(at(foot)) width=(at(width)) height=(at(height)) {
                        title { (minute(span.begins)) ": " (count) " " (outcome.told) }
                    }
                }
            }
        }
    }
}

/// The hours put together into spans, those between that had no request too; and of how many hours each is.
fn spans(hours: &[TrialHour]) -> (u64, Vec<Span>) {
    let number = |hour: &TrialHour| u64::try_from(hour.hour.timestamp_millis()).unwrap_or(0) / HOUR_MS;
    let (Some(first), Some(last)) = (hours.first(), hours.last()) else { return (SPANS_HOURS[0], Vec::new()) };
    let (first, last, count_max) = (number(first), number(last).max(number(first)), BAR_COUNT_MAX as u64);
    let fits = |span_hours: &&u64| last / **span_hours - first / **span_hours < count_max;
    let span_hours = *SPANS_HOURS.iter().find(fits).unwrap_or(&SPANS_HOURS[SPANS_HOURS.len() - 1]);
    let newest = last / span_hours;
    let oldest = (first / span_hours).max((newest + 1).saturating_sub(count_max));
    let empty =
        |place: u64| Span { begins: from_unix_ms(place * span_hours * HOUR_MS), counts: TrialCounts::default() };
    let mut spans: Vec<Span> = (oldest..=newest).map(empty).collect();
    for hour in hours {
        let place = (number(hour) / span_hours).checked_sub(oldest).and_then(|place| usize::try_from(place).ok());
        if let Some(span) = place.and_then(|place| spans.get_mut(place)) {
            span.counts.add(&hour.counts);
        }
    }
    (span_hours, spans)
}

fn length(span_hours: u64) -> String {
    match span_hours {
        1 => "an hour".to_owned(),
        24 => "a day".to_owned(),
        168 => "a week".to_owned(),
        hours if hours > 24 => format!("{} days", hours / 24),
        hours => format!("{hours} hours"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(number: u64, agreed: u64, disagreed: u64) -> TrialHour {
        let counts = TrialCounts { agreed, disagreed, ..TrialCounts::default() };
        TrialHour { hour: from_unix_ms(number * HOUR_MS), counts }
    }

    fn totals(hours: &[TrialHour]) -> (u64, Vec<u64>) {
        let (span_hours, spans) = spans(hours);
        (span_hours, spans.iter().map(Span::total).collect())
    }

    #[test]
    fn hours_without_requests_are_gaps_and_long_trials_are_put_together() {
        assert_eq!(totals(&[hour(100, 1, 1), hour(103, 4, 0)]), (1, vec![2, 0, 0, 4]));
        let two_weeks: Vec<_> = (24..24 * 15).map(|number| hour(number, 1, 0)).collect();
        let (span_hours, counts) = totals(&two_weeks);
        assert_eq!((span_hours, counts.len(), counts.iter().sum()), (6, 56, 14 * 24_u64));
        let sparse = [hour(0, 9, 0), hour(24 * 7 * 100, 1, 0)];
        let (span_hours, counts) = totals(&sparse);
        assert_eq!((span_hours, counts.len(), counts.iter().sum()), (168, BAR_COUNT_MAX, 1), "the oldest are left out");
        assert_eq!(totals(&[]), (1, vec![]));
    }

    #[test]
    fn a_bar_is_as_high_as_its_outcomes_are_often_one_on_another() {
        let chart = chart(&[hour(0, 3, 1), hour(1, 1, 0)]).into_string();
        for piece in [
            r#"class="c2" x="0.00" y="30.00" width="38.40" height="90.00""#,
            r#"class="c3" x="0.00" y="0.00" width="38.40" height="30.00""#,
            r#"class="c2" x="48.00" y="90.00" width="38.40" height="30.00""#,
        ] {
            assert!(chart.contains(piece), "{piece}: {chart}");
        }
        assert_eq!(chart.matches("class=\"key\"").count(), 2, "only what there is has a key: {chart}");
        assert!(chart.contains("1970-01-01 01:00 UTC: 1 agreed"), "{chart}");
    }

    #[test]
    fn every_bar_stands_in_numbers_too_and_gaps_do_not() {
        let chart = chart(&[hour(0, 3, 1), hour(5, 12, 0)]).into_string();
        let (_, numbers) = chart.split_once("<details><summary>The numbers of 2 bars</summary>").unwrap();
        for row in [
            r#"<td>1970-01-01 00:00 UTC</td><td class="number">3</td><td class="number">1</td>"#,
            r#"<td>1970-01-01 05:00 UTC</td><td class="number">12</td><td class="number">0</td>"#,
        ] {
            assert!(numbers.contains(row), "{row}: {numbers}");
        }
        assert_eq!(numbers.matches("<tr>").count(), 1 + 2, "{numbers}");
        assert!(
            chart.contains(r#"aria-label="Requests by what came of them, from 1970-01-01 00:00 UTC to"#),
            "{chart}"
        );
    }

    #[test]
    fn a_trial_without_requests_has_no_bars() {
        assert_eq!(chart(&[]).into_string(), "");
    }
}
