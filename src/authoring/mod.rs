//! The way from an opinion to a policy in force, for its author: [`scaffold()`] makes a folder, [`build()`] a
//! component of it, [`Specimen`] says what a component is, [`check()`] and
//! [`check_in_place()`] whether a server would take it,
//! [`GoldenFile`] what it must answer, [`Measurement`] what it costs, and [`Registry`] carries it to others.
//!
//! All of it runs a policy through [`PolicyHost`](crate::policy::PolicyHost), as a server does.

mod backlog;
mod building;
mod entries;
mod error;
mod golden;
mod live;
mod measure;
mod project;
mod registry;
mod scaffold;
mod signatures;
mod specimen;
mod trial;

pub use building::{Built, build, tools_folder};
pub use error::AuthoringError;
pub use golden::{AnswerRow, CaseOutcome, Difference, GoldenFile, Stage};
pub use measure::{Measurement, SweepMeasurement, measure, measure_filter, measure_stale_rule};
pub use project::{About, Language, PROJECT_FILE_NAME, Project};
pub use registry::{Pulled, Pushed, Registry};
pub use scaffold::scaffold;
pub use signatures::{Signatures, signed_by};
pub use specimen::{PolicyKind, Specimen};
pub use trial::{Finding, Trial, check, check_in_place, policies_of, settings_schema};
