//! Rankers: which issue comes first.

use serde::de::DeserializeOwned;

use crate::wit::ranker_world::exports::issuecommand::policy::ranker as wit;
use crate::wit::types::{Exclusion, Reason};
use crate::{Candidate, Candidates, Instant, Request, Score};

/// Orders work: scores every candidate ahead of any request, and has the last word when an agent
/// asks. Register it with [`export_ranker!`](crate::export_ranker).
pub trait Ranker: Sized + 'static {
    /// The `[policies.ranker.settings]` of issuecommand.toml. Give it
    /// `#[serde(deny_unknown_fields, default)]`, so that a misspelt key is refused.
    type Settings: DeserializeOwned;

    /// Takes the settings.
    ///
    /// # Errors
    /// What cannot work, naming the key and what is allowed; the server then keeps the policy it has.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// Scores one candidate from its own facts. Must not depend on other candidates or earlier calls:
    /// scores are kept, and only candidates whose facts changed are asked about again.
    fn score(&self, candidate: &Candidate<'_>, now: Instant, score: &mut Score<'_>);

    /// Orders a short list, best scores first, for one request. Runs while an agent waits. Without it the order
    /// of the scores stands.
    ///
    /// Scores know issues only. What depends on who asks, and on what else is going on, belongs here:
    ///
    /// ```
    /// use issuecommand_policy::{Candidate, Candidates, Choice, Instant, Ranker, Request, Score};
    ///
    /// /// Rust is for those who say they know it, and whose reviews do not pile up.
    /// struct Rustaceans;
    ///
    /// impl Ranker for Rustaceans {
    ///     type Settings = std::collections::BTreeMap<String, String>;
    ///
    ///     fn new(_: Self::Settings) -> Result<Self, String> {
    ///         Ok(Self)
    ///     }
    ///
    ///     fn score(&self, issue: &Candidate<'_>, _now: Instant, score: &mut Score<'_>) {
    ///         score.add("reactions", f64::from(issue.reaction_count()));
    ///     }
    ///
    ///     fn choose(&self, request: &Request, shortlist: &Candidates) -> Choice {
    ///         let mut choice = Choice::keep();
    ///         for issue in shortlist.iter() {
    ///             if request.review_count() >= 3 {
    ///                 request.retry_after_minutes(30);
    ///                 choice.skip(&issue, "three pull requests wait for a review: see to them first");
    ///             } else if issue.topics().any(|topic| topic == "rust") && !request.has_skill("rust") {
    ///                 choice.skip(&issue, "needs the skill rust");
    ///             }
    ///         }
    ///         choice
    ///     }
    /// }
    ///
    /// use issuecommand_policy::testing::{candidate, candidates, choose, request};
    /// let shortlist = candidates([candidate().topic("rust"), candidate()]);
    /// assert_eq!(choose(&Rustaceans, &request("a1", &[]), &shortlist).rows, [1]);
    /// assert_eq!(choose(&Rustaceans, &request("a1", &[]).skilled(&["rust"]), &shortlist).rows, [0, 1]);
    /// let busy = request("a1", &[]).reviews(3);
    /// assert!(choose(&Rustaceans, &busy, &shortlist).rows.is_empty());
    /// assert_eq!(busy.retry_after_ms(), Some(30 * 60_000));
    /// ```
    fn choose(&self, request: &Request, shortlist: &Candidates) -> Choice {
        let _ = (request, shortlist);
        Choice::keep()
    }

    /// A JSON Schema of the settings, as text: the server and `issuecommand policy check` hold the settings to it, and
    /// `inspect` lists its keys. Without it any object fits. Only references within it are followed, as `#/$defs/NAME`.
    fn settings_schema() -> String {
        crate::settings::ANY_OBJECT.to_owned()
    }
}

/// An order of the short list, and what this agent must not get now.
#[derive(Debug, Default)]
pub struct Choice {
    order: Vec<u32>,
    skipped: Vec<Exclusion>,
}

impl Choice {
    /// The order in which the short list came.
    pub fn keep() -> Self {
        Self::default()
    }

    /// Puts `candidate` next. Those never put anywhere follow in the order in which they came.
    pub fn offer(&mut self, candidate: &Candidate<'_>) {
        self.order.push(candidate.row());
    }

    /// Leaves `candidate` out for this request. The agent reads the reason.
    pub fn skip(&mut self, candidate: &Candidate<'_>, reason: impl Into<String>) {
        self.skipped.push(Exclusion { row: candidate.row(), reason: reason.into() });
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }

    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn skipped(&self) -> &[Exclusion] {
        &self.skipped
    }
}

/// Scores every candidate.
pub(crate) fn score_all<R: Ranker>(ranker: &R, candidates: &Candidates, now: Instant) -> wit::Scores {
    let mut values = Vec::with_capacity(candidates.len());
    let mut valid_until: Vec<u64> = Vec::new();
    let mut skipped = Vec::new();
    for candidate in candidates.iter() {
        let mut score = Score::new(None);
        ranker.score(&candidate, now, &mut score);
        values.push(score.value());
        if score.holds_until() < Instant::NEVER {
            valid_until.resize(candidate.row() as usize, Instant::NEVER.ms());
            valid_until.push(score.holds_until().ms());
        }
        if let Some(reason) = score.into_skipped() {
            skipped.push(Exclusion { row: candidate.row(), reason });
        }
    }
    if !valid_until.is_empty() {
        valid_until.resize(values.len(), Instant::NEVER.ms());
    }
    wit::Scores { values, valid_until, skipped }
}

/// The terms of every candidate's score, without those that say nothing.
pub(crate) fn explain_all<R: Ranker>(ranker: &R, candidates: &Candidates, now: Instant) -> Vec<Vec<Reason>> {
    candidates
        .iter()
        .map(|candidate| {
            let mut reasons = Vec::new();
            ranker.score(&candidate, now, &mut Score::new(Some(&mut reasons)));
            reasons.retain(|reason| reason.amount != 0.0 || !reason.text.is_empty());
            reasons
        })
        .collect()
}

#[doc(hidden)]
pub fn score_this_call<R: Ranker>(ranker: &R, now: u64) -> wit::Scores {
    score_all(ranker, &Candidates::of_this_call(), Instant::from_ms(now))
}

#[doc(hidden)]
pub fn explain_this_call<R: Ranker>(ranker: &R, now: u64) -> Vec<Vec<Reason>> {
    explain_all(ranker, &Candidates::of_this_call(), Instant::from_ms(now))
}

#[doc(hidden)]
pub fn choose_this_call<R: Ranker>(ranker: &R, now: u64) -> wit::Choice {
    let choice = ranker.choose(&Request::of_this_call(Instant::from_ms(now)), &Candidates::of_this_call());
    wit::Choice { order: choice.order, skipped: choice.skipped }
}

/// Makes a type that is a [`Ranker`] the policy of this crate; with `work_order`, one that is a
/// [`WorkOrder`](crate::WorkOrder) too.
///
/// Does nothing unless the crate is built for WebAssembly, so its unit tests run natively.
#[macro_export]
macro_rules! export_ranker {
    ($ranker:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::export_ranker!(@ranker $ranker);
        };
    };
    ($ranker:ty, work_order) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            $crate::export_ranker!(@ranker $ranker);

            use $crate::__private::work_order_world::exports::issuecommand::policy::work_order;

            impl work_order::Guest for Exported {
                fn choose_work(now: u64) -> ::core::result::Result<work_order::WorkChoice, ::std::string::String> {
                    POLICY.with(|policy| policy.ask(|it| $crate::__private::choose_work_this_call(it, now)))
                }
            }

            $crate::__private::export_work_order_world!(Exported with_types_in $crate::__private::work_order_world);
        };
    };
    // What both have: one configured policy, and the interface that every ranker exports.
    (@ranker $ranker:ty) => {
        use $crate::__private::ranker_world::exports::issuecommand::policy::ranker;

        ::std::thread_local!(static POLICY: $crate::__private::Slot<$ranker> = const { $crate::__private::Slot::empty() });

        struct Exported;

        impl ranker::Guest for Exported {
            fn settings_schema() -> ::std::string::String {
                <$ranker as $crate::Ranker>::settings_schema()
            }

            fn configure(settings: ::std::string::String) -> ::core::result::Result<(), ::std::string::String> {
                POLICY.with(|policy| policy.fill(&settings, <$ranker as $crate::Ranker>::new))
            }

            fn score(now: u64) -> ::core::result::Result<ranker::Scores, ::std::string::String> {
                POLICY.with(|policy| policy.ask(|it| $crate::__private::score_this_call(it, now)))
            }

            fn choose(now: u64) -> ::core::result::Result<ranker::Choice, ::std::string::String> {
                POLICY.with(|policy| policy.ask(|it| $crate::__private::choose_this_call(it, now)))
            }

            fn explain(
                now: u64,
            ) -> ::core::result::Result<::std::vec::Vec<::std::vec::Vec<ranker::Reason>>, ::std::string::String> {
                POLICY.with(|policy| policy.ask(|it| $crate::__private::explain_this_call(it, now)))
            }
        }

        $crate::__private::export_ranker_world!(Exported with_types_in $crate::__private::ranker_world);
    };
}
