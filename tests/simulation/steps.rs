//! What happens in a step: drawn by the seed.

use std::time::Duration;

use chrono::TimeDelta;
use issuecommand::domain::{AgentId, ClaimId, ClaimStatus, IssueRef, IssueState, RequestId};

use crate::calls::{Answer, Call};
use crate::github::{REPOS, Weather};
use crate::policies::{HOLD, Policies};
use crate::run::{Disk, Run};

const AGENTS: [&str; 4] = ["ada", "bob", "cyd", "dan"];
/// Most calls at once.
const CALL_COUNT_MAX: usize = 5;
/// Ids of requests that one agent has; few, so that they are sent again.
const REQUEST_COUNT: u64 = 6;

impl Run {
    /// Takes one step.
    pub fn take_step(&mut self) {
        if self.step.is_multiple_of(4) {
            self.keep_for_later();
        }
        match self.rng.u32(..100) {
            0..46 => self.crowd(),
            46..60 => self.let_time_pass(),
            60..72 => self.change_github(),
            72..76 => self.change_weather(),
            76..80 => {
                self.line("a sync is wished for");
                self.life().manager.wish_sync();
            }
            80..85 => {
                let wanted = Policies::any(&mut self.rng);
                self.swap(wanted);
            }
            85..90 => self.set_the_clock(),
            90..92 => self.hold_up(),
            92..96 => self.change_disk(),
            _ => self.be_killed(),
        }
    }

    /// Several calls at once; some clients vanish before they hear.
    fn crowd(&mut self) {
        let count = self.rng.usize(1..=CALL_COUNT_MAX);
        let calls = (0..count).map(|_| {
            let patience = (self.rng.u8(..8) == 0).then(|| self.rng.u32(..6));
            let call = self.call();
            // A sweep has no client that could vanish.
            let patience = patience.filter(|_| !matches!(call, Call::Sweep));
            (call, patience)
        });
        let calls = calls.collect();
        let together = self.rng.u8(..3) == 0;
        self.make(calls, together);
    }

    fn call(&mut self) -> Call {
        let agent = self.agent();
        match self.rng.u32(..100) {
            0..30 => {
                let repo = (self.rng.u8(..5) == 0).then(|| REPOS[self.rng.usize(..REPOS.len())].parse().unwrap());
                Call::Next { agent, repo, request_id: self.request_id() }
            }
            30..45 => Call::Claim { agent, issue: self.any_issue(), request_id: self.request_id() },
            45..72 => self.update().unwrap_or(Call::Sweep),
            72..78 => self.holds().unwrap_or(Call::Sweep),
            78..84 => self.overrule().unwrap_or(Call::Sweep),
            84..95 => self.delivery(),
            _ => Call::Sweep,
        }
    }

    fn agent(&mut self) -> AgentId {
        AGENTS[self.rng.usize(..AGENTS.len())].parse().unwrap()
    }

    fn request_id(&mut self) -> Option<RequestId> {
        self.rng.bool().then(|| format!("request-{}", self.rng.u64(..REQUEST_COUNT)).parse().unwrap())
    }

    /// An issue that there is or was; now and then one that there never was.
    fn any_issue(&mut self) -> IssueRef {
        if self.rng.u8(..12) == 0 {
            return "acme/one#404".parse().unwrap();
        }
        let all = self.github.all();
        all[self.rng.usize(..all.len())].clone()
    }

    /// A step: most of the time the next one of a claim by its owner, now and then by the word of an earlier hold of
    /// that owner, else anything by anybody who ever held it.
    fn update(&mut self) -> Option<Call> {
        let (live, late) = (self.live(), self.late_tokens());
        if !late.is_empty() && self.rng.u8(..4) == 0 {
            let (agent, claim, epoch, status) = late[self.rng.usize(..late.len())].clone();
            let to = self.step_from(&status);
            return Some(Call::Update { agent, claim, epoch: Some(epoch), to });
        }
        if !live.is_empty() && self.rng.u8(..4) > 0 {
            let (claim, agent, status) = live[self.rng.usize(..live.len())].clone();
            let to = self.step_from(&status);
            return Some(Call::Update { agent, claim, epoch: None, to });
        }
        let (agent, claim, epoch) = self.any_token()?;
        let to = ClaimStatus::ALL[self.rng.usize(..ClaimStatus::ALL.len())];
        let epoch = self.rng.bool().then_some(epoch);
        Some(Call::Update { agent, claim, epoch, to })
    }

    /// Where a claim goes next, now and then back.
    fn step_from(&mut self, status: &str) -> ClaimStatus {
        match (status, self.rng.u8(..5)) {
            (_, 0) => ClaimStatus::Released,
            ("claimed" | "stale", _) => ClaimStatus::InProgress,
            ("in_progress", _) => ClaimStatus::PrSubmitted,
            ("pr_submitted", _) => ClaimStatus::PrMerged,
            _ => ClaimStatus::Closed,
        }
    }

    /// What agents were told of claims that they hold under another epoch now, and how those stand.
    fn late_tokens(&self) -> Vec<(AgentId, ClaimId, u64, String)> {
        let late = self.tokens.iter().filter_map(|(agent, claim, epoch)| {
            let row = self.oracle.ledger.claims.get(&claim.to_string())?;
            let is_late = row.active && row.agent == agent.as_str() && row.epoch != *epoch;
            is_late.then(|| (agent.clone(), *claim, *epoch, row.status.clone()))
        });
        late.collect()
    }

    /// Active claims in an order that does not depend on their ids.
    fn live(&self) -> Vec<(ClaimId, AgentId, String)> {
        let mut rows: Vec<_> = self.oracle.ledger.claims.iter().filter(|(_, row)| row.active).collect();
        rows.sort_by_key(|(_, row)| row.place.clone());
        rows.into_iter()
            .map(|(id, row)| (id.parse().unwrap(), row.agent.parse().unwrap(), row.status.clone()))
            .collect()
    }

    fn any_token(&mut self) -> Option<(AgentId, ClaimId, u64)> {
        if self.tokens.is_empty() {
            return None;
        }
        Some(self.tokens[self.rng.usize(..self.tokens.len())].clone())
    }

    fn holds(&mut self) -> Option<Call> {
        let (agent, claim, epoch) = self.any_token()?;
        Some(Call::Holds { agent, claim, epoch })
    }

    fn overrule(&mut self) -> Option<Call> {
        let live = self.live();
        if live.is_empty() {
            return None;
        }
        let (claim, holder, _) = live[self.rng.usize(..live.len())].clone();
        let had_it = |token: &&(AgentId, ClaimId, u64)| token.1 == claim && token.0 != holder;
        let to = match self.rng.u8(..4) {
            0..2 => None,
            2 => Some(self.agent()),
            // Back to who had it: words of its earlier hold may still be under way.
            _ => self.tokens.iter().find(had_it).map(|(agent, ..)| agent.clone()),
        };
        Some(Call::Overrule { claim, to })
    }

    /// What a webhook tells: of an issue as it is, or as it was when the delivery set out.
    fn delivery(&mut self) -> Call {
        let issue = self.any_issue();
        match (self.github.present(&issue), self.rng.bool()) {
            (Some(present), true) => Call::Deliver { issue: Box::new(present) },
            (None, true) if self.github.was_deleted(&issue) => Call::Forget { issue },
            _ => Call::Deliver { issue: Box::new(self.github.any_past(&mut self.rng)) },
        }
    }

    fn let_time_pass(&mut self) {
        let seconds = match self.rng.u8(..4) {
            0 => self.rng.u64(1..20),
            1 => self.rng.u64(20..120),
            _ => self.rng.u64(120..360),
        };
        self.line(format!("{seconds} s pass"));
        self.life().pass(Duration::from_secs(seconds));
    }

    fn change_github(&mut self) {
        for _ in 0..self.rng.usize(1..=3) {
            let issue = self.any_issue();
            let what = match self.rng.u32(..100) {
                0..25 => {
                    let repo = REPOS[self.rng.usize(..2)];
                    let number = 100 + self.github.all().len() as u64;
                    self.github.open(repo, number);
                    format!("opens {repo}#{number}")
                }
                25..50 => {
                    self.github.change(&issue, |issue| issue.state = IssueState::Closed);
                    format!("closes {issue}")
                }
                50..70 => {
                    self.github.change(&issue, |issue| issue.state = IssueState::Open);
                    format!("reopens {issue}")
                }
                70..85 => {
                    self.github.change(&issue, |issue| {
                        if issue.labels.pop().is_none() {
                            issue.labels.push(HOLD.into());
                        }
                    });
                    format!("labels {issue}")
                }
                _ => {
                    self.github.delete(&issue);
                    format!("deletes {issue}")
                }
            };
            self.line(format!("somebody {what}"));
        }
    }

    fn change_weather(&mut self) {
        let all = [
            Weather::Fair,
            Weather::Slow,
            Weather::Failing(3),
            Weather::Failing(10),
            Weather::Pausing,
            Weather::Partial,
        ];
        let weather = all[self.rng.usize(..all.len())];
        self.line(format!("GitHub is {weather:?}"));
        self.github.set_weather(weather);
    }

    fn set_the_clock(&mut self) {
        let minutes = self.rng.i64(2..240) * if self.rng.bool() { 1 } else { -1 };
        self.line(format!("the clock is set by {minutes} min"));
        self.jump(TimeDelta::minutes(minutes));
    }

    /// The process stands still, and time does not.
    fn hold_up(&mut self) {
        let seconds = self.rng.u64(60..900);
        self.line(format!("the process is held up for {seconds} s"));
        let now = self.life().moment();
        let then = crate::clock::Moment { steady_ms: now.steady_ms + seconds * 1_000, ..now };
        self.oracle.note_trouble(then);
        self.life().hold_up(Duration::from_secs(seconds));
    }

    fn change_disk(&mut self) {
        let disk = match self.disk {
            Disk::Well if self.rng.bool() => Disk::Full,
            Disk::Well => Disk::Locked,
            _ => Disk::Well,
        };
        self.line(format!("the disk is {disk:?}"));
        self.set_disk(disk);
    }

    /// Calls are under way when the process is killed.
    fn be_killed(&mut self) {
        let calls = (0..self.rng.usize(..4)).map(|_| (self.call(), Some(self.rng.u32(..6))));
        let calls = calls.collect();
        let together = self.rng.bool();
        // A sync that is cut off may have read what it did not write.
        self.github.told(|told| told.is_shaky = true);
        self.make(calls, together);
        let down = Duration::from_secs(self.rng.u64(1..600));
        self.line(format!("the process is killed, and started anew after {} s", down.as_secs()));
        self.crash(down);
    }

    /// All trouble ends, and after a while the server knows what there is, and gives out all that is free.
    pub fn come_to_rest(&mut self) -> Result<(), String> {
        self.line("all trouble ends");
        self.set_disk(Disk::Well);
        self.github.set_weather(Weather::Fair);
        self.swap(Policies::Both);
        // What was asked while GitHub was slow is answered first: a sync that goes on saw what was there before.
        self.life().pass(Duration::from_secs(30));
        self.judge()?;
        // Every repository is due to be read as a whole.
        for _ in 0..2 {
            self.jump(TimeDelta::hours(30));
            self.life().manager.wish_sync();
            self.life().pass(Duration::from_secs(10));
            self.judge()?;
        }
        let known: Vec<_> =
            self.oracle.ledger.issues.iter().filter(|(_, open)| **open).map(|(at, _)| at.clone()).collect();
        let there = self.github.open_in(&["acme/one", "acme/two"]);
        if known != there {
            return Err(format!("after a while without trouble known are {known:?}, and there are {there:?}"));
        }
        self.all_that_is_free_is_given_out()
    }

    fn all_that_is_free_is_given_out(&mut self) -> Result<(), String> {
        loop {
            let agent = self.agent();
            self.make(vec![(Call::Next { agent, repo: None, request_id: None }, None)], false);
            let was_granted = matches!(self.last_answer(), Some(Answer::Granted { .. }));
            self.judge()?;
            if !was_granted {
                break;
            }
        }
        let free = self.life().book.free();
        if free.is_empty() { Ok(()) } else { Err(format!("{free:?} are free and open, and nobody gets them")) }
    }
}
