//! IssueCommand: one server that says which coding agent works on which GitHub issue.

pub mod claims;
pub mod config;
pub mod domain;
pub mod github;
pub mod policy;
pub mod store;
