//! What a ranker is told of a request: who asks, and what is going on beside it.

use super::NextRequest;
use super::board::Board;
use crate::policy::ChooseRequest;

/// What the ranker is told of `request`, besides the work on offer.
pub(super) fn chooser(board: &Board, request: &NextRequest) -> ChooseRequest {
    let claim_repos = board.claim_repos(&request.agent);
    ChooseRequest { claim_repos, ..ChooseRequest::of(request.agent.clone()) }
}
