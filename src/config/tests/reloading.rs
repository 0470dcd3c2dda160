//! What a running server takes over, and what it keeps.

use super::super::{ConfigSource, LiveConfig};
use super::Folder;

fn write(folder: &Folder, text: &str) {
    std::fs::write(folder.file(), text).unwrap();
}

#[tokio::test]
async fn a_hot_change_wakes_those_who_wait_and_a_cold_one_waits_for_a_restart() {
    let folder = Folder::with("");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    let mut waiting = live.clone();
    write(&folder, "[server]\nport = 8080\n[sync]\ninterval_minutes = 1\n");
    let reloaded = live.reload(&folder.source(&[])).unwrap();
    assert!(reloaded.changed);
    assert_eq!(reloaded.needs_restart, ["server.port"]);
    assert_eq!(reloaded.loaded.config.server.port, 8080);
    let config = waiting.changed().await;
    assert_eq!((config.sync.interval_minutes, config.server.port), (1, 3100));
    assert_eq!(live.current(), config);
}

#[test]
fn a_change_that_waits_for_a_restart_is_told_at_every_reload_and_wakes_nobody() {
    let folder = Folder::with("");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    let waiting = live.clone();
    write(&folder, "[server]\nport = 8080\n");
    for _ in 0..2 {
        let reloaded = live.reload(&folder.source(&[])).unwrap();
        assert_eq!((reloaded.changed, reloaded.needs_restart), (false, vec!["server.port"]));
    }
    assert!(!waiting.receiver.has_changed().unwrap());
}

#[test]
fn the_last_good_configuration_stays_when_the_file_is_wrong_or_gone() {
    let folder = Folder::with("[sync]\ninterval_minutes = 7\n");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    write(&folder, "[sync]\ninterval_minutes = ");
    live.reload(&folder.source(&[])).unwrap_err();
    assert_eq!(live.current().sync.interval_minutes, 7);
    std::fs::remove_file(folder.file()).unwrap();
    live.reload(&folder.source(&[])).unwrap_err();
    assert_eq!(live.current().sync.interval_minutes, 7);
}

#[test]
fn a_file_that_was_found_without_being_asked_for_must_stay_where_it_was() {
    let folder = Folder::with("[sync]\ninterval_minutes = 7\n");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    std::fs::remove_file(folder.file()).unwrap();
    let report = live.reload(&ConfigSource::default()).unwrap_err();
    assert!(report.to_string().contains("does not exist"), "{report}");
    assert_eq!(live.current().sync.interval_minutes, 7);
}

#[test]
fn a_change_of_dotenv_is_taken_over_too() {
    let folder = Folder::with("");
    let live = LiveConfig::new(&folder.load(&[]).unwrap());
    std::fs::write(folder.path().join(".env"), "CLAIM_TIMEOUT_MINUTES=9\n").unwrap();
    assert!(live.reload(&folder.source(&[])).unwrap().changed);
    assert_eq!(live.current().leases.timeout_minutes, 9);
}
