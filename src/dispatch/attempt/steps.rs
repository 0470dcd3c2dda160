//! What each step of a run does. A step that was cut off is done again from its beginning, or undone.

use std::collections::BTreeMap;

use sync_wrapper::SyncWrapper;
use tracing::info;

use super::super::agent::{ASK_BY_TEXT, AgentError, Ground, SessionRecord};
use super::super::container::{ContainerId, ContainerSpec, ContainerState, Mount};
use super::super::git::{PushOutcome, Sha};
use super::super::logs::LogKind;
use super::super::prompt::{self, Brief, BriefIssue, Fence, Remark, Review};
use super::super::story::{self, PullWords};
use super::super::workspace::{Filling, Workspace};
use super::super::{environment, intake, secrets};
use super::{Attempt, Setback};
use crate::claims::{ClaimOutcome, ClaimRequest, FollowUpUpdate, UpdateOutcome, UpdateRequest};
use crate::config::RepositoryConfigTrust;
use crate::domain::{
    AgentId, ClaimStatus, Comment, FollowUpStatus, Issue, IssueRef, Phase, PhaseMark, RunHold, RunStatus, RunStep,
};
use crate::github::{PullWish, Remote};

/// Most bytes of commits that are brought out of a container: far more than a change, far less than a disk.
const BUNDLE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most bytes of a pull request's diff in a prompt.
const DIFF_BYTES_MAX: usize = 64 * 1024;
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
            Phase::Cleanup => self.remove_container().await,
        }
    }

    /// Whether a run that was under way when the last server ended can go on from where it stands.
    pub(super) async fn resume(&mut self) -> Result<(), Setback> {
        let interrupted = || Setback::Interrupted("the server ended in the middle of it".into());
        if self.run.attempts >= self.config.dispatch.attempt_count_max.saturating_mul(INTERRUPTION_FACTOR) {
            return Err(Setback::Hopeless("it was interrupted again and again".into()));
        }
        let undone = self.run.journal.iter().rev().take_while(|entry| entry.attempt == self.run.attempts);
        if undone.into_iter().any(|entry| matches!(entry.mark, PhaseMark::Undoing | PhaseMark::Undone)) {
            return Err(interrupted());
        }
        match self.run.next_phase() {
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

    /// The claim: that of the issue, under an epoch of this attempt.
    async fn claim(&mut self) -> Result<(), Setback> {
        let agent = self.hub.agent_id();
        let note = format!("run {}, attempt {}", self.run.run_id.short(), self.run.attempts);
        let held = self.run.hold.clone().or_else(|| self.hub.hold_of(&self.run));
        let claim = match held {
            Some(hold) => self.hub.manager().reissue(hold.claim_id, agent.clone(), note.clone()).await?,
            None => None,
        };
        let claim = match claim {
            Some(claim) => claim,
            None if self.run.parent.is_some() => {
                return Err(Setback::Lost("the claim behind the pull request is no longer ours".into()));
            }
            None => self.claim_anew(&agent).await?,
        };
        self.run.hold = Some(RunHold { claim_id: claim.claim_id, agent_id: agent.clone(), epoch: claim.lease.epoch });
        if self.run.parent.is_none() {
            self.run.branch = Some(self.run.branch_under(claim.lease.epoch));
        }
        if self.run.parent.is_none() {
            self.move_claim(ClaimStatus::InProgress, note, None).await?;
        }
        self.read_issue().await?;
        self.save().await?;
        self.tell().await;
        Ok(())
    }

    async fn claim_anew(&self, agent: &AgentId) -> Result<crate::domain::Claim, Setback> {
        let request_id = format!("run-{}-{}", self.run.run_id, self.run.attempts).parse().ok();
        let wish = ClaimRequest { agent: agent.clone(), issue: self.run.issue_ref(), request_id };
        match self.hub.manager().claim(wish).await? {
            ClaimOutcome::Granted { claim, .. } => Ok(claim),
            ClaimOutcome::HeldBy(claim) => Err(Setback::Lost(format!("{} holds the issue", claim.agent_id))),
            ClaimOutcome::RequestIdUsed(_) => Err(Setback::Lost("the claim ended meanwhile".into())),
            ClaimOutcome::NotOpen(issue) => Err(Setback::Lost(format!("{issue} is no open issue"))),
        }
    }

    /// The issue as it reads now: what was queued may have been edited since.
    async fn read_issue(&mut self) -> Result<(), Setback> {
        if self.run.parent.is_none()
            && let Some(issue) = self.hub.store().issue_get(self.run.issue_ref()).await?
        {
            (self.run.title, self.run.body) = (issue.title, intake::cut(issue.body));
        }
        Ok(())
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
        let spec = self.container_spec();
        let container = self.containers.start(&spec).await?;
        self.run.container_id = Some(container.0);
        self.save().await
    }

    fn container_spec(&self) -> ContainerSpec {
        let config = &self.config.containers;
        let own = self.config.agents.0.get(self.agent.name());
        let image = own.and_then(|own| own.image.clone()).unwrap_or_else(|| config.base_image.clone());
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

    async fn prepare_environment(&self, container: &ContainerId) -> Result<environment::Prepared, Setback> {
        let setting = &self.config.containers.environment;
        let mut say = |line: String| self.say(LogKind::Step, &line);
        Ok(environment::prepare(&*self.containers, container, setting, &mut say).await?)
    }

    /// What the agent stands on. Secrets are asked for afresh: they are kept nowhere.
    async fn ground(&self) -> Result<Ground, Setback> {
        let container = self.container()?;
        let environment::Prepared { command, env } = self.prepare_environment(&container).await?;
        let mut variables: BTreeMap<String, String> = env;
        let own = self.config.agents.0.get(self.agent.name());
        variables.extend(own.into_iter().flat_map(|own| own.env.clone()));
        Ok(Ground {
            runtime: self.containers.clone(),
            container,
            environment: command,
            env: variables,
            secrets: secrets::resolve(&self.config.secrets, self.hub.base_dir()).await?,
            password: self.hub.password(&self.run),
            model: self.model().await?,
            trusts_repository: self.config.dispatch.repository_config == RepositoryConfigTrust::Full,
        })
    }

    /// The model: the next of the list where a provider refused, else the repository's word, else the agent's.
    async fn model(&self) -> Result<Option<String>, Setback> {
        let refused = self.run.refusals as usize;
        if let Some(fallback) = refused.checked_sub(1).and_then(|place| self.config.dispatch.model_fallbacks.get(place))
        {
            return Ok(Some(fallback.clone()));
        }
        if self.config.dispatch.repository_config == RepositoryConfigTrust::Model
            && let Some(sha) = self.base_sha()
            && let Some(model) = super::super::repository_model::read(&self.mirror, &sha, self.agent.name()).await?
        {
            return Ok(Some(model));
        }
        Ok(self.config.agents.0.get(self.agent.name()).and_then(|own| own.model.clone()))
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

    /// What the agent is told. All that comes from GitHub stands behind a fence that it cannot know.
    async fn prompt(&self) -> Result<String, Setback> {
        let fence = super::work::fence();
        let mut issues = Vec::new();
        for number in [self.run.issue_number].into_iter().chain(self.run.with_issues.iter().copied()) {
            issues.extend(self.hub.store().issue_get(IssueRef::new(self.run.repo.clone(), number)).await?);
        }
        let comments = self.comments(&issues).await;
        let remarks_of = |place: usize| comments[place].iter().map(remark).collect();
        let told = issues.iter().enumerate().map(|(place, issue)| BriefIssue {
            number: issue.number.get(),
            title: &issue.title,
            body: &issue.body,
            labels: issue.labels.iter().map(String::as_str).collect(),
            comments: remarks_of(place),
        });
        let branch = self.branch()?;
        let brief = Brief {
            repo: &self.run.repo,
            issues: told.collect(),
            branch: &branch,
            base: self.run.base.as_deref().unwrap_or_default(),
            linked: Vec::new(),
            asks_by_text: self.agent.asks_by_text().then_some(ASK_BY_TEXT),
        };
        let Some(pull) = self.run.parent.and_then(|_| self.run.pull_ref()) else {
            return Ok(prompt::of_issue(&brief, Fence(&fence)));
        };
        let diff = self.forge.pull_diff(&pull, DIFF_BYTES_MAX).await?;
        let pull_url = self.run.pr_url.as_deref().unwrap_or_default();
        let remarks = vec![Remark { author: "reviewers", place: None, body: &self.run.body }];
        Ok(prompt::of_review(&brief, &Review { pull_url, diff: &diff, remarks }, Fence(&fence)))
    }

    /// What was said below each issue. Without it the agent can work too.
    async fn comments(&self, issues: &[Issue]) -> Vec<Vec<Comment>> {
        let mut comments = Vec::new();
        for issue in issues {
            let issue = IssueRef::new(self.run.repo.clone(), issue.number);
            comments.push(match self.hub.manager().issue_details(issue).await {
                Ok(details) => {
                    details.issue.comments.into_iter().filter(|comment| !story::is_ours(&comment.body)).collect()
                }
                Err(error) => {
                    self.say(
                        LogKind::Trouble,
                        &format!("the agent is not told the comments: {}", super::chain(&error)),
                    );
                    Vec::new()
                }
            });
        }
        comments
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
        self.say(LogKind::Step, &format!("{} commits, {} files changed", brought.commit_count, brought.file_count));
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

    async fn open_pull(&mut self) -> Result<(), Setback> {
        self.check_hold().await?;
        if self.run.parent.is_some() {
            return Ok(());
        }
        let run_id = self.run.run_id.to_string();
        let issues: Vec<_> = [self.run.issue_number].into_iter().chain(self.run.with_issues.iter().copied()).collect();
        let words = PullWords {
            issues: &issues,
            issue_title: &self.run.title,
            agent: self.agent.name(),
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
        self.move_feedback(FollowUpStatus::Done, "answered by a push").await;
        Ok(())
    }

    pub(super) async fn give_feedback_back(&mut self, why: &str) {
        // Back on offer is what stale means; the sweep would say so later, a person or agent sees it now.
        self.move_feedback(FollowUpStatus::Stale, why).await;
    }

    async fn move_feedback(&self, status: FollowUpStatus, note: &str) {
        for work_item_id in &self.run.follow_ups {
            let (agent, note) = (self.hub.agent_id(), Some(format!("run {}: {note}", self.run.run_id.short())));
            let update = FollowUpUpdate { work_item_id: *work_item_id, agent, status, note };
            if let Err(error) = self.hub.manager().update_follow_up(update).await {
                self.say(LogKind::Trouble, &format!("the review's feedback stays as it is: {}", super::chain(&error)));
            }
        }
    }

    async fn move_claim(&self, status: ClaimStatus, note: String, pr_url: Option<String>) -> Result<(), Setback> {
        let hold = self.run.hold.as_ref().ok_or_else(|| Setback::Lost("there is no claim".into()))?;
        let (claim_id, agent) = (hold.claim_id, hold.agent_id.clone());
        let wish = UpdateRequest { claim_id, agent, status, note: Some(note), pr_url };
        match self.hub.manager().update(wish).await? {
            UpdateOutcome::Moved { .. } => Ok(()),
            // After a crash it may stand there, or further, already.
            UpdateOutcome::Refused(claim, _) if claim.pr_url() == self.run.pr_url.as_deref() => Ok(()),
            UpdateOutcome::Ended(claim) if claim.pr_url().is_some() => Ok(()),
            other => Err(Setback::Lost(format!("the claim could not go to {status}: {other:?}"))),
        }
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

    fn branch(&self) -> Result<String, Setback> {
        self.run.branch.clone().ok_or_else(|| Setback::Failed("there is no branch".into()))
    }

    fn base_sha(&self) -> Option<Sha> {
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

fn remark(comment: &Comment) -> Remark<'_> {
    Remark { author: &comment.author, place: None, body: &comment.body }
}
