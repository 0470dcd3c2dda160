//! Whether an issue is approved: by whom, by which label, and as it reads now.

use std::collections::HashSet;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use tracing::error;

use crate::config::TrustConfig;
use crate::domain::{Approval, IssueFacts, label_key};
use crate::store::ApprovalKept;

/// Relations to a repository of those whom it lets write; GitHub's words.
const INSIDERS: [&str; 3] = ["OWNER", "MEMBER", "COLLABORATOR"];

/// `[trust]`, ready to be asked.
#[derive(Debug, Default)]
pub(super) struct Trust {
    labels: HashSet<String>,
    /// `None`: everybody whom GitHub lets set labels.
    approvers: Option<GlobSet>,
}

impl Trust {
    /// Prepares what `config` says. Patterns that are none would let nobody approve; they were refused before.
    pub(super) fn new(config: &TrustConfig) -> Self {
        let labels = config.approval_labels.iter().map(|label| label_key(label)).collect();
        if config.approvers.is_empty() {
            return Self { labels, approvers: None };
        }
        let mut builder = GlobSetBuilder::new();
        for pattern in &config.approvers {
            match GlobBuilder::new(pattern).case_insensitive(true).build() {
                Ok(glob) => _ = builder.add(glob),
                Err(error) => error!("left a pattern of trust.approvers out: {error}"),
            }
        }
        Self { labels, approvers: Some(builder.build().unwrap_or_default()) }
    }

    /// Whether `label` approves an issue.
    pub(super) fn is_approval_label(&self, label: &str) -> bool {
        self.labels.contains(&label_key(label))
    }

    /// What became of an approval. One by label holds as long as the label is on the issue and names one
    /// whose word counts.
    pub(super) fn judge(&self, facts: &IssueFacts, kept: &ApprovalKept) -> Approval {
        let counts = match &kept.record.label {
            None => true,
            Some(label) => {
                let key = label_key(label);
                self.labels.contains(&key)
                    && facts.labels.iter().any(|present| label_key(present) == key)
                    && self.may_approve(&kept.record.by, facts)
            }
        };
        match (counts, kept.covers_present) {
            (false, _) => Approval::None,
            (true, true) => Approval::Approved,
            (true, false) => Approval::Edited,
        }
    }

    /// Only whom the repository trusts can set a label; but programs set them too, and the template of an
    /// issue does in the name of whoever opens it.
    fn may_approve(&self, login: &str, facts: &IssueFacts) -> bool {
        match &self.approvers {
            Some(approvers) => approvers.is_match(login),
            None if login.ends_with("[bot]") => false,
            None => !facts.author.eq_ignore_ascii_case(login) || INSIDERS.contains(&&*facts.author_association),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{ApprovalRecord, from_unix_ms};

    fn facts(labels: &[&str], author: &str, association: &str) -> IssueFacts {
        IssueFacts {
            issue: "acme/small#1".parse().unwrap(),
            title: "t".into(),
            labels: labels.iter().map(|label| Arc::from(*label)).collect(),
            assignees: Box::default(),
            milestone: None,
            author: author.into(),
            author_association: association.into(),
            comment_count: 0,
            reaction_count: 0,
            created_at: from_unix_ms(0),
            updated_at: from_unix_ms(0),
            topics: Arc::default(),
            open_blockers: Box::default(),
            approval: Approval::None,
            areas: Box::default(),
            reviewers: Box::default(),
        }
    }

    fn kept(by: &str, label: Option<&str>, covers_present: bool) -> ApprovalKept {
        let label = label.map(str::to_owned);
        let record = ApprovalRecord { by: by.into(), at: from_unix_ms(0), label, content: None };
        ApprovalKept { record, covers_present }
    }

    fn trust(approvers: &[&str]) -> Trust {
        let approvers = approvers.iter().map(ToString::to_string).collect();
        Trust::new(&TrustConfig { approvers, ..TrustConfig::default() })
    }

    #[test]
    fn a_label_approves_as_long_as_it_is_there_and_an_operators_word_without_one() {
        let trust = trust(&[]);
        let labelled = facts(&[" Agent-OK "], "stranger", "NONE");
        assert_eq!(trust.judge(&labelled, &kept("ann", Some("agent-ok"), true)), Approval::Approved);
        assert_eq!(trust.judge(&labelled, &kept("ann", Some("agent-ok"), false)), Approval::Edited);
        assert_eq!(trust.judge(&labelled, &kept("ann", Some("other"), true)), Approval::None);
        let bare = facts(&["bug"], "stranger", "NONE");
        assert_eq!(trust.judge(&bare, &kept("ann", Some("agent-ok"), true)), Approval::None);
        assert_eq!(trust.judge(&bare, &kept("api key", None, true)), Approval::Approved);
        assert_eq!(trust.judge(&bare, &kept("api key", None, false)), Approval::Edited);
    }

    #[test]
    fn neither_programs_nor_strangers_by_a_template_approve_unless_they_are_named() {
        let (of_stranger, of_member) = (facts(&["agent-ok"], "Eve", "NONE"), facts(&["agent-ok"], "eve", "MEMBER"));
        let judged = |approvers: &[&str], facts, by| trust(approvers).judge(facts, &kept(by, Some("agent-ok"), true));
        assert_eq!(judged(&[], &of_stranger, "eve"), Approval::None, "the label came with a template");
        assert_eq!(judged(&[], &of_member, "eve"), Approval::Approved);
        assert_eq!(judged(&[], &of_stranger, "triage[bot]"), Approval::None);
        assert_eq!(judged(&["triage[[]bot]"], &of_stranger, "triage[bot]"), Approval::Approved);
        assert_eq!(judged(&["ann", "lead-*"], &of_stranger, "Lead-Bob"), Approval::Approved);
        assert_eq!(judged(&["ann", "lead-*"], &of_stranger, "bob"), Approval::None);
    }
}
