//! What the fuzz targets do with bytes that a stranger chose, and what must hold whatever those are. The ordinary tests
//! run the same functions over `seeds/`.

#![allow(clippy::unwrap_used)]

mod component;
mod config;
mod mcp;
mod served;

pub use component::component;
pub use config::config;
pub use mcp::mcp;
pub use served::{http, webhook};
