//! What each step of a run does. A step that was cut off is done again from its beginning, or undone.

use sync_wrapper::SyncWrapper;
use tracing::info;

use super::super::agent::{AgentError, SessionRecord};
use super::super::container::{ContainerId, ContainerSpec, ContainerState, HOST_PROCESS, Mount, Podman};
use super::super::environment;
use super::super::git::{PushOutcome, Sha};
use super::super::image::{AgentPackage, Prebuilder};
use super::super::story::{self, PullWords};
use super::super::workspace::{Filling, Workspace};
use super::{Attempt, Setback};
use crate::domain::{ClaimStatus, FollowUpStatus, IssueRef, LogKind, Phase, RunStatus, RunStep};
use crate::github::{PullWish, Remote};

/// Most bytes of commits that are brought out of a container: far more than a change, far less than a disk.
const BUNDLE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// How often a run may be interrupted for each time that it may fail: crashes must not make it run for ever.
const INTERRUPTION_FACTOR: u32 = 4;

impl Attempt {
    /// Takes one step.
    pub(super) async fn take(&mut self, phase: Phase) -> Result<(), Setback> {
        match phase {
            Phase::Claim => self.claim().await,
            Phase::Fetch => self.fetch().await,
            Phase::Container => self.make_container().await,
            Phase::Workspace => self.fill_workspace().await,
            Phase::Agent => self.start_agent().await,
            Phase::Work => self.work().await,
            Phase::BringOut => self.bring_out().await,
            Phase::Push => self.push().await,
            Phase::Pull => self.open_pull().await,
            Phase::Report => self.report().await,
            Phase::Cleanup if self.is_moved => Ok(()),
            Phase::Cleanup => self.remove_container().await,
        }
    }

    /// Whether a run that was under way when the last server ended can go on from where it stands.
    pub(super) async fn resume(&mut self) -> Result<(), Setback> {
        let interrupted = || Setback::Interrupted("the server ended in the middle of it".into());
        if let Some(ending) = self.run.ending.clone() {
            return Err(Setback::Decided(ending));
        }
        let bound = self.config.dispatch.attempt_count_max.saturating_mul(INTERRUPTION_FACTOR);
        if self.run.attempts >= bound && self.run.next_phase().is_some_and(|phase| phase < Phase::Push) {
            return Err(Setback::Hopeless("it was interrupted again and again".into()));
        }
        match self.run.next_phase() {
            // What it worked on is on another machine, its commits too until they are pushed.
            Some(phase) if self.is_moved && phase <= Phase::Push => Err(interrupted()),
            None | Some(Phase::Push | Phase::Pull | Phase::Report | Phase::Cleanup) => Ok(()),
            Some(Phase::Work | Phase::BringOut) => match self.container() {
                Ok(container) if self.containers.state(&container).await? == ContainerState::Running => Ok(()),
                _ => Err(interrupted()),
            },
            Some(Phase::Claim | Phase::Fetch | Phase::Container | Phase::Workspace | Phase::Agent) => {
                Err(interrupted())
            }
        }
    }

    async fn fetch(&mut self) -> Result<(), Setback> {
        let remote = self.remote().await?;
        self.mirror.fetch(&remote).await?;
        let base = self.run.base.clone().unwrap_or_else(|| remote.default_branch.clone());
        let begins_from = if self.run.parent.is_some() { self.branch()? } else { base.clone() };
        let missing = || Setback::Hopeless(format!("{} has no branch {begins_from}", self.run.repo));
        let head = self.mirror.head_of(&begins_from).await?.ok_or_else(missing)?;
        (self.run.base, self.run.base_sha) = (Some(base), Some(head.to_string()));
        Ok(())
    }

    async fn make_container(&mut self) -> Result<(), Setback> {
        let facts = self.containers.probe().await?;
        if !facts.limits_enforced {
            self.say(
                LogKind::Trouble,
                &format!("{} does not enforce limits of memory and processors", facts.description),
            );
        }
        // A doubled step, after a crash: what the first one made goes.
        self.remove_container().await?;
        let spec = self.container_spec(self.image().await?);
        let container = self.containers.start(&spec).await?;
        self.run.container_id = Some(container.0);
        self.save().await
    }

    /// The image: one of the repository's own where that is wished for, else the agent's, else the one for all.
    async fn image(&self) -> Result<String, Setback> {
        let config = &self.config.containers;
        let own = self.config.agents.0.get(&self.agent_name);
        let given = own.and_then(|own| own.image.clone()).unwrap_or_else(|| config.base_image.clone());
        let Some(sha) = self.base_sha().filter(|_| config.prebuild && config.runtime != HOST_PROCESS) else {
            return Ok(given);
        };
        let podman = Podman::new(config.runtime.clone(), config.connection.clone());
        let builder = Prebuilder { podman: &podman, config, agent: self.agent.name().parse::<AgentPackage>().ok() };
        let mut say = |line: String| self.say(LogKind::Step, &line);
        let built = builder.image(&self.mirror, &self.run.repo, &sha, &mut say).await?;
        Ok(built.unwrap_or(given))
    }

    fn container_spec(&self, image: String) -> ContainerSpec {
        let config = &self.config.containers;
        let folders = config.mounts.iter().map(|(from, to)| Mount::Folder { from: from.into(), to: to.clone() });
        let nix = (!config.nix_volume.is_empty())
            .then(|| Mount::Volume { name: config.nix_volume.clone(), to: "/nix".into() });
        ContainerSpec {
            name: format!("issuecommand-{}-e{}", self.run.run_id.short(), self.epoch()),
            server: self.hub.server().to_owned(),
            run: self.run.run_id.to_string(),
            epoch: self.epoch(),
            image,
            limits: self.limits.container,
            network: config.network.clone(),
            port: self.agent.port(),
            mounts: folders.chain(nix).collect(),
            env: self.agent.env(),
        }
    }

    async fn fill_workspace(&mut self) -> Result<(), Setback> {
        let container = self.container()?;
        let (branch, base) = (self.branch()?, self.run.base.clone().unwrap_or_default());
        let bundle = tempfile::NamedTempFile::new_in(self.hub.folder());
        let bundle =
            bundle.map_err(|error| Setback::Failed(format!("no room for the repository's bundle: {error}")))?;
        let begins_from = if self.run.parent.is_some() { branch.clone() } else { base };
        // A follow-up sees what its pull request is compared with, too.
        let base_branch = self.run.base.clone().unwrap_or_default();
        self.mirror.bundle(&[&base_branch, &begins_from], bundle.path()).await?;
        let filling = Filling {
            bundle: bundle.path(),
            from: &begins_from,
            branch: &branch,
            git_name: &self.config.dispatch.git_name,
            git_email: &self.config.dispatch.git_email,
        };
        Workspace::of(&*self.containers, &container).fill(&filling).await?;
        self.prepare_environment(&container).await.map(drop)
    }

    pub(super) async fn prepare_environment(&self, container: &ContainerId) -> Result<environment::Prepared, Setback> {
        let setting = &self.config.containers.environment;
        let mut say = |line: String| self.say(LogKind::Step, &line);
        Ok(environment::prepare(&*self.containers, container, setting, &mut say).await?)
    }

    async fn start_agent(&mut self) -> Result<(), Setback> {
        let ground = self.ground().await?;
        let mut session = self.agent.start(&ground).await?;
        self.run.session = Some(session.record().0);
        self.step(RunStep::Work).await?;
        let prompt = self.prompt().await?;
        session.prompt(&prompt).await?;
        // What a later process goes on from: some agents know their session only once they were told something.
        self.run.session = Some(session.record().0);
        self.session = Some(SyncWrapper::new(session));
        self.tell().await;
        Ok(())
    }

    async fn work(&mut self) -> Result<(), Setback> {
        if self.session.is_none() {
            let ground = self.ground().await?;
            let lost = || Setback::Interrupted("the agent's session was lost with the server".into());
            let record = SessionRecord(self.run.session.clone().ok_or_else(lost)?);
            self.say(LogKind::Step, "going on with the agent's session");
            self.session = Some(match self.agent.attach(&ground, &record).await {
                Ok(session) => SyncWrapper::new(session),
                Err(error) => return Err(Setback::Interrupted(format!("the agent's session was lost: {error}"))),
            });
        }
        self.follow().await
    }

    async fn bring_out(&mut self) -> Result<(), Setback> {
        let (container, branch) = (self.container()?, self.branch()?);
        let base = self.base_sha().ok_or_else(|| Setback::Failed("it is not known where the run began".into()))?;
        let bundle = tempfile::NamedTempFile::new_in(self.hub.folder());
        let bundle = bundle.map_err(|error| Setback::Failed(format!("no room for the run's commits: {error}")))?;
        let tree = Workspace::of(&*self.containers, &container);
        tree.bring_out(&base, &branch, bundle.path(), BUNDLE_BYTES_MAX).await?;
        let brought = self.mirror.take_in(bundle.path(), BUNDLE_BYTES_MAX, &branch, &base).await?;
        if brought.commit_count == 0 {
            return Err(Setback::Failed("the agent said that it is through, and committed nothing".into()));
        }
        self.say(LogKind::Step, &format!("commits: {}, files changed: {}", brought.commit_count, brought.file_count));
        if brought.changes_workflows && !self.config.dispatch.allow_workflow_changes {
            let why = "the agent changed what the repository's workflows run, with the repository's secrets, before anybody \
                       looks; dispatch.allow_workflow_changes would let it";
            return Err(Setback::Hopeless(why.into()));
        }
        self.run.head_sha = Some(brought.head.to_string());
        Ok(())
    }

    async fn push(&mut self) -> Result<(), Setback> {
        self.check_hold().await?;
        // Asked for again: an app's token lives an hour, and the agent may have worked longer.
        self.remote = None;
        if self.finds_earlier_pull().await? {
            return Ok(());
        }
        let (branch, remote) = (self.branch()?, self.remote().await?);
        let expected = if self.run.parent.is_some() { self.base_sha() } else { None };
        match self.mirror.push(&remote, &branch, expected.as_ref()).await? {
            PushOutcome::Pushed => Ok(()),
            // This very attempt pushed it before a crash.
            PushOutcome::Stale { actual } if actual.as_ref().map(ToString::to_string) == self.run.head_sha => Ok(()),
            PushOutcome::Stale { .. } => {
                Err(Setback::Failed(format!("somebody else changed {branch} meanwhile; nothing was pushed")))
            }
        }
    }

    /// Whether an earlier attempt has a pull request after all, whose answer was lost: it holds whole work, and a
    /// second one would be one too many.
    async fn finds_earlier_pull(&mut self) -> Result<bool, Setback> {
        for branch in self.run.branches_left.clone() {
            if let Some(pull) = self.forge.pull_of_branch(&self.run.repo, &branch).await?.filter(|pull| pull.is_open) {
                self.say(LogKind::Step, &format!("an earlier attempt opened {} already", pull.url));
                (self.run.pr_url, self.run.branch) = (Some(pull.url), Some(branch));
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn open_pull(&mut self) -> Result<(), Setback> {
        self.check_hold().await?;
        // A review's run works on the one there is; and so does one that found an earlier attempt's.
        if self.run.pr_url.is_some() {
            return Ok(());
        }
        let run_id = self.run.run_id.to_string();
        let issues: Vec<_> = self.run.issues().into_iter().map(|issue| issue.number).collect();
        let words = PullWords {
            issues: &issues,
            issue_title: &self.run.title,
            agent: &self.agent_name,
            summary: self.run.summary.as_deref().unwrap_or_default(),
            run: &run_id,
            epoch: self.epoch(),
        };
        let wish = PullWish {
            repo: self.run.repo.clone(),
            branch: self.branch()?,
            base: self.run.base.clone().unwrap_or_default(),
            title: words.title(),
            body: words.body(),
            draft: self.config.dispatch.draft,
        };
        let opened = self.forge.pull_open(&wish).await?;
        info!(run.id = %self.run.run_id, "run {} opened {}", self.run.run_id.short(), opened.url);
        self.run.pr_url = Some(opened.url);
        self.save().await?;
        let pull = IssueRef::new(self.run.repo.clone(), opened.number);
        let labelled = async {
            self.forge.label_ensure(&self.run.repo, &story::LABELS).await?;
            self.forge.label_change(&pull, &[story::PULL], &[]).await
        };
        if let Err(error) = labelled.await {
            self.say(LogKind::Trouble, &format!("the pull request did not get its label: {error}"));
        }
        Ok(())
    }

    async fn report(&mut self) -> Result<(), Setback> {
        let note = format!("run {} opened it", self.run.run_id.short());
        if self.run.parent.is_none() {
            return self.move_claim(ClaimStatus::PrSubmitted, note, self.run.pr_url.clone()).await;
        }
        self.hub.move_feedback(&self.run, FollowUpStatus::Done, "answered by a push").await;
        Ok(())
    }

    /// How git reaches the repository; asked for once an attempt.
    pub(super) async fn remote(&mut self) -> Result<Remote, Setback> {
        if let Some(remote) = &self.remote {
            return Ok(remote.clone());
        }
        let mut remote = self.forge.remote(&self.run.repo).await?;
        if let Some(template) = &self.config.dispatch.git_url {
            remote.url = template.replace("{repo}", self.run.repo.as_str());
        }
        self.remote = Some(remote.clone());
        Ok(remote)
    }

    pub(super) fn container(&self) -> Result<ContainerId, Setback> {
        let id = self.run.container_id.clone().map(ContainerId);
        id.ok_or_else(|| Setback::Failed("there is no container".into()))
    }

    pub(super) fn branch(&self) -> Result<String, Setback> {
        self.run.branch.clone().ok_or_else(|| Setback::Failed("there is no branch".into()))
    }

    pub(super) fn base_sha(&self) -> Option<Sha> {
        self.run.base_sha.as_ref().and_then(|sha| sha.parse().ok())
    }

    /// What it means that an agent cannot be talked to.
    pub(super) async fn why_gone(&self, error: AgentError) -> Setback {
        let out_of_memory = matches!(error, AgentError::Gone { out_of_memory: true, .. });
        let state = match self.container() {
            Ok(container) => self.containers.state(&container).await.ok(),
            Err(_) => None,
        };
        match state {
            Some(ContainerState::Exited { code, out_of_memory }) => self.container_ended(code, out_of_memory),
            _ if out_of_memory => self.container_ended(137, true),
            _ if self.run.status() == RunStatus::Queued => Setback::Interrupted(error.to_string()),
            _ => Setback::from(error),
        }
    }
}
