//! The page of one set of policies that was in force: what its ranker was told, and the way back to it.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Value, json};

use super::policies::{component, settings_of};
use super::ruling::{self, Offer};
use super::tables::wide;
use super::visit::Visit;
use super::words::{minute, stamp};
use crate::api::Call;
use crate::config::PolicyConfig;
use crate::store::PolicySetKept;

/// One set.
pub(super) async fn show(visit: Visit, Path(set_id): Path<u64>) -> Response {
    let sets: Vec<PolicySetKept> = match visit.found(Call::PolicyHistory, json!({}), "sets").await {
        Ok(sets) => sets,
        Err(trouble) => return *trouble,
    };
    let Some(set) = sets.iter().find(|set| set.set_id == set_id) else {
        return visit.refused(404, &format!("There is no set {set_id} in the history: only the last ones are kept."));
    };
    let present = sets.first().map(|newest| &newest.record.ranker_stamp);
    let is_present = present.is_some_and(|present| {
        let then = &set.record.ranker_stamp;
        (&present.digest, &present.settings_digest) == (&then.digest, &then.settings_digest)
    });
    visit.page(&format!("Set {set_id}"), &page(set, is_present, &Offer::to(&visit).await))
}

fn page(set: &PolicySetKept, is_present: bool, offer: &Offer) -> Markup {
    let PolicySetKept { set_id, at, why, by, record } = set;
    html! {
        h1 { "Set " (set_id) ": " (record.ranker_stamp.source) }
        p .soft { "Of " (minute(*at)) ": " (why) @if let Some(by) = by { ", by " (by) } " · " a href="/policies" { "all policies" } }
        h2 { "Its ranker" }
        (wide("Its ranker", html! { table {
            thead { tr { th { "What" } th { "Component" } th { "Settings" } } }
            tbody { @for (nth, (policy, part)) in record.ranker.parts().zip(&record.parts).enumerate() {
                tr {
                    td { @if nth == 0 { "base" } @else { "stage " (policy.stem()) } }
                    td { (component(part)) }
                    td .settings { (told(policy)) }
                }
            } }
        } }))
        @if let Some(candidate) = &record.candidate { p .soft { "On trial beside it: " (stamp(candidate)) } }
        @match &offer.seen {
            _ if is_present => p .why { "This ranker is in force now." },
            None => (offer.note()),
            Some(seen) => {
                section data-key="acts" {
                    h2 { "Put it back" }
                    (offer.note())
                    p .soft {
                        "The ranker of issuecommand.toml becomes this one; comments and all else stay. A component whose file is "
                        "another now comes out of the history. If its promotion was what ended the trial of the present ranker, that "
                        "trial goes on."
                    }
                    div .acts {
                        (ruling::form(&format!("/policies/sets/{set_id}/roll-back"), seen, html! { button { "Roll back to this one" } }))
                    }
                }
            }
        }
    }
}

fn told(policy: &PolicyConfig) -> Markup {
    settings_of(&Value::Object(policy.settings.clone()))
}
