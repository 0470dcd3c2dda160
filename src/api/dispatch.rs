//! Dispatch: what is worked on here, in which order, and what people say of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::dispatch_requests::{
    AnswerFields, DispatchConfigFields, DispatchFields, DispatchReposFields, PauseFields, QueueFields, RunFields,
    RunListFields, RunLogFields, RunLogWish,
};
use super::fields::{FieldError, read};
use super::requests::NoFields;
use super::{Answer, Call, Caller, Failure, Fields};
use crate::claims::ManagerError;
use crate::dispatch::{DispatchOutcome, Dispatcher, RunWordOutcome};
use crate::domain::Run;

/// Answers a dispatch call.
pub(super) async fn perform(hub: &Dispatcher, call: Call, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
    let holder = caller.identity.name.as_str();
    match call {
        Call::DispatchStatus => {
            read::<NoFields>(fields)?;
            Ok(Answer::found(json!({ "status": hub.status().await.map_err(ManagerError::from)? })))
        }
        Call::DispatchIssue => issue(hub, holder, fields).await,
        Call::DispatchQueue => queue(hub, fields).await,
        Call::DispatchRuns => {
            let (filter, limit) = read::<RunListFields>(fields)?.parse()?;
            Ok(Answer::found(json!({ "runs": hub.runs(filter, limit).await.map_err(ManagerError::from)? })))
        }
        Call::DispatchRun => {
            let run = named(hub, &read::<RunFields>(fields)?.parse()?).await?;
            Ok(Answer::found(json!({ "run": run })))
        }
        Call::DispatchCancel => {
            let run = named(hub, &read::<RunFields>(fields)?.parse()?).await?;
            let outcome = hub.cancel(run.run_id, holder.to_owned()).await;
            Ok(told(outcome.map_err(ManagerError::from)?))
        }
        Call::DispatchAnswer => {
            let (run, answer, by) = read::<AnswerFields>(fields)?.parse()?;
            let run = named(hub, &run).await?;
            let outcome = hub.answer(run.run_id, answer, by.unwrap_or_else(|| holder.to_owned())).await;
            Ok(told(outcome.map_err(ManagerError::from)?))
        }
        Call::DispatchPause => {
            let why = read::<PauseFields>(fields)?.parse()?;
            hub.pause(why, holder.to_owned()).await.map_err(ManagerError::from)?;
            Ok(Answer::found(json!({ "ok": true, "paused": true })))
        }
        Call::DispatchResume => {
            read::<NoFields>(fields)?;
            hub.resume(holder.to_owned()).await.map_err(ManagerError::from)?;
            Ok(Answer::found(json!({ "ok": true, "paused": false })))
        }
        Call::DispatchLogs => logs(hub, caller.list_count_default, fields).await,
        Call::DispatchConfig => config(hub, fields).await,
        Call::DispatchRepos => repos(hub, fields).await,
        // Every other call is not the dispatcher's.
        _ => Err(Failure::Defect),
    }
}

/// What a server answers that works on nothing, because it only looks at a store.
pub(super) fn nobody_works() -> Answer {
    Answer::rejected(409, "not_running", "no server runs that could: start one with `issuecommand serve`".into())
}

async fn issue(hub: &Dispatcher, holder: &str, fields: Fields) -> Result<Answer, Failure> {
    let (issue, by) = read::<DispatchFields>(fields)?.parse()?;
    let by = by.map_or_else(|| holder.to_owned(), |named| format!("{named} ({holder})"));
    Ok(match hub.dispatch(issue, by).await? {
        DispatchOutcome::Queued(run) => Answer::found(json!({ "ok": true, "idempotent": false, "run": run })),
        DispatchOutcome::Already(run) => Answer::found(json!({ "ok": true, "idempotent": true, "run": run })),
        DispatchOutcome::HeldBy(agent) => {
            let message = format!("{agent} holds the issue: wait for it, or take the claim back with `release`");
            Answer::rejected(409, "already_claimed", message).with("owner_agent_id", agent)
        }
        DispatchOutcome::HasPull(pr_url) => {
            let message = format!("{pr_url} is open for it: ask for changes in a review, or close it first");
            Answer::rejected(409, "pull_request_open", message)
        }
        DispatchOutcome::OnlyFor(only) => {
            let message = format!("the server that has the database works on {only} alone, and ends with it");
            Answer::rejected(409, "works_on_another", message)
        }
        DispatchOutcome::NotOpen(issue) => {
            let message = format!("{issue} is no open issue here (unknown, closed, or a pull request)");
            Answer::rejected(404, "issue_not_found", message)
        }
    })
}

async fn queue(hub: &Dispatcher, fields: Fields) -> Result<Answer, Failure> {
    if let Some((run, place)) = read::<QueueFields>(fields)?.parse()? {
        let run = named(hub, &run).await?;
        if let RunWordOutcome::Refused(run, why) = hub.reorder(run.run_id, place).await.map_err(ManagerError::from)? {
            return Ok(told(RunWordOutcome::Refused(run, why)));
        }
    }
    let queue = hub.queue().await.map_err(ManagerError::from)?;
    let rows: Vec<Value> = queue.iter().enumerate().map(|(place, run)| row(place + 1, run)).collect();
    let paused = hub.paused().await.map_err(ManagerError::from)?;
    Ok(Answer::found(json!({ "queue": rows })).with_some("paused", paused))
}

/// A place of the queue in short: a model reads it too.
fn row(place: usize, run: &Run) -> Value {
    let mut row = json!({
        "place": place,
        "run": run.run_id.short(),
        "issue": run.issue_ref().to_string(),
        "title": run.title,
        "priority": run.priority,
        "requested_by": run.requested_by,
        "attempts": run.attempts,
        "created_at": run.created_at,
    });
    for (name, text) in
        [("not_before", run.not_before.map(|at| json!(at))), ("reason", run.reason.as_ref().map(|why| json!(why)))]
    {
        if let Some(text) = text {
            row[name] = text;
        }
    }
    row
}

/// Lines of a log: `count` of them when nobody says how many.
async fn logs(hub: &Dispatcher, count: Option<usize>, fields: Fields) -> Result<Answer, Failure> {
    let RunLogWish { run, after, limit, wait } = read::<RunLogFields>(fields)?.parse(count)?;
    let run = named(hub, &run).await?;
    let mut lines = hub.log_lines(run.run_id, after, limit, wait).await.map_err(ManagerError::from)?;
    let run = named(hub, &run.run_id.to_string()).await?;
    if lines.is_empty() && run.status().is_terminal() {
        // It ended between the two looks, and what it said last came between them too.
        lines = hub.log_lines(run.run_id, after, limit, Duration::ZERO).await.map_err(ManagerError::from)?;
    }
    Ok(Answer::found(json!({ "lines": lines, "run_status": run.status() })))
}

async fn config(hub: &Dispatcher, fields: Fields) -> Result<Answer, Failure> {
    let DispatchConfigFields { key, value } = read(fields)?;
    if let Some(value) = value {
        let key = key.ok_or_else(|| FieldError::field("key", "it is required with value"))?;
        if let Err(why) = hub.change_config(&key, &value).await {
            return Ok(Answer::rejected(409, "config_refused", why));
        }
        return Ok(Answer::found(json!({ "ok": true, "config": hub.shown_config(Some(&key)) })));
    }
    Ok(Answer::found(json!({ "ok": true, "config": hub.shown_config(key.as_deref()) })))
}

async fn repos(hub: &Dispatcher, fields: Fields) -> Result<Answer, Failure> {
    let DispatchReposFields { add, remove } = read(fields)?;
    let mut repos = hub.repos();
    for (repo, takes_part) in add.map(|repo| (repo, true)).into_iter().chain(remove.map(|repo| (repo, false))) {
        hub.set_topic(&repo, takes_part).await?;
        // As it is on GitHub now; the next sync brings it here.
        repos.retain(|known| *known != repo);
        repos.extend(takes_part.then_some(repo));
    }
    repos.sort();
    Ok(Answer::found(json!({ "ok": true, "repos": repos })))
}

async fn named(hub: &Dispatcher, name: &str) -> Result<Run, Failure> {
    let run = hub.run_named(name).await.map_err(ManagerError::from)?;
    run.ok_or_else(|| ManagerError::NotFound { what: format!("run {name}") }.into())
}

fn told(outcome: RunWordOutcome) -> Answer {
    match outcome {
        RunWordOutcome::Done(run) => Answer::found(json!({ "ok": true, "run": run })),
        RunWordOutcome::Left(run) => Answer::found(json!({ "ok": true, "left": true, "run": run })),
        RunWordOutcome::NotFound => Answer::rejected(404, "run_not_found", "there is no such run".into()),
        RunWordOutcome::Refused(run, why) => {
            let message = format!("run {} is {}: {why}", run.run_id.short(), run.status());
            Answer::rejected(409, "invalid_transition", message).with("run", *run)
        }
    }
}
