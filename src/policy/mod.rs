//! Policies: WebAssembly components that decide which work comes next, when a claim has lapsed, and
//! which repositories take part. Only this module names wasmtime.
//!
//! [`PolicyHost::load`] turns a configuration into a [`PolicySet`], or says why not. The way there:
//! `source` reads a component and demands its `signature`, `cache` compiles it or finds it compiled, `check`
//! looks at its imports and exports, `examine` holds its settings to its `schema` (`settings` lists that for people),
//! `instance` configures it, and
//! `ranker` (with its optional `work_order`), `stale_rule` and `repo_filter` try it on a `sample`.
//!
//! A set is put together in `set`: components become a `chain`, chains become the `ranking` of a view, and
//! `views` says which agent has which. Stale rules go by claim (`stale_rules`); what the environment allows holds beside the
//! repository filter (`repo_filters`).
//!
//! The way of a call: `instance` takes a warm instance and arms its bounds (`ticker` for time, `state`
//! for memory, facts and log), the guest pulls `facts` as `columns`, and its `output` is checked. After
//! any fault but the policy's own refusal the instance is thrown away.

mod bindings;
mod breaker;
mod builtin;
mod cache;
mod chain;
mod check;
mod columns;
mod effective;
mod error;
mod examine;
mod facts;
mod host;
mod instance;
mod output;
mod ranker;
mod ranking;
mod repo_filter;
mod repo_filters;
mod rows;
mod sample;
mod schema;
mod set;
mod settings;
pub(crate) mod signature;
mod skips;
mod source;
mod stale_rule;
mod stale_rules;
mod state;
mod ticker;
mod views;
mod work_order;

pub use builtin::{builtin_component, builtin_names};
pub use chain::{Closed, StageFault, Troubles};
pub use check::{exports_policy, imports_are_ours, is_component};
pub use effective::{Effective, OnTrial, Overridden, Told};
pub(crate) use error::DO_LESS;
pub use error::{PolicyError, PolicyRejected};
pub use facts::BodySource;
pub use host::PolicyHost;
pub use ranker::{Choice, ChooseRequest, LiveWork, Ranker, Scored, Shortlisted};
pub use ranking::{Part, Ranking};
pub use repo_filters::RepoFilters;
pub use rows::{BLOCK_ROW_COUNT_MAX, IssueBlock, IssueRows};
pub(crate) use schema::{Held, hold};
pub use set::PolicySet;
pub use settings::{Setting, settings_examples, settings_listed};
pub use signature::Signed;
pub use source::COMPONENT_BYTES_MAX;
pub(crate) use source::{is_pinned, is_signed};
pub use stale_rule::{LiveClaim, StaleRule, Verdict};
pub use stale_rules::StaleRules;
pub use views::{Candidate, View, ViewName};
pub use work_order::WorkChoice;
