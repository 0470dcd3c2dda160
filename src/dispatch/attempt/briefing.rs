//! What an agent is given: the ground it stands on, its model, and what it is told.

use std::collections::{BTreeMap, HashSet};

use super::super::agent::{ASK_BY_TEXT, Ground};
use super::super::prompt::{self, Brief, BriefIssue, Fence, LINKED_COUNT_MAX, LinkedIssue, Remark, Review};
use super::super::{environment, repository_model, secrets, story};
use super::{Attempt, Setback, chain};
use crate::config::RepositoryConfigTrust;
use crate::domain::{Comment, FollowUp, Issue, IssueRef, LogKind, named_in};

/// Most bytes of a pull request's diff in a prompt.
const DIFF_BYTES_MAX: usize = 64 * 1024;

impl Attempt {
    /// What the agent stands on. Secrets are asked for afresh: they are kept nowhere.
    pub(super) async fn ground(&mut self) -> Result<Ground, Setback> {
        let container = self.container()?;
        let environment::Prepared { command, env } = self.prepare_environment(&container).await?;
        let mut variables: BTreeMap<String, String> = env;
        let own = self.config.agents.0.get(&self.agent_name);
        variables.extend(own.into_iter().flat_map(|own| own.env.clone()));
        let (secrets, password) =
            (secrets::resolve(&self.config.secrets, self.hub.base_dir()).await?, self.hub.password(&self.run));
        self.secrets = secrets.values().cloned().chain([password.clone()]).collect();
        Ok(Ground {
            runtime: self.containers.clone(),
            container,
            environment: command,
            env: variables,
            secrets,
            password,
            model: self.model().await?,
            trusts_repository: self.config.dispatch.repository_config == RepositoryConfigTrust::Full,
        })
    }

    /// The model: the next of the list where a provider refused, else the repository's word, else the agent's.
    async fn model(&self) -> Result<Option<String>, Setback> {
        let refused = self.run.refusals as usize;
        if let Some(fallback) = refused.checked_sub(1).and_then(|place| self.config.dispatch.model_fallbacks.get(place))
        {
            return Ok(Some(fallback.clone()));
        }
        if self.config.dispatch.repository_config == RepositoryConfigTrust::Model
            && let Some(sha) = self.base_sha()
            && let Some(model) = repository_model::read(&self.mirror, &sha, self.agent.name()).await?
        {
            return Ok(Some(model));
        }
        Ok(self.config.agents.0.get(&self.agent_name).and_then(|own| own.model.clone()))
    }

    /// What the agent is told. All that comes from GitHub stands behind a fence that it cannot know.
    pub(super) async fn prompt(&self) -> Result<String, Setback> {
        let fence = super::work::fence();
        let mut issues = Vec::new();
        for issue in self.run.issues() {
            issues.extend(self.hub.store().issue_get(issue).await?);
        }
        let comments = self.comments(&issues).await;
        let linked = self.linked(&issues).await?;
        let remarks_of = |place: usize| comments[place].iter().map(remark).collect();
        let told = issues.iter().enumerate().map(|(place, issue)| BriefIssue {
            number: issue.number.get(),
            title: &issue.title,
            body: &issue.body,
            labels: issue.labels.iter().map(String::as_str).collect(),
            comments: remarks_of(place),
        });
        let branch = self.branch()?;
        let brief = Brief {
            repo: &self.run.repo,
            issues: told.collect(),
            branch: &branch,
            base: self.run.base.as_deref().unwrap_or_default(),
            linked: linked.iter().map(|(name, issue)| linked_issue(name, issue)).collect(),
            asks_by_text: self.agent.asks_by_text().then_some(ASK_BY_TEXT),
        };
        let Some(pull) = self.run.parent.and_then(|_| self.run.pull_ref()) else {
            return Ok(prompt::of_issue(&brief, Fence(&fence)));
        };
        // The agent is started already, and this step cannot be taken again by itself: the attempt is.
        let diff = self.forge.pull_diff(&pull, DIFF_BYTES_MAX).await;
        let diff = diff.map_err(|error| Setback::Failed(chain(&error)))?;
        let pull_url = self.run.pr_url.as_deref().unwrap_or_default();
        let said = self.said_by_reviewers().await?;
        let remarks = said.iter().map(|(author, body)| Remark { author, place: None, body }).collect();
        Ok(prompt::of_review(&brief, &Review { pull_url, diff: &diff, remarks }, Fence(&fence)))
    }

    /// What the run answers: each piece by itself, with who said it, for a prompt cuts what is long.
    async fn said_by_reviewers(&self) -> Result<Vec<(String, String)>, Setback> {
        let mut said = Vec::new();
        for id in &self.run.follow_ups {
            if let Some(item) = self.hub.manager().follow_up_of(*id).await? {
                let words = words_of(&item);
                said.push((item.requested_by.unwrap_or_else(|| "somebody".into()), words));
            }
        }
        if said.is_empty() {
            said.push(("reviewers".into(), self.run.body.clone()));
        }
        Ok(said)
    }

    /// Issues of the repository that these name, as far as they are known here.
    async fn linked(&self, issues: &[Issue]) -> Result<Vec<(String, Issue)>, Setback> {
        let repo = &self.run.repo;
        let named = issues.iter().flat_map(|issue| named_in(&format!("{}\n\n{}", issue.title, issue.body), repo));
        let (own, mut seen) = (self.run.issues(), HashSet::new());
        let others = named.filter(|name| name.repo == *repo && !own.contains(name) && seen.insert(name.clone()));
        let mut linked = Vec::new();
        for name in others.take(LINKED_COUNT_MAX) {
            let issue = self.hub.store().issue_get(name.clone()).await?;
            linked.extend(issue.map(|issue| (name.to_string(), issue)));
        }
        Ok(linked)
    }

    /// What was said below each issue. Without it the agent can work too.
    async fn comments(&self, issues: &[Issue]) -> Vec<Vec<Comment>> {
        let mut comments = Vec::new();
        for issue in issues {
            let issue = IssueRef::new(self.run.repo.clone(), issue.number);
            comments.push(match self.hub.manager().issue_details(issue).await {
                Ok(details) => {
                    details.issue.comments.into_iter().filter(|comment| !story::is_ours(&comment.body)).collect()
                }
                Err(error) => {
                    self.say(LogKind::Trouble, &format!("the agent is not told the comments: {}", chain(&error)));
                    Vec::new()
                }
            });
        }
        comments
    }
}

fn linked_issue<'i>(name: &'i str, issue: &'i Issue) -> LinkedIssue<'i> {
    LinkedIssue { name, title: &issue.title, body: &issue.body }
}

/// What a piece of feedback says, in its author's words; where there are none, what it asks.
fn words_of(item: &FollowUp) -> String {
    match item.actionable_comments.is_empty() {
        true => item.summary.clone(),
        false => item.actionable_comments.join("\n\n"),
    }
}

fn remark(comment: &Comment) -> Remark<'_> {
    Remark { author: &comment.author, place: None, body: &comment.body }
}
