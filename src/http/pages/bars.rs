//! Scores as bars: each term of a score a piece of its bar, what is taken away to the left of zero.

use maud::{Markup, html};

use super::drawing::{at, key};
use crate::claims::{Rival, points};
use crate::domain::Reason;

/// Sizes in units of the drawing; it grows with the page.
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 18.0;
/// Pieces of a bar have as many colours; further rules share the last.
const COLOUR_COUNT: usize = 8;

/// One bar.
pub(super) struct Bar<'a> {
    /// What it is of.
    pub(super) name: String,
    pub(super) score: f64,
    pub(super) reasons: &'a [Reason],
}

impl<'a> Bar<'a> {
    /// The bar of an issue on offer.
    pub(super) fn of(rival: &'a Rival) -> Self {
        Self { name: format!("{}#{}", rival.repo, rival.number), score: rival.score, reasons: &rival.reasons }
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
        Self { rules: rules(bars), scale: Scale::over(bars) }
    }

    /// What the colours stand for.
    pub(super) fn legend(&self) -> Markup {
        html! {
            @if self.scale.is_some() {
                p .legend { @for (index, rule) in self.rules.iter().enumerate() { (key(&colour(index), rule)) } }
            }
        }
    }

    /// What bars without colours stand for, where the terms of their scores are `missing`.
    pub(super) fn legend_without_terms(missing: &str) -> Markup {
        html! {
            p .legend .soft {
                span .key { svg viewBox="0 0 10 10" aria-hidden="true" { rect .plain width="10" height="10" rx="2" {} } (missing) }
            }
        }
    }

    /// One bar; its terms in words for who does not see it.
    pub(super) fn drawn(&self, bar: &Bar<'_>) -> Markup {
        let Some(scale) = &self.scale else { return html! {} };
        let term = |it: &Reason| format!("{} {} {}", it.rule, points(it.amount), it.text).trim_end().to_owned();
        let terms: Vec<_> = bar.reasons.iter().map(term).collect();
        let told = if terms.is_empty() { format!("score {}", points(bar.score)) } else { terms.join(", ") };
        let zero = at(scale.x(0.0));
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(told) preserveAspectRatio="none" {
                (pieces(bar, scale, &self.rules))
                line .zero x1=(zero) x2=(zero) y1="0" y2=(at(HEIGHT)) {}
            }
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
}

impl Scale {
    /// A scale on which all bars fit; none where each is nothing.
    fn over(bars: &[Bar<'_>]) -> Option<Self> {
        let reaches = bars.iter().map(reach);
        let (low, high) = reaches.fold((0.0_f64, 0.0_f64), |(low, high), (l, h)| (low.min(l), high.max(h)));
        (high - low > 0.0).then(|| Self { low, per_unit: WIDTH / (high - low) })
    }

    fn x(&self, value: f64) -> f64 {
        (value - self.low) * self.per_unit
    }
}

/// The pieces of a bar, one a term; a score without terms is one piece.
fn pieces(bar: &Bar<'_>, scale: &Scale, rules: &[&str]) -> Markup {
    html! {
        @if bar.reasons.is_empty() {
            (piece(0.0, bar.score, scale, "plain", &format!("score {}", points(bar.score))))
        }
        @for (from, reason) in starts(bar.reasons).into_iter().zip(bar.reasons) {
            @let index = rules.iter().position(|rule| *rule == reason.rule).unwrap_or_default();
            @let sign = if reason.amount < 0.0 { "" } else { "+" };
            @let title = format!("{} {sign}{} {}", reason.rule, points(reason.amount), reason.text);
            (piece(from, from + reason.amount, scale, &colour(index), &title))
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
fn piece(from: f64, to: f64, scale: &Scale, class: &str, title: &str) -> Markup {
    let (left, right) = (scale.x(from.min(to)), scale.x(from.max(to)));
    html! {
        rect class=(class) x=(at(left)) y="0" width=(at((right - left).max(1.0))) height=(at(HEIGHT)) rx="2" {
            title { (title.trim()) }
        }
    }
}

/// The class with the colour of the rule at this place.
fn colour(index: usize) -> String {
    format!("c{}", index.min(COLOUR_COUNT - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(rule: &str, amount: f64, text: &str) -> Reason {
        Reason { rule: rule.into(), amount, text: text.into() }
    }

    /// One bar, alone in its table, with the legend before it.
    fn drawn(score: f64, reasons: &[Reason]) -> String {
        let bars = [Bar { name: "acme/small#1".into(), score, reasons }];
        let rows = Rows::of(&bars);
        html! { (rows.legend()) (rows.drawn(&bars[0])) }.into_string()
    }

    #[test]
    fn the_pieces_of_a_bar_stand_side_by_side_on_both_sides_of_zero_and_are_told_in_words() {
        let reasons = [reason("tier", 6.0, "p0"), reason("label", -2.0, "wip"), reason("aging", 2.0, "")];
        let drawn = drawn(6.0, &reasons);
        // From -2 to 8: 56 units a point.
        for piece in [
            r#"class="c0" x="112.00" y="0" width="336.00""#,
            r#"class="c1" x="0.00" y="0" width="112.00""#,
            r#"class="c2" x="448.00" y="0" width="112.00""#,
            r#"role="img" aria-label="tier 6 p0, label -2 wip, aging 2""#,
        ] {
            assert!(drawn.contains(piece), "{piece}: {drawn}");
        }
        assert_eq!(drawn.matches("<rect").count(), 3 + 3, "pieces and keys");
    }

    #[test]
    fn what_policies_and_people_write_is_text() {
        let drawn = drawn(1.0, &[reason("<script>", 1.0, "\"><img src=x>")]);
        assert!(!drawn.contains("<script") && !drawn.contains("<img"), "{drawn}");
        assert!(drawn.contains("&lt;script&gt;"), "{drawn}");
    }

    #[test]
    fn scores_that_are_all_zero_have_no_bars() {
        assert_eq!(drawn(0.0, &[]), "");
        let below = drawn(-3.0, &[]);
        assert!(below.contains(r#"class="plain" x="0.00""#) && below.contains(r#"aria-label="score -3""#), "{below}");
    }
}
