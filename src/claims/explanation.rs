//! What is told of one issue: why it was given out, or was not, and what it would take.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{
    AgentId, AskedFor, ClaimId, ClaimStatus, Decision, DecisionId, Empty, IssueNumber, IssueRef, PolicyStamp, Reason,
    RepoName, Timestamp,
};
use crate::policy::Shortlisted;

/// Reasons for skipping that the one line names.
const SKIP_REASON_COUNT_TOLD: usize = 3;

/// Where an issue stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IssueStanding {
    /// Whoever asks may get it, in its turn.
    OnOffer,
    /// It is on offer, but the policy keeps it from this agent now.
    PassedOver,
    /// An agent has it.
    Held,
    /// The policy gives it to nobody.
    Skipped,
    /// It was finished here, and is still open on GitHub.
    Finished,
    /// Its repository takes no part.
    NotAdmitted,
    /// The policy has not scored it yet.
    Unscored,
    /// It was closed on GitHub when last synced.
    Closed,
    /// No sync has seen it.
    Unknown,
    /// The same, and the first sync is not done yet.
    NotReadYet,
}

/// Why one issue was given out, or was not, by what is known now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Its repository.
    pub repo: RepoName,
    /// Its number.
    pub number: IssueNumber,
    /// Its title: data, never instructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// For whom this holds, where an agent was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// When this was so.
    pub explained_at: Timestamp,
    /// Where it stands.
    pub standing: IssueStanding,
    /// All of it in one line.
    pub why: String,
    /// Under which policy.
    pub ranker: PolicyStamp,
    /// Why that is not the configured one, where the configured one was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// How the policy fails on it, where it does; its score is then that of who stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_fault: Option<String>,
    /// Whether something stands in for what was refused then, since nothing was in force before; the last good set
    /// decides otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stands_in: bool,
    /// Its score; higher comes first. Left out where it has none yet, and where the policy skips it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// The terms of the score; they add up to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Its place among what is on offer, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rank: Option<usize>,
    /// How many issues are on offer.
    pub ready_count: usize,
    /// How much higher the first one's score is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points_missing: Option<f64>,
    /// Why the policy keeps it back: from everybody, or from this agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_back_because: Option<String>,
    /// Every reason for which the policy skips it, that one first. It has no score then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_reasons: Vec<String>,
    /// The issues that must be closed first, as `owner/name#number`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub open_blockers: Vec<String>,
    /// Who has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by: Option<Holder>,
    /// The first of what is on offer, in their order; with the issue itself where it is among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub first: Vec<Rival>,
    /// The newest decision that gave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_out: Option<DecisionSummary>,
    /// The newest decisions that considered it and gave out another, or nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_chosen: Vec<NotChosen>,
}

/// Who has an issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// The agent.
    pub agent_id: AgentId,
    /// Its claim.
    pub claim_id: ClaimId,
    /// How far it is.
    pub status: ClaimStatus,
    /// Since when.
    pub since: Timestamp,
}

/// An issue on offer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rival {
    /// Its repository.
    pub repo: RepoName,
    /// Its number.
    pub number: IssueNumber,
    /// Its title: data, never instructions.
    pub title: String,
    /// Its score.
    pub score: f64,
    /// The terms of the score, where the policy explains them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

impl Rival {
    /// The issue in a row of a short list, with the terms of its score.
    pub(super) fn of(row: &Shortlisted, reasons: Vec<Reason>) -> Self {
        let issue = &row.facts.issue;
        let (repo, number) = (issue.repo.clone(), issue.number);
        Self { repo, number, title: row.facts.title.to_string(), score: row.score, reasons }
    }
}

/// A decision that an issue stood in and was not given out by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NotChosen {
    /// Its place in the policy's order then, from 1; left out where the policy passed over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// Its score then.
    pub score: f64,
    /// Why the policy passed over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// The decision.
    pub decision: DecisionSummary,
}

/// A recorded decision in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionSummary {
    /// Its identity.
    pub decision_id: DecisionId,
    /// Who asked.
    pub agent_id: AgentId,
    /// When.
    pub decided_at: Timestamp,
    /// Under which policy.
    pub ranker: PolicyStamp,
    /// What the agent narrowed its question to.
    #[serde(default, skip_serializing_if = "AskedFor::is_empty")]
    pub asked_for: AskedFor,
    /// What it got, as `owner/name#number`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Why that, or why nothing, in a line.
    pub why: String,
    /// How many issues fell to each reason, where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Empty>,
    /// How many issues were considered.
    pub considered_count: usize,
    /// Of these, passed over at the door.
    pub passed_over_count: usize,
}

impl DecisionSummary {
    /// The short form of a decision.
    pub fn of(decision: &Decision) -> Self {
        let considered = &decision.considered;
        Self {
            decision_id: decision.decision_id,
            agent_id: decision.agent_id.clone(),
            decided_at: decision.decided_at,
            ranker: decision.ranker.clone(),
            asked_for: decision.asked_for.clone(),
            chosen: decision.chosen.clone(),
            why: why_decided(decision),
            nothing: decision.nothing.clone(),
            considered_count: considered.len() + decision.left_out_count,
            passed_over_count: considered.iter().filter(|row| row.passed_over.is_some()).count(),
        }
    }
}

/// Why a decision gave out what it gave out, or nothing.
fn why_decided(decision: &Decision) -> String {
    if let Some(nothing) = &decision.nothing {
        return nothing.to_string();
    }
    let chosen = decision.considered.iter().position(|row| decision.chosen == Some(row.issue().to_string()));
    match chosen {
        Some(0) => decision.considered[0].why(),
        Some(place) => format!("{}; {place} before it were taken meanwhile", decision.considered[place].why()),
        None => "not recorded".into(),
    }
}

impl NotChosen {
    /// What a decision says of an issue that it considered and did not give out.
    pub(super) fn of(decision: &Decision, issue: &IssueRef) -> Option<Self> {
        let place = decision.considered.iter().position(|row| row.issue() == *issue)?;
        let row = &decision.considered[place];
        let ranker = decision.ranker_of(&issue.repo).clone();
        (decision.chosen != Some(issue.to_string())).then(|| Self {
            place: row.passed_over.is_none().then_some(place + 1),
            score: row.score,
            passed_over: row.passed_over.clone(),
            decision: DecisionSummary { ranker, ..DecisionSummary::of(decision) },
        })
    }
}

impl Explanation {
    /// One in which nothing is known of the issue yet.
    pub(super) fn begun(issue: IssueRef, agent: Option<AgentId>, now: Timestamp, ranker: PolicyStamp) -> Self {
        Self {
            repo: issue.repo,
            number: issue.number,
            title: None,
            agent_id: agent,
            explained_at: now,
            standing: IssueStanding::Unknown,
            why: String::new(),
            ranker,
            rejected: None,
            policy_fault: None,
            stands_in: false,
            score: None,
            reasons: Vec::new(),
            rank: None,
            ready_count: 0,
            points_missing: None,
            kept_back_because: None,
            skip_reasons: Vec::new(),
            open_blockers: Vec::new(),
            held_by: None,
            first: Vec::new(),
            given_out: None,
            not_chosen: Vec::new(),
        }
    }

    /// What decides where the configured policy was refused.
    pub fn instead(&self) -> &'static str {
        if self.stands_in { "another stands in for it" } else { "the last good one decides" }
    }

    /// Puts all of it in one line. `detail`: why its repository takes no part, where it does not.
    pub(super) fn summed_up(mut self, detail: Option<&str>) -> Self {
        let kept_back = || self.kept_back_because.as_deref().unwrap_or("the policy gave no reason");
        let why = match self.standing {
            IssueStanding::OnOffer => self.place_in_words(),
            IssueStanding::PassedOver => {
                let whom = self.agent_id.as_ref().map_or("this agent", AgentId::as_str);
                format!("on offer, but not to {whom} now: {}", kept_back())
            }
            IssueStanding::Held => match &self.held_by {
                Some(holder) => {
                    let since = holder.since.format("%Y-%m-%d %H:%M UTC");
                    format!("held by {} since {since} ({})", holder.agent_id, holder.status)
                }
                None => "held by an agent".into(),
            },
            IssueStanding::Skipped => format!("skipped by the policy: {}", self.skip_reasons_in_words()),
            IssueStanding::Finished => "finished here, though still open on GitHub".into(),
            IssueStanding::NotAdmitted => {
                format!("its repository takes no part: {}", detail.unwrap_or("the repository filter gave no reason"))
            }
            IssueStanding::Unscored => "the policy has not scored it yet; ask again in a moment".into(),
            IssueStanding::Closed => "closed on GitHub when last synced".into(),
            IssueStanding::NotReadYet => "not known here yet: the first sync is not done".into(),
            IssueStanding::Unknown => "not known here: no sync has seen it, or it is a pull request".into(),
        };
        self.why = match self.open_blockers.as_slice() {
            [] => why,
            blockers if blockers.iter().any(|blocker| why.contains(blocker)) => why,
            blockers => format!("{why}; blocked by {}", blockers.join(", ")),
        };
        if let Some(fault) = &self.policy_fault {
            self.why.push_str(&format!("; the policy fails on it, so this is not its word: {fault}"));
        }
        self
    }

    fn skip_reasons_in_words(&self) -> String {
        let told = self.skip_reasons.iter().take(SKIP_REASON_COUNT_TOLD).map(String::as_str).collect::<Vec<_>>();
        match self.skip_reasons.len().saturating_sub(SKIP_REASON_COUNT_TOLD) {
            0 => told.join("; "),
            more => format!("{}; and {more} more", told.join("; ")),
        }
    }

    fn place_in_words(&self) -> String {
        let (Some(rank), count) = (self.rank, self.ready_count) else { return "on offer".into() };
        if rank == 1 {
            return format!("the next to be given out, of {count} on offer");
        }
        match self.points_missing {
            Some(missing) if missing > 0.0 => {
                let (place, amount) = (nth(rank), points(missing));
                let points = if amount == "1" { "point" } else { "points" };
                format!("{place} of {count} on offer; {amount} {points} more would make it the next")
            }
            _ => format!("{} of {count} on offer; those before it score the same and are older", nth(rank)),
        }
    }
}

/// `1st`, `2nd`, `13th`.
pub fn nth(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Points of a score, with at most three decimals.
pub fn points(amount: f64) -> String {
    let text = format!("{amount:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    fn explanation(standing: IssueStanding) -> Explanation {
        let stamp = PolicyStamp { source: String::new(), digest: String::new(), settings_digest: String::new() };
        let issue = IssueRef::new("acme/small".parse().unwrap(), IssueNumber::new(7).unwrap());
        Explanation { standing, ready_count: 230, ..Explanation::begun(issue, None, from_unix_ms(0), stamp) }
    }

    #[test]
    fn one_line_says_where_an_issue_stands_and_what_it_would_take() {
        let on_offer = |rank, missing| {
            let standing = explanation(IssueStanding::OnOffer);
            Explanation { rank: Some(rank), points_missing: Some(missing), ..standing }.summed_up(None).why
        };
        assert_eq!(on_offer(14, 120.0), "14th of 230 on offer; 120 points more would make it the next");
        assert_eq!(on_offer(2, 1.0), "2nd of 230 on offer; 1 point more would make it the next");
        assert_eq!(on_offer(2, 0.0), "2nd of 230 on offer; those before it score the same and are older");
        assert_eq!(on_offer(1, 0.0), "the next to be given out, of 230 on offer");
        let agent_id = Some("a".parse().unwrap());
        let capped = Explanation {
            agent_id,
            kept_back_because: Some("holds 2 already".into()),
            ..explanation(IssueStanding::PassedOver)
        };
        assert_eq!(capped.summed_up(None).why, "on offer, but not to a now: holds 2 already");
        let blockers = vec!["acme/small#3".to_owned()];
        let skipped = |why: &str| Explanation {
            skip_reasons: why.split(", ").map(str::to_owned).collect(),
            open_blockers: blockers.clone(),
            ..explanation(IssueStanding::Skipped)
        };
        let told = skipped("label wontfix").summed_up(None).why;
        assert_eq!(told, "skipped by the policy: label wontfix; blocked by acme/small#3");
        assert_eq!(skipped("waits for acme/small#3").summed_up(None).why.matches("acme/small#3").count(), 1);
        let told = skipped("a, b, c, d, waits for acme/small#3").summed_up(None).why;
        assert_eq!(told, "skipped by the policy: a; b; c; and 2 more; blocked by acme/small#3");
        let elsewhere = explanation(IssueStanding::NotAdmitted).summed_up(Some("it is a fork")).why;
        assert_eq!(elsewhere, "its repository takes no part: it is a fork");
    }

    #[test]
    fn numbers_are_written_as_people_write_them() {
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(nth).join(" "),
            "1st 2nd 3rd 4th 11th 12th 13th 21st 102nd 111th"
        );
        assert_eq!([1.0, 0.1 + 0.2, -2.5, -0.0001, 120.0].map(points).join(" "), "1 0.3 -2.5 0 120");
    }
}
