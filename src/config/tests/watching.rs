//! Every way in which editors and deployments replace a file is noticed, and nothing else.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::super::{ConfigChanges, ConfigWatch, LiveConfig, follow};
use super::Folder;

/// How long a change may take to be noticed before a test fails: far longer than it ever takes.
const DEADLINE: Duration = Duration::from_secs(20);

fn watching(folder: &Folder) -> (ConfigWatch, ConfigChanges) {
    let watch = ConfigWatch::start(vec![folder.file(), folder.path().join(".env")]).unwrap();
    let changes = watch.changes();
    (watch, changes)
}

async fn noticed(changes: &mut ConfigChanges) {
    let change = tokio::time::timeout(DEADLINE, changes.next()).await.expect("the change was not noticed in time");
    change.expect("the watch has ended");
}

/// Waits until the files were looked at again, and says whether anything had changed since `changes`.
async fn looked_and_found_change(changes: &mut ConfigChanges, looks: u64) -> bool {
    let look = changes.pulse.wait_for(|pulse| pulse.looks > looks);
    let pulse = *tokio::time::timeout(DEADLINE, look).await.expect("nobody looked").unwrap();
    pulse.changes > changes.seen
}

#[tokio::test]
async fn a_file_written_in_place_is_noticed() {
    let folder = Folder::with("a");
    let (_watch, mut changes) = watching(&folder);
    fs::write(folder.file(), "b").unwrap();
    noticed(&mut changes).await;
}

#[tokio::test]
async fn a_file_replaced_by_renaming_is_noticed_every_time() {
    let folder = Folder::with("a");
    let (_watch, mut changes) = watching(&folder);
    for text in ["b", "c", "d"] {
        let draft = folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::rename(&draft, folder.file()).unwrap();
        noticed(&mut changes).await;
    }
}

#[tokio::test]
async fn a_file_that_comes_and_goes_is_noticed() {
    let folder = Folder::empty();
    let (_watch, mut changes) = watching(&folder);
    fs::write(folder.file(), "a").unwrap();
    noticed(&mut changes).await;
    fs::remove_file(folder.file()).unwrap();
    noticed(&mut changes).await;
    fs::write(folder.file(), "a").unwrap();
    noticed(&mut changes).await;
    fs::write(folder.path().join(".env"), "A=1").unwrap();
    noticed(&mut changes).await;
}

#[cfg(unix)]
#[tokio::test]
async fn a_link_swapped_as_kubernetes_does_is_noticed_every_time() {
    let folder = Folder::empty();
    let version = |name: &str, text: &str| {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("issuecommand.toml"), text).unwrap();
        std::os::unix::fs::symlink(name, folder.path().join("..data_tmp")).unwrap();
        fs::rename(folder.path().join("..data_tmp"), folder.path().join("..data")).unwrap();
    };
    version("..v1", "a");
    std::os::unix::fs::symlink("..data/issuecommand.toml", folder.file()).unwrap();
    let (_watch, mut changes) = watching(&folder);
    for (name, text) in [("..v2", "b"), ("..v3", "c")] {
        version(name, text);
        noticed(&mut changes).await;
    }
    fs::write(folder.path().join("..v3/issuecommand.toml"), "d").unwrap();
    noticed(&mut changes).await;
}

#[tokio::test]
async fn a_folder_that_takes_anothers_place_is_noticed_and_watched() {
    let folder = Folder::empty();
    let component = folder.path().join("policies/mine.wasm");
    let watch = ConfigWatch::start(vec![component.clone()]).unwrap();
    let mut changes = watch.changes();
    let deploy = |text: &str| {
        let next = folder.path().join("next");
        fs::create_dir(&next).unwrap();
        fs::write(next.join("mine.wasm"), text).unwrap();
        let _ = fs::rename(folder.path().join("policies"), folder.path().join(format!("before-{text}")));
        fs::rename(&next, folder.path().join("policies")).unwrap();
    };
    deploy("a");
    noticed(&mut changes).await;
    deploy("b");
    noticed(&mut changes).await;
    fs::write(&component, "c").unwrap();
    noticed(&mut changes).await;
}

#[tokio::test]
async fn a_file_that_was_only_touched_is_not_a_change() {
    let folder = Folder::with("a");
    let (_watch, mut changes) = watching(&folder);
    let looks = changes.pulse.borrow().looks;
    fs::write(folder.file(), "a").unwrap();
    assert!(!looked_and_found_change(&mut changes, looks).await);
    fs::write(folder.file(), "b").unwrap();
    noticed(&mut changes).await;
}

#[tokio::test]
async fn another_file_in_the_folder_is_not_even_looked_at() {
    let folder = Folder::with("a");
    let (_watch, mut changes) = watching(&folder);
    let looks = changes.pulse.borrow().looks;
    for count in 0..100 {
        fs::write(folder.path().join("issuecommand.db-wal"), count.to_string()).unwrap();
    }
    fs::write(folder.file(), "b").unwrap();
    noticed(&mut changes).await;
    assert_eq!(changes.pulse.borrow().looks, looks + 1);
}

#[tokio::test]
async fn other_files_are_watched_when_policies_move() {
    let folder = Folder::with("a");
    let (watch, mut changes) = watching(&folder);
    let looks = changes.pulse.borrow().looks;
    let component = folder.path().join("mine.wasm");
    fs::write(&component, "a").unwrap();
    watch.watch(vec![folder.file(), component.clone()]).await;
    assert!(!looked_and_found_change(&mut changes, looks).await, "a new file to watch is not a change by itself");
    fs::write(&component, "b").unwrap();
    noticed(&mut changes).await;
    fs::write(folder.file(), "b").unwrap();
    noticed(&mut changes).await;
}

#[tokio::test]
async fn the_end_of_the_watch_is_told() {
    let folder = Folder::with("a");
    let (watch, mut changes) = watching(&folder);
    drop(watch);
    assert_eq!(tokio::time::timeout(DEADLINE, changes.next()).await, Ok(None));
}

/// The way of a real edit, half-written in between.
#[tokio::test]
async fn a_half_written_file_is_refused_and_its_other_half_taken() {
    let folder = Folder::with("[sync]\ninterval_minutes = 1\n");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    let (_watch, mut changes) = watching(&folder);
    write_in_place(&folder.file(), "[sync]\ninterval_minutes = ");
    noticed(&mut changes).await;
    live.reload(&folder.source(&[])).unwrap_err();
    assert_eq!(live.current().sync.interval_minutes, 1);
    write_in_place(&folder.file(), "[sync]\ninterval_minutes = 2\n");
    noticed(&mut changes).await;
    live.reload(&folder.source(&[])).unwrap();
    assert_eq!(live.current().sync.interval_minutes, 2);
}

fn write_in_place(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().write(true).truncate(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

#[tokio::test]
async fn following_takes_over_changes_and_watches_the_policies_they_name() {
    let folder = Folder::with("");
    let loaded = folder.load(&[]).unwrap();
    let live = LiveConfig::new(&loaded);
    // Changed after it was loaded and before anyone watches: the first word tells.
    fs::write(folder.file(), "[sync]\ninterval_minutes = 2\n").unwrap();
    let watch = ConfigWatch::start(loaded.watched_files()).unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let following = follow(live.clone(), folder.source(&[]), watch, move |outcome| {
        tell.send(outcome.map(|reloaded| reloaded.changed).map_err(|report| report.problems.len())).unwrap();
    });
    let edits = async {
        let mut next = async || tokio::time::timeout(DEADLINE, told.recv()).await.expect("no word in time").unwrap();
        assert_eq!(next().await, Ok(true));
        fs::write(folder.file(), "[policies.ranker]\nsource = \"mine.wasm\"\n").unwrap();
        assert_eq!(next().await, Ok(true));
        fs::write(folder.path().join("mine.wasm"), "component").unwrap();
        assert_eq!(next().await, Ok(false), "only the component changed");
        fs::write(folder.file(), "[policies.ranker]\nsauce = \"mine.wasm\"\n").unwrap();
        assert_eq!(next().await, Err(1));
        assert_eq!(live.current().policies.ranker.source, "mine.wasm");
    };
    tokio::select! {
        () = following => panic!("the watch has ended"),
        () = edits => {}
    }
}
