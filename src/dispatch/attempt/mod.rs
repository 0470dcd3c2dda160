//! One attempt at a run: its steps, each written down before and after, and the way back.

mod briefing;
mod claiming;
mod ending;
mod looping;
mod steps;
mod work;

use std::sync::Arc;
use std::time::Duration;

use self::ending::Ending;
use super::agent::{AgentError, AgentRuntime, AgentSession};
use super::container::{ContainerError, ContainerRuntime};
use super::dispatcher::Dispatcher;
use super::faults::die_if_asked;
use super::git::{GitError, Mirror};
use super::image::PrebuildError;
use super::limits::RunLimits;
use super::live::{Live, StopReason};
use super::secrets::SecretsError;
use crate::claims::ManagerError;
use crate::config::{Config, Secret};
use crate::domain::{LogKind, Phase, PhaseMark, Run, RunEnding, RunStatus, RunStep};
use crate::github::{Forge, Remote, SourceError};
use crate::metrics::metrics;
use crate::store::{RunSaved, StoreError};
use crate::telemetry::TARGET;
use sync_wrapper::SyncWrapper;
use tracing::{Instrument, info_span};

/// How often a step is taken again while GitHub is away: with the waits that double, a quarter of an hour by default.
const AGAIN_COUNT_MAX: u32 = 4;
/// Longest pause that is waited for: GitHub's budgets are by the hour.
const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// Shorter secrets are left where they are: such a text stands anywhere by chance.
const SECRET_BYTES_MIN: usize = 6;

/// Why an attempt goes no further.
#[derive(Debug)]
pub(super) enum Setback {
    /// Somebody wants it to stop.
    Stopped(StopReason),
    /// It failed, and may do better another time.
    Failed(String),
    /// GitHub does not answer now: the same step may do in a while.
    Later {
        why: String,
        /// When GitHub says.
        wait: Option<Duration>,
    },
    /// It failed, and would again.
    Hopeless(String),
    /// The agent's provider refused; another model may not.
    Refused(String),
    /// The server ended in the middle of it: no fault of the run.
    Interrupted(String),
    /// The claim is another's, or was never to be had: nothing more may be done in its name.
    Lost(String),
    /// What becomes of it was decided before the server ended: it is undone to its end.
    Decided(RunEnding),
    /// Another process drives this run.
    Superseded,
    /// The store failed: nothing can be written down, so nothing is done.
    Store(StoreError),
}

impl Setback {
    /// What it says, for people.
    fn words(&self) -> String {
        match self {
            Self::Failed(why) | Self::Hopeless(why) | Self::Refused(why) | Self::Interrupted(why) | Self::Lost(why) => {
                why.clone()
            }
            Self::Later { why, .. } => why.clone(),
            Self::Store(error) => chain(error),
            Self::Stopped(_) => "it was stopped".into(),
            Self::Superseded => "another process goes on with it".into(),
            Self::Decided(_) => "how it ends was decided before".into(),
        }
    }
}

macro_rules! failed {
    ($($error:ty),+) => {$(
        impl From<$error> for Setback {
            fn from(error: $error) -> Self {
                Self::Failed(chain(&error))
            }
        }
    )+};
}

failed!(ContainerError, AgentError, GitError, PrebuildError, SecretsError);

/// GitHub that is away or asks for a pause will be back: what was begun waits for it.
impl From<SourceError> for Setback {
    fn from(error: SourceError) -> Self {
        let why = chain(&error);
        match error {
            SourceError::Paused { retry_after } => Self::Later { why, wait: Some(retry_after) },
            SourceError::Unavailable { .. } => Self::Later { why, wait: None },
            SourceError::NotFound { .. } | SourceError::Denied { .. } | SourceError::Unsupported { .. } => {
                Self::Failed(why)
            }
        }
    }
}

impl From<ManagerError> for Setback {
    fn from(error: ManagerError) -> Self {
        match error {
            ManagerError::Store(error) => Self::Store(error),
            ManagerError::Source(error) => error.into(),
            error => Self::Failed(chain(&error)),
        }
    }
}

impl From<StoreError> for Setback {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// One attempt under way.
pub(super) struct Attempt {
    hub: Arc<Dispatcher>,
    live: Arc<Live>,
    /// As it is in the store: whoever changes it writes it.
    run: Run,
    /// The settings with which it began.
    config: Arc<Config>,
    forge: Arc<dyn Forge>,
    containers: Arc<dyn ContainerRuntime>,
    agent: Arc<dyn AgentRuntime>,
    /// What the configuration calls it: its kind may be another word.
    agent_name: String,
    mirror: Mirror,
    limits: RunLimits,
    remote: Option<Remote>,
    /// Only ever used by its owner, who is one.
    session: Option<SyncWrapper<Box<dyn AgentSession>>>,
    /// What the agent must not be quoted with.
    secrets: Vec<Secret>,
    /// Whether another server, which is gone, began it: its container and its commits are there.
    is_moved: bool,
}

/// Who goes on with an attempt that was left as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Nobody needs to: it was brought to its end.
    Ended,
    /// Another process, or this one when it is back.
    ToOthers,
    /// This one, once the store takes anything again.
    ByStore,
}

/// An agent that every server knows.
const STAND_IN: &str = "opencode";

impl Attempt {
    /// Prepares to go on with `run`. Sends nothing yet.
    ///
    /// # Errors
    /// When the settings name an agent that there is none of, or nothing can be done on GitHub.
    pub(super) fn new(hub: Arc<Dispatcher>, live: Arc<Live>, run: Run, is_moved: bool) -> Result<Self, String> {
        let config = hub.config();
        let forge = hub.forge().ok_or("issues come from a file here: there is no GitHub to open pull requests on")?;
        let name = run.agent.clone().unwrap_or_else(|| config.dispatch.agent.clone());
        let agent = match hub.agent(&name, &config) {
            // What another server began is begun anew, by a server that knows its agent; here it is only undone.
            Err(_) if is_moved => hub.agent(STAND_IN, &config),
            known => known,
        };
        let agent = agent.map_err(|error| chain(&error))?;
        let limits = RunLimits::of(&config.containers, run.priority);
        let (mirror, containers) = (hub.mirror(&run.repo), hub.containers(&config));
        let (remote, session, agent_name, secrets) = (None, None, name, Vec::new());
        Ok(Self {
            hub,
            live,
            run,
            config,
            forge,
            containers,
            agent,
            agent_name,
            mirror,
            limits,
            remote,
            session,
            secrets,
            is_moved,
        })
    }

    /// Goes on to the end of the attempt, whatever that is.
    pub(super) async fn go(mut self) -> Left {
        let ending = match self.go_on().await {
            Ok(()) => Ending::Done,
            Err(setback) => {
                self.run.refusals += u32::from(matches!(setback, Setback::Refused(_)));
                self.ending_of(setback)
            }
        };
        self.end(ending).await
    }

    async fn go_on(&mut self) -> Result<(), Setback> {
        if self.run.status() == RunStatus::Queued {
            self.step(RunStep::Begin).await?;
            self.run.agent = Some(self.agent_name.clone());
        } else {
            self.resume().await?;
        }
        while let Some(phase) = self.run.next_phase() {
            self.mark(phase, PhaseMark::Doing).await?;
            self.say(LogKind::Step, phase.doing());
            let live = Arc::clone(&self.live);
            let span =
                info_span!(target: TARGET, "dispatch", otel.name = phase.doing(), dispatch.run = %self.run.run_id);
            let done = tokio::select! {
                biased;
                why = live.stopped_before(phase) => Err(Setback::Stopped(why)),
                done = self.take_patiently(phase).instrument(span) => done,
            };
            done?;
            self.mark(phase, PhaseMark::Done).await?;
        }
        Ok(())
    }

    /// Takes a step; again and again while GitHub is away, for what an agent worked on should not be thrown away.
    async fn take_patiently(&mut self, phase: Phase) -> Result<(), Setback> {
        for again in 0..AGAIN_COUNT_MAX {
            let (why, wait) = match self.take_in_time(phase).await {
                Err(Setback::Later { why, wait }) => (why, wait),
                done => return done,
            };
            let wait = wait.unwrap_or(self.config.dispatch.retry_wait.duration().saturating_mul(1 << again));
            self.say(LogKind::Trouble, &format!("{why}; once more in {} s", wait.as_secs()));
            tokio::time::sleep(wait.min(PAUSE_MAX)).await;
            if let Some(hold) = &self.run.hold {
                self.hub.manager().heard_from(&hold.agent_id);
            }
        }
        self.take_in_time(phase).await
    }

    /// Takes a step, which may last as long as the whole attempt may; while the agent works that is looked at with
    /// every heartbeat, for people may take their time to answer.
    async fn take_in_time(&mut self, phase: Phase) -> Result<(), Setback> {
        match self.limits.attempt_time_max.filter(|_| phase != Phase::Work) {
            Some(most) => tokio::time::timeout(most, self.take(phase))
                .await
                .unwrap_or_else(|_| Err(Setback::Failed(format!("{} took longer than an attempt may", phase.doing())))),
            None => self.take(phase).await,
        }
    }

    /// Writes down how far it is, before anything else happens.
    async fn mark(&mut self, phase: Phase, mark: PhaseMark) -> Result<(), Setback> {
        self.run.mark(phase, mark, self.hub.now());
        self.save().await?;
        die_if_asked(phase, mark);
        Ok(())
    }

    /// Takes a step of the run's status, and writes it.
    async fn step(&mut self, step: RunStep) -> Result<(), Setback> {
        // Who sees the step finds what led to it in the log. One that cannot be written stops nothing.
        let _ = self.hub.logs().flush().await;
        let taken = self.run.advance(step, self.hub.now());
        taken.map_err(|error| Setback::Hopeless(error.to_string()))?;
        self.save().await?;
        metrics().run_stepped(self.run.status());
        Ok(())
    }

    async fn save(&mut self) -> Result<(), Setback> {
        match self.hub.store().run_save(self.run.clone(), self.hub.now()).await? {
            RunSaved::Saved(version) => {
                self.run.version = version;
                self.live.show(&self.run);
                Ok(())
            }
            RunSaved::Superseded => Err(Setback::Superseded),
        }
    }

    /// Tells how the run stands, on its issue.
    async fn tell(&mut self) {
        self.run.comment = self.hub.tell(&self.run).await.or(self.run.comment);
    }

    /// An agent's words without the secrets that it was given: it may print them, and its words go far.
    fn without_secrets(&self, mut text: String) -> String {
        for secret in self.secrets.iter().filter(|secret| secret.expose().len() >= SECRET_BYTES_MIN) {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "(secret)");
            }
        }
        text
    }

    /// A line of the run's log.
    fn say(&self, kind: LogKind, text: &str) {
        let text = &self.without_secrets(text.to_owned());
        let bytes_max = self.config.dispatch.log_bytes_max.0;
        self.hub.logs().write(self.run.run_id, kind, text, self.hub.now(), bytes_max);
    }

    /// Asks before anything is done for others to see: whether the claim is still this attempt's.
    async fn check_hold(&self) -> Result<(), Setback> {
        let lost = || Setback::Lost("the claim is no longer this run's; nothing more was done in its name".into());
        let hold = self.run.hold.as_ref().ok_or_else(lost)?;
        let is_held = self.hub.manager().holds(hold.claim_id, &hold.agent_id, hold.epoch).await?;
        is_held.then_some(()).ok_or_else(lost)
    }

    /// The epoch under which it works.
    fn epoch(&self) -> u64 {
        self.run.hold.as_ref().map_or(0, |hold| hold.epoch)
    }

    /// The next wait of a run that failed so often: doubled each time, an hour at most.
    fn retry_wait(&self) -> Duration {
        const RETRY_WAIT_SECONDS_MAX: u64 = 3600;
        let first = self.config.dispatch.retry_wait.duration();
        let wait = first.saturating_mul(1 << self.run.failures.min(16));
        wait.min(Duration::from_secs(RETRY_WAIT_SECONDS_MAX).max(first))
    }
}
