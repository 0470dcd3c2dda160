//! Logs of runs: lines in order, bounded, and gone with the run.

use issuecommand::domain::{LogKind, LogLine};
use issuecommand::store::RunInserted;

use crate::bed::{Bed, Keep, at};
use crate::runs::run;

fn line(number: u64) -> LogLine {
    LogLine::new(LogKind::Text, &format!("line {number}"), at(number))
}

fn texts(lines: &[LogLine]) -> Vec<(u64, String)> {
    lines.iter().map(|line| (line.seq, line.text.clone())).collect()
}

pub async fn a_log_goes_on_where_it_was_left_and_is_read_in_parts(bed: Bed) {
    let (one, other) = (bed.queued(1).await.run_id, bed.queued(2).await.run_id);
    bed.store.run_log_append(vec![(one, line(1)), (other, line(7)), (one, line(2))], 1 << 20).await.unwrap();
    let bed = bed.reopen(Keep::default()).await;
    bed.store.run_log_append(vec![(one, line(3))], 1 << 20).await.unwrap();
    let named = |range: std::ops::RangeInclusive<u64>| range.map(|n| (n, format!("line {n}"))).collect::<Vec<_>>();
    assert_eq!(texts(&bed.store.run_log_after(one, 0, 100).await.unwrap()), named(1..=3));
    assert_eq!(texts(&bed.store.run_log_after(one, 1, 1).await.unwrap()), named(2..=2));
    assert_eq!(bed.store.run_log_after(one, 3, 100).await.unwrap(), []);
    assert_eq!(texts(&bed.store.run_log_tail(one, 2).await.unwrap()), named(2..=3));
    assert_eq!(texts(&bed.store.run_log_tail(other, 2).await.unwrap()), [(1, "line 7".into())]);
    let kept = &bed.store.run_log_after(one, 2, 1).await.unwrap()[0];
    assert_eq!(*kept, LogLine { seq: 3, ..line(3) });
    // Text that a database would not hold, and more than a line may be.
    let wild = LogLine::new(LogKind::Tool, &format!("\u{1b}[31m\0{}", "\u{e9}".repeat(8192)), at(4));
    bed.store.run_log_append(vec![(one, wild.clone())], 1 << 20).await.unwrap();
    assert_eq!(bed.store.run_log_tail(one, 1).await.unwrap(), [LogLine { seq: 4, ..wild.clone() }]);
    assert!(wild.text.len() <= 8192 && !wild.text.contains('\0'));
}

pub async fn a_log_is_bounded_and_its_newest_lines_stay(bed: Bed) {
    const BYTES_MAX: u64 = 8192;
    let run = bed.queued(1).await.run_id;
    for part in 0..5 {
        let lines = (1..=100).map(|n| (run, LogLine::new(LogKind::Text, &"x".repeat(100), at(part * 100 + n))));
        bed.store.run_log_append(lines.collect(), BYTES_MAX).await.unwrap();
    }
    let kept = bed.store.run_log_after(run, 0, 1000).await.unwrap();
    let bytes: usize = kept.iter().map(|line| serde_json::to_vec(line).unwrap().len()).sum();
    // The line at the bound is there whole.
    assert!(bytes <= BYTES_MAX as usize + 200 && bytes > BYTES_MAX as usize * 9 / 10, "{bytes}");
    assert_eq!(kept.last().unwrap().seq, 500);
    assert!(kept.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    // One line that is longer than all may be stays, alone.
    let long = LogLine::new(LogKind::Text, &"y".repeat(8192), at(600));
    bed.store.run_log_append(vec![(run, long)], BYTES_MAX).await.unwrap();
    assert_eq!(bed.store.run_log_after(run, 0, 1000).await.unwrap().len(), 1);
}

pub async fn logs_go_with_the_runs_that_are_no_longer_kept(bed: Bed) {
    let works = bed.queued(9).await.run_id;
    bed.store.run_log_append(vec![(works, line(1))], 1 << 20).await.unwrap();
    let mut ended = Vec::new();
    for number in 1..=3 {
        let run = bed.ended(number).await.run_id;
        bed.store.run_log_append(vec![(run, line(number))], 1 << 20).await.unwrap();
        ended.push(run);
    }
    // The newest run of an issue stays, and what it did goes.
    assert_eq!(bed.store.run_insert(run(4), 2).await.unwrap(), RunInserted::Inserted);
    assert!(bed.store.run_get(ended[0]).await.unwrap().is_some());
    let mut counts = Vec::new();
    for run in ended.into_iter().chain([works]) {
        counts.push(bed.store.run_log_after(run, 0, 9).await.unwrap().len());
    }
    assert_eq!(counts, [0, 1, 1, 1]);
}
