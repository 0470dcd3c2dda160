//! The HTTP door: routes, gate and event stream over an accept loop of our own.
//!
//! [`table`] is the table of contents. A request meets the gate first (authentication, then the rate
//! limit), then its route; [`serve()`] bounds what a connection may cost.

mod answer;
mod gate;
mod metrics;
mod openapi;
mod operator_client;
mod origin;
mod pages;
mod presence;
mod probes;
mod query;
mod routes;
mod serve;
mod session;
mod sse;
mod state;
mod table;
mod webhook;
mod write_timeout;

pub use operator_client::{ClientError, OperatorClient};
pub use presence::count_present;
pub use routes::router;
pub use serve::{ServeLimits, harden, serve, serve_noting};
pub use state::HttpState;
