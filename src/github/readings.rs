//! What is read besides issues and pull requests: a file, the files of a pull request, and the signs of life
//! of one: reviews, checks, its newest commit. Models read leniently; what was read is remembered by its tag,
//! so that asking again costs nothing where nothing changed.

use std::collections::{BTreeMap, HashMap, VecDeque};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;
use parking_lot::Mutex;
use serde::Deserialize;

use super::models::{self, Named};
use super::transport::{Ask, Transport};
use super::{FileReading, SourceError};
use crate::domain::{CiSignal, IssueRef, PullRequest, PullSigns, RepoName, ReviewSignal, Timestamp};

/// Most answers remembered by their tags: three for each of some hundred live pull requests.
const REMEMBERED_COUNT_MAX: usize = 1_024;
/// Most pages of a list of files: the first 300 files say enough.
const FILE_PAGE_COUNT_MAX: usize = 3;
/// Largest file that is read, in bytes of its coded form: GitHub gives none above 1 MiB in this way.
const FILE_CODED_BYTES_MAX: usize = 2 << 20;

/// Reads a file of a repository's default branch, unless it still has its tag.
pub(super) async fn file(
    transport: &Transport,
    repo: &RepoName,
    path: &str,
    etag: Option<&str>,
) -> Result<FileReading, SourceError> {
    #[derive(Deserialize)]
    struct RawFile {
        #[serde(default)]
        content: String,
        #[serde(default)]
        encoding: String,
    }

    let ask = Ask::to("read a file of", repo);
    let answer = match transport.get(&ask, &format!("/repos/{repo}/contents/{path}"), etag).await {
        Ok(answer) => answer,
        Err(SourceError::NotFound { .. }) => return Ok(FileReading::Absent),
        Err(error) => return Err(error),
    };
    if answer.unchanged {
        return Ok(FileReading::Unchanged);
    }
    // A folder of that name comes as a list, and a large file without its text: neither can be used.
    let Ok(raw) = models::single::<RawFile>(&answer.body) else { return Ok(FileReading::Absent) };
    if raw.encoding != "base64" || raw.content.len() > FILE_CODED_BYTES_MAX {
        return Ok(FileReading::Absent);
    }
    let coded: String = raw.content.chars().filter(|c| !c.is_whitespace()).collect();
    let bytes = STANDARD.decode(coded).map_err(|_| ask.unavailable("the file is out of form at content"))?;
    Ok(FileReading::Found { text: String::from_utf8_lossy(&bytes).into_owned(), etag: answer.etag })
}

/// The files that a pull request touches, the first few hundred; none where there is no such pull request.
pub(super) async fn pull_files(transport: &Transport, pull: &IssueRef) -> Result<Vec<String>, SourceError> {
    #[derive(Deserialize)]
    struct RawFile {
        filename: String,
    }

    let ask = Ask::to("list the files of", pull);
    let mut path = format!("/repos/{}/pulls/{}/files?per_page=100", pull.repo, pull.number);
    let mut files = Vec::new();
    for _ in 0..FILE_PAGE_COUNT_MAX {
        let answer = match transport.get(&ask, &path, None).await {
            Err(SourceError::NotFound { .. }) => return Ok(files),
            answer => answer?,
        };
        let rows: Vec<RawFile> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        files.extend(rows.into_iter().map(|row| row.filename));
        match answer.next {
            Some(next) => path = next,
            None => break,
        }
    }
    Ok(files)
}

/// What was last read at an address, and its tag.
#[derive(Debug, Clone)]
struct Remembered {
    etag: String,
    told: Told,
}

/// What one answer tells of a pull request.
#[derive(Debug, Clone)]
enum Told {
    Reviews(Vec<Review>),
    Ci(CiSignal),
    Commit(Option<Timestamp>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Review {
    by: String,
    state: ReviewSignal,
}

/// Answers by address, with their tags. Bounded: the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Readings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_path: HashMap<String, Remembered>,
    order: VecDeque<String>,
}

impl Readings {
    /// The signs of life of an open pull request: three requests, which cost nothing where nothing changed,
    /// and a fourth for each new commit.
    pub(super) async fn signs_of(&self, transport: &Transport, pull: &PullRequest) -> Result<PullSigns, SourceError> {
        let (repo, number, sha) = (&pull.repo, pull.number, &pull.head_sha);
        let reviews = format!("/repos/{repo}/pulls/{number}/reviews?per_page=100");
        let Told::Reviews(reviews) = self.read(transport, pull, &reviews, reviews_in).await? else {
            return Ok(PullSigns::default());
        };
        let mut signs = PullSigns { review: review_signal(&reviews, &pull.awaits), ..PullSigns::default() };
        // Only what is a commit's name becomes part of an address.
        if sha.is_empty() || !sha.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(signs);
        }
        let runs = format!("/repos/{repo}/commits/{sha}/check-runs?per_page=100");
        let runs = self.read(transport, pull, &runs, runs_in).await?;
        let status = self.read(transport, pull, &format!("/repos/{repo}/commits/{sha}/status"), status_in).await?;
        let commit = self.read(transport, pull, &format!("/repos/{repo}/git/commits/{sha}"), commit_in).await?;
        if let (Told::Ci(runs), Told::Ci(status)) = (runs, status) {
            signs.ci = worst(runs, status);
        }
        if let Told::Commit(at) = commit {
            signs.committed_at = at;
        }
        Ok(signs)
    }

    /// What an address tells; asked for with its tag, where it was read before.
    async fn read(
        &self,
        transport: &Transport,
        pull: &PullRequest,
        path: &str,
        read: fn(&[u8]) -> Result<Told, String>,
    ) -> Result<Told, SourceError> {
        debug_assert!(path.parse::<Uri>().is_ok());
        let ask = Ask::to("read the signs of life of", pull.pull_ref());
        let known = self.0.lock().by_path.get(path).cloned();
        let answer = match transport.get(&ask, path, known.as_ref().map(|known| known.etag.as_str())).await {
            // The commit is gone, or the token may not see checks: that tells nothing, and is no failure.
            Err(SourceError::NotFound { .. } | SourceError::Denied { .. }) => {
                return read(b"").map_err(|why| ask.unavailable(why));
            }
            answer => answer?,
        };
        if let Some(known) = known.filter(|_| answer.unchanged) {
            return Ok(known.told);
        }
        let told = read(&answer.body).map_err(|why| ask.unavailable(why))?;
        if let Some(etag) = answer.etag {
            self.remember(path, Remembered { etag, told: told.clone() });
        }
        Ok(told)
    }

    fn remember(&self, path: &str, read: Remembered) {
        let mut kept = self.0.lock();
        if kept.by_path.insert(path.to_owned(), read).is_none() {
            kept.order.push_back(path.to_owned());
            if kept.order.len() > REMEMBERED_COUNT_MAX
                && let Some(oldest) = kept.order.pop_front()
            {
                kept.by_path.remove(&oldest);
            }
        }
    }
}

/// A list of reviews; of nothing, none.
fn reviews_in(body: &[u8]) -> Result<Told, String> {
    #[derive(Deserialize)]
    struct RawReview {
        user: Option<Named>,
        state: Option<String>,
    }

    if body.is_empty() {
        return Ok(Told::Reviews(Vec::new()));
    }
    let rows: Vec<RawReview> = models::rows(body, "list reviews")?;
    let review = |row: RawReview| {
        let state = review_state(row.state.as_deref().unwrap_or_default())?;
        Some(Review { by: models::author(row.user), state })
    };
    Ok(Told::Reviews(rows.into_iter().filter_map(review).collect()))
}

/// What GitHub's word for the state of a review says; `None` for one that was not sent.
pub(super) fn review_state(word: &str) -> Option<ReviewSignal> {
    match word.to_ascii_uppercase().as_str() {
        "APPROVED" => Some(ReviewSignal::Approved),
        "CHANGES_REQUESTED" => Some(ReviewSignal::ChangesRequested),
        "COMMENTED" => Some(ReviewSignal::Commented),
        "DISMISSED" => Some(ReviewSignal::None),
        _ => None,
    }
}

/// What reviewers last said, each with their newest word, a comment never in the place of a verdict; who was
/// asked again has not said it yet. Changes that are asked for count before a review that is missing, that
/// before an approval.
fn review_signal(reviews: &[Review], awaits: &[String]) -> ReviewSignal {
    let mut last = BTreeMap::<String, ReviewSignal>::new();
    for review in reviews {
        let by = review.by.to_lowercase();
        if review.state != ReviewSignal::Commented || !last.contains_key(&by) {
            last.insert(by, review.state);
        }
    }
    awaits.iter().for_each(|login| _ = last.remove(&login.to_lowercase()));
    let says = |wanted| last.values().any(|state| *state == wanted);
    match () {
        () if says(ReviewSignal::ChangesRequested) => ReviewSignal::ChangesRequested,
        () if !awaits.is_empty() => ReviewSignal::Requested,
        () if says(ReviewSignal::Approved) => ReviewSignal::Approved,
        () if says(ReviewSignal::Commented) => ReviewSignal::Commented,
        () => ReviewSignal::None,
    }
}

/// The check runs of a commit.
fn runs_in(body: &[u8]) -> Result<Told, String> {
    #[derive(Default, Deserialize)]
    struct RawRuns {
        #[serde(default)]
        check_runs: Vec<RawRun>,
    }

    #[derive(Deserialize)]
    struct RawRun {
        status: Option<String>,
        conclusion: Option<String>,
    }

    let runs: RawRuns = if body.is_empty() { RawRuns::default() } else { models::single(body)? };
    let signal = |run: RawRun| ci_signal(run.status.as_deref(), run.conclusion.as_deref());
    Ok(Told::Ci(runs.check_runs.into_iter().map(signal).fold(CiSignal::Unknown, worst)))
}

/// The statuses of a commit, as other services than GitHub's own set them.
fn status_in(body: &[u8]) -> Result<Told, String> {
    #[derive(Default, Deserialize)]
    struct RawStatus {
        state: Option<String>,
        #[serde(default)]
        total_count: u64,
    }

    let status: RawStatus = if body.is_empty() { RawStatus::default() } else { models::single(body)? };
    // Without a single status GitHub says "pending".
    let state = status.state.filter(|_| status.total_count > 0);
    Ok(Told::Ci(state.map_or(CiSignal::Unknown, |state| status_signal(&state))))
}

/// When a commit was made.
fn commit_in(body: &[u8]) -> Result<Told, String> {
    #[derive(Default, Deserialize)]
    struct RawCommit {
        committer: Option<RawSignature>,
    }

    #[derive(Deserialize)]
    struct RawSignature {
        date: Option<Timestamp>,
    }

    let commit: RawCommit = if body.is_empty() { RawCommit::default() } else { models::single(body)? };
    Ok(Told::Commit(commit.committer.and_then(|signature| signature.date)))
}

/// What a check run or a check suite says, by GitHub's words for its status and its end.
pub(super) fn ci_signal(status: Option<&str>, conclusion: Option<&str>) -> CiSignal {
    match (status, conclusion) {
        (_, Some("failure" | "timed_out" | "cancelled" | "action_required" | "startup_failure")) => CiSignal::Failure,
        (_, Some("success" | "neutral" | "skipped")) => CiSignal::Success,
        (_, Some(_)) | (None, None) => CiSignal::Unknown,
        (Some("completed"), None) => CiSignal::Unknown,
        (Some(_), None) => CiSignal::Pending,
    }
}

/// What a commit's status says, by GitHub's word for it.
pub(super) fn status_signal(state: &str) -> CiSignal {
    match state {
        "success" => CiSignal::Success,
        "pending" => CiSignal::Pending,
        "failure" | "error" => CiSignal::Failure,
        _ => CiSignal::Unknown,
    }
}

/// What two checks say together: one that failed outweighs one that runs, that one that passed.
fn worst(one: CiSignal, other: CiSignal) -> CiSignal {
    let weight = |signal| match signal {
        CiSignal::Unknown => 0,
        CiSignal::Success => 1,
        CiSignal::Pending => 2,
        CiSignal::Failure => 3,
    };
    if weight(other) > weight(one) { other } else { one }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal(reviews: &[(&str, &str)], awaits: &[&str]) -> ReviewSignal {
        let review =
            |(by, state): &(&str, &str)| review_state(state).map(|state| Review { by: (*by).to_owned(), state });
        let reviews: Vec<_> = reviews.iter().filter_map(review).collect();
        review_signal(&reviews, &awaits.iter().map(|login| (*login).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn reviews_count_by_each_reviewers_newest_verdict() {
        use ReviewSignal::{Approved, ChangesRequested, Commented, None, Requested};
        for (reviews, awaits, expected) in [
            (&[][..], &[][..], None),
            (&[], &["ann"], Requested),
            (&[("ann", "COMMENTED")], &[], Commented),
            (&[("ann", "CHANGES_REQUESTED"), ("ann", "COMMENTED")], &[], ChangesRequested),
            (&[("ann", "CHANGES_REQUESTED"), ("ann", "APPROVED")], &[], Approved),
            (&[("ann", "CHANGES_REQUESTED"), ("bob", "APPROVED")], &[], ChangesRequested),
            (&[("ann", "CHANGES_REQUESTED")], &["Ann"], Requested),
            (&[("ann", "CHANGES_REQUESTED")], &["bob"], ChangesRequested),
            (&[("ann", "APPROVED"), ("ann", "DISMISSED")], &[], None),
            (&[("ann", "PENDING")], &[], None),
        ] {
            assert_eq!(signal(reviews, awaits), expected, "{reviews:?} {awaits:?}");
        }
    }

    #[test]
    fn the_worst_check_decides_and_none_is_unknown() {
        let ci = |body: &str, read: fn(&[u8]) -> Result<Told, String>| match read(body.as_bytes()) {
            Ok(Told::Ci(signal)) => signal,
            other => panic!("{other:?}"),
        };
        let runs = |runs: &str| ci(&format!(r#"{{"check_runs":[{runs}]}}"#), runs_in);
        let (good, bad) = (r#"{"status":"completed","conclusion":"success"}"#, r#"{"conclusion":"timed_out"}"#);
        assert_eq!(runs(""), CiSignal::Unknown);
        assert_eq!(runs(good), CiSignal::Success);
        assert_eq!(runs(&format!(r#"{good},{{"status":"in_progress","conclusion":null}}"#)), CiSignal::Pending);
        assert_eq!(runs(&format!(r#"{good},{bad},{{"status":"queued"}}"#)), CiSignal::Failure);
        assert_eq!(ci(r#"{"state":"pending","total_count":0}"#, status_in), CiSignal::Unknown);
        assert_eq!(ci(r#"{"state":"pending","total_count":2}"#, status_in), CiSignal::Pending);
        assert_eq!(ci("", status_in), CiSignal::Unknown);
    }
}
