//! Every answer that these tests see is held to the description of the API: its status must be there, and
//! its body must have the shape, without a field that the description does not know.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::deliveries::HOOK;
use crate::server::{Server, config};

/// The description, as a server of these tests gives it, and the shapes made from it so far.
#[derive(Default)]
struct Described {
    document: Option<Arc<Value>>,
    shapes: HashMap<String, Arc<Validator>>,
}

static DESCRIBED: LazyLock<Mutex<Described>> = LazyLock::new(Mutex::default);

/// Holds one answer to the description.
pub async fn hold(method: &Method, url: &Url, status: u16, body: &Value) {
    let (shape, what) = {
        let mut described = DESCRIBED.lock().await;
        let document = match &described.document {
            Some(document) => Arc::clone(document),
            None => {
                let address = url.join("/openapi.json").unwrap();
                let document: Value = reqwest::get(address).await.unwrap().json().await.unwrap();
                Arc::clone(described.document.insert(Arc::new(strict(document))))
            }
        };
        let Some(path) = template(&document, url.path()) else { return };
        let operation = &document["paths"][&path][method.as_str().to_ascii_lowercase()];
        if operation.is_null() {
            return;
        }
        let what = format!("{method} {path} {status}");
        let answer = resolved(&document, &operation["responses"][status.to_string()]);
        assert!(answer.is_object(), "{what} is not described: {body}");
        let schema = &answer["content"]["application/json"]["schema"];
        let make = || {
            let whole = json!({ "allOf": [schema], "components": document["components"] });
            Arc::new(jsonschema::validator_for(&whole).unwrap())
        };
        (Arc::clone(described.shapes.entry(what.clone()).or_insert_with(make)), what)
    };
    let wrong: Vec<String> =
        shape.iter_errors(body).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{what} is not as described: {wrong:#?}\n{body:#}");
}

/// Every object of the description knows all of its fields.
fn strict(mut document: Value) -> Value {
    let schemas = document["components"]["schemas"].as_object_mut().unwrap();
    for (name, schema) in schemas {
        // What happened is an object of any fields.
        let is_plain = ["anyOf", "oneOf", "allOf"].iter().all(|more| schema.get(more).is_none());
        if schema.get("properties").is_some() && is_plain && name != "Event" {
            schema["additionalProperties"] = false.into();
        }
    }
    document
}

fn resolved<'d>(document: &'d Value, answer: &'d Value) -> &'d Value {
    match answer["$ref"].as_str() {
        Some(place) => document.pointer(place.strip_prefix('#').unwrap()).unwrap(),
        None => answer,
    }
}

/// The path of the description that `path` is an instance of.
fn template(document: &Value, path: &str) -> Option<String> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &&String| {
        let own: Vec<&str> = template.split('/').collect();
        own.len() == parts.len() && own.iter().zip(&parts).all(|(own, part)| own.starts_with('{') || own == part)
    };
    let mut fitting: Vec<&String> = document["paths"].as_object().unwrap().keys().filter(fits).collect();
    // `/api/claims/history` is itself before it is the claim of that name.
    fitting.sort_by_key(|template| template.matches('{').count());
    fitting.first().map(|template| (*template).clone())
}

async fn document(server: &Server) -> Value {
    server.bare(Method::GET, "/openapi.json").send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn the_description_is_open_and_names_every_route_of_the_contract() {
    let server = Server::start(config()).await;
    let document = document(&server).await;
    assert_eq!(document["openapi"], "3.1.0");
    let contract = [
        "get /api/repos",
        "get /api/repos/{owner}/{repo}/issues",
        "get /api/issues/{owner}/{repo}/{number}",
        "post /api/claims",
        "post /api/next",
        "post /api/next-work",
        "patch /api/claims/{claim_id}",
        "delete /api/claims/{claim_id}",
        "get /api/claims",
        "get /api/followups",
        "patch /api/followups/{work_item_id}",
        "get /api/my-work",
        "get /api/health",
        "get /sse",
    ];
    for route in contract.into_iter().chain([format!("post {HOOK}").as_str()]) {
        let (method, path) = route.split_once(' ').unwrap();
        assert!(document["paths"][path][method].is_object(), "{route}");
    }
    let text = document.to_string();
    assert!(!text.contains(r#""null""#), "absent fields are omitted, never null");
    for name in text.split(r##""#/components/schemas/"##).skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name} is referred to, but not there");
    }
}

#[tokio::test]
async fn every_described_route_is_there() {
    let server = Server::start(config()).await;
    for (path, operations) in document(&server).await["paths"].as_object().unwrap() {
        let path = path.replace("{owner}/{repo}", "acme/small").replace("{number}", "1");
        let path = path.replace("{claim_id}", "x").replace("{work_item_id}", "x").replace("{decision_id}", "x");
        for method in operations.as_object().unwrap().keys() {
            if path == "/sse" {
                continue;
            }
            let request =
                server.request(method.to_ascii_uppercase().parse().unwrap(), &path.replace("{token_id}", "x"));
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            let body: Value = answer.json().await.unwrap();
            assert!(status != 404 || body["error"] != "not_found" || body["message"].is_string(), "{method} {path}");
        }
    }
}

#[tokio::test]
async fn people_browse_it_on_a_page_that_loads_nothing_from_elsewhere() {
    let server = Server::start(config()).await;
    let page = server.bare(Method::GET, "/docs/").send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'self'"));
    let page = page.text().await.unwrap();
    for elsewhere in ["http://", "https://", "//cdn"] {
        assert!(!page.contains(elsewhere), "{elsewhere}: {page}");
    }
    let settings = server.bare(Method::GET, "/docs/swagger-initializer.js").send().await.unwrap();
    let settings = settings.text().await.unwrap();
    assert!(settings.contains("/openapi.json") && settings.contains(r#""validatorUrl": "none""#), "{settings}");
}
