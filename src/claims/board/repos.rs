//! Repositories that come, change and go, and what that means to their issues.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Board, NOT_JUDGED_YET, RepoRow};
use crate::domain::{IssueRef, Repo, RepoName};

impl Board {
    pub(super) fn set_repo(&mut self, repo: Repo) {
        let name = repo.full_name.clone();
        match self.repos.get_mut(&name) {
            Some(row) if row.repo == repo => return,
            // Until the filter has judged the new facts its word on the old ones holds.
            Some(row) => {
                let same_topics = row.repo.topics == repo.topics;
                row.repo = repo;
                if !same_topics {
                    row.topics = shared(&row.repo.topics);
                    self.refresh_repo(&name);
                }
            }
            None => {
                let row = RepoRow {
                    topics: shared(&repo.topics),
                    repo,
                    exclusion: Some(NOT_JUDGED_YET.into()),
                    open_issue_count: self.by_repo.get(&name).map_or(0, HashSet::len),
                };
                self.repos.insert(name.clone(), row);
                self.refresh_repo(&name);
            }
        }
        self.unjudged.insert(name);
    }

    pub(super) fn remove_repo(&mut self, name: &RepoName) {
        let slots = self.by_repo.get(name).into_iter().flatten();
        let gone: Vec<IssueRef> = slots.filter_map(|slot| self.row(*slot)).map(|row| row.facts.issue.clone()).collect();
        gone.iter().for_each(|issue| self.remove_issue(issue));
        self.repos.remove(name);
        self.unjudged.remove(name);
    }
}

fn shared(texts: &[String]) -> Arc<[Arc<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}
