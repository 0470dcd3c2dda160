//! What says which ranker decides, from a page: promoted, put on trial, given up, put back. The configuration is edited as
//! a command edits it, and the page waits until the server has taken the edit up, or says why not.

use std::path::Path as FilePath;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use axum::Form;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::playground::read_settings;
use super::visit::{Visit, told};
use super::words::{counted, short};
use crate::api::Call;
use crate::config::{ConfigSource, EDIT_TURN, Loaded, PoliciesConfig, load, not_replaceable};
use crate::promotion::{self, Ground, Way, Word};

/// Where what became of it shows.
const POLICIES: (&str, &str) = ("/policies", "the policies");

/// Longest reason, in characters. Ours: a line of the history.
const NOTE_CHARACTER_COUNT_MAX: usize = 200;

/// Why, and what the page showed.
#[derive(Debug, Deserialize)]
pub(super) struct Ruled {
    #[serde(default)]
    note: String,
    seen: String,
}

/// The same, with what the ranker is to be told.
#[derive(Debug, Deserialize)]
pub(super) struct RuledSettings {
    settings: String,
    #[serde(default)]
    note: String,
    seen: String,
}

/// What is to be done.
enum Act {
    Promote,
    GiveUp,
    RollBack(u64),
    PutOnTrial(Map<String, Value>),
    PutInForce(Map<String, Value>),
}

/// Makes the candidate the ranker.
pub(super) async fn promote(visit: Visit, Form(form): Form<Ruled>) -> Response {
    done(visit, form, Ok(Act::Promote)).await
}

/// Ends the candidate's trial.
pub(super) async fn give_up(visit: Visit, Form(form): Form<Ruled>) -> Response {
    done(visit, form, Ok(Act::GiveUp)).await
}

/// Puts the ranker of a set back.
pub(super) async fn roll_back(visit: Visit, Path(set_id): Path<u64>, Form(form): Form<Ruled>) -> Response {
    done(visit, form, Ok(Act::RollBack(set_id))).await
}

/// Puts the ranker on trial with other settings.
pub(super) async fn put_on_trial(visit: Visit, Form(form): Form<RuledSettings>) -> Response {
    let act = read_settings(&form.settings).map(Act::PutOnTrial);
    done(visit, Ruled { note: form.note, seen: form.seen }, act).await
}

/// Has the ranker told something else from now on.
pub(super) async fn put_in_force(visit: Visit, Form(form): Form<RuledSettings>) -> Response {
    let act = read_settings(&form.settings).map(Act::PutInForce);
    done(visit, Ruled { note: form.note, seen: form.seen }, act).await
}

async fn done(visit: Visit, form: Ruled, act: Result<Act, String>) -> Response {
    if !visit.may_rule() {
        let why =
            "Which policies decide is said with the server's key, or with a token of scope admin that is no agent's.";
        return visit.refused(403, why);
    }
    let asker = visit.clone();
    // A browser that goes away leaves nothing half done.
    let work = tokio::spawn(async move { rule(&asker, form, act).await });
    match work.await {
        Ok(Ok(())) => (StatusCode::SEE_OTHER, [(LOCATION, POLICIES.0)]).into_response(),
        Ok(Err(why)) => visit.not_done(&format!("{why:#}"), POLICIES),
        Err(_) => visit.not_done("The server failed at it; its log says where.", POLICIES),
    }
}

async fn rule(visit: &Visit, form: Ruled, act: Result<Act, String>) -> anyhow::Result<()> {
    let act = act.map_err(|why| anyhow!(why))?;
    let note = form.note.trim();
    if note.chars().count() > NOTE_CHARACTER_COUNT_MAX {
        bail!("the reason has more than {NOTE_CHARACTER_COUNT_MAX} characters: make it shorter");
    }
    let _turn = EDIT_TURN.lock().await;
    let manager = visit.state.api.manager();
    let (in_force, _) = manager.policies_in_force();
    if digest_of(&in_force) != form.seen {
        bail!("other policies have come in force since that page was shown: look at them, and try again");
    }
    let file = visit.state.config_file.clone();
    let file = file.context("the server runs without an issuecommand.toml: there is nothing to write to")?;
    let loaded = tokio::task::spawn_blocking(move || read(&file)).await??;
    act.check(&loaded.config.policies, &in_force)?;
    let ground = Arc::new(Ground { loaded, host: manager.policy_host() });
    let word = Word { who: None, note: (!note.is_empty()).then(|| note.to_owned()) };
    act.make(visit, &ground, word).await
}

fn read(file: &FilePath) -> anyhow::Result<Loaded> {
    load(&ConfigSource::from_process(Some(file.to_owned())))
        .map_err(|report| anyhow!("{}; mend the file first, for it would be edited", report.first()))
}

impl Act {
    /// Whether it is about what the page showed: the file may say something else than what is in force.
    fn check(&self, file: &PoliciesConfig, in_force: &PoliciesConfig) -> anyhow::Result<()> {
        let is_shown = match self {
            Self::Promote | Self::GiveUp => file.candidate == in_force.candidate,
            Self::PutOnTrial(_) | Self::PutInForce(_) => file.ranker == in_force.ranker,
            Self::RollBack(_) => true,
        };
        if !is_shown {
            bail!(
                "issuecommand.toml says something else than what is in force and was shown: an edit of it was refused, or \
                 is on its way; look at the policies, and try again"
            );
        }
        match self {
            Self::Promote | Self::GiveUp if file.candidate.is_none() => bail!("nothing is on trial"),
            Self::PutOnTrial(settings) | Self::PutInForce(settings) if *settings == file.ranker.base.settings => {
                bail!("the ranker is told these settings already")
            }
            _ => Ok(()),
        }
    }

    async fn make(self, way: &dyn Way, ground: &Arc<Ground>, word: Word) -> anyhow::Result<()> {
        match self {
            Self::Promote => promotion::promote(way, ground, &word).await.map(drop),
            Self::GiveUp => promotion::give_up(way, ground, &word).await.map(drop),
            Self::RollBack(set_id) => promotion::roll_back(way, ground, Some(set_id), &word).await.map(drop),
            Self::PutOnTrial(settings) => promotion::put_on_trial(way, ground, settings, &word).await.map(drop),
            Self::PutInForce(settings) => {
                let note = word.note.map_or_else(String::new, |note| format!("; {note}"));
                let word = Word { note: Some(format!("settings from the playground{note}")), ..word };
                promotion::put_in_force(way, ground, settings, &word).await.map(drop)
            }
        }
    }
}

/// Who looks at the page asks the server itself.
#[async_trait]
impl Way for Visit {
    async fn ask(&self, call: Call, mut fields: Value) -> anyhow::Result<Value> {
        if let Some(fields) = fields.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let answer = Self::ask(self, call, fields).await;
        if answer.status == 200 { Ok(answer.body) } else { Err(anyhow!(told(&answer).to_owned())) }
    }

    fn is_served(&self) -> bool {
        true
    }
}

/// Whether a page has forms that say which policies decide.
pub(super) struct Offer {
    /// What tells the policies in force from others, for the forms to bring back; `None` where there are none: for who may
    /// not say which decide, and where no file can be edited.
    pub(super) seen: Option<String>,
    /// Why there are none, or what they leave undone, for who may say it.
    note: Option<String>,
}

impl Offer {
    pub(super) async fn to(visit: &Visit) -> Self {
        if !visit.may_rule() {
            return Self { seen: None, note: None };
        }
        if let Some(why) = cannot_edit(visit.state.config_file.as_deref()) {
            return Self { seen: None, note: Some(why) };
        }
        let seen = Some(digest_of(&visit.state.api.manager().policies_in_force().0));
        let others = visit.state.api.other_server_count().await.filter(|count| *count > 0);
        let note = others.map(|count| {
            format!(
                "{} of this database beside this one: what is put in force or back from here edits the issuecommand.toml of \
                 this server only. Edit theirs in the same way, or an agent gets what the server says that it asks.",
                counted(count, "other server")
            )
        });
        Self { seen, note }
    }

    /// The note, where there is one.
    pub(super) fn note(&self) -> Markup {
        html! { @if let Some(note) = &self.note { p .why { (note) } } }
    }
}

/// Why nothing can be put in force from a page, and what to do instead.
fn cannot_edit(file: Option<&FilePath>) -> Option<String> {
    let Some(file) = file else {
        return Some(
            "The server runs without an issuecommand.toml, so nothing is put in force or back from here.".into(),
        );
    };
    let why = not_replaceable(file)?;
    Some(format!(
        "Nothing is put in force or back from here, for {why}. Edit it where it comes from (beside the unit, in the \
         image, in the ConfigMap); where the server sees the file change, it takes the edit up by itself."
    ))
}

fn digest_of(policies: &PoliciesConfig) -> String {
    let text = serde_json::to_string(policies).expect("policies are plain values");
    short(&hex::encode(Sha256::digest(text.as_bytes()))).to_owned()
}

/// A form with a field for why and a button.
pub(super) fn form(action: &str, seen: &str, button: Markup) -> Markup {
    html! {
        form method="post" action=(action) {
            input type="hidden" name="seen" value=(seen);
            label { "Why " input name="note" maxlength=(NOTE_CHARACTER_COUNT_MAX) autocomplete="off"; }
            (button)
        }
    }
}
