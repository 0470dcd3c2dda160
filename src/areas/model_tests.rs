use proptest::prelude::*;

use super::*;

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn learn(model: &mut AreaModel, title: &str, labels: &[&str], files: &[&str]) {
    let (labels, files) = (owned(labels), owned(files));
    model.learn(&PastWork { title, body: "", labels: &labels, files: &files });
}

fn predicted(model: &AreaModel, title: &str, body: &str, labels: &[&str]) -> Vec<String> {
    model.predict(title, body, labels).iter().map(ToString::to_string).collect()
}

#[test]
fn an_untaught_model_knows_the_text_the_map_and_the_title() {
    let labels = LabelAreas::from([("GUI".to_owned(), owned(&["src/qt/"]))]);
    let model = AreaModel::new(&labels);
    let areas = predicted(&model, "wallet: crash", "see src/wallet/db.cpp:3", &["gui ", "bug"]);
    assert_eq!(areas, ["src/wallet/db.cpp", "src/qt/", "word:wallet"]);
}

#[test]
fn the_beginning_of_a_title_points_where_such_work_went() {
    let mut model = AreaModel::default();
    learn(&mut model, "qt: sort peers", &[], &["src/qt/peers.cpp", "src/qt/peers.h"]);
    assert_eq!(predicted(&model, "qt: new dialog", "", &[]), ["word:qt"], "once is no rule");
    learn(&mut model, "qt: wrap tooltips", &[], &["src/qt/intro.cpp"]);
    assert_eq!(predicted(&model, "qt: new dialog", "", &[]), ["src/qt/"]);
}

#[test]
fn a_label_teaches_where_it_points_and_not_when_it_is_on_everything() {
    let mut model = AreaModel::default();
    for n in 0..4 {
        learn(&mut model, &format!("alpha{n}"), &["bug", "Wallet"], &["src/wallet/a.cpp"]);
        learn(&mut model, &format!("beta{n}"), &["bug"], &["src/net/b.cpp"]);
    }
    assert_eq!(predicted(&model, "gamma", "", &["wallet"]), ["src/wallet/"]);
    assert_eq!(predicted(&model, "gamma", "", &["bug"]), Vec::<String>::new());
}

#[test]
fn similar_work_says_where_it_went() {
    let mut model = AreaModel::default();
    learn(&mut model, "Sort the peers table by age", &[], &["src/qt/peers.cpp"]);
    learn(&mut model, "Backup of encrypted wallet fails", &[], &["src/wallet/dump.cpp"]);
    learn(&mut model, "Fuzz the parser of scripts", &[], &["src/test/fuzz/script.cpp"]);
    assert_eq!(predicted(&model, "Peers table loses its sort order", "", &[]), ["src/qt/"]);
    assert_eq!(predicted(&model, "Something else altogether", "", &[]), Vec::<String>::new());
}

#[test]
fn a_file_named_without_its_folder_is_found_where_it_lies() {
    let mut model = AreaModel::default();
    learn(&mut model, "one", &[], &["src/qt/rpcconsole.cpp", "src/a/util.cpp", "src/b/util.cpp"]);
    let areas = predicted(&model, "t", "rpcconsole.cpp and util.cpp", &[]);
    assert_eq!(areas, ["src/qt/rpcconsole.cpp", "util.cpp"]);
}

#[test]
fn without_files_the_paths_in_a_text_stand_in() {
    let mut model = AreaModel::default();
    for title in ["gui: one", "gui: two"] {
        model.learn(&PastWork { title, body: "in src/qt/walletview.cpp", labels: &[], files: &[] });
    }
    assert_eq!(predicted(&model, "gui: three", "", &[]), ["src/qt/"]);
}

#[test]
fn a_label_is_a_word_area_where_titles_begin_with_it() {
    let mut model = AreaModel::default();
    learn(&mut model, "macos: one", &[], &[]);
    learn(&mut model, "macos: two", &[], &[]);
    assert_eq!(predicted(&model, "crash", "", &["macOS", "Bug"]), ["word:macos"]);
}

fn some_work() -> impl Strategy<Value = (String, Vec<String>, Vec<String>)> {
    let label = prop::sample::select(vec!["gui", "wallet", "bug"]).prop_map(str::to_owned);
    let file = "(src|lib)/[a-c]/[a-d]\\.rs";
    ("([a-c]{2}: )?[a-e]{3}( [a-e]{3}){0,3}", prop::collection::vec(label, 0..3), prop::collection::vec(file, 0..4))
}

proptest! {
    #[test]
    fn a_full_model_predicts_as_one_that_never_knew_the_oldest(
        works in prop::collection::vec(some_work(), 1..12),
        asked in some_work(),
    ) {
        let (mut long, mut fresh) = (AreaModel::default(), AreaModel::default());
        for n in 0..WORK_COUNT_MAX {
            long.learn(&PastWork { title: &format!("old{n} aaa"), body: "", labels: &[], files: &["x/old.rs".into()] });
        }
        let filler = |model: &mut AreaModel| {
            for n in 0..WORK_COUNT_MAX - works.len() {
                model.learn(&PastWork { title: &format!("mid{n}"), body: "", labels: &[], files: &[] });
            }
            for (title, labels, files) in &works {
                model.learn(&PastWork { title, body: "", labels, files });
            }
        };
        filler(&mut long);
        filler(&mut fresh);
        prop_assert_eq!(long.work_count(), WORK_COUNT_MAX);
        let (title, labels, _) = &asked;
        let areas = long.predict(title, "", labels);
        prop_assert!(areas.len() <= AREA_COUNT_MAX);
        prop_assert_eq!(areas, fresh.predict(title, "", labels));
    }
}
