//! Cases of repositories: which of them take part, as a repository filter says.

use serde::Deserialize;

use super::case::Case;
use super::facts;
use super::verdict::{AnswerRow, Played};
use crate::domain::{Repo, RepoName};
use crate::policy::PolicySet;

/// A repository of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RepoCase {
    name: String,
    #[serde(default)]
    topics: Vec<String>,
    #[serde(default)]
    archived: bool,
    #[serde(default)]
    fork: bool,
    #[serde(default)]
    private: bool,
}

/// Plays a case. The inner error is the policy's.
///
/// # Errors
/// What in the case cannot be.
pub(super) fn play(case: &Case, set: &PolicySet) -> Result<Result<Played, String>, String> {
    let repos = case.repos.iter().map(repo).collect::<Result<Vec<_>, _>>()?;
    let excluded = match set.repo_filter.exclude(&repos) {
        Ok(excluded) => excluded,
        Err(error) => return Ok(Err(error.to_string())),
    };
    let rows = || repos.iter().map(|repo| &repo.full_name).zip(&excluded);
    let row = |(name, excluded): (&RepoName, &Option<String>)| AnswerRow::Repo {
        repo: name.to_string(),
        excluded: excluded.clone(),
    };
    let mut played = Played { answer: rows().map(row).collect(), ..Played::default() };
    let place = |name: &str| {
        let name = facts::repo(name)?;
        let place = repos.iter().position(|repo| repo.full_name == name);
        place.ok_or_else(|| format!("it expects something of {name}, which is not among its repos"))
    };
    if let Some(admitted) = &case.expect.admitted {
        let places = admitted.iter().map(|name| place(name)).collect::<Result<Vec<_>, _>>()?;
        let expected = named(places.into_iter().map(|place| &repos[place].full_name));
        let got = named(rows().filter(|(_, excluded)| excluded.is_none()).map(|(name, _)| name));
        played.compare("in".into(), expected, got);
    }
    for (name, words) in &case.expect.out {
        played.look_for(format!("out.{name}"), words, excluded[place(name)?].as_deref(), "it takes part");
    }
    Ok(Ok(played))
}

fn repo(case: &RepoCase) -> Result<Repo, String> {
    let RepoCase { name, topics, archived, fork, private } = case;
    let (archived, fork, private) = (*archived, *fork, *private);
    Ok(Repo { topics: topics.clone(), archived, fork, private, ..Repo::named(facts::repo(name)?) })
}

fn named<'a>(names: impl Iterator<Item = &'a RepoName>) -> String {
    let names: Vec<&str> = names.map(RepoName::as_str).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}
