//! The suite's tools that answer with a question, as the newest protocol does, and carry their state in
//! it: sealed, because a client may have written what it sends back.

use std::sync::LazyLock;

use rmcp::model::{CallToolRequestParams, CallToolResponse, InputRequiredResult, InputResponses};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::of_wire;

static KEY: LazyLock<[Uuid; 2]> = LazyLock::new(|| [Uuid::new_v4(), Uuid::new_v4()]);

fn elicitation(message: &str, field: &str, kind: &str) -> Value {
    let schema = json!({ "type": "object", "properties": { field: { "type": kind } }, "required": [field] });
    json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": schema } })
}

/// The question after a name.
pub(super) fn name_wanted() -> Value {
    elicitation("What is your name?", "name", "string")
}

fn sampling(prompt: &str, tokens_max: u32) -> Value {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    json!({ "method": "sampling/createMessage", "params": { "messages": [message], "maxTokens": tokens_max } })
}

fn roots() -> Value {
    json!({ "method": "roots/list", "params": {} })
}

/// An answer that asks `questions`.
pub(super) fn ask(questions: Value, state: Option<&str>) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResponse::InputRequired(question(questions, state)))
}

/// The same for other requests than calls of tools.
pub(super) fn question(questions: Value, state: Option<&str>) -> InputRequiredResult {
    InputRequiredResult::new(Some(of_wire(questions)), state.map(seal))
}

fn done(text: impl Into<String>) -> Result<CallToolResponse, ErrorData> {
    let content = json!([{ "type": "text", "text": text.into() }]);
    Ok(CallToolResponse::Complete(of_wire(json!({ "resultType": "complete", "content": content }))))
}

/// Answers one of the suite's calls.
pub(super) fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let answers = request.input_responses.as_ref();
    let state = request.request_state.as_deref().map(open).transpose()?;
    let confirm = || elicitation("Please confirm", "ok", "boolean");
    match request.name.trim_start_matches("test_input_required_result_") {
        "elicitation" => match field(answers, "user_name", "name") {
            Some(name) => done(format!("Hello, {name}!")),
            None => ask(json!({ "user_name": name_wanted() }), None),
        },
        "sampling" => match answers.and_then(|all| all.get("capital_question")) {
            Some(answer) => done(answer["content"]["text"].as_str().unwrap_or_default()),
            None => ask(json!({ "capital_question": sampling("What is the capital of France?", 100) }), None),
        },
        "list_roots" => match answers.and_then(|all| all.get("client_roots")) {
            Some(answer) => done(format!("Roots: {}", answer["roots"])),
            None => ask(json!({ "client_roots": roots() }), None),
        },
        "request_state" => match (answers.and_then(|all| all.get("confirm")), state.as_deref()) {
            (Some(_), Some("asked")) => done("state-ok"),
            _ => ask(json!({ "confirm": confirm() }), Some("asked")),
        },
        "tampered_state" => match (answers, state.as_deref()) {
            (Some(_), Some("asked")) => done("state-ok"),
            _ => ask(json!({ "confirm": confirm() }), Some("asked")),
        },
        "multiple_inputs" => {
            let wanted = ["user_name", "greeting", "client_roots"];
            match answers {
                Some(all) if wanted.iter().all(|name| all.contains_key(*name)) && state.is_some() => done("all there"),
                _ => {
                    let greeting = sampling("Generate a greeting", 50);
                    let questions =
                        json!({ "user_name": name_wanted(), "greeting": greeting, "client_roots": roots() });
                    ask(questions, Some("asked"))
                }
            }
        }
        "multi_round" => match (field(answers, "step1", "name"), field(answers, "step2", "color"), state.as_deref()) {
            (Some(name), _, Some("step 1")) => {
                let question = elicitation("Step 2: What is your favorite color?", "color", "string");
                ask(json!({ "step2": question }), Some(&format!("step 2 of {name}")))
            }
            (_, Some(color), Some(state)) if state.starts_with("step 2") => done(format!("{state}: {color}")),
            _ => ask(json!({ "step1": elicitation("Step 1: What is your name?", "name", "string") }), Some("step 1")),
        },
        "capabilities" => {
            let known = json!(context.client_capabilities());
            let mut questions = json!({});
            for (capability, question) in
                [("elicitation", name_wanted()), ("sampling", sampling("Say hello", 50)), ("roots", roots())]
            {
                if known[capability].is_object() {
                    questions[capability] = question;
                }
            }
            ask(questions, None)
        }
        unknown => Err(ErrorData::invalid_params(format!("unknown tool: {unknown}"), None)),
    }
}

/// The text that the user filled in.
pub(super) fn field<'a>(answers: Option<&'a InputResponses>, question: &str, field: &str) -> Option<&'a str> {
    let answer = answers?.get(question)?;
    let accepted = answer["action"] == "accept";
    answer["content"][field].as_str().filter(|_| accepted)
}

/// The state with a mark that only this process can make.
fn seal(state: &str) -> String {
    format!("{}:{state}", mark(state))
}

fn open(sealed: &str) -> Result<String, ErrorData> {
    let opened = sealed.split_once(':').filter(|(found, state)| *found == mark(state));
    let refused = || ErrorData::invalid_params("requestState is not what this server gave", None);
    opened.map(|(_, state)| state.to_owned()).ok_or_else(refused)
}

fn mark(state: &str) -> String {
    let keyed = |text: &[u8]| {
        let mut hash = Sha256::new();
        KEY.iter().for_each(|key| hash.update(key.as_bytes()));
        hash.update(text);
        hash.finalize()
    };
    let twice = keyed(&keyed(state.as_bytes()));
    twice.iter().map(|byte| format!("{byte:02x}")).collect()
}
