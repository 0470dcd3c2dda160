//! What drawings share.

use maud::{Markup, html};

/// A place in a drawing, as it is written down: two decimals are finer than any screen.
pub(super) fn at(place: f64) -> String {
    format!("{place:.2}")
}

/// What a colour stands for.
pub(super) fn key(class: &str, words: &str) -> Markup {
    html! {
        span .key { svg viewBox="0 0 10 10" aria-hidden="true" { rect class=(class) width="10" height="10" rx="2" {} } (words) }
    }
}
