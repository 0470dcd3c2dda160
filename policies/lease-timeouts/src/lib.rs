//! The built-in stale rule: a claim whose owner is silent for too long lapses, and after a further
//! while, if so set, it is taken back. Silence is judged by evidence: a commit or a push is a sign of life, and an
//! agent whose pull request waits for people is not silent, it waits.

use std::num::NonZeroU64;

use issuecommand_policy::{Claim, Instant, StaleRule, Verdict};
use serde::Deserialize;

/// Minutes until a silent owner's claim is stale, unless set (`CLAIM_TIMEOUT_MINUTES`).
const CLAIM_TIMEOUT_MINUTES: NonZeroU64 = NonZeroU64::new(120).expect("120 is not 0");

/// The status of a claim that has lapsed.
const STALE: &str = "stale";
/// The statuses in which a claim may wait for people.
const LIVE: [&str; 4] = ["claimed", "in_progress", "pr_submitted", "pr_merged"];

/// `[policies.stale_rule.settings]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Minutes without a call of the owner until a claim is stale.
    claim_timeout_minutes: NonZeroU64,
    /// Minutes from stale until the claim is taken back; 0: never.
    auto_release_minutes: u64,
    /// Whether commits, pushes and the state of the pull request count, besides calls.
    evidence: bool,
    /// Minutes for which a stale claim is kept at least, however short `auto_release_minutes` is.
    grace_minutes: u64,
    /// Statuses in which a claim waits for people and never lapses.
    waiting_statuses: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            claim_timeout_minutes: CLAIM_TIMEOUT_MINUTES,
            auto_release_minutes: 0,
            evidence: true,
            grace_minutes: 0,
            waiting_statuses: Vec::new(),
        }
    }
}

/// The stale rule of two timeouts.
#[derive(Debug)]
pub struct LeaseTimeouts(Settings);

issuecommand_policy::export_stale_rule!(LeaseTimeouts);

impl StaleRule for LeaseTimeouts {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        for (at, status) in settings.waiting_statuses.iter().enumerate() {
            if !LIVE.contains(&status.as_str()) {
                return Err(format!("waiting_statuses[{at}]: \"{status}\" is not one of {}", LIVE.join(", ")));
            }
        }
        Ok(Self(settings))
    }

    fn assess(&self, claim: &Claim<'_>, now: Instant) -> Verdict {
        if self.0.evidence && waits_for_people(claim) {
            return Verdict::Waiting;
        }
        if claim.status() == STALE {
            return self.assess_stale(claim, now);
        }
        if self.0.waiting_statuses.iter().any(|status| status == claim.status()) {
            return Verdict::Waiting;
        }
        // A step to another status is a sign of life too, even where sync took it on the owner's pull request.
        let last_sign = claim.last_call_at().max(claim.status_since()).max(claim.claimed_at());
        let last_sign = last_sign.max(self.last_evidence(claim));
        let lapses = last_sign.plus_minutes(self.0.claim_timeout_minutes.get());
        if now >= lapses { Verdict::Stale } else { Verdict::Healthy }
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

impl LeaseTimeouts {
    /// Counts from when the claim went stale, or from the last commit or push since: only the owner's step back to
    /// work ends that.
    fn assess_stale(&self, claim: &Claim<'_>, now: Instant) -> Verdict {
        let after = self.0.auto_release_minutes;
        let since = claim.status_since().max(self.last_evidence(claim));
        let is_over = now >= since.plus_minutes(after.max(self.0.grace_minutes));
        if after > 0 && is_over { Verdict::Release } else { Verdict::Stale }
    }

    /// The last commit or push that is known, where those count.
    fn last_evidence(&self, claim: &Claim<'_>) -> Instant {
        let last = claim.last_commit_at().max(claim.last_push_at());
        last.filter(|_| self.0.evidence).unwrap_or(Instant::from_ms(0))
    }
}

/// Whether the claim's pull request lies with people: it is open and ready, no reviewer asked for changes and no
/// check failed. Then the next step is not the agent's.
fn waits_for_people(claim: &Claim<'_>) -> bool {
    claim.pull_state() == "open" && claim.review_state() != "changes_requested" && claim.ci_state() != "failure"
}

#[cfg(test)]
mod tests {
    use super::*;
    use issuecommand_policy::settings::parse;
    use issuecommand_policy::testing::{NOW, assess, claim};

    fn rule(settings: &str) -> LeaseTimeouts {
        LeaseTimeouts::new(parse(settings).unwrap()).unwrap()
    }

    fn refusal(settings: &str) -> String {
        parse(settings).and_then(LeaseTimeouts::new).unwrap_err()
    }

    fn at(minutes: u64) -> Instant {
        NOW.plus_minutes(minutes)
    }

    const JUST_BEFORE_A_MINUTE_MS: u64 = 59_999;

    #[test]
    fn a_claim_lapses_at_eleven_minutes_and_is_taken_back_six_minutes_later() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":5}"#);
        assert_eq!(assess(&rule, [claim()], at(11)), [Verdict::Stale]);
        let marked = claim().status("stale", at(11));
        assert_eq!(assess(&rule, [marked.clone()], at(11)), [Verdict::Stale]);
        assert_eq!(assess(&rule, [marked], at(17)), [Verdict::Release]);
    }

    #[test]
    fn a_claim_lapses_at_its_timeout_and_not_a_millisecond_before() {
        let rule = rule(r#"{"claim_timeout_minutes":10}"#);
        assert_eq!(assess(&rule, [claim()], at(9).plus_ms(JUST_BEFORE_A_MINUTE_MS)), [Verdict::Healthy]);
        assert_eq!(assess(&rule, [claim()], at(10)), [Verdict::Stale]);
    }

    #[test]
    fn a_stale_claim_is_taken_back_at_its_timeout_and_not_a_millisecond_before() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":5}"#);
        let marked = claim().status("stale", at(10));
        assert_eq!(assess(&rule, [marked.clone()], at(14).plus_ms(JUST_BEFORE_A_MINUTE_MS)), [Verdict::Stale]);
        assert_eq!(assess(&rule, [marked], at(15)), [Verdict::Release]);
    }

    #[test]
    fn any_call_of_the_owner_renews() {
        let rule = rule(r#"{"claim_timeout_minutes":10}"#);
        let renewed = claim().last_call_at(at(5));
        assert_eq!(assess(&rule, [renewed.clone(), claim()], at(14)), [Verdict::Healthy, Verdict::Stale]);
        assert_eq!(assess(&rule, [renewed], at(15)), [Verdict::Stale]);
    }

    #[test]
    fn a_change_of_status_renews() {
        let rule = rule(r#"{"claim_timeout_minutes":10}"#);
        for status in ["in_progress", "pr_submitted", "pr_merged"] {
            let moved = claim().status(status, at(5));
            assert_eq!(assess(&rule, [moved.clone()], at(14)), [Verdict::Healthy], "{status}");
            assert_eq!(assess(&rule, [moved], at(15)), [Verdict::Stale], "{status}");
        }
    }

    #[test]
    fn without_settings_a_claim_lapses_after_two_hours_and_stays() {
        let rule = rule("{}");
        assert_eq!(assess(&rule, [claim()], at(119)), [Verdict::Healthy]);
        assert_eq!(assess(&rule, [claim()], at(120)), [Verdict::Stale]);
        let marked = claim().status("stale", at(120));
        assert_eq!(assess(&rule, [marked], at(1_000_000)), [Verdict::Stale]);
    }

    #[test]
    fn a_call_of_the_owner_does_not_put_off_the_release_of_a_stale_claim() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":5}"#);
        let marked = claim().status("stale", at(10)).last_call_at(at(14));
        assert_eq!(assess(&rule, [marked], at(15)), [Verdict::Release]);
    }

    #[test]
    fn a_waiting_status_never_lapses_and_the_others_do() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"waiting_statuses":["pr_submitted"]}"#);
        let claims = [claim().status("pr_submitted", NOW), claim().status("pr_merged", NOW)];
        assert_eq!(assess(&rule, claims, at(60)), [Verdict::Waiting, Verdict::Stale]);
    }

    #[test]
    fn a_commit_or_a_push_is_a_sign_of_life() {
        let rule = rule(r#"{"claim_timeout_minutes":10}"#);
        let pushed = [claim().last_push_at(at(5)), claim().last_commit_at(at(5))];
        assert_eq!(assess(&rule, pushed.clone(), at(14)), [Verdict::Healthy, Verdict::Healthy]);
        assert_eq!(assess(&rule, pushed, at(15)), [Verdict::Stale, Verdict::Stale]);
    }

    #[test]
    fn a_push_puts_off_the_release_of_a_stale_claim() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":5}"#);
        let marked = claim().status("stale", at(10)).last_push_at(at(14));
        assert_eq!(assess(&rule, [marked.clone()], at(18)), [Verdict::Stale]);
        assert_eq!(assess(&rule, [marked], at(19)), [Verdict::Release]);
    }

    #[test]
    fn a_pull_request_that_waits_for_people_never_lapses() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":5}"#);
        let open = || claim().status("pr_submitted", NOW).pull_state("open");
        for review in ["none", "requested", "commented", "approved"] {
            for ci in ["unknown", "pending", "success"] {
                let waits = open().review_state(review).ci_state(ci);
                assert_eq!(assess(&rule, [waits], at(10_000)), [Verdict::Waiting], "{review} {ci}");
            }
        }
        let marked = claim().status("stale", at(10)).pull_state("open");
        assert_eq!(assess(&rule, [marked], at(10_000)), [Verdict::Waiting], "it was marked before it was pushed");
    }

    #[test]
    fn a_pull_request_whose_next_step_is_the_agents_lapses_with_its_silence() {
        let rule = rule(r#"{"claim_timeout_minutes":10}"#);
        let submitted = || claim().status("pr_submitted", NOW);
        let silent = [
            submitted().pull_state("open").ci_state("failure"),
            submitted().pull_state("open").review_state("changes_requested"),
            submitted().pull_state("draft"),
            submitted().pull_state("closed"),
            submitted(),
        ];
        for claim in silent {
            assert_eq!(assess(&rule, [claim.clone()], at(9)), [Verdict::Healthy], "{claim:?}");
            assert_eq!(assess(&rule, [claim.clone()], at(10)), [Verdict::Stale], "{claim:?}");
        }
    }

    #[test]
    fn without_evidence_only_calls_count() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"evidence":false}"#);
        let claims = [claim().last_push_at(at(9)), claim().status("pr_submitted", NOW).pull_state("open")];
        assert_eq!(assess(&rule, claims, at(10)), [Verdict::Stale, Verdict::Stale]);
    }

    #[test]
    fn a_stale_claim_is_kept_for_the_grace_however_short_the_release_is() {
        let rule = rule(r#"{"claim_timeout_minutes":10,"auto_release_minutes":1,"grace_minutes":30}"#);
        let marked = claim().status("stale", at(10));
        assert_eq!(assess(&rule, [marked.clone()], at(39)), [Verdict::Stale]);
        assert_eq!(assess(&rule, [marked.clone()], at(40)), [Verdict::Release]);
        let never = self::rule(r#"{"grace_minutes":30}"#);
        assert_eq!(assess(&never, [marked], at(10_000)), [Verdict::Stale], "0 is never");
    }

    #[test]
    fn times_beyond_all_reckoning_never_come() {
        let rule = rule(r#"{"claim_timeout_minutes":18446744073709551615}"#);
        assert_eq!(assess(&rule, [claim()], Instant::NEVER), [Verdict::Healthy]);
    }

    #[test]
    fn wrong_settings_are_refused_by_their_key() {
        assert!(refusal(r#"{"claim_timeout_minutes":0}"#).starts_with("claim_timeout_minutes: invalid value"));
        assert!(refusal(r#"{"auto_release_minutes":-1}"#).starts_with("auto_release_minutes: invalid value"));
        assert!(refusal(r#"{"timeout":1}"#).contains("unknown field `timeout`"));
        assert_eq!(
            refusal(r#"{"waiting_statuses":["pr_submitted","stale"]}"#),
            "waiting_statuses[1]: \"stale\" is not one of claimed, in_progress, pr_submitted, pr_merged"
        );
    }

    #[test]
    fn the_schema_names_every_setting_and_its_default() {
        let schema: serde_json::Value = serde_json::from_str(&LeaseTimeouts::settings_schema()).unwrap();
        let defaults: serde_json::Map<_, _> = schema["properties"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, property)| (key.clone(), property["default"].clone()))
            .collect();
        let told: Settings = parse(&serde_json::Value::Object(defaults.clone()).to_string()).unwrap();
        assert_eq!(format!("{told:?}"), format!("{:?}", Settings::default()));
        assert_eq!(defaults.len(), 5);
        assert_eq!(schema["additionalProperties"], false);
    }
}
