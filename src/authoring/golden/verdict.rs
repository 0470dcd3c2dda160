//! How a case went: what it expected beside what came out.

use std::fmt;

use serde::Serialize;

use super::case::Case;

/// How a case went.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CaseOutcome {
    /// The case.
    pub name: String,
    /// What was otherwise than expected; nothing where it passed.
    pub differences: Vec<Difference>,
    /// All that came out, for a reader who wonders.
    pub answer: Vec<AnswerRow>,
}

/// One thing that was otherwise than expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What: `order`, `skip.12`, ...
    pub what: String,
    /// What the case says.
    pub expected: String,
    /// What the policy says.
    pub got: String,
}

/// What a policy said of one row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum AnswerRow {
    /// A ranker, of an issue; offered ones first and in their order.
    Issue {
        /// The issue, as `owner/name#number`.
        issue: String,
        /// Its score; none where it was skipped ahead.
        #[serde(skip_serializing_if = "Option::is_none")]
        score: Option<f64>,
        /// Why it was left out, if it was.
        #[serde(skip_serializing_if = "Option::is_none")]
        skipped: Option<String>,
        /// The terms of its score.
        reasons: Vec<String>,
    },
    /// A stale rule, of a claim.
    Claim {
        /// The claim's issue, as `owner/name#number`.
        issue: String,
        /// How the claim is doing.
        verdict: &'static str,
    },
    /// A filter, of a repository.
    Repo {
        /// The repository.
        repo: String,
        /// Why it takes no part; none where it does.
        #[serde(skip_serializing_if = "Option::is_none")]
        excluded: Option<String>,
    },
}

impl fmt::Display for AnswerRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issue { issue, score, skipped, reasons } => {
                let score = score.map_or_else(|| "-".to_owned(), |score| score.to_string());
                let skipped = skipped.as_ref().map_or_else(String::new, |reason| format!("left out: {reason}; "));
                write!(f, "{issue}  {score}  {skipped}{}", reasons.join(", "))
            }
            Self::Claim { issue, verdict } => write!(f, "{issue}  {verdict}"),
            Self::Repo { repo, excluded: Some(reason) } => write!(f, "{repo}  out: {reason}"),
            Self::Repo { repo, excluded: None } => write!(f, "{repo}  in"),
        }
    }
}

impl CaseOutcome {
    /// Whether all is as expected.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }
}

/// What came out of a case, and where that is otherwise than expected.
#[derive(Debug, Default)]
pub(super) struct Played {
    pub(super) differences: Vec<Difference>,
    pub(super) answer: Vec<AnswerRow>,
}

impl Played {
    /// Notes a difference, if there is one.
    pub(super) fn compare(&mut self, what: String, expected: String, got: String) {
        if expected != got {
            self.differences.push(Difference { what, expected, got });
        }
    }

    /// Notes a difference unless what came out has `words` in it; `none` tells that there is nothing.
    pub(super) fn look_for(&mut self, what: String, words: &str, got: Option<&str>, none: &str) {
        if !got.is_some_and(|got| got.contains(words)) {
            let got = got.unwrap_or(none).to_owned();
            self.differences.push(Difference { what, expected: format!("… {words} …"), got });
        }
    }
}

/// How a case went that was played, or that the policy refused to play: it failed, or did not take its settings.
pub(super) fn judge(case: &Case, played: Result<Played, String>) -> CaseOutcome {
    let (played, refusal) = match played {
        Ok(played) => (played, None),
        Err(message) => (Played::default(), Some(message)),
    };
    let mut seen = Played { differences: Vec::new(), answer: played.answer };
    match (&case.expect.refused, refusal) {
        (None, None) => seen.differences = played.differences,
        (Some(words), refusal) => {
            seen.look_for("refused".into(), words, refusal.as_deref(), "the settings were taken");
        }
        (None, Some(message)) => seen.compare("an answer".into(), "one".into(), message),
    }
    CaseOutcome { name: case.name.clone(), differences: seen.differences, answer: seen.answer }
}
