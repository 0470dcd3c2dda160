//! What is drawn in a terminal: tables, the live view, the first sync of a server.

use std::process::Command;

use serde_json::json;

use super::commands::complaint;
use super::harness::{Home, PATIENCE};
use super::people::{EVIL, home, started};
use super::screen::Screen;

/// Asks the process to end whose number is in a file.
fn end(home: &Home, file: &str) {
    let pid = std::fs::read_to_string(home.path(file)).unwrap();
    assert!(Command::new("kill").args(["-TERM", pid.trim()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_fit_the_terminal_and_have_colours_there_unless_nobody_wants_them() {
    let home = home();
    let server = started(&home).await;
    assert_eq!(server.next("alice").await.0, 200);
    let screen = Screen::run(&home, "$IC claims; $IC issues; echo done", (12, 70));
    let text = screen.wait_until(|text| text.contains("done"));
    assert!(text.contains("  alice  acme/webshop#7  claimed  ") && text.contains('…'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 70), "{text}");
    assert!(text.lines().filter(|line| line.contains('#')).count() == 3, "no row takes two lines: {text}");
    let heads_are_dim = |screen: &Screen| screen.look(|screen| screen.cell(0, 2).is_some_and(vt100::Cell::dim));
    assert!(heads_are_dim(&screen), "{text}");
    let plain = Screen::run(&home, "NO_COLOR=1 $IC claims; echo done", (12, 60));
    plain.wait_until(|text| text.contains("done"));
    assert!(!heads_are_dim(&plain));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_shows_who_works_on_what_live_and_leaves_the_terminal_as_it_was() {
    let home = home();
    let server = started(&home).await;
    let (_, first) = server.next("alice").await;
    let line = "stty -g > before; echo kept; $IC top; echo ended with $?; stty -g > after; read wait";
    let screen = Screen::run(&home, line, (20, 80));
    let text = screen.wait_until(|text| text.contains("alice"));
    assert!(text.contains("IssueCommand  ready, up ") && text.contains("3 open issues, 1 held by 1 agents"), "{text}");
    assert!(text.contains("Crash on an empty cart") && text.contains("q ends") && !text.contains("kept"), "{text}");
    assert!(screen.look(|screen| screen.alternate_screen() && screen.hide_cursor()));

    // What happens meanwhile is shown without a key.
    assert_eq!(server.next("bob").await.0, 200);
    screen.wait_until(|text| text.contains("2 held by 2 agents") && text.contains("bob"));
    let id = first["claim"]["claim_id"].as_str().unwrap();
    let step = json!({ "agent_id": "alice", "status": "in_progress", "note": EVIL });
    assert_eq!(server.send("PATCH", &format!("/api/claims/{id}"), step).await.0, 200);
    let text = screen.wait_until(|text| text.contains("1 in_progress") && text.contains("pwned"));
    assert!(text.contains("Fix ]0;pwned  [2J 31m txt.exe"), "{text}");
    screen.resize(10, 40);
    screen.wait_until(|text| text.contains("q ends") && text.lines().count() <= 10 && text.contains('…'));
    screen.resize(24, 100);
    screen.wait_until(|text| text.lines().count() == 24 && text.contains("Crash on an empty cart"));

    screen.press("q");
    let text = screen.wait_until(|text| text.contains("ended with 0"));
    assert!(text.contains("kept") && !text.contains("alice"), "the screen is as it was: {text}");
    assert!(screen.look(|screen| !screen.alternate_screen() && !screen.hide_cursor()));
    let modes = |name: &str| std::fs::read_to_string(home.path(name)).unwrap_or_default();
    let begun = std::time::Instant::now();
    while modes("after").is_empty() && begun.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(modes("after"), modes("before"));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn top_outlives_its_server_ends_at_any_wish_and_wants_a_terminal() {
    let home = home();
    let server = started(&home).await;
    let screens = ["ctrl-c", "escape", "term"]
        .map(|name| Screen::run(&home, &format!("exec sh -c 'echo $$ > {name}; exec $IC top'"), (16, 80)));
    for screen in &screens {
        screen.wait_until(|text| text.contains("nobody holds anything"));
    }
    server.kill();
    for screen in &screens {
        screen.wait_until(|text| text.contains("no news since ") && text.contains("nobody holds anything"));
    }
    // Another one, at another address.
    let server = started(&home).await;
    assert_eq!(server.next("carol").await.0, 200);
    for screen in &screens {
        screen.wait_until(|text| text.contains("carol") && !text.contains("no news"));
    }
    screens[0].press("\u{3}");
    screens[1].press("\u{1b}");
    end(&home, "term");
    for screen in &screens {
        let is_as_before = |screen: &vt100::Screen| !screen.alternate_screen() && !screen.hide_cursor();
        screen.wait_for(|screen| screen.contents().trim().is_empty() && is_as_before(screen));
    }
    assert!(complaint(&home, &["top"], &[]).contains("this needs a terminal"));
    assert!(server.stop());
    let screen = Screen::run(&home, "$IC top; echo ended with $?", (16, 120));
    let text = screen.wait_until(|text| text.contains("ended with 1"));
    assert!(text.contains("no server runs here"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_on_a_terminal_counts_what_its_first_sync_reads() {
    let home = home();
    std::fs::remove_file(home.path("backlog.jsonl")).unwrap();
    let screen = Screen::run(&home, "sh -c 'echo $$ > pid; exec $IC serve'; echo ended with $?", (30, 160));
    // There is nothing to read yet, so it goes on; the log's lines stand above.
    let counted = "first sync: 0 open issues of 0 repositories so far";
    screen.wait_until(|text| text.contains(counted) && text.contains("listening on"));
    end(&home, "pid");
    let text = screen.wait_until(|text| text.contains("ended with 0"));
    assert!(!text.contains("so far"), "nothing of it is left behind: {text}");
    assert!(text.contains("stopped"), "{text}");
}
