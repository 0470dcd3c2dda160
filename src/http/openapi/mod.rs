//! The description of the API, OpenAPI 3.1, and the page on which people browse it. Made from the table
//! of routes and from the types that read requests, so it describes what is there.
//!
//! OpenAPI 3.1 takes JSON Schema as it is, and schemars makes that for the tools of MCP already: one
//! description of each type serves both doors.

mod answers;
mod nulls;

use std::sync::LazyLock;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::Response;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::table::{ROUTES, Route};
use crate::api::published_schema;
use crate::config::WebhookConfig;

/// Where the description is.
const DOCUMENT_PATH: &str = "/openapi.json";
/// Where the page is.
const PAGE_PATH: &str = "/docs";
/// The page loads nothing from elsewhere. It sets styles on elements, and its icons are data.
const PAGE_CONTENT: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:";

/// What a description of GitHub's calls needs to know.
static WITHOUT_WEBHOOK: LazyLock<Value> = LazyLock::new(|| document(None));

/// The description, and the page. Neither holds anything of this server's own, so both are open to all.
pub(super) fn page(webhooks: &WebhookConfig) -> Router {
    let described = match webhooks.enabled {
        true => document(Some(&webhooks.path)),
        false => WITHOUT_WEBHOOK.clone(),
    };
    // Nothing is sent to the validator that the page would ask by itself.
    let config = Config::from(DOCUMENT_PATH).validator_url("none").display_request_duration(true);
    let page = SwaggerUi::new(PAGE_PATH).external_url_unchecked(DOCUMENT_PATH, described).config(config);
    Router::from(page).layer(axum::middleware::map_response(|mut response: Response| async move {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_CONTENT));
        response
    }))
}

/// The description. `webhook`: where GitHub calls, if it may.
fn document(webhook: Option<&str>) -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut schemas = settings.into_generator();
    let mut paths = Map::new();
    for route in ROUTES {
        insert(&mut paths, route.path, (route.method)().as_str(), operation(route, &mut schemas));
    }
    insert(&mut paths, "/sse", "GET", event_stream(&mut schemas));
    if let Some(path) = webhook {
        insert(&mut paths, path, "POST", delivery(&mut schemas));
    }
    let problem = named::<answers::Problem>(&mut schemas);
    named::<answers::Rejection>(&mut schemas);
    let mut definitions = Value::Object(schemas.take_definitions(true));
    nulls::without_nulls(&mut definitions);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "IssueCommand",
            "version": crate::build_info::VERSION,
            "description": "Which coding agent works on which GitHub issue, by your team's own policy. \
                MCP is at /mcp. A rejection is a normal answer with `ok: false` and a reason.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "servers": [{ "url": "/" }],
        "tags": groups(),
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "key": { "type": "http", "scheme": "bearer", "description": "The server's key, or an access token." },
            },
            "responses": { "Problem": { "description": "The request could not be answered.", "content": content(&problem) } },
        },
    })
}

/// The groups of routes, in the order of the table.
fn groups() -> Vec<Value> {
    let mut groups: Vec<&str> = ROUTES.iter().map(|route| route.group).collect();
    groups.dedup();
    groups.into_iter().map(|name| json!({ "name": name })).collect()
}

fn insert(paths: &mut Map<String, Value>, path: &str, method: &str, operation: Value) {
    let entry = paths.entry(path).or_insert_with(|| json!({}));
    entry[method.to_ascii_lowercase()] = operation;
}

fn named<T: JsonSchema>(schemas: &mut SchemaGenerator) -> Value {
    schemas.subschema_for::<T>().to_value()
}

fn content(schema: &Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let fields = published_schema(route.call, false);
    let mut parameters = path_parameters(route.path, &fields);
    let is_get = (route.method)() == "GET";
    // Where one call shows and changes, each way is an operation of its own.
    let changing = route.call.changing_fields();
    let verb = if !is_get && !changing.is_empty() { "Change" } else { "" };
    let mut operation = json!({
        "operationId": format!("{verb}{:?}", route.call),
        "summary": route.summary,
        "tags": [route.group],
    });
    let in_path = names_in_path(route.path);
    let rest = without(&fields, &in_path);
    let has_fields = rest["properties"].as_object().is_some_and(|fields| !fields.is_empty());
    if is_get {
        parameters.extend(query_parameters(&without(&rest, changing)));
    } else if has_fields {
        let is_required = rest.contains_key("required");
        operation["requestBody"] = json!({ "required": is_required, "content": content(&Value::Object(rest)) });
    }
    if fields["properties"].get("agent_id").is_some() {
        parameters.push(json!({
            "name": "X-Agent-Id", "in": "header", "schema": { "type": "string", "pattern": "^[!-~]{1,128}$" },
            "description": "Stands in for an absent agent_id.",
        }));
    }
    if fields["properties"].get("skills").is_some() {
        parameters.push(json!({
            "name": "X-Agent-Skills", "in": "header", "schema": { "type": "string", "pattern": "^[a-z]{1,20}(,[a-z]{1,20}){0,9}$" },
            "description": "Stands in for absent skills: words with commas between.",
        }));
    }
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    let mut found = answers::of(route.call, schemas).to_value();
    nulls::without_nulls(&mut found);
    operation["responses"] = responses(&found, &named::<answers::Rejection>(schemas));
    operation
}

/// Every answer there is besides the one asked for.
fn responses(found: &Value, rejection: &Value) -> Value {
    let mut responses = json!({ "200": { "description": "What was asked for.", "content": content(found) } });
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    for status in ["400", "401", "403", "408", "413", "429", "500", "501", "502", "503"] {
        responses[status] = problem.clone();
    }
    let problem_schema = &json!({ "$ref": "#/components/schemas/Problem" });
    let either = json!({ "anyOf": [rejection, problem_schema] });
    responses["404"] = json!({ "description": "There is no such thing.", "content": content(&either) });
    responses["409"] = json!({ "description": "A rejection, with its reason.", "content": content(rejection) });
    responses
}

/// The fields that the parts of a path are, by the names they have among the fields.
fn names_in_path(path: &str) -> Vec<&str> {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let field = |part| match part {
        "owner" | "repo" => "repo",
        "number" => "issue_number",
        other => other,
    };
    parts.map(field).collect()
}

fn path_parameters(path: &str, fields: &Map<String, Value>) -> Vec<Value> {
    let parts = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let schema = |part: &str| match part {
        "owner" => json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$" }),
        "repo" => json!({ "type": "string", "pattern": r"^\.{0,2}[A-Za-z0-9_-][A-Za-z0-9_.-]{0,97}$" }),
        "number" => fields["properties"]["issue_number"].clone(),
        other => fields["properties"][other].clone(),
    };
    parts.map(|part| json!({ "name": part, "in": "path", "required": true, "schema": schema(part) })).collect()
}

fn query_parameters(fields: &Map<String, Value>) -> Vec<Value> {
    let required = fields.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    let properties = fields["properties"].as_object().into_iter().flatten();
    let parameter = |(name, schema): (&String, &Value)| json!({ "name": name, "in": "query", "required": is_required(name), "schema": schema });
    properties.map(parameter).collect()
}

/// The schema of the fields without those of these names.
fn without(fields: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let mut rest = fields.clone();
    if let Some(Value::Object(properties)) = rest.get_mut("properties") {
        properties.retain(|name, _| !names.contains(&name.as_str()));
    }
    if let Some(Value::Array(required)) = rest.get_mut("required") {
        required.retain(|name| !names.iter().any(|in_path| name == in_path));
        if required.is_empty() {
            rest.remove("required");
        }
    }
    rest
}

fn event_stream(schemas: &mut SchemaGenerator) -> Value {
    let event = named::<crate::domain::Event>(schemas);
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    let position = json!({ "type": "string", "pattern": "^[0-9]+$" });
    json!({
        "operationId": "Events",
        "summary": "What happens, as it happens (server-sent events)",
        "description": "Frames carry `id`, `event` and `data`. The first is `connected`; `ping` comes every 15 s without \
            an id; `gap` tells a reader that events were left out. A reader comes back with `Last-Event-ID`.",
        "tags": ["Server"],
        "parameters": [
            { "name": "last_event_id", "in": "query", "schema": position },
            { "name": "Last-Event-ID", "in": "header", "schema": position },
        ],
        "responses": {
            "200": { "description": "The stream.", "content": { "text/event-stream": { "itemSchema": event } } },
            "400": problem, "401": problem, "403": problem, "429": problem, "500": problem, "503": problem,
        },
    })
}

fn delivery(schemas: &mut SchemaGenerator) -> Value {
    let mut delivered = named::<answers::Delivered>(schemas);
    nulls::without_nulls(&mut delivered);
    let problem = json!({ "$ref": "#/components/responses/Problem" });
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    json!({
        "operationId": "Webhook",
        "summary": "What GitHub calls",
        "description": "Signed by GitHub over the raw body, or sent with the server's key.",
        "tags": ["Server"],
        "security": [{ "key": [] }, {}],
        "parameters": [
            { "name": "X-GitHub-Event", "in": "header", "required": true, "schema": text("^[a-z_]{1,64}$") },
            { "name": "X-GitHub-Delivery", "in": "header", "schema": text("^[!-~]{1,128}$") },
            { "name": "X-Hub-Signature-256", "in": "header", "schema": text("^sha256=[0-9a-f]{64}$") },
        ],
        "requestBody": { "required": true, "content": content(&json!({ "type": "object" })) },
        "responses": {
            "200": { "description": "It was processed before.", "content": content(&delivered) },
            "202": { "description": "What came of it.", "content": content(&delivered) },
            "400": problem, "401": problem, "403": problem, "408": problem, "413": problem, "429": problem,
            "500": problem, "503": problem,
        },
    })
}
