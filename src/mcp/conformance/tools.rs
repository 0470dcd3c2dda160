//! The suite's tools that answer at once, or ask their client over the connection.

use std::time::Duration;

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, ClientResult, ProgressNotificationParam, ServerRequest, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use super::{PNG, WAV, is_newest, of_wire};

/// What the suite wants between two notifications.
const PAUSE: Duration = Duration::from_millis(50);

const NAMES: [&str; 23] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_error_handling",
    "test_tool_with_progress",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

/// The suite's tools.
pub(super) fn listed() -> Vec<Tool> {
    let tool = |name: &&str| {
        let argument = match *name {
            "test_sampling" => Some("prompt"),
            "test_elicitation" => Some("message"),
            _ => None,
        };
        let schema = match argument {
            Some(argument) => {
                json!({ "type": "object", "properties": { argument: { "type": "string" } }, "required": [argument] })
            }
            None => json!({ "type": "object", "properties": {} }),
        };
        of_wire(json!({ "name": name, "description": "A fixture of the conformance suite.", "inputSchema": schema }))
    };
    NAMES.iter().map(tool).collect()
}

fn done(content: Value) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResponse::Complete(of_wire(json!({ "resultType": "complete", "content": content }))))
}

fn text(text: impl Into<String>) -> Value {
    json!([{ "type": "text", "text": text.into() }])
}

/// Answers one of the suite's calls.
pub(super) async fn call(
    request: CallToolRequestParams,
    context: RequestContext<RoleServer>,
) -> Result<CallToolResponse, ErrorData> {
    let argument = |name: &str| request.arguments.as_ref().and_then(|all| all.get(name)).cloned().unwrap_or_default();
    match request.name.as_ref() {
        "test_simple_text" => done(text("This is a simple text response for testing.")),
        "test_image_content" => done(json!([{ "type": "image", "data": PNG, "mimeType": "image/png" }])),
        "test_audio_content" => done(json!([{ "type": "audio", "data": WAV, "mimeType": "audio/wav" }])),
        "test_embedded_resource" => done(json!([{ "type": "resource", "resource": {
            "uri": "test://embedded-resource", "mimeType": "text/plain",
            "text": "This is an embedded resource content." } }])),
        "test_multiple_content_types" => done(json!([
            { "type": "text", "text": "Multiple content types test:" },
            { "type": "image", "data": PNG, "mimeType": "image/png" },
            { "type": "resource", "resource": { "uri": "test://mixed-content-resource",
                "mimeType": "application/json", "text": r#"{"test":"data","value":123}"# } },
        ])),
        "test_error_handling" => {
            let content = text("This tool intentionally returns an error for testing");
            Ok(CallToolResponse::Complete(of_wire(
                json!({ "resultType": "complete", "content": content, "isError": true }),
            )))
        }
        "test_tool_with_progress" => with_progress(&context).await,
        "test_tool_with_logging" | "test_logging_tool" => with_logging(&context).await,
        "test_sampling" => sample(&context, argument("prompt")).await,
        "test_elicitation" => elicit(&context, "User response", argument("message"), USER.parse()).await,
        "test_elicitation_sep1034_defaults" => {
            elicit(&context, "Elicitation completed", json!("Please confirm"), DEFAULTS.parse()).await
        }
        "test_elicitation_sep1330_enums" => {
            elicit(&context, "Elicitation completed", json!("Please choose"), CHOICES.parse()).await
        }
        "test_missing_capability" => match context.client_capabilities().and_then(|known| known.sampling) {
            Some(_) => done(text("the client can sample")),
            None => Err(ErrorData::missing_required_client_capability(of_wire(json!({ "sampling": {} })))),
        },
        "test_streaming_elicitation" => super::asking::ask(json!({ "user_name": super::asking::name_wanted() }), None),
        unknown => Err(ErrorData::invalid_params(format!("unknown tool: {unknown}"), None)),
    }
}

async fn with_progress(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    for progress in [0.0, 50.0, 100.0] {
        if let Some(token) = context.meta.get_progress_token() {
            let step = ProgressNotificationParam::new(token, progress).with_total(100.0);
            context.peer.notify_progress(step).await.map_err(failed)?;
        }
        if progress < 100.0 {
            tokio::time::sleep(PAUSE).await;
        }
    }
    done(text("Tool with progress executed"))
}

#[expect(deprecated, reason = "how the protocol up to 2025-11-25 logs, which is still spoken")]
async fn with_logging(context: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
    // The newest protocol logs for a request that asks for it only.
    let wanted = !is_newest(context) || context.meta.log_level().is_some();
    for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
        if wanted {
            let message = of_wire(json!({ "level": "info", "data": line }));
            context.peer.notify_logging_message(message).await.map_err(failed)?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    done(text("Tool with logging executed"))
}

async fn sample(context: &RequestContext<RoleServer>, prompt: Value) -> Result<CallToolResponse, ErrorData> {
    let message = json!({ "role": "user", "content": { "type": "text", "text": prompt } });
    let params = json!({ "messages": [message], "maxTokens": 100 });
    let answer = ask_client(context, json!({ "method": "sampling/createMessage", "params": params })).await?;
    let said = answer["content"]["text"].as_str().unwrap_or_default().to_owned();
    done(text(format!("LLM response: {said}")))
}

async fn elicit(
    context: &RequestContext<RoleServer>,
    opening: &str,
    message: Value,
    schema: Result<Value, serde_json::Error>,
) -> Result<CallToolResponse, ErrorData> {
    let schema = schema.map_err(|error| failed(error.to_string()))?;
    let params = json!({ "message": message, "requestedSchema": schema });
    let answer = ask_client(context, json!({ "method": "elicitation/create", "params": params })).await?;
    let action = answer["action"].as_str().unwrap_or_default();
    done(text(format!("{opening}: action={action}, content={}", answer["content"])))
}

/// Asks the client over the connection, as servers may up to 2025-11-25.
async fn ask_client(context: &RequestContext<RoleServer>, request: Value) -> Result<Value, ErrorData> {
    let request: ServerRequest = of_wire(request);
    let answer: ClientResult = context.peer.send_request(request).await.map_err(failed)?;
    Ok(json!(answer))
}

fn failed(error: impl ToString) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

const USER: &str = r#"{ "type": "object", "required": ["username", "email"], "properties": {
    "username": { "type": "string", "description": "User's response" },
    "email": { "type": "string", "description": "User's email address" } } }"#;

const DEFAULTS: &str = r#"{ "type": "object", "required": [], "properties": {
    "name": { "type": "string", "default": "John Doe" },
    "age": { "type": "integer", "default": 30 },
    "score": { "type": "number", "default": 95.5 },
    "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
    "verified": { "type": "boolean", "default": true } } }"#;

const CHOICES: &str = r#"{ "type": "object", "required": [], "properties": {
    "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
    "titledSingle": { "type": "string", "oneOf": [{ "const": "value1", "title": "First Option" },
        { "const": "value2", "title": "Second Option" }, { "const": "value3", "title": "Third Option" }] },
    "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"],
        "enumNames": ["Option One", "Option Two", "Option Three"] },
    "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
    "titledMulti": { "type": "array", "items": { "anyOf": [{ "const": "value1", "title": "First Choice" },
        { "const": "value2", "title": "Second Choice" }, { "const": "value3", "title": "Third Choice" }] } } } }"#;
