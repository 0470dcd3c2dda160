//! The charts of a report, as SVG. Their words are our own: nothing from GitHub is drawn.

use std::ops::Range;

use chrono::Datelike;
use plotters::chart::MeshStyle;
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;

use super::report::{Outcome, PickRow, Report};
use crate::domain::Timestamp;

/// Size of a chart, in pixels of its own; the page scales it.
const SIZE: (u32, u32) = (880, 300);
/// Grey that reads on a light and on a dark page.
const INK: RGBColor = RGBColor(128, 134, 145);
/// The colours of the policies, in their order: blue and orange, told apart by everybody.
const COLOURS: [RGBColor; 2] = [RGBColor(46, 126, 216), RGBColor(228, 131, 42)];
const FONT: (&str, u32) = ("sans-serif", 13);
/// Ticks of a scale of days, in days.
const DAY_TICKS: [f64; 8] = [0.0, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1_000.0];

type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The share of the picked issues that waited no longer than so many days, a line for each policy.
pub(super) fn waiting(report: &Report) -> String {
    let most = longest(report.outcomes.iter().flat_map(|outcome| &outcome.picks));
    drawn(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(52)
            .build_cartesian_2d(Days(most), 0.0..1.0f64)?;
        calm(&mut chart.configure_mesh())
            .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .x_desc("days from open to picked")
            .draw()?;
        for (outcome, colour) in report.outcomes.iter().zip(COLOURS) {
            chart.draw_series(LineSeries::new(steps(outcome), colour.stroke_width(2)))?;
        }
        Ok(())
    })
}

/// Every pick: when it was made, and how long it had waited.
pub(super) fn picks(report: &Report) -> String {
    let most = longest(report.outcomes.iter().flat_map(|outcome| &outcome.picks));
    let (from, to) = (days_of(report.history.from), days_of(report.history.to));
    drawn(|area| {
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(42)
            .y_label_area_size(52)
            .build_cartesian_2d(from..to.max(from + 1.0), Days(most))?;
        calm(&mut chart.configure_mesh())
            .x_labels(8)
            .x_label_formatter(&|days| date_at(*days))
            .x_desc("picked on")
            .y_desc("days waited")
            .draw()?;
        for (outcome, colour) in report.outcomes.iter().zip(COLOURS) {
            let dot = |pick: &PickRow| Circle::new((days_of(pick.at), pick.waited_days), 3, colour.mix(0.6).filled());
            chart.draw_series(outcome.picks.iter().map(dot))?;
        }
        Ok(())
    })
}

/// The share of picks whose area another agent was working on, by year, a bar for each policy.
pub(super) fn overlap(report: &Report) -> String {
    let years = years_of(report);
    let bars: Vec<Vec<f64>> =
        report.outcomes.iter().map(|outcome| years.iter().map(|year| overlap_in(outcome, *year)).collect()).collect();
    let most = bars.iter().flatten().copied().fold(0.05, f64::max) * 1.1;
    drawn(|area| {
        let first = years.first().copied().unwrap_or_default();
        let mut chart = ChartBuilder::on(area)
            .margin(10)
            .x_label_area_size(28)
            .y_label_area_size(52)
            .build_cartesian_2d(-0.5..years.len() as f64 - 0.5, 0.0..most)?;
        calm(&mut chart.configure_mesh())
            .x_labels(years.len())
            .x_label_formatter(&|row| format!("{}", first + row.round() as i32))
            .y_label_formatter(&|share| format!("{:.0} %", share * 100.0))
            .draw()?;
        let width = 0.7 / bars.len().max(1) as f64;
        for (rank, (shares, colour)) in bars.iter().zip(COLOURS).enumerate() {
            let bar = |(row, share): (usize, &f64)| {
                let left = row as f64 - 0.35 + width * rank as f64;
                Rectangle::new([(left, 0.0), (left + width * 0.92, *share)], colour.filled())
            };
            chart.draw_series(shares.iter().enumerate().map(bar))?;
        }
        Ok(())
    })
}

/// Lines across only, and words that read on a light and on a dark page.
fn calm<'m, 'a, 'b, X, Y, B: DrawingBackend>(
    mesh: &'m mut MeshStyle<'a, 'b, X, Y, B>,
) -> &'m mut MeshStyle<'a, 'b, X, Y, B>
where
    X: Ranged + ValueFormatter<X::ValueType>,
    Y: Ranged + ValueFormatter<Y::ValueType>,
{
    let label = FONT.into_font().color(&INK);
    mesh.disable_x_mesh().axis_style(INK).light_line_style(TRANSPARENT).bold_line_style(INK.mix(0.2)).label_style(label)
}

fn drawn(draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>) -> Drawn) -> String {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        draw(&area).expect("drawing into memory does not fail");
        area.present().expect("drawing into memory does not fail");
    }
    // The page decides how wide it is.
    svg.replacen(&format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1), "width=\"100%\"", 1)
}

/// A scale of days from 0 up to so many, each drawn where its logarithm is: most wait for hours, some for years.
struct Days(f64);

impl Ranged for Days {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, days: &f64, (from, to): (i32, i32)) -> i32 {
        let share = days.max(0.0).ln_1p() / self.0.ln_1p();
        from + (f64::from(to - from) * share).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        DAY_TICKS.into_iter().filter(|days| *days <= self.0).collect()
    }

    fn range(&self) -> Range<f64> {
        0.0..self.0
    }
}

impl ValueFormatter<f64> for Days {
    fn format_ext(&self, days: &f64) -> String {
        format!("{days:.0}")
    }
}

fn days_of(at: Timestamp) -> f64 {
    at.timestamp_millis() as f64 / 86_400_000.0
}

fn date_at(days: f64) -> String {
    let at = Timestamp::from_timestamp_millis((days * 86_400_000.0) as i64);
    at.map_or_else(String::new, |at| at.format("%Y-%m").to_string())
}

fn longest<'r>(picks: impl Iterator<Item = &'r PickRow>) -> f64 {
    picks.map(|pick| pick.waited_days).fold(1.0, f64::max)
}

/// The corners of a line that rises with every issue picked.
fn steps(outcome: &Outcome) -> Vec<(f64, f64)> {
    let mut waits: Vec<f64> = outcome.picks.iter().map(|pick| pick.waited_days).collect();
    waits.sort_by(f64::total_cmp);
    let count = waits.len().max(1) as f64;
    let step = |(row, days): (usize, f64)| [(days, row as f64 / count), (days, (row + 1) as f64 / count)];
    waits.into_iter().enumerate().flat_map(step).collect()
}

fn years_of(report: &Report) -> Vec<i32> {
    (report.history.from.year()..=report.history.to.year()).collect()
}

fn overlap_in(outcome: &Outcome, year: i32) -> f64 {
    let picks: Vec<&PickRow> = outcome.picks.iter().filter(|pick| pick.at.year() == year).collect();
    let overlapping = picks.iter().filter(|pick| pick.overlaps).count();
    if picks.is_empty() { 0.0 } else { overlapping as f64 / picks.len() as f64 }
}
