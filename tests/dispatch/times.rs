//! What a run takes, step by step: the table in docs/dispatch.md. Asserts nothing, so it is asked for by name:
//! `cargo test --release --test dispatch -- --ignored --nocapture what_a_run_takes`.

use std::time::Duration;

use issuecommand::domain::{Phase, PhaseMark, Run, Timestamp};

use crate::world::World;

/// Runs of each agent; the median counts.
const RUN_COUNT: usize = 5;
/// The wait between two looks at a container's memory, in milliseconds.
const LOOK_MS: u64 = 200;
const AGENTS: [&str; 5] = ["opencode", "pi", "claude", "codex", "acp"];

/// Seconds of each part of a run.
#[derive(Debug, Default)]
struct Parts {
    prepare: Vec<f64>,
    start: Vec<f64>,
    work: Vec<f64>,
    publish: Vec<f64>,
    whole: Vec<f64>,
    peak_mb: Vec<f64>,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, and asserts nothing"]
#[allow(clippy::print_stdout, reason = "the table is what it is for")]
async fn what_a_run_takes() {
    println!(
        "| agent | claim to work tree, s | agent healthy, s | agent's own time, s | commits to pull request, s | whole, s | dispatcher's share, s | peak memory, MB |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for agent in AGENTS {
        let Some(world) = World::with(agent).await else { return };
        let mut parts = Parts::default();
        for _ in 0..RUN_COUNT {
            measure(&world, &mut parts).await;
        }
        let own = median(&mut parts.work);
        let whole = median(&mut parts.whole);
        println!(
            "| {agent} | {:.2} | {:.2} | {own:.2} | {:.2} | {whole:.2} | {:.2} | {:.0} |",
            median(&mut parts.prepare),
            median(&mut parts.start),
            median(&mut parts.publish),
            whole - own,
            median(&mut parts.peak_mb),
        );
    }
}

async fn measure(world: &World, parts: &mut Parts) {
    let number = world.open_issue("commit").await;
    let issue = format!("{}#{number}", crate::world::REPO);
    let running = crate::world::start(world.command(&["run", &issue, "--json"]));
    let ended = running.end();
    tokio::pin!(ended);
    let mut peak: f64 = 0.0;
    let ended = loop {
        tokio::select! {
            ended = &mut ended => break ended,
            // Memory is looked at now and then: a peak has no signal.
            () = tokio::time::sleep(Duration::from_millis(LOOK_MS)) => peak = peak.max(memory_mb(world)),
        }
    };
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    let run: Run = serde_json::from_str(&ended.out).unwrap();
    let at = |phase: Phase, mark: PhaseMark| {
        run.journal.iter().find(|entry| entry.phase == phase && entry.mark == mark).unwrap().at
    };
    let between =
        |from: Timestamp, to: Timestamp| f64::from(i32::try_from((to - from).num_milliseconds()).unwrap()) / 1e3;
    let (begun, made) = (at(Phase::Claim, PhaseMark::Doing), at(Phase::Workspace, PhaseMark::Done));
    let (started, through) = (at(Phase::Agent, PhaseMark::Done), at(Phase::Work, PhaseMark::Done));
    parts.prepare.push(between(begun, made));
    parts.start.push(between(made, started));
    parts.work.push(between(started, through));
    parts.publish.push(between(through, at(Phase::Pull, PhaseMark::Done)));
    parts.whole.push(between(begun, run.ended_at.unwrap()));
    parts.peak_mb.push(peak);
}

/// What the container of the run uses now; 0 while there is none.
fn memory_mb(world: &World) -> f64 {
    let Some(container) = world.containers().into_iter().next() else { return 0.0 };
    let said = world.call_podman(&["stats", "--no-stream", "--format", "{{.MemUsage}}", &container]);
    let used = said.split('/').next().unwrap_or_default().trim().to_owned();
    let number: f64 = used.trim_end_matches(char::is_alphabetic).parse().unwrap_or(0.0);
    if used.ends_with("GB") { number * 1000.0 } else { number }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
