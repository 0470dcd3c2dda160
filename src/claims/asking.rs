//! What a ranker is told of a request: who asks, and what is going on beside it.

use std::sync::Arc;

use super::NextRequest;
use super::board::Board;
use crate::policy::{ChooseRequest, Shortlisted};

/// What the ranker is told of `request`, of an agent in `groups`, besides the `rows` on offer.
pub(super) fn chooser(
    board: &Board,
    groups: &[Arc<str>],
    request: &NextRequest,
    rows: &[Shortlisted],
) -> ChooseRequest {
    ChooseRequest {
        agent: request.agent.clone(),
        claim_repos: board.claim_repos(&request.agent),
        skills: request.skills.iter().map(str::to_owned).collect(),
        groups: groups.iter().map(ToString::to_string).collect(),
        review_count: board.work.review_count_of(&request.agent),
        budget_spent: board.budget_spent,
        live_claims: board.live_work_beside(rows),
    }
}
