//! Pages for people: who works on what and why, what comes next, what is stuck, and which policies decide. HTML from the
//! server, kept up to date by one small script; whatever comes from GitHub, an agent or a policy is text, never markup.

mod acts;
mod agents;
mod assets;
mod bars;
mod board;
mod claims;
mod decision;
mod decisions;
mod document;
mod drawing;
mod entry;
mod health;
mod hours;
mod issues;
mod keys;
mod missing;
mod playground;
mod policies;
mod queue;
mod replays;
mod ruling;
mod runs;
mod sets;
mod shared;
mod tables;
mod visit;
mod words;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};

use super::state::HttpState;

pub(super) use entry::refused;
pub(super) use missing::answer as nothing_here;
pub(super) use shared::Renderings;

/// The first parts of the pages' paths: the gate guards them, and the board at `/`, as it guards the API.
const PATHS: [&str; 11] = [
    "/claims",
    "/agents",
    "/queue",
    "/runs",
    "/decisions",
    "/explain",
    "/policies",
    "/playground",
    "/replays",
    "/health",
    "/dispatch",
];

/// Whether a person looks at it in a browser, which can be asked for the key.
pub(super) fn is_page(path: &str) -> bool {
    path == "/" || super::gate::is_below(&PATHS, path)
}

/// The pages behind the gate, and the way in before it.
pub(super) fn pages() -> Router<HttpState> {
    Router::new()
        .route("/", get(board::show))
        .route("/claims", get(claims::list))
        .route("/claims/{claim_id}", get(claims::show))
        .route("/claims/{claim_id}/release", post(acts::release))
        .route("/claims/{claim_id}/reassign", post(acts::reassign))
        .route("/agents", get(agents::show))
        .route("/queue", get(queue::show))
        .route("/runs", get(runs::list))
        .route("/runs/{run}", get(runs::show))
        .route("/runs/{run}/cancel", post(acts::cancel))
        .route("/runs/{run}/answer", post(acts::answer))
        .route("/dispatch/pause", post(acts::pause))
        .route("/dispatch/resume", post(acts::resume))
        .route("/explain", get(issues::find))
        .route("/explain/{owner}/{repo}/{number}", get(issues::show))
        .route("/decisions", get(decisions::list))
        .route("/decisions/{decision_id}", get(decision::show))
        .route("/policies", get(policies::show))
        .route("/policies/promote", post(ruling::promote))
        .route("/policies/give-up", post(ruling::give_up))
        .route("/policies/sets/{set_id}", get(sets::show))
        .route("/policies/sets/{set_id}/roll-back", post(ruling::roll_back))
        .route("/playground", get(playground::show).post(playground::try_out))
        .route("/playground/candidate", post(ruling::put_on_trial))
        .route("/playground/in-force", post(ruling::put_in_force))
        .route("/replays", get(replays::list).post(replays::make))
        .route("/health", get(health::show))
        .route("/login", get(entry::ask).post(entry::log_in))
        .route("/logout", post(entry::log_out))
        .layer(map_response(async |response: Response| {
            // What axum refuses before a page is reached: an address or a form that nobody understands.
            match response.status() {
                status if status.is_client_error() && !is_html(&response) => {
                    let why = "This address, or what the form holds, is not understood here.";
                    visit::respond(status.as_u16(), &document::alone("Not shown", &document::trouble(why)))
                }
                _ => response,
            }
        }))
        .route("/assets/{name}", get(assets::give))
}

fn is_html(response: &Response) -> bool {
    response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}
