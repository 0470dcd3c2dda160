//! Deliveries from GitHub: whether they are GitHub's, and what came of them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tracing::warn;

use super::{Answer, Api, Failure};
use crate::claims::{FeedbackOutcome, PullChange};
use crate::config::Secret;
use crate::domain::{EventKind, Feedback, FeedbackKind, FollowUpStatus, RepoName, ReviewSignal};
use crate::github::{Delivery, read_delivery};
use crate::metrics::metrics;

/// Longest delivery id that is taken. GitHub's are GUIDs, 36 characters.
const DELIVERY_ID_BYTES_MAX: usize = 128;

const WRONG_SIGNATURE: &str = "invalid_signature";
const NO_PROOF: &str = "missing_valid_signature_or_api_key";

/// One call of GitHub's, as it came in.
#[derive(Debug, Clone, Copy)]
pub struct WebhookCall<'c> {
    /// `X-GitHub-Event`.
    pub event: Option<&'c str>,
    /// `X-GitHub-Delivery`.
    pub delivery_id: Option<&'c str>,
    /// `X-Hub-Signature-256`.
    pub signature: Option<&'c str>,
    /// `Content-Type`.
    pub content_type: Option<&'c str>,
    /// Whether it came with the server's key.
    pub has_key: bool,
    /// The body, to the byte.
    pub body: &'c [u8],
}

impl Api {
    /// Tells of a delivery that was turned away, and answers it.
    pub async fn webhook_turned_away(&self, reason: &'static str, call: &WebhookCall<'_>) -> Answer {
        let details =
            json!({ "reason": reason, "event_type": shown(call.event), "delivery_id": shown(call.delivery_id) });
        let (event, delivery) = (shown(call.event), shown(call.delivery_id));
        warn!(
            "webhook {event} {delivery} refused: {reason}; its secret is not GITHUB_WEBHOOK_SECRET, if it is GitHub's"
        );
        metrics().webhook_answered("refused");
        self.manager().announce(EventKind::WebhookRejected, details).await;
        let body = json!({ "ok": false, "error": "unauthorized_webhook", "reason": reason });
        Answer { status: 401, body, retry_after_seconds: None, is_error: true }
    }

    /// Answers a delivery that has proved itself ([`WebhookCall::turned_away`]). It is processed before it is
    /// recorded as processed: one that fails is processed again when GitHub, or a person, sends it again.
    pub async fn webhook(&self, call: &WebhookCall<'_>) -> Answer {
        let answered = self.take_in(call).await;
        metrics().webhook_answered(if answered.is_ok() { "taken_in" } else { "failed" });
        answered.unwrap_or_else(|failure| {
            let (event, delivery) = (shown(call.event), shown(call.delivery_id));
            warn!("webhook {event} {delivery} was not taken in: {failure}");
            failure.log();
            failure.into()
        })
    }

    async fn take_in(&self, call: &WebhookCall<'_>) -> Result<Answer, Failure> {
        let event = call
            .event
            .filter(|event| !event.is_empty())
            .ok_or_else(|| invalid("the header X-GitHub-Event is missing"))?;
        let is_json =
            call.content_type.is_none_or(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"));
        if !is_json {
            return Err(invalid("set the webhook's content type to application/json"));
        }
        let delivery_id = call.delivery_id.filter(|id| !id.is_empty());
        if delivery_id.is_some_and(|id| id.len() > DELIVERY_ID_BYTES_MAX) {
            return Err(invalid("the header X-GitHub-Delivery is longer than 128 bytes"));
        }
        if let Some(id) = delivery_id
            && self.manager().delivery_seen(id).await?
        {
            return Ok(Answer::found(json!({ "ok": true, "duplicate": true, "delivery_id": id })));
        }
        let delivery = read_delivery(event, call.body).map_err(|why| invalid(&why.to_string()))?;
        let action = action_of(call.body);
        let body = self.process(event, &action, delivery, delivery_id).await?;
        // It may be a label, an answer or a review that a run waits for.
        self.wake_dispatcher();
        if let Some(id) = delivery_id {
            self.manager().delivery_record(id).await?;
        }
        let mut details = json!({ "event_type": event, "action": action, "delivery_id": delivery_id });
        details["outcome"] = if body["ignored"] == true { "ignored".into() } else { "processed".into() };
        self.manager().announce(EventKind::WebhookReceived, without_nulls(details)).await;
        Ok(Answer { status: 202, body, retry_after_seconds: None, is_error: false })
    }

    async fn process(
        &self,
        event: &str,
        action: &str,
        delivery: Delivery,
        delivery_id: Option<&str>,
    ) -> Result<Value, Failure> {
        let manager = self.manager();
        if repo_of(&delivery).is_some_and(|repo| manager.exclusion(repo).is_some()) {
            return Ok(ignored("repo_not_allowed"));
        }
        let settled = |count: usize| json!({ "ok": true, "processed": true, "event_type": event, "action": action, "resolved_followups": count });
        let news = |is_news: bool| if is_news { settled(0) } else { ignored("something_newer_is_known") };
        Ok(match delivery {
            Delivery::Feedback { pull_is_open: false, .. } => ignored("pull_request_closed"),
            Delivery::Feedback { feedback, pull_author, .. } => {
                self.hear_feedback(event, &feedback, &pull_author, delivery_id).await?
            }
            Delivery::FeedbackSettled { pull, sources, answered } => {
                let (to, note) = match answered {
                    true => (FollowUpStatus::Done, "its thread was resolved on GitHub"),
                    false => (FollowUpStatus::Dismissed, "it was taken back on GitHub"),
                };
                settled(manager.settle_feedback(pull, sources, to, note).await?)
            }
            Delivery::Pull { pull, pushed } => {
                let change = if pushed { PullChange::Pushed } else { PullChange::Seen };
                let outcome = manager.take_in_pull(pull, change).await?;
                if outcome.outdated { news(false) } else { settled(outcome.resolved_followups) }
            }
            Delivery::Review { pull, review } => {
                let page = pull.url.clone();
                let outcome = manager.take_in_pull(pull, PullChange::Seen).await?;
                match manager.take_in_review(&page, review).await? {
                    // The contract's word for a review that makes no follow-up.
                    0 if event == "pull_request_review" => ignored("no_changes_requested"),
                    _ => settled(outcome.resolved_followups),
                }
            }
            Delivery::Pushed { repo, branch, head_sha, committed_at } => {
                match manager.take_in_push(&repo, &branch, head_sha, committed_at).await? {
                    0 => ignored("no_claims_branch"),
                    _ => settled(0),
                }
            }
            Delivery::Check { repo, sha, signal } => match manager.take_in_check(&repo, &sha, signal).await? {
                0 => ignored("no_claims_commit"),
                _ => settled(0),
            },
            Delivery::Issue(issue) => news(manager.take_in_issue(issue).await?),
            Delivery::Labelled { issue, label, by } => {
                let is_news = manager.take_in_issue(issue.clone()).await?;
                manager.take_in_label(&issue, label, by).await?;
                news(is_news)
            }
            Delivery::IssueGone(issue) => {
                manager.forget_issue(issue).await?;
                settled(0)
            }
            Delivery::Dependency { issue, blocker, added } => {
                manager.take_in_dependency(issue, blocker, added).await?;
                settled(0)
            }
            Delivery::Repositories => {
                manager.wish_sync();
                settled(0)
            }
            Delivery::Nothing(why) => ignored(why),
        })
    }

    async fn hear_feedback(
        &self,
        event: &str,
        feedback: &Feedback,
        pull_author: &str,
        delivery_id: Option<&str>,
    ) -> Result<Value, Failure> {
        let manager = self.manager();
        if feedback.kind == FeedbackKind::ReviewChangesRequested {
            manager.take_in_review(&feedback.pull_url, ReviewSignal::ChangesRequested).await?;
        }
        let (work_item_id, created) = match manager.take_in_feedback(feedback, pull_author, delivery_id).await? {
            FeedbackOutcome::Created(item) => (item.work_item_id, true),
            FeedbackOutcome::Known(id) => (id, false),
            FeedbackOutcome::Ignored(why) => return Ok(ignored(why)),
        };
        Ok(json!({
            "ok": true, "processed": true, "event_type": event,
            "source_event_type": feedback.kind, "created": created, "idempotent": !created,
            "work_item_id": work_item_id, "repo": feedback.pull.repo, "pr_number": feedback.pull.number,
        }))
    }
}

/// The repository that must take part for a delivery to count. Feedback counts where there is a claim that it belongs to.
fn repo_of(delivery: &Delivery) -> Option<&RepoName> {
    match delivery {
        Delivery::Pull { pull, .. } | Delivery::Review { pull, .. } => Some(&pull.repo),
        Delivery::Pushed { repo, .. } | Delivery::Check { repo, .. } => Some(repo),
        Delivery::Issue(issue) | Delivery::Labelled { issue, .. } => Some(&issue.repo),
        Delivery::IssueGone(issue) | Delivery::Dependency { issue, .. } => Some(&issue.repo),
        Delivery::Feedback { .. }
        | Delivery::FeedbackSettled { .. }
        | Delivery::Repositories
        | Delivery::Nothing(_) => None,
    }
}

fn invalid(why: &str) -> Failure {
    Failure::WebhookPayload(why.to_owned())
}

fn ignored(reason: &str) -> Value {
    json!({ "ok": true, "ignored": true, "reason": reason })
}

/// The payload's own word for what happened; the body was found to be JSON.
fn action_of(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Action {
        #[serde(default)]
        action: String,
    }
    serde_json::from_slice::<Action>(body).map(|payload| payload.action).unwrap_or_default()
}

/// What an outsider sent, cut to what may be kept.
fn shown(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().filter(|c| !c.is_control()).take(64).collect()
}

fn without_nulls(mut details: Value) -> Value {
    if let Value::Object(fields) = &mut details {
        fields.retain(|_, value| !value.is_null());
    }
    details
}

impl WebhookCall<'_> {
    /// Why the head of a call cannot prove itself, whatever its body: nothing that strangers send need be read.
    pub fn turned_away_by_head(&self, secret: &Secret) -> Option<&'static str> {
        match self.signature {
            Some(signature) if !secret.is_empty() => digest_in(signature).is_none().then_some(WRONG_SIGNATURE),
            _ if self.has_key => None,
            _ => Some(NO_PROOF),
        }
    }

    /// Why a delivery does not prove to be GitHub's; `None` when it does. A signature that is there must be
    /// right, whatever else came with it.
    pub fn turned_away(&self, secret: &Secret) -> Option<&'static str> {
        match self.signature {
            Some(signature) if !secret.is_empty() => {
                (!is_signed(secret, signature, self.body)).then_some(WRONG_SIGNATURE)
            }
            _ => self.turned_away_by_head(secret),
        }
    }
}

/// What a signature claims (GitHub: `sha256=` and 64 hex digits).
fn digest_in(signature: &str) -> Option<Vec<u8>> {
    let digits = signature.trim().strip_prefix("sha256=")?;
    hex::decode(digits).ok().filter(|digest| digest.len() == 32)
}

/// Whether `signature` is the HMAC-SHA256 of the raw body (GitHub: `sha256=` and hex digits). Compared in
/// constant time.
fn is_signed(secret: &Secret, signature: &str, body: &[u8]) -> bool {
    let Some(claimed) = digest_in(signature) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()).expect("any length of key will do");
    mac.update(body);
    mac.verify_slice(&claimed).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'c>(signature: Option<&'c str>, has_key: bool, body: &'c [u8]) -> WebhookCall<'c> {
        WebhookCall { event: Some("ping"), delivery_id: None, signature, content_type: None, has_key, body }
    }

    /// GitHub's own example (docs.github.com, "Validating webhook deliveries").
    #[test]
    fn githubs_example_signature_is_accepted_and_any_other_is_not() {
        let secret = Secret::new("It's a Secret to Everybody");
        let right = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert_eq!(call(Some(right), false, b"Hello, World!").turned_away(&secret), None);
        let wrong = ["sha256=", "sha256=zz", "sha1=757107ea", &right[..70], &right.replace('7', "8"), "", right];
        for (index, signature) in wrong.into_iter().enumerate() {
            let body: &[u8] = if index == 6 { b"Hello, World?" } else { b"Hello, World!" };
            for has_key in [false, true] {
                assert_eq!(call(Some(signature), has_key, body).turned_away(&secret), Some(WRONG_SIGNATURE));
            }
        }
    }

    #[test]
    fn without_a_signature_only_the_key_opens() {
        let missing = Some(NO_PROOF);
        for secret in [Secret::default(), Secret::new("s")] {
            assert_eq!(call(None, false, b"{}").turned_away(&secret), missing);
            assert_eq!(call(None, true, b"{}").turned_away(&secret), None);
        }
        // An empty secret signs nothing: anyone could compute that.
        let mut mac = Hmac::<Sha256>::new_from_slice(b"").unwrap();
        mac.update(b"{}");
        let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
        assert_eq!(call(Some(&signature), false, b"{}").turned_away(&Secret::default()), missing);
    }
}
