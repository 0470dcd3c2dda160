//! Where issues go, and what it is learnt from.

use async_trait::async_trait;

use super::columns::{self, ISSUE, Interner, issue_number, json, ms, number, time, to_json};
use super::connection::{Connection, OptionalRow};
use super::history::limit;
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use super::{SqlStore, issues};
use crate::domain::{Issue, IssueFacts, IssueRef, RepoName};
use crate::store::{Change, IssuePlace, PastPull, PastWorkList, PlaceSource, PlaceStore, StoreError};

/// Most merged pull requests kept of one repository: the newest.
const PULL_COUNT_MAX: usize = 200;
/// Most closed issues that a model is made from: those that changed last.
const CLOSED_COUNT_MAX: usize = 200;

pub(super) const PLACE_UPSERT: &str = "INSERT INTO issue_places (repo, number, issue_updated_ms, areas, reviewers) \
     SELECT ?1, ?2, ?3, ?4, ?5 WHERE EXISTS (SELECT 1 FROM issues WHERE repo = ?1 AND number = ?2) \
     ON CONFLICT (repo, number) DO UPDATE SET issue_updated_ms = excluded.issue_updated_ms, areas = excluded.areas, \
     reviewers = excluded.reviewers";
const PLACES: &str = "SELECT repo, number, issue_updated_ms, areas, reviewers FROM issue_places ORDER BY repo, number";
pub(super) const SOURCE_SET: &str = "INSERT INTO place_sources (repo, record) VALUES (?1, ?2) \
     ON CONFLICT (repo) DO UPDATE SET record = excluded.record";
pub(super) const SOURCE_GET: &str = "SELECT record FROM place_sources WHERE repo = ?1";
const SOURCE_LIST: &str = "SELECT record FROM place_sources ORDER BY repo";
pub(super) const PULL_UPSERT: &str = "INSERT INTO past_pulls (repo, number, merged_at_ms, has_files, record) \
     VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (repo, number) DO UPDATE SET merged_at_ms = excluded.merged_at_ms, \
     has_files = excluded.has_files, record = excluded.record WHERE past_pulls.has_files <= excluded.has_files";
pub(super) const PULLS_TRIM: &str = "DELETE FROM past_pulls WHERE repo = ?1 AND number IN (SELECT number FROM past_pulls \
     WHERE repo = ?1 ORDER BY merged_at_ms DESC, number DESC LIMIT 9223372036854775807 OFFSET ?2)";
const PULL_LIST: &str = "SELECT record FROM past_pulls WHERE repo = ?1 ORDER BY merged_at_ms, number";
const CLOSED_WHERE: &str = "FROM issues WHERE repo = ?1 AND open = 0 ORDER BY updated_at_ms DESC, number DESC LIMIT ?2";
pub(super) const FORGET: [&str; 2] =
    ["DELETE FROM past_pulls WHERE repo = ?1", "DELETE FROM place_sources WHERE repo = ?1"];

#[async_trait]
impl PlaceStore for SqlStore {
    async fn issue_list_of(&self, wanted: Vec<IssueRef>) -> std::result::Result<Vec<Issue>, StoreError> {
        self.readers.read("read issues", move |connection| list_of(connection, &wanted)).await
    }

    async fn issue_place_set(&self, places: Vec<IssuePlace>) -> std::result::Result<(), StoreError> {
        self.writer.write("write where issues go", move |txn| place_set(txn, places)).await
    }

    async fn place_source_list(&self) -> std::result::Result<Vec<PlaceSource>, StoreError> {
        self.readers.read("list the sources of areas", source_list).await
    }

    async fn place_source_get(&self, repo: RepoName) -> std::result::Result<Option<PlaceSource>, StoreError> {
        self.readers.read("read the sources of areas", move |connection| source_get(connection, &repo)).await
    }

    async fn place_source_set(&self, source: PlaceSource, pulls: Vec<PastPull>) -> std::result::Result<(), StoreError> {
        self.writer.write("note the sources of areas", move |txn| source_set(txn.connection, &source, &pulls)).await
    }

    async fn past_work(&self, repo: RepoName) -> std::result::Result<PastWorkList, StoreError> {
        self.readers.read("read past work", move |connection| past_work(connection, &repo)).await
    }
}

impl SqlStore {
    /// The texts of issues, in their order; empty where one is not known. Blocks, briefly: it is for policies,
    /// which wait for it.
    ///
    /// # Errors
    /// When the store fails, or is closed.
    pub fn issue_bodies(&self, issues: &[IssueRef]) -> std::result::Result<Vec<String>, StoreError> {
        self.readers.read_now("read the texts of issues", |connection| {
            let mut statement = connection.prepare_cached(issues::BODY)?;
            let body = |issue: &IssueRef| {
                let row = params![issue.repo.as_str(), number(issue.number)];
                let body = statement.query_row(row, |row| row.get::<String>(0)).optional()?;
                Ok(body.unwrap_or_default())
            };
            issues.iter().map(body).collect()
        })
    }
}

/// Adds to the facts of open issues, which are in the order of their names, where they go; answers which of them
/// are to be looked at because nothing is known, or they changed since.
pub(super) fn complete(connection: &Connection, issues: &mut [IssueFacts]) -> Result<Vec<IssueRef>> {
    let mut interner = Interner::default();
    let mut statement = connection.prepare_cached(PLACES)?;
    let mut places = statement.query_map((), |row| place(row, &mut interner))?;
    let mut next = places.next().transpose()?;
    let mut unplaced = Vec::new();
    for facts in issues {
        // Both come in the same order: what is behind belongs to an issue that is not open.
        while next.as_ref().is_some_and(|place| key(&place.issue) < key(&facts.issue)) {
            next = places.next().transpose()?;
        }
        match next.take_if(|place| place.issue == facts.issue) {
            Some(place) => {
                if place.issue_updated_at != facts.updated_at {
                    unplaced.push(facts.issue.clone());
                }
                (facts.areas, facts.reviewers) = (place.areas, place.reviewers);
            }
            None => unplaced.push(facts.issue.clone()),
        }
    }
    Ok(unplaced)
}

fn key(issue: &IssueRef) -> (&str, i64) {
    (issue.repo.as_str(), number(issue.number))
}

fn place(row: &Row<'_>, interner: &mut Interner) -> Result<IssuePlace> {
    Ok(IssuePlace {
        issue: IssueRef::new(interner.repo(row, 0)?, issue_number(row, 1)?),
        issue_updated_at: time(row, 2)?,
        areas: interner.share_all(row, 3)?,
        reviewers: interner.share_all(row, 4)?,
    })
}

fn list_of(connection: &Connection, wanted: &[IssueRef]) -> Result<Vec<Issue>> {
    let known = wanted.iter().map(|issue| issues::get(connection, issue));
    known.filter_map(Result::transpose).collect()
}

fn place_set(txn: &mut WriteTxn<'_>, places: Vec<IssuePlace>) -> Result<()> {
    for place in places {
        let (repo, issue) = (place.issue.repo.as_str(), number(place.issue.number));
        let (areas, reviewers) = (to_json(&place.areas)?, to_json(&place.reviewers)?);
        let row = params![repo, issue, ms(place.issue_updated_at), areas, reviewers];
        // Told even where it is the same: an issue that was closed in between comes back without its place.
        if txn.connection.prepare_cached(PLACE_UPSERT)?.execute(row)? > 0 {
            txn.changes.push(Change::IssuePlaced(Box::new(place)));
        }
    }
    Ok(())
}

fn source_list(connection: &Connection) -> Result<Vec<PlaceSource>> {
    connection.prepare_cached(SOURCE_LIST)?.query_map((), |row| json(row, 0))?.collect()
}

fn source_get(connection: &Connection, repo: &RepoName) -> Result<Option<PlaceSource>> {
    connection.prepare_cached(SOURCE_GET)?.query_row([repo.as_str()], |row| json(row, 0)).optional()
}

fn source_set(connection: &Connection, source: &PlaceSource, pulls: &[PastPull]) -> Result<()> {
    let repo = source.repo.as_str();
    connection.prepare_cached(SOURCE_SET)?.execute(params![repo, to_json(source)?])?;
    let mut upsert = connection.prepare_cached(PULL_UPSERT)?;
    for pull in pulls {
        let row = params![repo, number(pull.number), ms(pull.merged_at), pull.files.is_some(), to_json(pull)?];
        upsert.execute(row)?;
    }
    connection.prepare_cached(PULLS_TRIM)?.execute(params![repo, limit(PULL_COUNT_MAX)]).map(|_| ())
}

fn past_work(connection: &Connection, repo: &RepoName) -> Result<PastWorkList> {
    let mut statement = connection.prepare_cached(PULL_LIST)?;
    let pulls = statement.query_map([repo.as_str()], |row| json(row, 0))?.collect::<Result<_>>()?;
    let mut statement = connection.prepare_cached(&format!("SELECT {ISSUE} {CLOSED_WHERE}"))?;
    let closed = statement.query_map(params![repo.as_str(), limit(CLOSED_COUNT_MAX)], columns::issue)?;
    let mut closed = closed
        .map(|issue| issue.and_then(|issue| issues::with_body(connection, issue)))
        .collect::<Result<Vec<Issue>>>()?;
    closed.reverse();
    Ok(PastWorkList { pulls, issues: closed })
}

/// Forgets what was read of a repository.
pub(super) fn forget(connection: &Connection, repo: &RepoName) -> Result<()> {
    FORGET.iter().try_for_each(|sql| connection.prepare_cached(sql)?.execute([repo.as_str()]).map(|_| ()))
}
