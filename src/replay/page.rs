//! A report as one page of HTML that needs nothing else: no script, no font, no image.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::report::{Changed, NamedWaits, Outcome, Report, Waits};
use super::table::{days, percent};

/// Rows of a list that the page shows.
const LISTED_COUNT: usize = 25;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2430; --soft: #667085; --line: #d9dee7; --back: #fbfcfe; --card: #fff; --bad: #c2341d; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ef; --soft: #98a2b3; --line: #323a47; --back: #14181f; --card: #1b212b; --bad: #ff8a73; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.25rem 4rem; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .5rem; }
p, figcaption { color: var(--soft); margin: .25rem 0 .75rem; }
figure { margin: 0; padding: .5rem; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; margin: 1.25rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .75rem 1rem; }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; } .card span { color: var(--soft); }
.a { color: #2e7ed8; } .b { color: #e4832a; } .bad { color: var(--bad); }
.scroll { overflow-x: auto; margin-top: .75rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .text { text-align: left; } td.text { white-space: normal; min-width: 12rem; }
th { color: var(--soft); font-weight: 500; } code { font-size: .9em; overflow-wrap: anywhere; }
";

/// One self-contained page. What comes from GitHub or from a policy is text in it, never markup.
pub fn page(report: &Report) -> String {
    let history = &report.history;
    let title = format!("Replay of {}", history.repos.join(", "));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(report, &title))
                (cards(report))
                h2 { "Waiting" }
                figure {
                    (PreEscaped(charts::waiting(report)))
                    figcaption { "Share of the picked issues that waited no longer. The further up and left, the better." }
                }
                (waiting(report))
                h2 { "Every pick" }
                figure {
                    (PreEscaped(charts::picks(report)))
                    figcaption { "A row of dots that climbs is a backlog; dots on the floor were picked as they came in." }
                }
                h2 { "Starvation" }
                @for outcome in &report.outcomes { (starved(outcome, report.setting.starved_after_days)) }
                h2 { "Overlap" }
                figure {
                    (PreEscaped(charts::overlap(report)))
                    figcaption { "Share of picks in an area, as predicted then, where another agent held a claim, by year." }
                }
                @for outcome in &report.outcomes { (skipped(outcome)) }
                @if let Some(changed) = &report.changed { (differing(changed)) }
            }
        }
    };
    page.into_string()
}

fn head(report: &Report, title: &str) -> Markup {
    let (history, setting) = (&report.history, &report.setting);
    html! {
        h1 { (title) }
        p {
            (history.issues) " issues and " (history.pulls) " pull requests, " (history.from.format("%Y-%m-%d")) " to "
            (history.to.format("%Y-%m-%d")) "; " (setting.agents) " agents, seed " (setting.seed) ", speed " (setting.speed)
            ". Work takes " (history.work_hours_p50) " h at the median, a review " (history.review_hours_p50) " h."
        }
        @for (letter, outcome) in ["A", "B"].iter().zip(&report.outcomes) {
            div {
                b class=(letter.to_lowercase()) { (letter) } "  " (outcome.name) " "
                code { (outcome.ranker.digest.get(..12).unwrap_or_default()) }
                ", settings " code { (outcome.ranker.settings_digest.get(..12).unwrap_or_default()) }
            }
        }
    }
}

fn cards(report: &Report) -> Markup {
    let card = |value: &dyn Fn(&Outcome) -> String, what: &str| {
        html! {
            div.card {
                @for (class, outcome) in ["a", "b"].iter().zip(&report.outcomes) { b class=(class) { (value(outcome)) } }
                span { (what) }
            }
        }
    };
    html! {
        div.cards {
            (card(&|o| o.picked.to_string(), "issues picked"))
            (card(&|o| format!("{} d", days(o.waiting.p50_days)), "waiting, half"))
            (card(&|o| format!("{} d", days(o.waiting.p95_days)), "waiting, 95 in 100"))
            (card(&|o| format!("{} d", days(o.waiting.max_days)), "waiting, longest"))
            (card(&|o| o.starved.len().to_string(), "issues starved"))
            (card(&|o| overtaken_days(o), "overtaken by at most so much younger"))
            (card(&|o| percent(o.overlap.share), "picks that overlap"))
            (card(&|o| percent(o.busy_share), "agents at work"))
        }
    }
}

fn waiting(report: &Report) -> Markup {
    let row = |class: &str, name: &str, waits: &Waits| {
        html! {
            tr {
                td { b class=(class) { (class.to_uppercase()) } " " (name) }
                td { (waits.picked) } td { (waits.still_waiting) } td { (days(waits.p50_days)) }
                td { (days(waits.p95_days)) } td { (days(waits.max_days)) }
            }
        }
    };
    let groups: [fn(&Outcome) -> &Vec<NamedWaits>; 3] = [|o| &o.by_priority, |o| &o.by_label, |o| &o.by_year];
    html! {
        div.scroll { table {
            tr { th { "Days" } th { "picked" } th { "still waiting" } th { "half" } th { "95 in 100" } th { "longest" } }
            @for (class, outcome) in ["a", "b"].iter().zip(&report.outcomes) { (row(class, "all", &outcome.waiting)) }
            @for group in groups.into_iter().filter(|group| says_more(group, &report.outcomes)) {
                @for named in report.outcomes.first().map(group).into_iter().flatten() {
                    @for (class, outcome) in ["a", "b"].iter().zip(&report.outcomes) {
                        @if let Some(found) = group(outcome).iter().find(|other| other.name == named.name) {
                            (row(class, &found.name, &found.waits))
                        }
                    }
                }
            }
        } }
    }
}

/// Whether there is more than one group: a single one, such as that of no priority, holds all.
fn says_more(group: &fn(&Outcome) -> &Vec<NamedWaits>, outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| group(outcome).len() > 1)
}

fn overtaken_days(outcome: &Outcome) -> String {
    outcome.furthest_overtaken.as_ref().map_or_else(|| "-".to_owned(), |it| format!("{} d", days(it.younger_days)))
}

fn starved(outcome: &Outcome, after_days: f64) -> Markup {
    let has_withheld = outcome.starved.iter().any(|starved| starved.withheld > 0);
    let has_reasons = outcome.starved.iter().any(|starved| starved.skipped.is_some());
    html! {
        @if let Some(furthest) = &outcome.furthest_overtaken {
            p {
                "Under " (outcome.name) " issues were overtaken by others that were opened at most "
                (days(furthest.younger_days)) " days later: " (furthest.issue) " by " (furthest.by) "."
            }
        }
        @if outcome.starved.is_empty() {
            p {
                "Under " (outcome.name) " nothing starved: no issue waited more than " (days(after_days))
                " days unpicked while others that were opened later were picked, or agents asked and got nothing. One issue was overtaken by "
                (outcome.overtaken_max) " at most."
            }
        } @else {
            p { b.bad { (outcome.starved.len()) " issues starved" } " under " (outcome.name) ":" }
            div.scroll { table {
                tr { th { "Issue" } th.text { "title" } th { "days" } th { "overtaken by" } @if has_withheld { th { "asks that got nothing" } } @if has_reasons { th.text { "skipped" } } }
                @for starved in outcome.starved.iter().take(LISTED_COUNT) {
                    tr {
                        td { (starved.issue) } td.text { (starved.title) } td { (days(starved.days)) }
                        td { (starved.overtaken) }
                        @if has_withheld { td { (starved.withheld) } }
                        @if has_reasons { td.text { (starved.skipped.as_deref().unwrap_or_default()) } }
                    }
                }
            } }
            (more(outcome.starved.len()))
        }
    }
}

fn skipped(outcome: &Outcome) -> Markup {
    html! {
        @if !outcome.skipped.is_empty() {
            h2 { "Not given out under " (outcome.name) }
            div.scroll { table {
                tr { th { "Reason" } th { "issues" } th { "never picked" } }
                @for skipped in outcome.skipped.iter().take(LISTED_COUNT) {
                    tr { td.text { (skipped.reason) } td { (skipped.issues) } td { (skipped.never_picked) } }
                }
            } }
            (more(outcome.skipped.len()))
        }
    }
}

fn differing(changed: &Changed) -> Markup {
    html! {
        h2 { "Changed picks" }
        p {
            "From the same state B would have picked another issue in " (changed.differing) " of " (changed.picks)
            " (" (percent(changed.share)) "). " (changed.picked_by_one_only) " issues were picked in one of the two replays only."
        }
        div.scroll { table {
            tr { th { "When" } th { "A picked" } th.text { "why" } th { "B would have" } th.text { "why" } }
            @for pick in changed.first.iter().take(LISTED_COUNT) {
                tr {
                    td { (pick.at.format("%Y-%m-%d")) }
                    td { (pick.picked) } td.text { (pick.why) }
                    td { (pick.other.as_deref().unwrap_or("nothing")) } td.text { (pick.why_other) }
                }
            }
        } }
        (more(changed.differing))
    }
}

fn more(count: usize) -> Markup {
    html! {
        @if count > LISTED_COUNT { p { "and " (count - LISTED_COUNT) " more, which " code { "--json" } " has" } }
    }
}
