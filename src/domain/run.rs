//! A run: one issue or one round of review, worked on by an agent in a container.

mod log;
mod parts;
mod phase;
mod priority;
mod status;

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IssueNumber, IssueRef, RepoName, RunId, Timestamp, WorkItemId};

pub use log::{LogKind, LogLine};
pub use parts::{Companion, RunDriver, RunEnding, RunHold, RunQuestion, RunUsage, RunWish, RunWord};
pub use phase::{JournalEntry, Phase, PhaseMark};
pub use priority::RunPriority;
pub use status::{RunStatus, RunStep, RunStepError};

/// Most entries of a run's journal; older ones go first.
pub const JOURNAL_COUNT_MAX: usize = 200;

/// One issue or one round of review, from the queue to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Its id.
    #[serde(rename = "id")]
    pub run_id: RunId,
    /// The issue's page.
    pub github_issue_url: String,
    /// Where.
    pub repo: RepoName,
    /// The issue.
    pub issue_number: IssueNumber,
    /// The issue's title.
    pub title: String,
    /// What is asked for: the issue's text, or the words of the review.
    pub body: String,
    /// How urgent it is.
    pub priority: RunPriority,
    /// Where it stands.
    status: RunStatus,
    /// When it entered the queue.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How often it was begun.
    pub attempts: u32,
    /// How often it failed; retries are counted by this.
    #[serde(default)]
    pub failures: u32,
    /// How often a model's provider refused; so many models of the list are behind it.
    #[serde(default)]
    pub refusals: u32,
    /// The run whose pull request was reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// Its container, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_id: Option<String>,
    /// Its pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_url: Option<String>,

    /// Who asked for it: `label`, `review`, or somebody by name.
    pub requested_by: String,
    /// The coding agent that works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The claim under which it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<RunHold>,
    /// The branch with its commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Branches of earlier attempts that could not be deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches_left: Vec<String>,
    /// The branch it began from, and will be merged into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The commit it began from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_sha: Option<String>,
    /// The commit that it pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_sha: Option<String>,
    /// Other issues that share its pull request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with_issues: Vec<Companion>,
    /// The feedback that it answers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<WorkItemId>,
    /// Which round of review it answers; 0 for an issue.
    #[serde(default)]
    pub round: u32,
    /// Not before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// The place that an operator gave it, smaller first; without one the ranker's order holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<i64>,
    /// The agent's session, in its adapter's form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub session: Option<serde_json::Value>,
    /// What it waits to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<RunQuestion>,
    /// The comment on the issue that tells its story.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<u64>,
    /// What the agent said last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// What it used so far, all attempts together.
    #[serde(default)]
    pub usage: RunUsage,
    /// What the attempts before the present one used; its agent counts from the beginning of its session.
    #[serde(default)]
    pub usage_before: RunUsage,
    /// Why it ended, or why it is in the queue again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When its present attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun_at: Option<Timestamp>,
    /// Who drives its present attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<RunDriver>,
    /// When somebody last saw to its agent's work: what lies between that and the next server is nobody's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driven_at: Option<Timestamp>,
    /// Time of its present attempt in which nobody worked, in milliseconds: people were asked, or no server was there.
    #[serde(default)]
    pub waited_ms: u64,
    /// Whether it only left the queue: others have the issue, or nobody asks for it any more.
    #[serde(default)]
    pub left: bool,
    /// Whether its failure was seen on the issue: taking the label off asks for another run from then on.
    #[serde(default)]
    pub failure_seen: bool,
    /// What becomes of the present attempt once all of it is undone: decided before anything is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<RunEnding>,
    /// What was done and undone, in order.
    #[serde(default)]
    pub journal: Vec<JournalEntry>,
    /// Grows with every write: who writes an older state writes nothing.
    #[serde(default)]
    pub version: u64,
}

impl Run {
    /// A run at the end of the queue.
    pub fn queued(wish: RunWish, now: Timestamp) -> Self {
        let RunWish { issue, url, title, body, priority, requested_by } = wish;
        Self {
            run_id: RunId::fresh(),
            github_issue_url: url,
            repo: issue.repo,
            issue_number: issue.number,
            title,
            body,
            priority,
            status: RunStatus::Queued,
            created_at: now,
            updated_at: now,
            ended_at: None,
            attempts: 0,
            failures: 0,
            refusals: 0,
            parent: None,
            container_id: None,
            pr_url: None,
            requested_by,
            agent: None,
            hold: None,
            branch: None,
            branches_left: Vec::new(),
            base: None,
            base_sha: None,
            head_sha: None,
            with_issues: Vec::new(),
            follow_ups: Vec::new(),
            round: 0,
            not_before: None,
            pinned: None,
            session: None,
            question: None,
            comment: None,
            summary: None,
            usage: RunUsage::default(),
            usage_before: RunUsage::default(),
            reason: None,
            begun_at: None,
            driver: None,
            driven_at: None,
            waited_ms: 0,
            left: false,
            failure_seen: false,
            ending: None,
            journal: Vec::new(),
            version: 0,
        }
    }

    /// The run that answers a review of `parent`'s pull request, on the same branch.
    pub fn follow_up(parent: &Self, follow_ups: Vec<WorkItemId>, body: String, now: Timestamp) -> Self {
        let wish = RunWish {
            issue: parent.issue_ref(),
            url: parent.github_issue_url.clone(),
            title: parent.title.clone(),
            body,
            priority: parent.priority,
            requested_by: "review".into(),
        };
        Self {
            parent: Some(parent.run_id),
            hold: parent.hold.clone(),
            branch: parent.branch.clone(),
            base: parent.base.clone(),
            pr_url: parent.pr_url.clone(),
            comment: parent.comment,
            with_issues: parent.with_issues.clone(),
            round: parent.round + 1,
            follow_ups,
            ..Self::queued(wish, now)
        }
    }

    /// Which issue.
    pub fn issue_ref(&self) -> IssueRef {
        IssueRef { repo: self.repo.clone(), number: self.issue_number }
    }

    /// Every issue that it works on; its own is the first.
    pub fn issues(&self) -> Vec<IssueRef> {
        let others = self.with_issues.iter().map(|companion| companion.issue_number);
        let numbers = [self.issue_number].into_iter().chain(others);
        numbers.map(|number| IssueRef::new(self.repo.clone(), number)).collect()
    }

    /// Its pull request, in the sequence of issues.
    pub fn pull_ref(&self) -> Option<IssueRef> {
        let number = self.pr_url.as_ref()?.rsplit("/pull/").next()?.parse().ok()?;
        Some(IssueRef::new(self.repo.clone(), IssueNumber::new(number).ok()?))
    }

    /// Where it stands.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// The branch of an attempt under `epoch`: another attempt never writes to it.
    pub fn branch_under(&self, epoch: u64) -> String {
        format!("agent/{}-e{epoch}", self.run_id.short())
    }

    /// Takes one step: the only place where a run's status changes.
    ///
    /// # Errors
    /// [`RunStepError`] when the run cannot go there; it is then unchanged.
    pub fn advance(&mut self, step: RunStep, now: Timestamp) -> Result<(), RunStepError> {
        let to = step.status();
        if !self.status.may_become(to) {
            return Err(RunStepError { from: self.status, to });
        }
        match step {
            RunStep::Begin => {
                self.attempts += 1;
                (self.begun_at, self.driven_at, self.waited_ms) = (Some(now), None, 0);
                self.usage_before = self.usage;
                // A place is used up by who begins: tried again it stands where the queue's order has it.
                (self.not_before, self.reason, self.pinned) = (None, None, None);
            }
            RunStep::Work => {
                // Until here the attempt's time is the server's own, or it was people's.
                if let Some(question) = self.question.take() {
                    self.wait_from(question.asked_at, now);
                }
                self.driven_at = Some(now);
            }
            RunStep::Ask(question) => self.question = Some(question),
            RunStep::Complete { pr_url } => (self.pr_url, self.reason) = (Some(pr_url), None),
            RunStep::Fail { why } => self.reason = Some(why),
            RunStep::Requeue { why, not_before, failed } => {
                self.failures += u32::from(failed);
                (self.reason, self.not_before) = (Some(why), not_before);
                (self.begun_at, self.question, self.session, self.ending) = (None, None, None, None);
            }
        }
        self.status = to;
        self.updated_at = now;
        if to.is_terminal() {
            (self.ended_at, self.question, self.session, self.ending) = (Some(now), None, None, None);
        }
        Ok(())
    }

    /// Notes that another server goes on with the work: while none was there nobody worked. Where people were asked
    /// before, the whole wait counts once the answer is there.
    pub fn go_on(&mut self, now: Timestamp) {
        if let Some(driven_at) = self.driven_at.replace(now).filter(|_| self.question.is_none()) {
            self.wait_from(driven_at, now);
        }
    }

    /// Notes another question, where people did not answer the one before.
    pub fn ask_another(&mut self, question: RunQuestion) {
        let asked_at = question.asked_at;
        if let Some(former) = self.question.replace(question) {
            self.wait_from(former.asked_at, asked_at);
        }
    }

    fn wait_from(&mut self, since: Timestamp, now: Timestamp) {
        let waited = u64::try_from((now - since).num_milliseconds()).unwrap_or(0);
        self.waited_ms = self.waited_ms.saturating_add(waited);
    }

    /// How long its present attempt worked until `now`: without the time in which people were asked, or no server was
    /// there.
    pub fn worked(&self, now: Timestamp) -> Duration {
        let begun = self.begun_at.unwrap_or(now);
        (now - begun).to_std().unwrap_or_default().saturating_sub(Duration::from_millis(self.waited_ms))
    }

    /// Notes how far the present attempt is.
    pub fn mark(&mut self, phase: Phase, mark: PhaseMark, now: Timestamp) {
        if self.journal.len() >= JOURNAL_COUNT_MAX {
            self.journal.remove(0);
        }
        self.journal.push(JournalEntry { attempt: self.attempts, phase, mark, at: now });
        self.updated_at = now;
    }

    /// What of the present attempt was begun and not undone, newest first.
    pub fn to_undo(&self) -> Vec<Phase> {
        let mut open: Vec<Phase> = Vec::new();
        for entry in self.journal.iter().filter(|entry| entry.attempt == self.attempts) {
            match entry.mark {
                PhaseMark::Doing if !open.contains(&entry.phase) => open.push(entry.phase),
                PhaseMark::Undone => open.retain(|phase| *phase != entry.phase),
                _ => {}
            }
        }
        open.reverse();
        open
    }

    /// Whether the present attempt did a phase, and did not undo it.
    pub fn is_done(&self, phase: Phase) -> bool {
        let of_phase = |entry: &&JournalEntry| entry.attempt == self.attempts && entry.phase == phase;
        self.journal.iter().rfind(of_phase).is_some_and(|entry| entry.mark == PhaseMark::Done)
    }

    /// The phase of the present attempt to go on with: the first that is not done.
    pub fn next_phase(&self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| !self.is_done(*phase))
    }
}

#[cfg(test)]
mod tests;
