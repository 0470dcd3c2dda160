//! Policies built against another state of the WIT package than this server's.

use issuecommand::config::PoliciesConfig;
use issuecommand::policy::PolicySet;
use wit_component::DecodedWasm;

use crate::stage::{config, file_of, later, load, request, rows, shortlist};
use crate::workshop::{self, FROZEN, PLAIN, Variant, WEIGHTS};

/// A set whose ranker is this guest.
fn ranked_by(variant: &Variant) -> PolicySet {
    let mut config: PoliciesConfig = config(&PLAIN);
    config.ranker.source = file_of(variant).display().to_string();
    load(&config).unwrap()
}

/// The functions that a guest's component imports, as `interface.function`.
fn imports(variant: &Variant) -> Vec<String> {
    let DecodedWasm::Component(resolve, _) = wit_component::decode(&workshop::component(variant)).unwrap() else {
        panic!("{} is no component", variant.name)
    };
    let named = resolve.interfaces.iter().filter_map(|(_, interface)| Some((interface.name.as_deref()?, interface)));
    let imported = named.filter(|(name, _)| *name != "ranker");
    imported.flat_map(|(name, it)| it.functions.keys().map(move |function| format!("{name}.{function}"))).collect()
}

#[test]
fn a_ranker_built_before_there_were_further_facts_goes_on_working() {
    let set = ranked_by(&FROZEN);
    let scored = set.ranker.score(rows(3), later()).unwrap();
    let skips: Vec<_> = scored.iter().map(|scored| scored.skip.as_deref()).collect();
    assert_eq!(skips, [Some("nobody spoke of it"), None, None]);
    assert!(scored.iter().all(|scored| scored.value == 5.0), "{scored:?}");
    let mut list = shortlist(3);
    list[1].repo_claim_count = 9;
    let choice = set.ranker.choose(&request(), &list, later()).unwrap();
    assert_eq!((choice.order, choice.skipped), (vec![2, 0], vec![(1, "enough".to_owned())]));
    let reasons = set.ranker.explain(&list, later()).unwrap();
    assert_eq!((reasons[2][0].rule.as_str(), reasons[2][0].amount), ("reactions", 2.0));
}

#[test]
fn the_frozen_guest_asks_for_nothing_that_came_later_and_for_all_that_was() {
    let imports = imports(&FROZEN);
    for later in ["bodies", "topics", "open-blockers", "approvals", "areas", "reviewers"] {
        assert!(!imports.contains(&format!("candidates.{later}")), "{imports:?}");
    }
    assert_eq!(imports.iter().filter(|import| import.starts_with("candidates.")).count(), 14, "{imports:?}");
    assert_eq!(imports.iter().filter(|import| import.starts_with("request.")).count(), 4, "{imports:?}");
}

#[test]
fn a_ranker_built_with_the_sdk_imports_only_the_facts_it_reads() {
    let mut imports = imports(&WEIGHTS);
    imports.sort_unstable();
    let facts = ["comment-counts", "count", "created-at", "labels", "reaction-counts"];
    let mut expected: Vec<_> = facts.iter().map(|fact| format!("candidates.{fact}")).collect();
    // Only the last words of a panic.
    expected.push("log.write".into());
    assert_eq!(imports, expected, "an older server would not know the others");
    let scored = ranked_by(&WEIGHTS).ranker.score(rows(2), later()).unwrap();
    assert_eq!((scored[0].value, scored[1].value), (5.0, 5.5));
}
