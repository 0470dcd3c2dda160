//! The board after a long absence: what other servers changed meanwhile is no longer told one by one.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::Board;
use super::notices::Notices;
use crate::claims::shelf::Shelf;
use crate::domain::{ClaimId, IssueRef, RepoName};
use crate::store::Snapshot;

impl Board {
    /// Brings everything to what the store holds. The policies in force stay.
    pub(in crate::claims) fn set_anew(&mut self, snapshot: Snapshot) {
        self.remove_what_is_not_in(&snapshot);
        let issues: Vec<IssueRef> = snapshot.issues.iter().map(|facts| facts.issue.clone()).collect();
        let mut blockers: HashMap<_, _> = snapshot.blockers.into_iter().collect();
        let mut approvals: HashMap<_, _> = snapshot.approvals.into_iter().collect();
        let finished: HashSet<IssueRef> = snapshot.finished.into_iter().collect();
        snapshot.repos.into_iter().for_each(|repo| self.set_repo(repo));
        snapshot.claims.into_iter().for_each(|claim| self.set_claim(claim));
        snapshot.issues.into_iter().for_each(|facts| self.set_issue(facts));
        for issue in issues {
            self.set_blockers(&issue, blockers.remove(&issue).unwrap_or_default());
            self.set_approval(&issue, approvals.remove(&issue));
            self.set_finished(&issue, finished.contains(&issue));
        }
        (self.shelf, self.notices) = (Shelf::default(), Notices::default());
        snapshot.follow_ups.into_iter().for_each(|item| self.shelf.set(item));
        snapshot.notices.into_iter().for_each(|notice| self.notices.add(notice));
        self.unplaced = snapshot.unplaced.into_iter().collect();
        self.granted_count = snapshot.granted_count;
    }

    fn remove_what_is_not_in(&mut self, snapshot: &Snapshot) {
        let issues: HashSet<&IssueRef> = snapshot.issues.iter().map(|facts| &facts.issue).collect();
        let gone: Vec<IssueRef> = self.by_issue.keys().filter(|issue| !issues.contains(issue)).cloned().collect();
        gone.iter().for_each(|issue| self.remove_issue(issue));
        let claims: HashSet<ClaimId> = snapshot.claims.iter().map(|claim| claim.claim_id).collect();
        let ended: Vec<_> = self.claims().filter(|claim| !claims.contains(&claim.claim_id)).map(Arc::clone).collect();
        ended.iter().for_each(|claim| self.remove_claim(claim));
        let repos: HashSet<&RepoName> = snapshot.repos.iter().map(|repo| &repo.full_name).collect();
        let gone: Vec<RepoName> = self.repos.keys().filter(|repo| !repos.contains(repo)).cloned().collect();
        gone.iter().for_each(|repo| self.remove_repo(repo));
    }
}
