//! Why an agent got the issue it got, or none: recorded with the claim, in its transaction.

mod seen;

use std::fmt;

pub use seen::{AskedFor, IssueSnapshot, PageSeen, RankerSeen, RequestSeen, RowSeen, WorkSeen};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentId, DecisionId, IssueNumber, IssueRef, RepoName, Timestamp};

/// Which policy, with which settings, decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyStamp {
    /// Where it came from: `builtin:rules`, or a file.
    pub source: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// SHA-256 of its settings, in hex.
    pub settings_digest: String,
}

/// One term of a score, in the policy's own words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The rule that spoke.
    pub rule: String,
    /// What it added to the score.
    pub amount: f64,
    /// What it saw.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// One candidate of the short list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionRow {
    /// The candidate's repository.
    pub repo: RepoName,
    /// The candidate's number.
    pub number: IssueNumber,
    /// Its score; higher comes first.
    pub score: f64,
    /// Why the policy passed it over at the door, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_over: Option<String>,
    /// The terms of its score, where they were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// What the policy was shown of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<RowSeen>,
}

impl DecisionRow {
    /// Which issue.
    pub fn issue(&self) -> IssueRef {
        IssueRef::new(self.repo.clone(), self.number)
    }

    /// The terms of the score in one line, without those that add nothing: `tier +2 (label p0), aging +0.5 (5 days)`.
    pub fn why(&self) -> String {
        let told: Vec<&Reason> = self.reasons.iter().filter(|reason| reason.amount != 0.0).collect();
        if told.is_empty() {
            return format!("score {}; among equals the oldest comes first", self.score);
        }
        told.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// As people write it: `label +10 (bug)`, the amount to a millionth of a point.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rule, amount, text } = self;
        write!(f, "{rule} {:+}", (amount * 1e6).round() / 1e6)?;
        if text.is_empty() { Ok(()) } else { write!(f, " ({text})") }
    }
}

/// The recorded reasons of one pick, or of an answer that there is nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// Its identity.
    pub decision_id: DecisionId,
    /// Who asked.
    pub agent_id: AgentId,
    /// When.
    pub decided_at: Timestamp,
    /// Under which policy: the ranker of the repository of what was given out. Where there was nothing, that of the
    /// repository asked for, or of those without a ranker of their own.
    pub ranker: PolicyStamp,
    /// All rankers of the agent's view together, where some repositories have their own: the same ones give the
    /// same answer again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranking: Option<PolicyStamp>,
    /// Which of them ranked what was considered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rankers: Vec<RankerSeen>,
    /// What the agent narrowed its question to.
    #[serde(default, skip_serializing_if = "AskedFor::is_empty")]
    pub asked_for: AskedFor,
    /// The short list in the order the policy gave, then what it passed over.
    pub considered: Vec<DecisionRow>,
    /// What the policy was shown at a time: more where it passed over all it saw.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<PageSeen>,
    /// How many of the first rows were explained.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub explained_count: usize,
    /// Rows that it saw and that were too many to be recorded.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out_count: usize,
    /// What the agent got in the end. `None` until the store has decided, and where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Why there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nothing: Option<Empty>,
}

impl Decision {
    /// A decision on which nothing is known yet but who asked, when, and under which policy.
    pub fn begun(agent_id: AgentId, decided_at: Timestamp, ranker: PolicyStamp) -> Self {
        Self {
            decision_id: DecisionId::fresh(),
            agent_id,
            decided_at,
            ranker,
            ranking: None,
            rankers: Vec::new(),
            asked_for: AskedFor::default(),
            considered: Vec::new(),
            pages: Vec::new(),
            explained_count: 0,
            left_out_count: 0,
            chosen: None,
            nothing: None,
        }
    }

    /// Notes the issue that the store granted, and with it whose word it was.
    pub fn chose(&mut self, issue: &IssueRef) {
        self.ranker = self.ranker_of(&issue.repo).clone();
        self.chosen = Some(issue.to_string());
    }

    /// What ranked the issues of `repo`.
    pub fn ranker_of(&self, repo: &RepoName) -> &PolicyStamp {
        let own = self.rankers.iter().find(|it| it.repos.contains(repo));
        own.map_or(&self.ranker, |own| &own.ranker)
    }

    /// All that ranked for the agent: who answers the same question with the same of it gives the same answer.
    pub fn whole_ranking(&self) -> &PolicyStamp {
        self.ranking.as_ref().unwrap_or(&self.ranker)
    }

    /// What it says of one issue.
    pub fn row_on(&self, issue: &IssueRef) -> Option<&DecisionRow> {
        self.considered.iter().find(|row| row.number == issue.number && row.repo == issue.repo)
    }
}

/// Most reasons for skipping review feedback that one answer tells.
const FOLLOW_UP_REASON_COUNT_MAX: usize = 5;
/// Reasons for skipping that the one line for an agent names; the counts name more.
const REASON_COUNT_TOLD: usize = 2;

/// Why there is nothing for an agent: how many issues fell to each reason, within what it asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Empty {
    /// No sync has finished yet, so that no open issue may mean that none is known yet.
    #[serde(skip)]
    pub is_reading: bool,
    /// When asking again makes sense, in seconds, where the policy says so or a filter of it is left alone. Stands beside the counts in answers.
    #[serde(skip)]
    pub retry_after_seconds: Option<u64>,
    /// Open issues within the request.
    pub open: usize,
    /// Of these, held by an agent.
    pub claimed: usize,
    /// Of these, skipped by the policy.
    pub skipped: usize,
    /// Of these, finished here but still open on GitHub.
    pub finished: usize,
    /// Of these, in a repository that the filter does not admit.
    pub not_admitted: usize,
    /// Of these, not scored by the policy yet.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unscored: usize,
    /// Open issues whatever was asked for, where none is open as asked for.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub in_all: usize,
    /// Whether there were issues to be had, and others were faster each time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub was_raced: bool,
    /// The policy's reasons for skipping, most frequent first; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip_reasons: Vec<(String, usize)>,
    /// Pieces of review feedback that the policy keeps from the agent, where it asked for those too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub follow_ups_skipped: usize,
    /// The policy's reasons for that, most frequent first; bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_up_skip_reasons: Vec<(String, usize)>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Empty {
    /// Issues that nothing speaks against so far: the policy may have passed over them at the door.
    pub fn on_offer(&self) -> usize {
        let taken = self.claimed + self.skipped + self.finished + self.not_admitted + self.unscored;
        self.open.saturating_sub(taken)
    }

    /// Adds the review feedback that was skipped: one reason for each piece.
    #[must_use]
    pub fn with_follow_ups_skipped(mut self, reasons: Vec<String>) -> Self {
        self.follow_ups_skipped = reasons.len();
        for reason in reasons {
            match self.follow_up_skip_reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => self.follow_up_skip_reasons.push((reason, 1)),
            }
        }
        self.follow_up_skip_reasons.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        self.follow_up_skip_reasons.truncate(FOLLOW_UP_REASON_COUNT_MAX);
        self
    }
}

impl fmt::Display for Empty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_reading && self.open == 0 {
            return f.write_str("the first sync is still reading");
        }
        if self.was_raced {
            f.write_str("others were faster, ask again: ")?;
        }
        write!(f, "{} open", self.open)?;
        if self.in_all > 0 {
            write!(f, " as asked for, {} in all", self.in_all)?;
        }
        let parts = [
            (self.claimed, "claimed"),
            (self.skipped, "skipped by policy"),
            (self.finished, "finished here"),
            (self.not_admitted, "in repositories not allowed"),
            (self.unscored, "not scored yet"),
        ];
        for (count, what) in parts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, ", {count} {what}")?;
        }
        match self.skip_reasons.as_slice() {
            [] => {}
            [(reason, count)] if *count >= self.skipped => write!(f, " ({reason})")?,
            many => {
                let many = &many[..many.len().min(REASON_COUNT_TOLD)];
                let told: Vec<_> = many.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
                write!(f, " ({}", told.join("; "))?;
                match self.skipped.saturating_sub(many.iter().map(|(_, count)| count).sum()) {
                    0 => f.write_str(")")?,
                    others => write!(f, "; {others} for other reasons)")?,
                }
            }
        }
        if let Some((reason, _)) = self.follow_up_skip_reasons.first() {
            write!(f, ", {} follow-ups skipped by policy ({reason})", self.follow_ups_skipped)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_why_in_one_line() {
        let reason = |rule: &str, amount, text: &str| Reason { rule: rule.into(), amount, text: text.into() };
        let mut row = DecisionRow {
            repo: "acme/small".parse().unwrap(),
            number: IssueNumber::new(1).unwrap(),
            score: 2.5,
            passed_over: None,
            reasons: vec![reason("tier", 2.0, "label p0"), reason("aging", 0.1 + 0.2, "")],
            seen: None,
        };
        assert_eq!(row.why(), "tier +2 (label p0), aging +0.3");
        row.reasons.clear();
        assert_eq!(row.why(), "score 2.5; among equals the oldest comes first");
    }

    #[test]
    fn a_decision_names_the_ranker_of_what_the_store_granted_and_an_older_one_the_only_one_it_knows() {
        let stamp =
            |digest: &str| PolicyStamp { source: "r".into(), digest: digest.into(), settings_digest: "".into() };
        let repo = |name: &str| -> RepoName { name.parse().unwrap() };
        let seen = |digest: &str, name: &str| RankerSeen { ranker: stamp(digest), repos: vec![repo(name)] };
        let mut decision = Decision::begun("a".parse().unwrap(), super::super::from_unix_ms(0), stamp("main"));
        decision.chose(&"acme/pay#1".parse().unwrap());
        assert_eq!((&decision.ranker, decision.whole_ranking()), (&stamp("main"), &stamp("main")));
        let older = serde_json::to_value(&decision).unwrap();
        assert!(older.get("ranking").is_none() && older.get("rankers").is_none(), "{older}");
        assert_eq!(serde_json::from_value::<Decision>(older).unwrap(), decision);

        decision.ranking = Some(stamp("all"));
        decision.rankers = vec![seen("main", "acme/app"), seen("own", "acme/pay")];
        decision.chose(&"acme/pay#1".parse().unwrap());
        assert_eq!((&decision.ranker, decision.whole_ranking()), (&stamp("own"), &stamp("all")));
        assert_eq!(decision.ranker_of(&repo("acme/app")), &stamp("main"));
        decision.chose(&"acme/app#2".parse().unwrap());
        assert_eq!(decision.ranker, stamp("main"), "whichever was free");
    }

    #[test]
    fn an_empty_answer_counts_by_reason_in_one_line() {
        let empty = Empty {
            open: 5,
            claimed: 3,
            skipped: 2,
            skip_reasons: vec![("label wontfix".into(), 2)],
            ..Empty::default()
        };
        assert_eq!(empty.to_string(), "5 open, 3 claimed, 2 skipped by policy (label wontfix)");
        let reasons = ["label is draft", "blocked by a/b#1", "idle", "needs the skill qt"];
        let skip_reasons = reasons.into_iter().zip([4, 3, 2, 1]).map(|(why, count)| (why.to_owned(), count)).collect();
        let many = Empty { open: 20, skipped: 12, skip_reasons, ..Empty::default() };
        let line = "20 open, 12 skipped by policy (4 label is draft; 3 blocked by a/b#1; 5 for other reasons)";
        assert_eq!(many.to_string(), line, "whoever counts comes to the whole");
        assert_eq!(Empty::default().to_string(), "0 open");
        let early = Empty { is_reading: true, ..Empty::default() };
        assert_eq!(early.to_string(), "the first sync is still reading");
        let narrowed = Empty { in_all: 12, ..Empty::default() };
        assert_eq!(narrowed.to_string(), "0 open as asked for, 12 in all");
        let raced = Empty { was_raced: true, open: 9, claimed: 7, unscored: 2, ..Empty::default() };
        assert_eq!(raced.to_string(), "others were faster, ask again: 9 open, 7 claimed, 2 not scored yet");
        assert_eq!(Empty { is_reading: true, ..empty.clone() }.to_string(), empty.to_string());
        assert_eq!(serde_json::to_value(early).unwrap(), serde_json::to_value(Empty::default()).unwrap());
    }

    #[test]
    fn feedback_that_was_skipped_is_counted_apart_by_reason_the_most_frequent_first() {
        let reasons = ["not on Mondays", "pushed to", "pushed to"].map(String::from);
        let empty = Empty::default().with_follow_ups_skipped(reasons.into());
        assert_eq!(empty.to_string(), "0 open, 3 follow-ups skipped by policy (pushed to)");
        assert_eq!(empty.follow_up_skip_reasons, [("pushed to".into(), 2), ("not on Mondays".into(), 1)]);
        let many = (0..99).map(|n| n.to_string()).collect();
        assert_eq!(Empty::default().with_follow_ups_skipped(many).follow_up_skip_reasons.len(), 5);
        let plain = serde_json::to_value(Empty::default()).unwrap();
        assert!(plain.get("follow_ups_skipped").is_none(), "{plain}");
    }
}
