//! One seed: a server's lives, what everybody does in them, and the oracle's word after each step.

mod judging;

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use fastrand::Rng;
use issuecommand::domain::{AgentId, ClaimId, from_unix_ms};
use issuecommand::policy::PolicyHost;
use rustc_hash::FxHasher;

use crate::calls::{Answer, Call, Called};
use crate::clock::Moment;
use crate::github::Github;
use crate::ground::Ground;
use crate::ledger::Book;
use crate::life::{FILE, Life};
use crate::oracle::Oracle;
use crate::panics;
use crate::planted::Fault;
use crate::policies::Policies;
use crate::turns::{Under, all_at_once};

/// Steps of one seed.
pub const STEP_COUNT: usize = 40;
/// Last lines that a failure shows.
const LINE_COUNT_MAX: usize = 40;
/// Sunday, 2026-11-01, 00:00 UTC.
const BEGIN_MS: u64 = 1_793_491_200_000;

/// What is wrong with the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// Nothing.
    Well,
    /// Somebody else holds the file's lock.
    Locked,
    /// There is no room for another event: each such write ends its whole transaction.
    Full,
}

/// One seed under way.
pub struct Run {
    pub seed: u64,
    pub rng: Rng,
    pub fault: Option<Fault>,
    pub github: Arc<Github>,
    pub policies: Policies,
    pub disk: Disk,
    pub oracle: Oracle,
    /// Who was ever told that a claim is its own, and under which epoch.
    pub tokens: Vec<(AgentId, ClaimId, u64)>,
    pub step: usize,
    life: Option<Life>,
    folder: PathBuf,
    lives: usize,
    host: PolicyHost,
    ground: Arc<Ground>,
    called: Vec<Called>,
    lines: Vec<String>,
    digest: FxHasher,
    names: BTreeMap<String, String>,
    /// Where a planted fault of the disk has it from.
    earlier: Option<PathBuf>,
}

/// What the oracle did not let pass.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub step: usize,
    pub why: String,
    lines: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever runs one seed wants to see it all.
        let first = if f.alternate() { 0 } else { self.lines.len().saturating_sub(LINE_COUNT_MAX) };
        for line in &self.lines[first..] {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "seed {}, step {}: {}", self.seed, self.step, self.why)?;
        write!(f, "once more: SIMULATION_SEED={} cargo test --test simulation one_seed -- --nocapture", self.seed)
    }
}

impl Run {
    /// Runs a seed; its digest, by which two runs of it can be told apart.
    pub fn of_seed(seed: u64, fault: Option<Fault>, ground: &Arc<Ground>) -> Result<u64, Failure> {
        let begun = panics::told(|| Ok(Self::begin(seed, fault, ground)));
        begun.map_err(|why| Failure { seed, step: 0, why, lines: Vec::new() })?.go()
    }

    /// Begins a seed: a GitHub with some issues, and a server that starts.
    fn begin(seed: u64, fault: Option<Fault>, ground: &Arc<Ground>) -> Self {
        let folder = ground.folder_of(seed, fault);
        let github = Github::new(seed, BEGIN_MS, fault);
        for (repo, count) in [("acme/one", 5), ("acme/two", 3), ("other/out", 2)] {
            (1..=count).for_each(|number| _ = github.open(repo, number));
        }
        let mut run = Self {
            seed,
            rng: Rng::with_seed(seed),
            fault,
            github,
            policies: Policies::Both,
            disk: Disk::Well,
            oracle: Oracle::default(),
            tokens: Vec::new(),
            step: 0,
            life: None,
            lives: 0,
            host: ground.host(),
            ground: Arc::clone(ground),
            called: Vec::new(),
            lines: Vec::new(),
            digest: FxHasher::default(),
            names: BTreeMap::new(),
            earlier: None,
            folder,
        };
        let first = run.next_folder();
        run.ground.lay(&first);
        run.start(first, Moment { wall_ms: BEGIN_MS, steady_ms: 0 });
        run
    }

    fn go(mut self) -> Result<u64, Failure> {
        let gone = panics::told(|| self.run_through());
        let lines = std::mem::take(&mut self.lines);
        gone.map(|()| self.digest.finish()).map_err(|why| Failure { seed: self.seed, step: self.step, why, lines })
    }

    fn run_through(&mut self) -> Result<(), String> {
        self.life().pass(Duration::from_secs(5));
        self.judge()?;
        for step in 1..=STEP_COUNT {
            self.step = step;
            self.take_step();
            self.judge()?;
        }
        self.step += 1;
        self.come_to_rest()
    }

    pub fn life(&self) -> &Life {
        self.life.as_ref().expect("a server runs between any two steps")
    }

    /// Notes what is done, by the names that claims have here and not by ids that no two runs share.
    pub fn line(&mut self, text: impl fmt::Display) {
        let clock = from_unix_ms(self.life().moment().wall_ms).format("%d %H:%M:%S");
        let mut line = format!("{:>2} {clock} {text}", self.step);
        for (id, name) in &self.names {
            line = line.replace(id, name);
        }
        self.digest.write(line.as_bytes());
        self.lines.push(line);
    }

    /// Makes calls, all at once; `together`: what they write is committed in one transaction.
    pub fn make(&mut self, calls: Vec<(Call, Option<u32>)>, together: bool) {
        let life = self.life.as_ref().expect("a server runs between any two steps");
        // Nothing gets past a lock that is held by somebody else, nor to the gate.
        if together && self.disk != Disk::Locked {
            life.seam.gather();
        }
        // Some wait for GitHub: heard of is an agent when it begins to call.
        let at = life.moment();
        let asked: Vec<Call> = calls.iter().map(|(call, _)| call.clone()).collect();
        let under_way = calls.into_iter().map(|(call, patience)| Under::way(call.make(&life.manager), patience));
        let answers = life.run(all_at_once(&life.seam, &mut self.rng, under_way.collect()));
        let called = asked.into_iter().zip(answers).map(|(call, answer)| {
            // Heard of is who held something when it called, and was there to the end.
            let is_heard = call.agent().is_some_and(|agent| self.oracle.is_holder(agent.as_str()));
            let is_heard = is_heard && answer.is_some();
            Called { call, answer, at, is_heard }
        });
        let called: Vec<_> = called.collect();
        // At once: what GitHub says after a crash of the same step comes later.
        called.iter().for_each(|call| self.note_words(call));
        self.called.extend(called);
        self.tell_calls();
    }

    fn tell_calls(&mut self) {
        let ledger = self.life().book.read(self.oracle.last_event);
        self.name_claims(&ledger);
        let lines: Vec<_> = self.called.iter().map(ToString::to_string).collect();
        lines.into_iter().for_each(|line| self.line(line));
    }

    /// What the last call of this step was answered.
    pub fn last_answer(&self) -> Option<&Answer> {
        self.called.last()?.answer.as_ref()
    }

    /// Kills the server, and starts another on what is left on the disk.
    pub fn crash(&mut self, down: Duration) {
        let folder = self.next_folder();
        let life = self.life.take().expect("a server runs between any two steps");
        life.copy_files(&folder);
        let before = life.moment();
        let announced = life.watch.take();
        drop(life);
        if let Some(earlier) = self.earlier.take().filter(|_| self.fault == Some(Fault::WriteNotDurable)) {
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::rename(earlier, &folder).unwrap();
        }
        self.prepare(&folder);
        let down_ms = u64::try_from(down.as_millis()).unwrap();
        let at = Moment { wall_ms: before.wall_ms + down_ms, steady_ms: before.steady_ms + down_ms };
        self.oracle.note_crash(before);
        self.called.iter_mut().for_each(|called| called.is_heard = false);
        self.start(folder, at);
        self.life().watch.put_before(announced);
    }

    /// What of the disk does not outlive the process, and what a planted fault does to a file that is opened anew.
    fn prepare(&mut self, folder: &Path) {
        if self.disk == Disk::Full {
            Book::open(&folder.join(FILE)).run("DROP TRIGGER IF EXISTS disk_is_full");
        }
        self.disk = Disk::Well;
        self.github.told(|told| told.is_shaky = false);
        if self.fault == Some(Fault::ClaimForgottenAtReopen) {
            let forget = "DELETE FROM claims WHERE claim_id = (SELECT claim_id FROM claims WHERE active = 1 LIMIT 1)";
            Book::open(&folder.join(FILE)).run(forget);
        }
    }

    fn start(&mut self, folder: PathBuf, at: Moment) {
        let config = self.policies.config();
        let host = self.host.clone();
        self.oracle.note_trouble(at);
        self.life = Some(Life::begin(&folder, at, &config, &self.github, host, self.fault));
        if self.lives == 1
            && let Some(sql) = self.fault.and_then(Fault::in_the_file)
        {
            self.life().book.run(sql);
        }
    }

    fn next_folder(&mut self) -> PathBuf {
        self.lives += 1;
        let folder = self.folder.join(self.lives.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Sets what is wrong with the disk.
    pub fn set_disk(&mut self, disk: Disk) {
        let book = &self.life().book;
        match self.disk {
            Disk::Well => {}
            Disk::Locked => book.run("ROLLBACK"),
            Disk::Full => book.run("DROP TRIGGER disk_is_full"),
        }
        match disk {
            Disk::Well => {}
            Disk::Locked => book.run("BEGIN IMMEDIATE"),
            Disk::Full => book.run(self.fault.map_or(Fault::DISK_IS_FULL, Fault::when_full)),
        }
        self.disk = disk;
        let now = self.life().moment();
        self.oracle.note_disk(disk == Disk::Well, now);
        self.github.told(|told| told.is_shaky = disk != Disk::Well);
    }

    /// Sets the clock on the wall.
    pub fn jump(&mut self, by: TimeDelta) {
        self.life().clock.jump(by);
        let now = self.life().moment();
        self.oracle.note_trouble(now);
    }

    /// Where a planted fault of the disk is to have it from: the file as it is now.
    pub fn keep_for_later(&mut self) {
        if self.fault == Some(Fault::WriteNotDurable) {
            let folder = self.folder.join("earlier");
            self.life().copy_files(&folder);
            self.earlier = Some(folder);
        }
    }

    /// Puts policies in force by the door that the server uses for an edit.
    pub fn swap(&mut self, wanted: Policies) {
        let life = self.life.as_ref().expect("a server runs between any two steps");
        let (config, taken) = match self.fault {
            Some(Fault::SwapNotTaken) => (self.policies.config(), wanted.is_good()),
            Some(Fault::RefusedTaken) if !wanted.is_good() => (Policies::everything(), false),
            _ => (wanted.config(), true),
        };
        let applied = life.run(life.manager.apply_config(config, &life.folder));
        let is_in_force = applied.is_ok() && taken;
        self.line(format!("{wanted:?} come in force: {is_in_force}"));
        assert!(is_in_force == wanted.is_good(), "{wanted:?} ended as {applied:?}");
        if is_in_force {
            self.policies = wanted;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // The server first: it has files open there.
        self.life = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
