//! Whether this server was well enough lately for a silent agent to be the agent's own fault. While it was not,
//! agents could not be heard, so nothing is marked or taken back until they had a chance to call.

use std::time::Duration;

use parking_lot::Mutex;

use crate::domain::{Clock, Timestamp};

/// How long after the last trouble claims are left alone: the time in which an agent that is alive calls. Ours:
/// twice what agents are told to let pass between two heartbeats.
pub(super) const GRACE: Duration = Duration::from_secs(120);
/// How much the wall clock may drift from the steady one between two pulses: more is a jump.
const JUMP_SECONDS_MAX: u64 = 30;
/// How late a pulse may be: later, the whole process was held up (stopped, suspended, starved).
const LATE_MAX: Duration = Duration::from_secs(45);

/// What is known of the server's own health.
#[derive(Debug)]
pub(super) struct Wellness(Mutex<State>);

/// The trouble of every start.
const JUST_STARTED: &str = "the server has just started";

#[derive(Debug)]
struct State {
    /// The last trouble, and when it was, by the steady clock.
    trouble: String,
    at: Duration,
    last_pulse: Option<Pulse>,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy)]
struct Pulse {
    wall: Timestamp,
    steady: Duration,
}

impl Pulse {
    fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), steady: clock.steady() }
    }
}

impl Wellness {
    /// Of a server that starts now: while it was away nobody could be heard.
    pub(super) fn from_start(clock: &dyn Clock) -> Self {
        let pulse = Pulse::of(clock);
        Self(Mutex::new(State { trouble: JUST_STARTED.into(), at: pulse.steady, last_pulse: Some(pulse) }))
    }

    /// Notes that something of the server's own failed, by which calls of agents may have been lost.
    pub(super) fn note_trouble(&self, what: impl Into<String>, clock: &dyn Clock) {
        let mut state = self.0.lock();
        state.trouble = what.into();
        state.at = clock.steady();
    }

    /// Feels the pulse, which came `late` by so much. Finds out whether the clock jumped or the process was held up.
    pub(super) fn feel_pulse(&self, late: Duration, clock: &dyn Clock) {
        let now = Pulse::of(clock);
        let before = self.0.lock().last_pulse.replace(now);
        if late > LATE_MAX {
            self.note_trouble(format!("the server was held up for {} s", late.as_secs()), clock);
        }
        let Some(before) = before else { return };
        let passed = i64::try_from((now.steady.saturating_sub(before.steady)).as_millis()).unwrap_or(i64::MAX);
        let jumped_ms = (now.wall - before.wall).num_milliseconds().saturating_sub(passed);
        if jumped_ms.unsigned_abs() > JUMP_SECONDS_MAX * 1_000 {
            self.note_trouble(format!("the clock jumped by {} s", jumped_ms / 1_000), clock);
        }
    }

    /// Why nothing may be taken back yet, if so.
    pub(super) fn unwell(&self, clock: &dyn Clock) -> Option<String> {
        let state = self.0.lock();
        let left = (state.at + GRACE).checked_sub(clock.steady()).filter(|left| !left.is_zero())?;
        let seconds = left.as_secs().max(1);
        Some(format!(
            "{}: no claim is marked or taken back for {seconds} s, so that agents can call first",
            state.trouble
        ))
    }

    /// Whether the last trouble was more than a start.
    pub(super) fn is_more_than_a_start(&self) -> bool {
        self.0.lock().trouble != JUST_STARTED
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::{ManualClock, from_unix_ms};

    fn well() -> (ManualClock, Wellness) {
        let clock = ManualClock::at(from_unix_ms(1_000_000_000));
        let wellness = Wellness::from_start(&clock);
        clock.advance(TimeDelta::seconds(120));
        assert_eq!(wellness.unwell(&clock), None);
        wellness.feel_pulse(Duration::ZERO, &clock);
        assert_eq!(wellness.unwell(&clock), None, "time that passes on both clocks is no jump");
        (clock, wellness)
    }

    #[test]
    fn after_a_start_agents_get_the_grace_to_call() {
        let clock = ManualClock::at(from_unix_ms(1_000_000_000));
        let wellness = Wellness::from_start(&clock);
        clock.advance(TimeDelta::seconds(119));
        let why = wellness.unwell(&clock).expect("one second is left");
        assert!(why.starts_with("the server has just started: ") && why.contains("for 1 s"), "{why}");
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(wellness.unwell(&clock), None);
    }

    #[test]
    fn a_jump_of_the_clock_in_either_direction_begins_the_grace_anew() {
        for jump in [3_600, -3_600, 31, -31] {
            let (clock, wellness) = well();
            clock.jump(TimeDelta::seconds(jump));
            wellness.feel_pulse(Duration::ZERO, &clock);
            let why = wellness.unwell(&clock).expect("the clock jumped");
            assert!(why.contains(&format!("jumped by {jump} s")), "{why}");
            clock.advance(TimeDelta::seconds(120));
            wellness.feel_pulse(Duration::ZERO, &clock);
            assert_eq!(wellness.unwell(&clock), None);
        }
        let (clock, wellness) = well();
        clock.jump(TimeDelta::seconds(29));
        wellness.feel_pulse(Duration::ZERO, &clock);
        assert_eq!(wellness.unwell(&clock), None, "clocks are set by seconds all the time");
    }

    #[test]
    fn a_process_that_was_held_up_gives_agents_time() {
        let (clock, wellness) = well();
        wellness.feel_pulse(Duration::from_secs(45), &clock);
        assert_eq!(wellness.unwell(&clock), None);
        wellness.feel_pulse(Duration::from_secs(46), &clock);
        assert!(wellness.unwell(&clock).expect("held up").contains("held up for 46 s"));
    }

    #[test]
    fn every_new_trouble_begins_the_grace_anew() {
        let (clock, wellness) = well();
        wellness.note_trouble("the store failed", &clock);
        clock.advance(TimeDelta::seconds(100));
        wellness.note_trouble("the store failed", &clock);
        clock.advance(TimeDelta::seconds(119));
        assert!(wellness.unwell(&clock).is_some());
        clock.advance(TimeDelta::seconds(1));
        assert_eq!(wellness.unwell(&clock), None);
    }
}
