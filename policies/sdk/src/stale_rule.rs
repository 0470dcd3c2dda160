//! Stale rules: how live claims are doing.

use serde::de::DeserializeOwned;

use crate::Instant;
use crate::column::{Column, Texts};
use crate::rows::rows;
use crate::wit::claims as facts;
use crate::wit::stale_rule_world::exports::issuecommand::policy::stale_rule as wit;

/// Says how live claims are doing. Register it with [`export_stale_rule!`](crate::export_stale_rule).
///
/// ```
/// use issuecommand_policy::{Claim, Instant, StaleRule, Verdict};
///
/// /// An hour of silence, unless people are to look at the pull request; then another hour.
/// struct AnHour;
///
/// impl StaleRule for AnHour {
///     type Settings = std::collections::BTreeMap<String, String>;
///
///     fn new(_: Self::Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn assess(&self, claim: &Claim<'_>, now: Instant) -> Verdict {
///         let last_sign = Some(claim.last_call_at()).max(claim.last_push_at()).unwrap_or(claim.claimed_at());
///         match claim.status() {
///             "pr_submitted" if claim.review_state() != "changes_requested" => Verdict::Waiting,
///             "stale" if now >= claim.status_since().plus_minutes(60) => Verdict::Release,
///             _ if now >= last_sign.plus_minutes(60) => Verdict::Stale,
///             _ => Verdict::Healthy,
///         }
///     }
/// }
///
/// issuecommand_policy::export_stale_rule!(AnHour);
///
/// use issuecommand_policy::testing::{assess, claim, NOW};
/// let pushed = claim().last_push_at(NOW.plus_minutes(30));
/// assert_eq!(assess(&AnHour, [claim(), pushed], NOW.plus_minutes(60)), [Verdict::Stale, Verdict::Healthy]);
/// ```
pub trait StaleRule: Sized + 'static {
    /// The `[policies.stale_rule.settings]` of issuecommand.toml.
    type Settings: DeserializeOwned;

    /// Takes the settings.
    ///
    /// # Errors
    /// What cannot work, naming the key and what is allowed; the server then keeps the policy it has.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// How one claim is doing. A verdict on a claim whose owner calls meanwhile is dropped, and none is acted upon
    /// while the server itself was unwell or has just started.
    fn assess(&self, claim: &Claim<'_>, now: Instant) -> Verdict;

    /// A JSON Schema of the settings, as text: the server and `issuecommand policy check` hold the settings to it, and
    /// `inspect` lists its keys. Without it any object fits. Only references within it are followed, as `#/$defs/NAME`.
    fn settings_schema() -> String {
        crate::settings::ANY_OBJECT.to_owned()
    }
}

/// How a claim is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Its owner is at work. Nothing is done; a stale claim stays so until its owner moves it to `in_progress`.
    Healthy,
    /// It waits for a person or a review; leave it alone. Nothing is done.
    Waiting,
    /// It has lapsed: mark it, and go on blocking others. One that is marked stays as it is.
    Stale,
    /// Take it back, so that others can have the issue; marked before or not. Its agent is told at its next call.
    Release,
}

impl From<Verdict> for wit::Verdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Healthy => Self::Healthy,
            Verdict::Waiting => Self::Waiting,
            Verdict::Stale => Self::Stale,
            Verdict::Release => Self::Release,
        }
    }
}

/// The live claims that one sweep is about. Reads from the host only what a policy asks for.
#[derive(Debug, Default)]
pub struct Claims {
    pub(crate) count: usize,
    pub(crate) agents: Texts,
    pub(crate) repos: Texts,
    pub(crate) numbers: Column<u64>,
    pub(crate) statuses: Texts,
    pub(crate) claimed_at: Column<u64>,
    pub(crate) status_since: Column<u64>,
    pub(crate) last_call_at: Column<u64>,
    pub(crate) last_commit_at: Column<u64>,
    pub(crate) last_push_at: Column<u64>,
    pub(crate) pull_states: Texts,
    pub(crate) review_states: Texts,
    pub(crate) ci_states: Texts,
    pub(crate) container_states: Texts,
}

rows!(Claims of Claim);

/// One agent's live hold on one issue.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    facts: &'a Claims,
    row: usize,
}

impl<'a> Claim<'a> {
    /// Who holds it.
    pub fn agent(&self) -> &'a str {
        self.facts.agents.row(self.row, facts::agents)
    }

    /// The repository, as `owner/name` in lower case.
    pub fn repo(&self) -> &'a str {
        self.facts.repos.row(self.row, facts::repos)
    }

    /// The issue's number.
    pub fn number(&self) -> u64 {
        self.facts.numbers.get_or_init(facts::numbers)[self.row]
    }

    /// `claimed`, `in_progress`, `pr_submitted`, `pr_merged` or `stale`.
    pub fn status(&self) -> &'a str {
        self.facts.statuses.row(self.row, facts::statuses)
    }

    /// When it was granted.
    pub fn claimed_at(&self) -> Instant {
        Instant::from_ms(self.facts.claimed_at.get_or_init(facts::claimed_at)[self.row])
    }

    /// When it entered its present status: for a stale one when it was marked.
    pub fn status_since(&self) -> Instant {
        Instant::from_ms(self.facts.status_since.get_or_init(facts::status_since)[self.row])
    }

    /// When its owner was last heard of: any call of the owner counts, whatever it is about.
    pub fn last_call_at(&self) -> Instant {
        Instant::from_ms(self.facts.last_call_at.get_or_init(facts::last_call_at)[self.row])
    }

    /// When the newest commit that is known on its branch was made, if one is known.
    pub fn last_commit_at(&self) -> Option<Instant> {
        known(self.facts.last_commit_at.get_or_init(facts::last_commit_at)[self.row])
    }

    /// When commits were last pushed to its branch, if that is known.
    pub fn last_push_at(&self) -> Option<Instant> {
        known(self.facts.last_push_at.get_or_init(facts::last_push_at)[self.row])
    }

    /// How its pull request is: `none`, `draft`, `open`, `merged` or `closed`.
    pub fn pull_state(&self) -> &'a str {
        self.facts.pull_states.row(self.row, facts::pull_states)
    }

    /// What reviewers last said of the pull request: `none`, `requested`, `commented`, `changes_requested` or
    /// `approved`.
    pub fn review_state(&self) -> &'a str {
        self.facts.review_states.row(self.row, facts::review_states)
    }

    /// What the pull request's checks say: `unknown`, `pending`, `success` or `failure`.
    pub fn ci_state(&self) -> &'a str {
        self.facts.ci_states.row(self.row, facts::ci_states)
    }

    /// How the container is in which the agent runs: `none` where it was not dispatched, `running`, `unhealthy`
    /// or `exited`.
    pub fn container_state(&self) -> &'a str {
        self.facts.container_states.row(self.row, facts::container_states)
    }
}

/// An instant that the host may not know: it says 0 then.
fn known(ms: u64) -> Option<Instant> {
    (ms > 0).then(|| Instant::from_ms(ms))
}

#[doc(hidden)]
pub fn assess_this_call<S: StaleRule>(rule: &S, now: u64) -> Vec<wit::Verdict> {
    let now = Instant::from_ms(now);
    Claims::of_this_call().iter().map(|claim| rule.assess(&claim, now).into()).collect()
}

/// Makes a type that is a [`StaleRule`] the policy of this crate.
///
/// Does nothing unless the crate is built for WebAssembly, so its unit tests run natively.
#[macro_export]
macro_rules! export_stale_rule {
    ($rule:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::__private::stale_rule_world::exports::issuecommand::policy::stale_rule;

            ::std::thread_local!(static POLICY: $crate::__private::Slot<$rule> = const { $crate::__private::Slot::empty() });

            struct Exported;

            impl stale_rule::Guest for Exported {
                fn settings_schema() -> ::std::string::String {
                    <$rule as $crate::StaleRule>::settings_schema()
                }

                fn configure(settings: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                    POLICY.with(|policy| policy.fill(&settings, <$rule as $crate::StaleRule>::new))
                }

                fn assess(
                    now: u64,
                ) -> ::core::result::Result<::std::vec::Vec<stale_rule::Verdict>, ::std::string::String> {
                    POLICY.with(|policy| policy.ask(|it| $crate::__private::assess_this_call(it, now)))
                }
            }

            $crate::__private::export_stale_rule_world!(Exported with_types_in $crate::__private::stale_rule_world);
        };
    };
}
