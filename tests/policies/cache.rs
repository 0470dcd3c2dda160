//! The cache of compiled components: fast when it holds, and never believed when it does not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use issuecommand::policy::{PolicyHost, PolicySet};

use crate::stage::{config, later, rows};
use crate::workshop::{NEWER, PLAIN};

fn load_with(cache: &Path) -> PolicySet {
    let host = PolicyHost::new(Some(cache.to_path_buf())).unwrap();
    host.load(&config(&PLAIN), Path::new("/")).unwrap()
}

fn entries(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn assert_serves(set: &PolicySet) {
    assert_eq!(set.ranker.score(rows(3), later()).unwrap()[2].value, 2.0);
}

/// Compiles into a new cache and returns it with its one entry.
fn filled() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("policies");
    assert_serves(&load_with(&cache));
    let entries = entries(&cache);
    assert_eq!(entries.len(), 1, "{entries:?}");
    (dir, entries[0].clone())
}

#[test]
fn the_cache_is_the_owners_alone() {
    let (_dir, entry) = filled();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(entry.parent().unwrap()), 0o700);
    assert_eq!(mode(&entry), 0o600);
}

#[test]
fn an_entry_that_holds_is_used_as_it_is() {
    let (_dir, entry) = filled();
    let before = fs::metadata(&entry).unwrap().modified().unwrap();
    assert_serves(&load_with(entry.parent().unwrap()));
    assert_eq!(fs::metadata(&entry).unwrap().modified().unwrap(), before);
}

#[test]
fn a_damaged_entry_is_made_anew() {
    let (_dir, entry) = filled();
    let whole = fs::read(&entry).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let damages = [
        flipped(0),
        flipped(40),
        flipped(whole.len() / 2),
        flipped(whole.len() - 1),
        Vec::new(),
        whole[..31].to_vec(),
        whole[..whole.len() / 2].to_vec(),
        [&whole[..], b"more"].concat(),
    ];
    for damaged in damages {
        fs::write(&entry, damaged).unwrap();
        assert_serves(&load_with(entry.parent().unwrap()));
        // Code is laid out the same each time it is compiled.
        assert!(fs::read(&entry).unwrap() == whole, "the entry was not restored");
    }
}

#[test]
fn the_code_of_another_component_is_not_believed() {
    let (_dir, entry) = filled();
    let whole = fs::read(&entry).unwrap();
    let host = PolicyHost::new(Some(entry.parent().unwrap().to_path_buf())).unwrap();
    host.load(&config(&NEWER), Path::new("/")).unwrap();
    let other = entries(entry.parent().unwrap()).into_iter().find(|path| *path != entry).unwrap();
    fs::copy(&other, &entry).unwrap();
    assert_serves(&load_with(entry.parent().unwrap()));
    assert!(fs::read(&entry).unwrap() == whole, "the entry was not restored");
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("policies");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    assert_serves(&load_with(&cache));
    assert!(entries(&cache).is_empty());
}

#[test]
fn a_cache_that_cannot_be_made_is_done_without() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert_serves(&load_with(&file.path().join("policies")));
}
