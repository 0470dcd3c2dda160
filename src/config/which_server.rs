//! Whether a configuration that is wrong still says which server it is of. A default in the place of what could not
//! be read leads to another server, and whoever asks that one changes other people's claims.

use std::path::Path;

use super::StoreConfig;
use super::document::Document;
use super::keys;
use super::report::Problem;
use super::variables::Variable;

/// Where the database is: that says which server is meant, for each has its own.
const STORE: &str = "store.path";
/// What says which server is meant, and the sections that must be tables for that.
const DECISIVE: [&str; 4] = ["store", STORE, "server", "server.socket"];

/// Whether this problem leaves it open. `store_path` is what could be made of the file; variables, of which those in
/// `applied` fitted, are above it.
pub(super) fn leaves_open(
    problem: &Problem,
    document: &Document,
    store_path: &Path,
    applied: &[&'static Variable],
) -> bool {
    if applied.iter().any(|variable| variable.key == STORE) {
        return false;
    }
    let key = problem.key.as_str();
    match key {
        // The document is no TOML, or the `.env` file, in which the variable may be, cannot be read.
        "" if problem.file == document.label() => !says_store_whole(document.text(), store_path),
        "" => true,
        _ if DECISIVE.contains(&key) => true,
        _ if Variable::named(key).is_some_and(|variable| DECISIVE.contains(&variable.key)) => true,
        // A slip in the name of the section or the key.
        _ => document.line_of(STORE).is_none() && is_unknown(key),
    }
}

/// Whether this is no section, or nothing that belongs into the section of the store.
fn is_unknown(key: &str) -> bool {
    match key.split_once('.') {
        None => keys::SHAPE.get(key).is_none() && Variable::named(key).is_none(),
        Some(("store", name)) => keys::SHAPE["store"].get(name).is_none(),
        Some(_) => false,
    }
}

/// Whether a text that is no TOML says all that it says of the store in one section in which nothing is wrong, and
/// this is what was made of it; or says nothing of it.
fn says_store_whole(text: &str, store_path: &Path) -> bool {
    let is_of_store = |line: &&str| line.trim_start_matches(['[', '"', '\'', ' ', '\t']).starts_with("store");
    let default = StoreConfig::default().path;
    match text.lines().filter(is_of_store).count() {
        0 => return store_path == default,
        1 => {}
        _ => return false,
    }
    let mut lines = text.lines().skip_while(|line| !is_of_store(line));
    let head = lines.next().unwrap_or_default();
    let rest = lines.take_while(|line| !line.trim_start().starts_with('['));
    let section: String = [head].into_iter().chain(rest).map(|line| format!("{line}\n")).collect();
    let Ok(read) = section.parse::<toml::Table>() else { return false };
    let Some(store) = read.get("store").and_then(toml::Value::as_table) else { return false };
    let is_known = store.keys().all(|name| keys::SHAPE["store"].get(name).is_some());
    let path = store.get("path").map(|path| path.as_str().unwrap_or_default());
    is_known && path.map_or(default.as_path(), Path::new) == store_path
}
