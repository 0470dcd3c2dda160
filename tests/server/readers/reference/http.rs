//! The reference of HTTP, from the description that every server gives at /openapi.json.

use std::fmt::Write;

use serde_json::Value;

use super::{fields, kind};
use crate::documents::{cell, hold_reference};
use crate::harness::{Home, issue};

const HEAD: &str = "\
# HTTP

Every route, its fields and its answers. A server tells the same at `/openapi.json` (OpenAPI 3.1), and `/docs` lets you try
them in a browser. Bodies and answers are JSON; absent fields are left out and never `null`; a field that nobody knows is
refused by name. With a key or a token: `Authorization: Bearer ...`.

A rightful \"no\" is a normal answer, a [Rejection](#rejection) with status 409 or 404; a request that could not be answered
is a [Problem](#problem) with any other status from 400 on. MCP is at `/mcp` ([tools](mcp.md)), metrics are at `/metrics`,
and `/livez` and `/readyz` are for load balancers.

";

/// The groups are told in the order of the description, and routes in the order of their paths.
fn rendered(document: &Value) -> String {
    let mut page = HEAD.to_owned();
    for group in document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()) {
        write!(page, "## {group}\n\n").unwrap();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, route) in methods.as_object().unwrap().iter().filter(|(_, route)| route["tags"][0] == group) {
                route_of(&mut page, &method.to_uppercase(), path, route);
            }
        }
    }
    page.push_str("## Shapes\n\n");
    for (name, shape) in document["components"]["schemas"].as_object().unwrap() {
        shape_of(&mut page, name, shape);
    }
    format!("{}\n", page.trim_end())
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

fn route_of(page: &mut String, method: &str, path: &str, route: &Value) {
    let answers = route["responses"].as_object().unwrap();
    let (_, answer) = answers.iter().find(|(status, _)| status.starts_with('2')).unwrap();
    let shape = answer["content"].as_object().unwrap().values().next().unwrap();
    let shape = kind(if shape["schema"].is_null() { &shape["itemSchema"] } else { &shape["schema"] }, link);
    write!(page, "### `{method} {path}`\n\n{}.", route["summary"].as_str().unwrap()).unwrap();
    if let Some(more) = route["description"].as_str() {
        write!(page, " {}", more.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    }
    write!(page, " Answers {shape}.\n\n").unwrap();
    let places = route["parameters"].as_array().into_iter().flatten().map(|field| {
        let needed = if field["required"] == true { "yes" } else { "" };
        let told = [&field["description"], &field["schema"]["description"]];
        let meaning = cell(told.iter().find_map(|told| told.as_str()).unwrap_or_default());
        let place = field["in"].as_str().unwrap();
        format!(
            "| `{}` ({place}) | {} | {needed} | {meaning} |\n",
            field["name"].as_str().unwrap(),
            kind(&field["schema"], link)
        )
    });
    let rows =
        places.collect::<String>() + &fields(&route["requestBody"]["content"]["application/json"]["schema"], link);
    if !rows.is_empty() {
        write!(page, "| field | what | needed | meaning |\n|---|---|---|---|\n{rows}\n").unwrap();
    }
}

fn shape_of(page: &mut String, name: &str, shape: &Value) {
    write!(page, "### {name}\n\n").unwrap();
    if let Some(meaning) = shape["description"].as_str() {
        write!(page, "{}\n\n", meaning.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    }
    let rows = fields(shape, link);
    if !rows.is_empty() {
        write!(page, "| field | what | always there | meaning |\n|---|---|---|---|\n{rows}\n").unwrap();
    } else if let Some(choice) = shape["oneOf"].as_array() {
        for one in choice {
            writeln!(page, "- {}{}", kind(one, link), told(one)).unwrap();
        }
        page.push('\n');
    } else {
        write!(page, "{}\n\n", kind(shape, link)).unwrap();
    }
}

fn told(one: &Value) -> String {
    one["description"].as_str().map(|meaning| format!(": {}", cell(meaning))).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_of_http_is_what_a_server_describes() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    let server = home.serve();
    let document = server.get("/openapi.json").await;
    hold_reference("docs/reference/http.md", &rendered(&document));
}
