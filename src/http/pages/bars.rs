//! Scores as bars: each term of a score a piece of its bar, what is taken away to the left of zero.

use maud::{Markup, html};

use crate::claims::{Rival, points};
use crate::domain::Reason;

/// Widths in units of the drawing; it grows with the page.
const NAME_WIDTH: f64 = 210.0;
const BARS_WIDTH: f64 = 560.0;
const SCORE_WIDTH: f64 = 90.0;
const ROW_HEIGHT: f64 = 30.0;
const BAR_HEIGHT: f64 = 18.0;
/// Pieces of a bar have as many colours; further rules share the last.
const COLOUR_COUNT: usize = 8;
/// Longest name before a bar, in characters.
const NAME_CHARACTER_COUNT: usize = 30;

/// One bar.
pub(super) struct Bar<'a> {
    /// What stands before it.
    pub(super) name: String,
    pub(super) score: f64,
    pub(super) reasons: &'a [Reason],
    /// Whether it is the one that the page is about.
    pub(super) is_marked: bool,
}

impl<'a> Bar<'a> {
    /// The bar of an issue on offer.
    pub(super) fn of(rival: &'a Rival) -> Self {
        let name = format!("{}#{}", rival.repo, rival.number);
        Self { name, score: rival.score, reasons: &rival.reasons, is_marked: false }
    }
}

/// A drawing of `bars`, with a legend of the rules; nothing where there is nothing to draw.
pub(super) fn chart(bars: &[Bar<'_>]) -> Markup {
    let rules = rules(bars);
    let Some(scale) = Scale::over(bars, NAME_WIDTH) else { return html! {} };
    let (width, height) = (NAME_WIDTH + BARS_WIDTH + SCORE_WIDTH, ROW_HEIGHT * bars.len() as f64 + 8.0);
    html! {
        figure {
            svg viewBox=(format!("0 0 {width} {height}")) role="img" aria-label="Scores, by the terms they add up from" {
                @for (row, bar) in bars.iter().enumerate() {
                    (drawn(bar, ROW_HEIGHT * row as f64, &scale, &rules))
                }
                line .zero x1=(at(scale.x(0.0))) x2=(at(scale.x(0.0))) y1="0" y2=(at(height)) {}
            }
            figcaption { (keys(&rules)) }
        }
    }
}

/// Bars that stand each in a row of a table, all on one scale.
pub(super) struct Rows<'a> {
    rules: Vec<&'a str>,
    /// None where there is nothing to draw.
    scale: Option<Scale>,
}

impl<'a> Rows<'a> {
    pub(super) fn of(bars: &[Bar<'a>]) -> Self {
        Self { rules: rules(bars), scale: Scale::over(bars, 0.0) }
    }

    /// What the colours stand for.
    pub(super) fn legend(&self) -> Markup {
        html! { @if self.scale.is_some() { p .legend { (keys(&self.rules)) } } }
    }

    /// One bar; its terms in words for who does not see it.
    pub(super) fn drawn(&self, bar: &Bar<'_>) -> Markup {
        let Some(scale) = &self.scale else { return html! {} };
        let terms: Vec<_> =
            bar.reasons.iter().map(|it| format!("{} {} {}", it.rule, points(it.amount), it.text)).collect();
        let told = if terms.is_empty() { format!("score {}", points(bar.score)) } else { terms.join(", ") };
        let zero = at(scale.x(0.0));
        html! {
            svg viewBox=(format!("0 0 {BARS_WIDTH} {BAR_HEIGHT}")) role="img" aria-label=(told) preserveAspectRatio="none" {
                (pieces(bar, "0", scale, &self.rules))
                line .zero x1=(zero) x2=(zero) y1="0" y2=(at(BAR_HEIGHT)) {}
            }
        }
    }
}

/// The rules and their colours.
fn keys(rules: &[&str]) -> Markup {
    html! {
        @for (index, rule) in rules.iter().enumerate() {
            span .key { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(colour(index)) width="10" height="10" rx="2" {} } (rule) }
        }
    }
}

/// Every rule that speaks, in the order of their first word.
fn rules<'a>(bars: &[Bar<'a>]) -> Vec<&'a str> {
    let mut rules = Vec::new();
    for reason in bars.iter().flat_map(|bar| bar.reasons) {
        if !rules.contains(&reason.rule.as_str()) {
            rules.push(reason.rule.as_str());
        }
    }
    rules
}

/// From where to where a bar reaches. A score without terms is one piece.
fn reach(bar: &Bar<'_>) -> (f64, f64) {
    if bar.reasons.is_empty() {
        return (bar.score.min(0.0), bar.score.max(0.0));
    }
    let sum = |sign: fn(f64) -> bool| bar.reasons.iter().map(|reason| reason.amount).filter(|n| sign(*n)).sum::<f64>();
    (sum(|n| n < 0.0), sum(|n| n > 0.0))
}

struct Scale {
    low: f64,
    per_unit: f64,
    /// Where the lowest value stands.
    left: f64,
}

impl Scale {
    /// A scale on which all bars fit; none where each is nothing.
    fn over(bars: &[Bar<'_>], left: f64) -> Option<Self> {
        let reaches = bars.iter().map(reach);
        let (low, high) = reaches.fold((0.0_f64, 0.0_f64), |(low, high), (l, h)| (low.min(l), high.max(h)));
        (high - low > 0.0).then(|| Self { low, per_unit: BARS_WIDTH / (high - low), left })
    }

    fn x(&self, value: f64) -> f64 {
        self.left + (value - self.low) * self.per_unit
    }
}

fn drawn(bar: &Bar<'_>, y: f64, scale: &Scale, rules: &[&str]) -> Markup {
    let (text_y, bar_y) = (at(y + 20.0), at(y + 6.0));
    html! {
        g .marked[bar.is_marked] {
            text x=(at(NAME_WIDTH - 10.0)) y=(text_y) text-anchor="end" { (shortened(&bar.name)) }
            (pieces(bar, &bar_y, scale, rules))
            text .score x=(at(NAME_WIDTH + BARS_WIDTH + 10.0)) y=(text_y) { (points(bar.score)) }
        }
    }
}

/// The pieces of a bar, one a term; a score without terms is one piece.
fn pieces(bar: &Bar<'_>, y: &str, scale: &Scale, rules: &[&str]) -> Markup {
    html! {
        @if bar.reasons.is_empty() {
            (piece(0.0, bar.score, y, scale, "plain", &format!("score {}", points(bar.score))))
        }
        @for (from, reason) in starts(bar.reasons).into_iter().zip(bar.reasons) {
            @let index = rules.iter().position(|rule| *rule == reason.rule).unwrap_or_default();
            @let sign = if reason.amount < 0.0 { "" } else { "+" };
            @let title = format!("{} {sign}{} {}", reason.rule, points(reason.amount), reason.text);
            (piece(from, from + reason.amount, y, scale, &colour(index), &title))
        }
    }
}

/// Where the piece of each term begins: what adds goes on to the right, what takes away to the left.
fn starts(reasons: &[Reason]) -> Vec<f64> {
    let (mut left, mut right) = (0.0, 0.0);
    let start = |reason: &Reason| {
        let end = if reason.amount < 0.0 { &mut left } else { &mut right };
        let from = *end;
        *end += reason.amount;
        from
    };
    reasons.iter().map(start).collect()
}

/// A piece of a bar between two values, with what it stands for.
fn piece(from: f64, to: f64, y: &str, scale: &Scale, class: &str, title: &str) -> Markup {
    let (left, right) = (scale.x(from.min(to)), scale.x(from.max(to)));
    html! {
        rect class=(class) x=(at(left)) y=(y) width=(at((right - left).max(1.0))) height=(at(BAR_HEIGHT)) rx="2" {
            title { (title.trim()) }
        }
    }
}

/// The class with the colour of the rule at this place.
fn colour(index: usize) -> String {
    format!("c{}", index.min(COLOUR_COUNT - 1))
}

/// A place in the drawing: two decimals are finer than any screen.
fn at(place: f64) -> String {
    format!("{place:.2}")
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_CHARACTER_COUNT {
        return name.to_owned();
    }
    // The number at the end says which issue it is.
    let tail: Vec<char> = name.chars().rev().take(NAME_CHARACTER_COUNT - 1).collect();
    std::iter::once('…').chain(tail.into_iter().rev()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(rule: &str, amount: f64, text: &str) -> Reason {
        Reason { rule: rule.into(), amount, text: text.into() }
    }

    fn bar<'a>(name: &str, score: f64, reasons: &'a [Reason]) -> Bar<'a> {
        Bar { name: name.into(), score, reasons, is_marked: false }
    }

    #[test]
    fn the_pieces_of_a_bar_stand_side_by_side_on_both_sides_of_zero() {
        let reasons = [reason("tier", 6.0, "p0"), reason("label", -2.0, "wip"), reason("aging", 2.0, "")];
        let chart = chart(&[bar("acme/small#1", 6.0, &reasons)]).into_string();
        // From -2 to 8: 56 units a point.
        for piece in [
            r#"class="c0" x="322.00" y="6.00" width="336.00""#,
            r#"class="c1" x="210.00" y="6.00" width="112.00""#,
            r#"class="c2" x="658.00" y="6.00" width="112.00""#,
        ] {
            assert!(chart.contains(piece), "{piece}: {chart}");
        }
        assert_eq!(chart.matches("<rect").count(), 3 + 3, "pieces and keys");
    }

    #[test]
    fn what_policies_and_people_write_is_text() {
        let reasons = [reason("<script>", 1.0, "\"><img src=x>")];
        let chart = chart(&[bar("<b>", 1.0, &reasons)]).into_string();
        assert!(!chart.contains("<script") && !chart.contains("<img") && !chart.contains("<b>"), "{chart}");
        assert!(chart.contains("&lt;script&gt;"), "{chart}");
    }

    #[test]
    fn scores_that_are_all_zero_have_no_bars() {
        assert_eq!(chart(&[bar("a", 0.0, &[])]).into_string(), "");
        assert!(chart(&[bar("a", -3.0, &[])]).into_string().contains(r#"class="plain" x="210.00""#));
    }
}
