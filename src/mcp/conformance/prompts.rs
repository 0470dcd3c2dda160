//! The suite's prompts.

use rmcp::ErrorData;
use rmcp::model::{GetPromptRequestParams, GetPromptResponse, Prompt};
use serde_json::{Value, json};

use super::{PNG, asking, of_wire};

/// Name and required arguments.
const PROMPTS: [(&str, &[&str]); 5] = [
    ("test_simple_prompt", &[]),
    ("test_prompt_with_arguments", &["arg1", "arg2"]),
    ("test_prompt_with_embedded_resource", &["resourceUri"]),
    ("test_prompt_with_image", &[]),
    ("test_input_required_result_prompt", &[]),
];

/// The suite's prompts.
pub(super) fn listed() -> Vec<Prompt> {
    let prompt = |(name, arguments): &(&str, &[&str])| {
        let argument = |name: &&str| json!({ "name": name, "description": "An argument.", "required": true });
        let arguments: Vec<Value> = arguments.iter().map(argument).collect();
        of_wire(json!({ "name": name, "description": "A fixture of the suite.", "arguments": arguments }))
    };
    PROMPTS.iter().map(prompt).collect()
}

/// Gives one of them.
pub(super) fn get(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let argument = |name: &str| {
        let value = request.arguments.as_ref().and_then(|all| all.get(name)).and_then(Value::as_str);
        value.ok_or_else(|| ErrorData::invalid_params(format!("missing argument: {name}"), None))
    };
    let text = |text: String| json!({ "role": "user", "content": { "type": "text", "text": text } });
    let messages = match request.name.as_str() {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.".into())],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1")?, argument("arg2")?);
            vec![text(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": argument("resourceUri")?, "mimeType": "text/plain",
                "text": "Embedded resource content for testing." });
            let embedded = json!({ "role": "user", "content": { "type": "resource", "resource": resource } });
            vec![embedded, text("Please process the embedded resource above.".into())]
        }
        "test_prompt_with_image" => {
            let image = json!({ "type": "image", "data": PNG, "mimeType": "image/png" });
            vec![json!({ "role": "user", "content": image }), text("Please analyze the image above.".into())]
        }
        "test_input_required_result_prompt" => {
            match asking::field(request.input_responses.as_ref(), "user_context", "context") {
                Some(context) => vec![text(format!("Context: {context}"))],
                None => {
                    let question = json!({ "user_context": { "method": "elicitation/create", "params": {
                        "message": "What context should the prompt use?",
                        "requestedSchema": { "type": "object", "required": ["context"],
                            "properties": { "context": { "type": "string" } } } } } });
                    return Ok(GetPromptResponse::InputRequired(asking::question(question, None)));
                }
            }
        }
        unknown => return Err(ErrorData::invalid_params(format!("unknown prompt: {unknown}"), None)),
    };
    Ok(GetPromptResponse::Complete(of_wire(json!({ "resultType": "complete", "messages": messages }))))
}
