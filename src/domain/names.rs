//! Names, parsed once at the door into one canonical form.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// Longest agent id and request id, in bytes. Ours: long enough for any host name with a suffix.
const NAME_BYTES_MAX: usize = 128;
/// Longest GitHub account name, in bytes: 39 for people and organisations, 40 and more for managed users.
const OWNER_BYTES_MAX: usize = 64;
/// Longest GitHub repository name, in bytes (GitHub's own limit).
const REPO_BYTES_MAX: usize = 100;

/// Why a text is not the name it should be. Says what was read and what is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is no {what}: {why}")]
pub struct NameError {
    what: &'static str,
    value: String,
    why: &'static str,
}

impl NameError {
    pub(super) fn new(what: &'static str, value: &str, why: &'static str) -> Self {
        Self { what, value: value.chars().take(NAME_BYTES_MAX).collect(), why }
    }
}

/// A repository, `owner/name`, in its one canonical form: trimmed and lower-cased, because GitHub
/// compares both without case. Only what this parser lets through ever becomes part of a URL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoName(Arc<str>);

impl RepoName {
    /// The whole name, `owner/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shared text, for a column of names without copies.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The account that owns it.
    pub fn owner(&self) -> &str {
        self.0.split_once('/').map_or("", |(owner, _)| owner)
    }

    /// The name below its owner.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, name)| name)
    }
}

impl FromStr for RepoName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = |why| NameError::new("repository", text, why);
        let trimmed = text.trim().trim_end_matches('/');
        let (owner, name) = trimmed.split_once('/').ok_or_else(|| wrong("expected owner/name"))?;
        let (owner, name) = (owner.trim(), name.trim());
        if owner.is_empty() || name.is_empty() || name.contains('/') {
            return Err(wrong("expected owner/name"));
        }
        if owner.len() > OWNER_BYTES_MAX || name.len() > REPO_BYTES_MAX {
            return Err(wrong("longer than GitHub allows"));
        }
        let owner_fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let name_fits = |b: u8| owner_fits(b) || b == b'.';
        if !owner.bytes().all(owner_fits) || !name.bytes().all(name_fits) {
            return Err(wrong("only letters, digits, '-', '_' and, in the name, '.' are allowed"));
        }
        if name == "." || name == ".." {
            return Err(wrong("'.' and '..' are no repository names"));
        }
        Ok(Self(format!("{owner}/{name}").to_ascii_lowercase().into()))
    }
}

/// The name an agent gave itself: trimmed, not empty, at most 128 bytes, no control characters.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AgentId(Arc<str>);

impl AgentId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgentId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        short_name("agent id", text).map(Self)
    }
}

/// A client's own name for one attempt: a retry with the same id gets the same claim.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RequestId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        short_name("request id", text).map(Self)
    }
}

fn short_name(what: &'static str, text: &str) -> Result<Arc<str>, NameError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(NameError::new(what, text, "it is empty"));
    }
    if trimmed.len() > NAME_BYTES_MAX {
        return Err(NameError::new(what, text, "longer than 128 bytes"));
    }
    if trimmed.chars().any(char::is_control) {
        return Err(NameError::new(what, text, "control characters are not allowed"));
    }
    Ok(trimmed.into())
}

/// The number of an issue within its repository, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct IssueNumber(u64);

impl IssueNumber {
    /// The number, if it is one GitHub can have given (1 up to 2^53 - 1, what JSON carries exactly).
    pub fn new(number: u64) -> Result<Self, NameError> {
        if number == 0 || number > (1 << 53) - 1 {
            return Err(NameError::new("issue number", &number.to_string(), "expected a whole number from 1"));
        }
        Ok(Self(number))
    }

    /// The plain number.
    pub fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for IssueNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for IssueNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(u64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// One issue of one repository: `owner/name#12`. It is also read from the address of its page.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssueRef {
    /// The repository.
    pub repo: RepoName,
    /// The number within it.
    pub number: IssueNumber,
}

impl IssueRef {
    /// Puts the two together.
    pub fn new(repo: RepoName, number: IssueNumber) -> Self {
        Self { repo, number }
    }
}

impl FromStr for IssueRef {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let wrong = || NameError::new("issue", text, "expected owner/name#number");
        let (repo, number) = of_page(text).or_else(|| text.rsplit_once('#')).ok_or_else(wrong)?;
        let number = number.trim().parse().map_err(|_| wrong())?;
        Ok(Self::new(repo.parse()?, IssueNumber::new(number)?))
    }
}

/// Repository and number in the address of an issue's page, as a browser shows it:
/// `https://<host>/<owner>/<name>/issues/<number>`, whatever follows.
fn of_page(text: &str) -> Option<(&str, &str)> {
    let path = text.trim().strip_prefix("https://").or_else(|| text.trim().strip_prefix("http://"))?.split_once('/')?.1;
    let (repo, rest) = path.split_once("/issues/")?;
    Some((repo, rest.split(['/', '?', '#']).next()?))
}

impl fmt::Display for IssueRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.repo, self.number)
    }
}

/// What is read and written as the text that people see.
macro_rules! as_its_text {
    ($name:ident) => {
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

macro_rules! text_name {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        as_its_text!($name);
    };
}

as_its_text!(IssueRef);
text_name!(RepoName);
text_name!(AgentId);
text_name!(RequestId);

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: random, and growing with time, so that indexes stay compact.
            pub fn fresh() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let id = Uuid::parse_str(text.trim());
                id.map(Self).map_err(|_| NameError::new($what, text, $expected))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

uuid_name!(
    /// The identity of one claim, from its grant for ever.
    ClaimId,
    "claim id",
    "expected the 8 digits or the whole id of a claim"
);
uuid_name!(
    /// The identity of one run, from the queue for ever.
    RunId,
    "run id",
    "expected the id of a run, or its last 12 digits"
);

/// How many digits of a run's id name it: the ones that are all random, of which no two ever agree.
const RUN_ID_SHORT_DIGITS: usize = 12;

impl RunId {
    /// The last digits of the id, by which people and branches call it.
    pub fn short(&self) -> String {
        let whole = self.to_string();
        whole[whole.len() - RUN_ID_SHORT_DIGITS..].to_owned()
    }
}

/// How many digits of a claim's id are enough to name it among the active ones: as git shortens its
/// hashes. Ours: 32 random bits, so that two of 10,000 active claims share them once in 86 servers, and
/// an agent's own come first.
const CLAIM_ID_SHORT_DIGITS: usize = 8;

impl ClaimId {
    /// The last digits of the id, by which it can be called while the claim is active: a model pays for
    /// every digit, and copies few of them more safely.
    pub fn short(&self) -> String {
        let whole = self.to_string();
        whole[whole.len() - CLAIM_ID_SHORT_DIGITS..].to_owned()
    }

    /// Whether `text` has the form of a short id.
    pub fn is_short(text: &str) -> bool {
        text.len() == CLAIM_ID_SHORT_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
    }
}

uuid_name!(
    /// The identity of one recorded decision.
    DecisionId,
    "decision id",
    "expected the whole id, a UUID"
);
uuid_name!(
    /// The identity of one follow-up.
    WorkItemId,
    "work item id",
    "expected the whole id, a UUID"
);
uuid_name!(
    /// The public identity of one access token; the token itself is never kept.
    TokenId,
    "token id",
    "expected the whole id, a UUID"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn repo(text: &str) -> String {
        text.parse::<RepoName>().expect(text).to_string()
    }

    #[test]
    fn every_spelling_of_a_repository_is_one_name() {
        for text in ["Acme/Small", "acme/small/", " acme / small ", "acme/small", "ACME/SMALL//"] {
            assert_eq!(repo(text), "acme/small", "{text:?}");
        }
        assert_eq!(repo("a-b/c.d_e"), "a-b/c.d_e");
    }

    #[test]
    fn what_could_leave_its_place_in_a_url_is_no_repository() {
        for text in
            ["", "acme", "/", "acme/", "/small", "a/b/c", "a/..", "a/.", "a b/c", "a/b?c", "a/b#1", "a/%2e", "å/b"]
        {
            assert!(text.parse::<RepoName>().is_err(), "{text:?}");
        }
        assert!(format!("a/{}", "x".repeat(101)).parse::<RepoName>().is_err());
    }

    #[test]
    fn an_error_shows_what_was_read_and_what_is_wanted() {
        let error = "acme".parse::<RepoName>().unwrap_err();
        assert_eq!(error.to_string(), "\"acme\" is no repository: expected owner/name");
    }

    #[test]
    fn an_agent_without_a_name_is_refused() {
        for text in ["", "   ", "a\nb", &"x".repeat(129)] {
            assert!(text.parse::<AgentId>().is_err(), "{text:?}");
        }
        assert_eq!(" claude-1 ".parse::<AgentId>().unwrap().as_str(), "claude-1");
    }

    #[test]
    fn issue_references_read_as_they_are_written() {
        let issue: IssueRef = " Acme/Small#12".parse().unwrap();
        assert_eq!(issue.to_string(), "acme/small#12");
        for page in ["https://github.com/Acme/Small/issues/12", " http://ghe.example:8080/acme/small/issues/12?a=b#c "]
        {
            assert_eq!(page.parse::<IssueRef>().unwrap(), issue, "{page}");
        }
        let no_pages =
            ["https://github.com/acme/small/pull/12", "https://x/issues/1", "github.com/acme/small/issues/1"];
        for text in ["acme/small", "acme/small#0", "acme/small#x", "#1"].into_iter().chain(no_pages) {
            assert!(text.parse::<IssueRef>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_short_form_of_a_claim_id_is_its_end() {
        let id: ClaimId = "0190a5d2-7e1c-7000-8000-0000deadbeef".parse().unwrap();
        assert_eq!(id.short(), "deadbeef");
        assert!(ClaimId::is_short(&id.short()) && ClaimId::is_short("0000000F"));
        let why = "deadbee".parse::<ClaimId>().unwrap_err().to_string();
        assert!(why.contains("the 8 digits or the whole id of a claim"), "{why}");
        for text in ["", "deadbee", "deadbeef0", "deadbeeg", "dead-bee"] {
            assert!(!ClaimId::is_short(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent_and_never_panics(text in ".{0,80}") {
            if let Ok(name) = text.parse::<RepoName>() {
                prop_assert_eq!(&name.to_string().parse::<RepoName>().unwrap(), &name);
                prop_assert_eq!(format!("{}/{}", name.owner(), name.name()), name.to_string());
            }
        }
    }
}
