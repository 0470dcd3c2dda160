//! The fields of dispatch calls.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{self, FieldError, Flag, WholeNumber};
use crate::domain::{IssueNumber, IssueRef, RepoName};

/// Lines of a log when nobody says, and at most.
const LINE_COUNT_DEFAULT: usize = 200;
const LINE_COUNT_MAX: usize = 2000;
/// Runs when nobody says, and at most.
const RUN_COUNT_DEFAULT: usize = 50;
const RUN_COUNT_MAX: usize = 1000;
/// Longest wait for news of a log, in seconds: below the patience of proxies.
const WAIT_SECONDS_MAX: u64 = 25;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DispatchFields {
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    #[serde(alias = "number")]
    #[schemars(with = "IssueNumber")]
    issue_number: Option<WholeNumber>,
    /// Who asks, for the record; else the holder of the credential.
    by: Option<String>,
}

impl DispatchFields {
    pub(super) fn parse(self) -> Result<(IssueRef, Option<String>), FieldError> {
        let repo = fields::required("repo", self.repo)?;
        let issue = IssueRef::new(repo, fields::issue_number(self.issue_number)?);
        Ok((issue, fields::text("by", self.by)?))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct QueueFields {
    /// This run, by its id or the last digits of it, goes to `place`.
    pub(super) run: Option<String>,
    /// From 1.
    #[schemars(with = "Option<u64>", range(min = 1))]
    place: Option<WholeNumber>,
}

impl QueueFields {
    /// Which run goes where, if one does.
    pub(super) fn parse(self) -> Result<Option<(String, usize)>, FieldError> {
        match (self.run, self.place) {
            (None, None) => Ok(None),
            (Some(run), place) => {
                let WholeNumber(place) = fields::required("place", place)?;
                let place = usize::try_from(place).ok().filter(|place| *place >= 1);
                Ok(Some((run, fields::required("place", place)?)))
            }
            (None, Some(_)) => Err(FieldError::field("run", "it is required with place")),
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunListFields {
    /// Only of this owner/name.
    repo: Option<RepoName>,
    /// true: those that ended too.
    #[schemars(with = "Option<bool>")]
    ended: Option<Flag>,
    /// 50 unless you say.
    #[schemars(with = "Option<u64>", range(min = 1, max = 1000))]
    limit: Option<WholeNumber>,
}

impl RunListFields {
    pub(super) fn parse(self) -> Result<(crate::store::RunFilter, usize), FieldError> {
        let limit = count("limit", self.limit, RUN_COUNT_DEFAULT, RUN_COUNT_MAX)?;
        let with_ended = self.ended.is_some_and(|Flag(flag)| flag);
        Ok((crate::store::RunFilter { with_ended, repo: self.repo, ..Default::default() }, limit))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunFields {
    /// Its id, or the last digits of it.
    #[schemars(with = "String")]
    run: Option<String>,
}

impl RunFields {
    pub(super) fn parse(self) -> Result<String, FieldError> {
        fields::required("run", self.run)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerFields {
    /// Its id, or the last digits of it.
    #[schemars(with = "String")]
    run: Option<String>,
    /// The answer to its question.
    #[schemars(with = "String")]
    answer: Option<String>,
    /// Who answers, for the record; else the holder of the credential.
    by: Option<String>,
}

/// The run, the answer, and who gives it.
pub(super) type RunAnswer = (String, String, Option<String>);

impl AnswerFields {
    pub(super) fn parse(self) -> Result<RunAnswer, FieldError> {
        let answer = fields::required("answer", fields::text("answer", self.answer)?)?;
        Ok((fields::required("run", self.run)?, answer, fields::text("by", self.by)?))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PauseFields {
    /// Why, for people.
    reason: Option<String>,
}

impl PauseFields {
    pub(super) fn parse(self) -> Result<String, FieldError> {
        Ok(fields::text("reason", self.reason)?.unwrap_or_else(|| "no reason was given".into()))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RunLogFields {
    /// Its id, or the last digits of it.
    #[schemars(with = "String")]
    run: Option<String>,
    /// Only lines after this one; without it the last ones.
    #[schemars(with = "Option<u64>")]
    after: Option<WholeNumber>,
    /// 200 unless you say.
    #[schemars(with = "Option<u64>", range(min = 1, max = 2000))]
    limit: Option<WholeNumber>,
    /// Wait so many seconds for a line that is not there yet.
    #[schemars(with = "Option<u64>", range(max = 25))]
    wait_seconds: Option<WholeNumber>,
}

/// Which lines of which log.
pub(super) struct RunLogWish {
    pub(super) run: String,
    pub(super) after: Option<u64>,
    pub(super) limit: usize,
    pub(super) wait: std::time::Duration,
}

impl RunLogFields {
    /// `count_default`: how many lines when the fields do not say.
    pub(super) fn parse(self, count_default: Option<usize>) -> Result<RunLogWish, FieldError> {
        let wait = self.wait_seconds.map_or(0, |WholeNumber(seconds)| seconds);
        if wait > WAIT_SECONDS_MAX {
            return Err(FieldError::field("wait_seconds", format!("expected 0 to {WAIT_SECONDS_MAX}")));
        }
        Ok(RunLogWish {
            run: fields::required("run", self.run)?,
            after: self.after.map(|WholeNumber(after)| after),
            limit: count("limit", self.limit, count_default.unwrap_or(LINE_COUNT_DEFAULT), LINE_COUNT_MAX)?,
            wait: std::time::Duration::from_secs(wait),
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DispatchConfigFields {
    /// A key below dispatch, containers, secrets or agents, as in containers.max_concurrent.
    pub(super) key: Option<String>,
    /// Its new value, as TOML: "3", "\"1h\"", "true".
    pub(super) value: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DispatchReposFields {
    /// Let the dispatcher into this owner/name.
    pub(super) add: Option<RepoName>,
    /// Keep it out of this owner/name.
    pub(super) remove: Option<RepoName>,
}

fn count(name: &str, value: Option<WholeNumber>, default: usize, most: usize) -> Result<usize, FieldError> {
    let Some(WholeNumber(value)) = value else { return Ok(default) };
    let count = usize::try_from(value).ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| FieldError::field(name, format!("expected 1 to {most}")))
}
