//! A recorded decision as its ranker met it: asked again, the same ranker gives the same answer, byte for byte.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::{Decision, DecisionRow, IssueRef, PageSeen, PolicyStamp, Reason, Timestamp};
use crate::policy::{BodySource, Choice, ChooseRequest, LiveWork, PolicyError, Ranking, Shortlisted};

/// A decision that can be made again.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// When it was made.
    pub now: Timestamp,
    /// Under which policy: all rankers of the agent's view together.
    pub ranker: PolicyStamp,
    /// What the policy was asked, a page at a time: it is shown a further one where it passed over all of a page.
    pub pages: Vec<RecordedPage>,
    /// The rows that were explained, in the order in which they were.
    explained: Vec<Shortlisted>,
    reasons: Vec<Vec<Reason>>,
    bodies: RecordedBodies,
}

/// One page of a short list.
#[derive(Debug, Clone)]
pub struct RecordedPage {
    /// Who asked, and what was going on beside it.
    pub request: ChooseRequest,
    /// What was on offer, in the order by score, as it was.
    pub rows: Vec<Shortlisted>,
    /// When each row's score was given by this policy to these facts; `None` where it was not.
    pub scored_at: Vec<Option<Timestamp>>,
    /// What the policy said; `None` where it failed, and the order by score stood.
    pub choice: Option<Choice>,
}

/// Why a decision cannot be made again.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotReplayable {
    /// It was recorded by a version that did not keep what the policy saw, or the policy was not asked.
    #[error("it was recorded without what the policy saw")]
    NotRecorded,
    /// There was nothing to choose from, or a filter that failed over and over was left alone.
    #[error("nothing was on offer, so the policy was not asked")]
    NothingOnOffer,
    /// The policy saw more than is kept.
    #[error("{left_out_count} rows that the policy saw were too many to be recorded")]
    TooLong {
        /// How many.
        left_out_count: usize,
    },
    /// The state of an issue is no longer kept.
    #[error("{issue} is no longer kept as it was then; store.decision_max_entries says how much is kept")]
    Forgotten {
        /// Which issue.
        issue: String,
    },
}

/// All that a ranker says of one decision, for comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answers {
    /// Its word on each page.
    pub pages: Vec<PageAnswer>,
    /// The terms of the first rows.
    pub reasons: Vec<Vec<Reason>>,
}

/// What a ranker says of one page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PageAnswer {
    /// The rows in the order in which they are to be offered.
    pub order: Vec<usize>,
    /// The rows that the agent must not get, and why.
    pub skipped: Vec<(usize, String)>,
    /// When asking again makes sense, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Each row's score; `None` where it was not this policy's own word on these facts.
    pub scores: Vec<Option<f64>>,
}

impl Recorded {
    /// Takes a decision as the store gives it back by its id, whole.
    ///
    /// # Errors
    /// [`NotReplayable`] says what is missing.
    pub fn of(decision: &Decision) -> Result<Self, NotReplayable> {
        if decision.left_out_count > 0 {
            return Err(NotReplayable::TooLong { left_out_count: decision.left_out_count });
        }
        if decision.pages.is_empty() && decision.nothing.is_some() {
            return Err(NotReplayable::NothingOnOffer);
        }
        if decision.pages.is_empty() {
            return Err(NotReplayable::NotRecorded);
        }
        let rows: Vec<RecordedRow<'_>> = decision.considered.iter().map(RecordedRow::of).collect::<Result<_, _>>()?;
        let mut pages = Vec::with_capacity(decision.pages.len());
        let mut begin = 0;
        for page in &decision.pages {
            let end = begin + page.row_count as usize;
            pages.push(recorded_page(decision, page, &rows, begin..end)?);
            begin = end;
        }
        let bodies = rows.iter().map(|row| (row.row.issue(), row.body.to_owned())).collect();
        let explained = rows.iter().take(decision.explained_count);
        Ok(Self {
            now: decision.decided_at,
            ranker: decision.whole_ranking().clone(),
            pages,
            explained: explained.clone().map(|row| row.shortlisted.clone()).collect(),
            reasons: explained.map(|row| row.row.reasons.clone()).collect(),
            bodies: RecordedBodies(Arc::new(bodies)),
        })
    }

    /// Everything that was shown, in the order by score.
    pub fn rows(&self) -> impl Iterator<Item = &Shortlisted> {
        self.pages.iter().flat_map(|page| &page.rows)
    }

    /// The texts of the issues, as they were: for the host of a policy that reads them.
    pub fn bodies(&self) -> RecordedBodies {
        self.bodies.clone()
    }

    /// What the policy said then.
    pub fn answers(&self) -> Answers {
        let pages = self.pages.iter().map(|page| {
            let kept = || Choice::keep(page.rows.len());
            let scores = page.rows.iter().zip(&page.scored_at);
            answer(
                page.choice.clone().unwrap_or_else(kept),
                scores.map(|(row, scored_at)| scored_at.map(|_| row.score)).collect(),
            )
        });
        Answers { pages: pages.collect(), reasons: self.reasons.clone() }
    }

    /// What `ranker` says of the same. Blocking.
    ///
    /// # Errors
    /// [`PolicyError`] when it fails; where it failed then too, it is not asked.
    pub fn asked_of(&self, ranker: &Ranking) -> Result<Answers, PolicyError> {
        let mut pages = Vec::with_capacity(self.pages.len());
        for page in &self.pages {
            let choice = match &page.choice {
                Some(_) => ranker.choose(&page.request, &page.rows, self.now)?,
                None => Choice::keep(page.rows.len()),
            };
            pages.push(answer(choice, page.scored_by(ranker)?));
        }
        let reasons = match self.explained.is_empty() {
            true => Vec::new(),
            false => ranker.explain(&self.explained, self.now)?,
        };
        Ok(Answers { pages, reasons })
    }
}

impl RecordedPage {
    /// Scores the rows, each for the time for which it was scored then.
    fn scored_by(&self, ranker: &Ranking) -> Result<Vec<Option<f64>>, PolicyError> {
        let mut scores = vec![None; self.rows.len()];
        for (index, (row, scored_at)) in self.rows.iter().zip(&self.scored_at).enumerate() {
            let Some(at) = scored_at else { continue };
            let scored = ranker.score(std::slice::from_ref(&row.facts), *at)?;
            scores[index] = scored.first().map(|scored| scored.value);
        }
        Ok(scores)
    }
}

fn answer(choice: Choice, scores: Vec<Option<f64>>) -> PageAnswer {
    let Choice { order, skipped, retry_after_ms } = choice;
    PageAnswer { order, skipped, retry_after_ms, scores }
}

/// A row with all that belongs to it.
struct RecordedRow<'d> {
    row: &'d DecisionRow,
    place: usize,
    scored_at: Option<Timestamp>,
    shortlisted: Shortlisted,
    body: &'d str,
}

impl<'d> RecordedRow<'d> {
    fn of(row: &'d DecisionRow) -> Result<Self, NotReplayable> {
        let seen = row.seen.as_ref().ok_or(NotReplayable::NotRecorded)?;
        let forgotten = || NotReplayable::Forgotten { issue: row.issue().to_string() };
        let snapshot = seen.snapshot.as_ref().ok_or_else(forgotten)?;
        let shortlisted = Shortlisted {
            facts: Arc::clone(&snapshot.facts),
            score: row.score,
            repo_claim_count: seen.repo_claim_count,
            repo_review_count: seen.repo_review_count,
            reviewer_load: seen.reviewer_load,
        };
        let (place, scored_at) = (seen.place as usize, seen.scored_at);
        Ok(Self { row, place, scored_at, shortlisted, body: &snapshot.body })
    }
}

fn recorded_page(
    decision: &Decision,
    page: &PageSeen,
    rows: &[RecordedRow<'_>],
    places: std::ops::Range<usize>,
) -> Result<RecordedPage, NotReplayable> {
    // In the order of the policy's word, as they were recorded.
    let own: Vec<_> = rows.iter().filter(|row| places.contains(&row.place)).collect();
    let mut by_place = own.clone();
    by_place.sort_by_key(|row| row.place);
    if !by_place.iter().map(|row| row.place).eq(places.clone()) {
        return Err(NotReplayable::NotRecorded);
    }
    let index = |row: &&&RecordedRow<'_>| row.place - places.start;
    let choice = Choice {
        order: own.iter().filter(|row| row.row.passed_over.is_none()).map(|row| index(&row)).collect(),
        skipped: own.iter().filter_map(|row| Some((index(&row), row.row.passed_over.clone()?))).collect(),
        retry_after_ms: page.retry_after_ms,
    };
    Ok(RecordedPage {
        request: request_of(decision, page),
        rows: by_place.iter().map(|row| row.shortlisted.clone()).collect(),
        scored_at: by_place.iter().map(|row| row.scored_at).collect(),
        choice: (!page.by_score).then_some(choice),
    })
}

fn request_of(decision: &Decision, page: &PageSeen) -> ChooseRequest {
    let seen = &page.request;
    let live_claims = seen.live_claims.iter().map(|work| LiveWork {
        agent: work.agent_id.clone(),
        issue: IssueRef::new(work.repo.clone(), work.number),
        status: work.status,
        areas: work.areas.clone(),
        claimed_at: work.claimed_at,
    });
    ChooseRequest {
        agent: decision.agent_id.clone(),
        claim_repos: seen.claim_repos.clone(),
        skills: seen.skills.clone(),
        groups: seen.groups.clone(),
        review_count: seen.review_count,
        budget_spent: seen.budget_spent,
        live_claims: live_claims.collect(),
    }
}

/// The texts of issues as they were for one decision.
#[derive(Debug, Clone)]
pub struct RecordedBodies(Arc<HashMap<IssueRef, String>>);

impl BodySource for RecordedBodies {
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String> {
        Ok(issues.iter().map(|issue| self.0.get(issue).cloned().unwrap_or_default()).collect())
    }
}
