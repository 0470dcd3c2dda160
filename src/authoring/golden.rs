//! Golden cases: given these issues and this agent, these claims, or these repositories, and these settings, what a
//! ranker, a stale rule or a repository filter must answer.

mod case;
mod claims;
mod facts;
mod issues;
mod moment;
mod repos;
mod stage;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{AuthoringError, PolicyKind};
use crate::config::not_finite;
use crate::domain::Timestamp;

pub use stage::Stage;
pub use verdict::{AnswerRow, CaseOutcome, Difference};

use case::{Case, Cases};

/// Cases in a file, ready to be run.
#[derive(Debug)]
pub struct GoldenFile {
    file: PathBuf,
    now: Timestamp,
    settings: Option<Map<String, Value>>,
    cases: Vec<Case>,
}

impl GoldenFile {
    /// Reads the cases in `file`.
    ///
    /// # Errors
    /// [`AuthoringError::Io`], or [`AuthoringError::Cases`] with the place of what is wrong.
    pub fn read(file: &Path) -> Result<Self, AuthoringError> {
        let text = fs::read_to_string(file).map_err(AuthoringError::io("read the cases in", file))?;
        Self::parse(&text, file)
    }

    fn parse(text: &str, file: &Path) -> Result<Self, AuthoringError> {
        let wrong = |why: String| AuthoringError::Cases(format!("{}: {why}", file.display()));
        let Cases { now, settings, case: cases } = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let told = settings.iter().chain(cases.iter().filter_map(|case| case.settings.as_ref()));
        if let Some(key) = told.filter_map(not_finite).next() {
            return Err(wrong(format!("settings.{key}: expected a finite number")));
        }
        if cases.is_empty() {
            return Err(wrong("there is no [[case]]: add one, as `issuecommand policy new` does".into()));
        }
        let now = now.map_or(Ok(super::backlog::now()), |now| now.at(super::backlog::now())).map_err(wrong)?;
        if let Some(case) = cases.iter().find(|case| case.expect.is_empty()) {
            return Err(wrong(format!(
                "case {:?} expects nothing: add expect.order, expect.first, expect.skip.N, expect.reasons.N, \
                 expect.retry_after_seconds or expect.refused; of claims expect.verdicts.N; of repositories expect.in \
                 or expect.out.NAME",
                case.name
            )));
        }
        Ok(Self { file: file.to_path_buf(), now, settings, cases })
    }

    /// Runs all cases, in order.
    ///
    /// # Errors
    /// [`AuthoringError`] when the policy cannot be loaded at all, or a case names what is not there. A policy
    /// that answers otherwise, fails or refuses settings is an outcome.
    pub fn run(&self, stage: &Stage) -> Result<Vec<CaseOutcome>, AuthoringError> {
        let wrong = |case: &Case, why: String| {
            AuthoringError::Cases(format!("{}: case {:?}: {why}", self.file.display(), case.name))
        };
        let run = |case: &Case| {
            let kind = stage.kind_for(case).map_err(|why| wrong(case, why))?;
            let settings = case.settings.as_ref().or(self.settings.as_ref());
            let set = match stage.load(kind, settings)? {
                Ok(set) => set,
                Err(refusal) => return Ok(verdict::judge(case, Err(refusal))),
            };
            let played = match kind {
                PolicyKind::Ranker => facts::scene(case, self.now).and_then(|mut scene| {
                    stage.join_groups(&mut scene);
                    stage.show(&scene);
                    issues::play(case, &scene, stage.ranking_for(&scene, settings, &set)?)
                }),
                PolicyKind::StaleRule => claims::play(case, self.now, &set),
                PolicyKind::RepoFilter => repos::play(case, &set),
            };
            Ok(verdict::judge(case, played.map_err(|why| wrong(case, why))?.map_err(stage::told)))
        };
        self.cases.iter().map(run).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        GoldenFile::parse(text, "golden.toml".as_ref()).unwrap_err().to_string()
    }

    #[test]
    fn settings_that_are_no_finite_numbers_are_told_by_their_key() {
        let case = "[[case]]\nname = \"a\"\nexpect = { refused = \"x\" }\n";
        for text in [
            format!("settings = {{ a = {{ b = inf }} }}\n{case}"),
            format!("{case}settings = {{ a = {{ b = nan }} }}\n"),
        ] {
            let told = refusal(&text);
            assert!(told.contains("settings.a.b: expected a finite number"), "{told}");
        }
    }

    #[test]
    fn cases_that_cannot_be_meant_are_refused_with_their_place() {
        assert!(refusal("").contains("no [[case]]"));
        let text = "[[case]]\nname = \"a\"\nissues = [{ number = 1, lables = [\"bug\"] }]\nexpect.first = 1\n";
        let error = refusal(text);
        assert!(error.contains("golden.toml") && error.contains("lables") && error.contains("line 3"), "{error}");
        assert!(refusal("[[case]]\nname = \"a\"\nissues = [{ number = 1 }]\n").contains("\"a\" expects nothing"));
    }
}
