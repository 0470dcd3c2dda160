//! Replay: what would this policy have done? A repository's history, some simulated agents, and the real
//! policies on the real order of candidates.
//!
//! `recorder` records a history from GitHub and `history` reads what was recorded, `timeline` turns it into what a server would have been told and when,
//! `pace` draws how long work and reviews take, `simulation` lets the agents ask, work and merge, `measures`
//! turns the course of it into a [`Report`], and `table`, `page` and `charts` show that to people. `decisions` asks of
//! recorded decisions instead, and `own` has a server do so with its own.
//!
//! Everything is a function of its inputs: the same history, policies, agents and seed give the same report,
//! byte for byte. No clock is read, but by `own` for its bound.

mod areas;
mod cast;
mod charts;
mod contender;
mod course;
mod decisions;
mod history;
mod measures;
mod own;
mod pace;
mod page;
mod recorder;
mod report;
mod simulation;
mod table;
mod timeline;

use std::sync::Arc;

use self::cast::cast_of;
use self::measures::Measure;
use self::pace::Pace;
use self::simulation::Setting;
use self::timeline::Timeline;
use crate::policy::PolicyError;

pub use self::cast::SimulatedAgent;
pub use self::contender::{Contender, ContenderError};
pub use self::decisions::{DecisionTexts, DecisionsOutcome, DecisionsReport, replay_decisions};
pub use self::history::{History, HistoryError};
pub use self::own::{OWN_DECISION_COUNT_MAX, OwnReplay, OwnReplays};
pub use self::page::page;
pub use self::recorder::{RecordError, Recorded, may_write, record};
pub use self::report::{
    Changed, ChangedPick, Fairness, HistorySummary, NamedWaits, Outcome, Overlap, PickRow, Report, SettingSummary,
    Skipped, Starved, Waits,
};
pub use self::table::Table;

const HOUR_MS: f64 = 3_600_000.0;

/// How a history is replayed.
#[derive(Debug, Clone)]
pub struct ReplayOptions {
    /// How many agents work, called `agent-1` and so on.
    pub agents: usize,
    /// Those who work instead, each of another name; none for the above.
    pub named: Vec<SimulatedAgent>,
    /// What the draws begin with.
    pub seed: u64,
    /// How much faster than in the history work is done.
    pub speed: f64,
    /// Days after which an issue that was overtaken and never picked counts as starved.
    pub starved_after_days: f64,
    /// Tiers of labels by which waiting is told, the highest first; compared trimmed and without case.
    pub priorities: Vec<Vec<String>>,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self { agents: 8, named: Vec::new(), seed: 1, speed: 1.0, starved_after_days: 30.0, priorities: Vec::new() }
    }
}

/// Why a replay came to no end.
#[derive(Debug, thiserror::Error)]
#[error("the policy {name} failed during the replay: {fault}")]
pub struct ReplayError {
    /// What the policy was called.
    pub name: String,
    /// Its fault.
    pub fault: PolicyError,
}

/// How far a replay is: moments of the history that are over, and how many there are, all policies together.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Those that are over.
    pub done: usize,
    /// All.
    pub total: usize,
}

/// Replays `history` under `policy`, and under `against` if there is one, which is then also asked at each pick
/// of the first what it would have picked. Blocking, for seconds.
///
/// # Errors
/// [`ReplayError`] when a policy fails: a replay stands for what a policy does, not for what stands in for it.
pub fn replay(
    history: &History,
    policy: &Contender,
    against: Option<&Contender>,
    options: &ReplayOptions,
    progress: &dyn Fn(Progress),
) -> Result<Report, ReplayError> {
    let (timeline, pace) = (Timeline::of(history), Pace::of(history, options.seed, options.speed));
    let agents = cast_of(options);
    let setting = Setting { history, timeline: &timeline, pace: &pace, agents: &agents };
    let total = timeline.moments.len() * (1 + usize::from(against.is_some()));
    let course_of = |contender: &Contender, shadow: Option<&Contender>, before: usize| {
        let tick = |seen| progress(Progress { done: before + seen, total });
        simulation::run(&setting, contender, shadow, &tick).map_err(|fault| {
            // The shadow may be the one that failed; its name says more than none.
            let names: Vec<&str> = [Some(contender), against].into_iter().flatten().map(|c| c.name.as_str()).collect();
            ReplayError { name: names.join(" or "), fault }
        })
    };
    let first = course_of(policy, against, 0)?;
    let second = against.map(|other| course_of(other, None, timeline.moments.len())).transpose()?;
    let measure = Measure {
        timeline: &timeline,
        agents: &agents,
        priorities: &options.priorities,
        starved_after_days: options.starved_after_days,
    };
    let outcome = |contender: &Contender, course| {
        measure.outcome(&contender.name, contender.policies.ranker.main_stamp(), course)
    };
    let mut outcomes = vec![outcome(policy, &first)];
    outcomes.extend(against.zip(second.as_ref()).map(|(other, course)| outcome(other, course)));
    Ok(Report {
        history: summary(history, &timeline, &pace),
        setting: SettingSummary {
            agents: agents.len(),
            named: options.named.clone(),
            seed: options.seed,
            speed: options.speed,
            starved_after_days: options.starved_after_days,
            priorities: options.priorities.clone(),
        },
        outcomes,
        changed: second.map(|second| measure.changed(&first, &second)),
    })
}

fn summary(history: &History, timeline: &Timeline, pace: &Pace) -> HistorySummary {
    let counted = |samples: &[u64], stands_in: bool| if stands_in { 0 } else { samples.len() };
    let half = |samples: &[u64]| {
        let ms = samples.get(samples.len() / 2).copied().unwrap_or(0);
        (ms as f64 / HOUR_MS * 10.0).round() / 10.0
    };
    HistorySummary {
        repos: history.repos().iter().map(ToString::to_string).collect(),
        issues: history.issues.len(),
        pulls: history.pulls.len(),
        from: timeline.begins,
        to: timeline.ends,
        work_samples: counted(&pace.work_ms, pace.stands_in.0),
        work_hours_p50: half(&pace.work_ms),
        review_samples: counted(&pace.review_ms, pace.stands_in.1),
        review_hours_p50: half(&pace.review_ms),
    }
}

/// The texts of a history's issues, for policies that read them.
pub fn texts_of(history: &History) -> Arc<dyn crate::policy::BodySource> {
    Arc::new(timeline::Texts::of(history))
}
