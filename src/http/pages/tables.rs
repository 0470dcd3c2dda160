//! What stands around a table that may be wider than its page.

use maud::{Markup, html};

/// A table that is scrolled sideways where it does not fit; by keys too, so it is a place of its own, and has a `name` that
/// no other place of its page has.
pub(super) fn wide(name: &str, table: Markup) -> Markup {
    html! { div .wide role="region" aria-label=(name) tabindex="0" { (table) } }
}
