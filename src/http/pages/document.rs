//! What stands around every page: the way to the others, who looks, and whether the page is up to date.

use maud::{DOCTYPE, Markup, html};

use super::assets::{LIVE_SCRIPT, MARK, STYLE};
use crate::domain::EventKind;

/// The pages there are, in the order of the way to them.
const PLACES: [(&str, &str); 10] = [
    ("/", "Board"),
    ("/queue", "Queue"),
    ("/agents", "Agents"),
    ("/claims", "Claims"),
    ("/runs", "Runs"),
    ("/decisions", "Decisions"),
    ("/policies", "Policies"),
    ("/playground", "Playground"),
    ("/replays", "Replays"),
    ("/health", "Health"),
];

/// Of which page it is, and for whom.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) path: &'a str,
    pub(super) who: &'a str,
    pub(super) has_session: bool,
    /// Whether it stays as it is: it answers something that was typed.
    pub(super) is_still: bool,
}

/// The whole page around `body`. At these events of the stream the script fetches it again.
pub(super) fn whole(frame: &Frame<'_>, body: &Markup) -> Markup {
    let kinds = EventKind::ALL.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" ");
    let is_here = |place: &str| frame.path == place || (place != "/" && frame.path.starts_with(&format!("{place}/")));
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(frame.title, html! { @if !frame.is_still { script type="module" src=(LIVE_SCRIPT.address()) {} } }))
            body data-kinds=(kinds) {
                a .skip href="#main" { "Skip to the content" }
                header {
                    a .brand href="/" { "IssueCommand" }
                    nav aria-label="Pages" {
                        @for (place, name) in PLACES {
                            a href=(place) aria-current=[is_here(place).then_some("page")] { (name) }
                        }
                    }
                    div .who {
                        span #live role="status" {}
                        span title="Whose credential this page is shown to" { (frame.who) }
                        @if frame.has_session { form method="post" action="/logout" { button { "Log out" } } }
                    }
                }
                main #main tabindex="-1" { (body) }
            }
        }
    }
}

/// A page for somebody who is not in: without the way to the others, and without the script.
pub(super) fn alone(title: &str, body: &Markup) -> Markup {
    html! { (DOCTYPE) html lang="en" { (head(title, html! {})) body { main #main .alone { (body) } } } }
}

fn head(title: &str, script: Markup) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title) " · IssueCommand" }
            link rel="icon" type="image/svg+xml" href=(MARK.address());
            link rel="stylesheet" href=(STYLE.address());
            (script)
        }
    }
}

/// Why there is nothing to show.
pub(super) fn trouble(why: &str) -> Markup {
    html! { h1 { "Not shown" } p .why { (why) } }
}
