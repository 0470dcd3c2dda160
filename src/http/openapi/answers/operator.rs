//! What operators see and do: health, tokens, state.

use schemars::JsonSchema;

use crate::claims::Health;
use crate::domain::AccessToken;
use crate::state::ImportReport;

#[derive(JsonSchema)]
pub(super) struct HealthAnswer {
    health: Health,
}

#[derive(JsonSchema)]
pub(super) struct Tokens {
    tokens: Vec<TokenRecord>,
}

#[derive(JsonSchema)]
pub(super) struct TokenRecord {
    #[schemars(flatten)]
    token: AccessToken,
    /// Whether it still opens anything.
    live: bool,
}

#[derive(JsonSchema)]
pub(super) struct TokenMade {
    ok: bool,
    /// The token: shown here and never again.
    token: String,
    record: TokenRecord,
}

#[derive(JsonSchema)]
pub(super) struct TokenEnded {
    ok: bool,
    idempotent: bool,
    record: TokenRecord,
}

#[derive(JsonSchema)]
pub(super) struct Imported {
    ok: bool,
    dry_run: bool,
    report: ImportReport,
}
