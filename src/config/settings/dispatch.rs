//! How the server does work itself: which issues, in what containers, by which agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AgentGroupsConfig, BUILTIN_RANKER, Config, OverrideConfig, PolicyConfig, RankerConfig};
use crate::config::{Bytes, Span};

/// `[dispatch]`: whether and how issues are worked on here. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DispatchConfig {
    /// Whether labelled issues are worked on without being told to. `issuecommand run` needs none of it.
    pub enabled: bool,
    /// Whether this server only works on runs that another server of the same PostgreSQL database queues. It then
    /// reads nothing from GitHub for others, and sweeps nothing.
    pub worker: bool,
    /// The name under which claims are held.
    pub agent_name: String,
    /// Which coding agent: a name of `[agents]`, or one of those that are built in.
    pub agent: String,
    /// The order of the queue; the built-in one by `priority/*` labels if it is not set.
    pub ranker: Option<RankerConfig>,
    /// Whether a critical issue may take the slot of one that is less urgent.
    pub preempt: bool,
    /// How often one run is tried.
    pub attempt_count_max: u32,
    /// The wait before the second attempt; it doubles.
    pub retry_wait: Span,
    /// Associations whose answers and reviews count, in GitHub's words.
    pub answer_associations: Vec<String>,
    /// How long a question waits for an answer; 0 for ever.
    pub question_timeout: Span,
    /// How many follow-up runs one pull request gets.
    pub review_rounds_max: u32,
    /// Whether a failing check of an agent's pull request is worked on too.
    pub on_failing_checks: bool,
    /// Whether the issue tells the story by labels.
    pub labels: bool,
    /// Whether the issue tells the story by one comment.
    pub comment: bool,
    /// Whether pull requests are opened as drafts.
    pub draft: bool,
    /// Whether a run may change `.github/workflows`, which GitHub runs when they are pushed.
    pub allow_workflow_changes: bool,
    /// How many issues of one repository may share a pull request.
    pub issues_per_pull: u32,
    /// What of its own agent configuration a repository decides.
    pub repository_config: RepositoryConfigTrust,
    /// Models to try, one after the other, where a provider refuses.
    pub model_fallbacks: Vec<String>,
    /// Where git fetches and pushes, with `{repo}` for the name; GitHub's own address if not set.
    pub git_url: Option<String>,
    /// The name that commits carry.
    pub git_name: String,
    /// The address that commits carry.
    pub git_email: String,
    /// How many runs that ended are kept, with their logs; the newest of each issue stays beside them, without its log.
    pub run_max_entries: usize,
    /// Most bytes of one run's log.
    pub log_bytes_max: Bytes,
    /// What runs may spend.
    pub budget: BudgetConfig,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        let associations = ["OWNER", "MEMBER", "COLLABORATOR"];
        Self {
            enabled: false,
            worker: false,
            agent_name: "dispatch".into(),
            agent: "opencode".into(),
            ranker: None,
            preempt: true,
            attempt_count_max: 3,
            retry_wait: Span::seconds(60),
            answer_associations: associations.map(str::to_owned).into(),
            question_timeout: Span::seconds(3 * 24 * 3600),
            review_rounds_max: 3,
            on_failing_checks: false,
            labels: true,
            comment: true,
            draft: false,
            allow_workflow_changes: false,
            issues_per_pull: 1,
            repository_config: RepositoryConfigTrust::Model,
            model_fallbacks: Vec::new(),
            git_url: None,
            git_name: "issuecommand".into(),
            git_email: "agent@issuecommand.invalid".into(),
            run_max_entries: 200,
            log_bytes_max: Bytes(4 * 1024 * 1024),
            budget: BudgetConfig::default(),
        }
    }
}

impl DispatchConfig {
    /// Whether queued runs are begun here by themselves.
    pub fn works(&self) -> bool {
        self.enabled || self.worker
    }
}

/// What a repository's own agent configuration may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RepositoryConfigTrust {
    /// Nothing: the agent does not read it.
    Ignore,
    /// Which model works: its name is read as data, and the agent does not read the rest.
    Model,
    /// All of it, plugins and commands too, within the container.
    Full,
}

/// `[dispatch.budget]`: what runs may spend; 0 is without bound. Hot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetConfig {
    /// Tokens of one run, in and out.
    pub run_tokens_max: u64,
    /// Cost of one run, in US dollars.
    pub run_usd_max: f64,
    /// Tokens of all runs of one day (UTC).
    pub day_tokens_max: u64,
    /// Cost of all runs of one day (UTC), in US dollars.
    pub day_usd_max: f64,
    /// Tokens of all runs in one repository, by day.
    pub repo_tokens_max: u64,
    /// Cost of all runs in one repository, by day, in US dollars.
    pub repo_usd_max: f64,
}

/// `[containers]`: where agents run. Hot; a container that runs keeps what it was made with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContainersConfig {
    /// `podman`, another command that takes the same arguments, or `host` for no container at all.
    pub runtime: String,
    /// A connection of podman to another machine.
    pub connection: Option<String>,
    /// How many runs at once.
    pub max_concurrent: u32,
    /// Processors for one container.
    pub cpu_limit: String,
    /// Memory for one container.
    pub memory_limit: Bytes,
    /// Processes and threads of one container.
    pub pids_limit: u32,
    /// Longest time of one attempt; the time it waits for people does not count.
    pub task_timeout: Span,
    /// Longest time without a tool call, a changed file or a word.
    pub stuck_timeout: Span,
    /// How often it is looked at.
    pub heartbeat: Span,
    /// The image.
    pub base_image: String,
    /// What of the network a container sees, in podman's words: `bridge`, `none`, a network's name.
    pub network: String,
    /// What enters the environment: `auto`, `nix`, `devcontainer`, `direnv`, `none`, or a command of one's own.
    pub environment: String,
    /// Folders of this machine that containers see read-only: from, and where to.
    pub mounts: BTreeMap<String, String>,
    /// A volume that runs share at `/nix`, so that each environment is fetched once; empty for none.
    pub nix_volume: String,
    /// Whether images are built for repositories that bring a container file, anew when it changes.
    pub prebuild: bool,
    /// Other limits by priority.
    pub priority: PriorityLimitsConfig,
}

impl Default for ContainersConfig {
    fn default() -> Self {
        Self {
            runtime: "podman".into(),
            connection: None,
            max_concurrent: 4,
            cpu_limit: "2.0".into(),
            memory_limit: Bytes(4 << 30),
            pids_limit: 2048,
            task_timeout: Span::seconds(30 * 60),
            stuck_timeout: Span::seconds(5 * 60),
            heartbeat: Span::seconds(30),
            base_image: "localhost/issuecommand-agent".into(),
            network: "bridge".into(),
            environment: "auto".into(),
            mounts: BTreeMap::new(),
            nix_volume: String::new(),
            prebuild: false,
            priority: PriorityLimitsConfig::default(),
        }
    }
}

/// Most processors that a container may be given: more than any machine that runs agents has.
const PROCESSOR_COUNT_MAX: f64 = 1024.0;

/// A number of processors, as `cpu_limit` has it; `None` if it is none, or beyond 1024.
pub fn processors(text: &str) -> Option<f64> {
    let count = text.trim().parse::<f64>().ok()?;
    (0.01..=PROCESSOR_COUNT_MAX).contains(&count).then_some(count)
}

/// `[containers.priority.*]`: what differs by priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PriorityLimitsConfig {
    /// `priority/critical`
    pub critical: LimitsConfig,
    /// `priority/high`
    pub high: LimitsConfig,
    /// `priority/medium`, and without a label
    pub medium: LimitsConfig,
    /// `priority/low`
    pub low: LimitsConfig,
}

/// What a priority has of its own; the rest is as in `[containers]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Processors.
    pub cpu_limit: Option<String>,
    /// Memory.
    pub memory_limit: Option<Bytes>,
    /// Processes and threads.
    pub pids_limit: Option<u32>,
    /// Longest time of one attempt.
    pub task_timeout: Option<Span>,
    /// Most slots that runs of this priority take.
    pub max_concurrent: Option<u32>,
}

/// `[secrets]`: what agents need to be let in elsewhere, and where it comes from. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretsConfig {
    /// Where a value without a scheme of its own comes from: `op`, `env`, `file` or `command`.
    pub provider: String,
    /// 1Password's vault, for names without one.
    pub vault: String,
    /// The command of the provider `command`: it is given the reference, and prints the secret.
    pub command: Vec<String>,
    /// Variables of the agent, each with the reference of its value; never the value itself.
    pub variables: BTreeMap<String, String>,
}

impl Default for SecretsConfig {
    fn default() -> Self {
        Self { provider: "op".into(), vault: String::new(), command: Vec::new(), variables: BTreeMap::new() }
    }
}

/// `[agents]`: coding agents by name. Hot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AgentsConfig(pub BTreeMap<String, AgentConfig>);

/// `[agents.NAME]`: one coding agent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// How it is spoken to: `opencode`, `pi`, `claude`, `codex`, `acp` or `command`; its name says it if not set.
    pub kind: Option<String>,
    /// The program and its first arguments; what is built in if empty.
    pub command: Vec<String>,
    /// Its model, if the repository names none.
    pub model: Option<String>,
    /// Its image, if another than `containers.base_image`.
    pub image: Option<String>,
    /// Variables that it sees; nothing secret.
    pub env: BTreeMap<String, String>,
}

/// The group of the dispatcher's agent, for the order of its queue.
const DISPATCHER_GROUP: &str = "dispatcher";

impl Config {
    /// `[agent_groups]`, and the dispatcher's own group while it looks for work.
    pub fn effective_agent_groups(&self) -> AgentGroupsConfig {
        let mut groups = self.agent_groups.clone();
        if self.dispatch.enabled {
            let name = globset::escape(&self.dispatch.agent_name);
            groups.0.entry(DISPATCHER_GROUP.into()).or_default().push(name);
        }
        groups
    }

    /// The ranker of the dispatcher's queue, where it has one of its own. A team that set `[policies.ranker]` said
    /// what comes first, and what must be kept back: that holds for the dispatcher too.
    pub(super) fn dispatch_override(&self) -> Option<OverrideConfig> {
        let by_priority = || (self.policies.ranker == RankerConfig::default()).then(ranker_by_priority);
        let ranker = self.dispatch.ranker.clone().or_else(by_priority).filter(|_| self.dispatch.enabled)?;
        let groups = vec![DISPATCHER_GROUP.into()];
        Some(OverrideConfig { groups, ranker: Some(ranker), ..OverrideConfig::default() })
    }
}

/// The contract's order of dispatch: critical, high, medium or no label, low; then the oldest.
fn ranker_by_priority() -> RankerConfig {
    let tiers = ["critical", "high", "medium", "low"].map(|word| vec![format!("priority/{word}")]);
    let mut policy = PolicyConfig::builtin(BUILTIN_RANKER);
    policy.settings.insert("tiers".into(), serde_json::json!(tiers));
    policy.settings.insert("default_tier".into(), 2.into());
    policy.into()
}
