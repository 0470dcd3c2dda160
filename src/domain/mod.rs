//! The nouns of IssueCommand and the rules between them: pure, without I/O, clock or async.
//!
//! Everything here is a value. Time is an argument, names are parsed once at the door, and a claim
//! changes its status in one place only ([`Claim::advance`]).

mod approval;
mod blocking;
mod claim;
mod closing;
mod decision;
mod disagreement;
mod elsewhere;
mod event;
mod followup;
mod foreign;
mod issue;
mod names;
mod pull;
mod record;
mod references;
mod repo;
mod run;
mod schemas;
mod signals;
mod skills;
mod time;
mod token;

pub use approval::{ApprovalRecord, ContentDigest};
pub use blocking::Blocker;
pub(crate) use blocking::blockers_in;
pub use claim::{
    Actor, Advance, Claim, ClaimRecord, ClaimRecordError, ClaimStatus, LEASE_EPOCH_FIRST, Lease, RestoredClaim,
    StatusEntry, Step, TransitionError,
};
pub(crate) use closing::refs_in as refs_closed_by;
pub use decision::{
    AskedFor, Decision, DecisionRow, Empty, IssueSnapshot, PageSeen, PolicyStamp, RankerSeen, Reason, RequestSeen,
    RowSeen, WorkSeen,
};
pub use disagreement::{Disagreement, Preference, TrialCounts};
pub use event::{Event, EventDraft, EventKind, EventSeq};
pub use followup::{
    FollowUp, FollowUpEntry, FollowUpRecord, FollowUpRecordError, FollowUpRefusal, FollowUpStatus, FollowUpStep, Mover,
    Reservation,
};
pub use foreign::{clean, clean_line, in_one_line, is_visible};
pub use issue::{Approval, Comment, FactsVersion, Issue, IssueFacts, IssueState, label_key};
pub use names::{
    AgentId, ClaimId, DecisionId, IssueNumber, IssueRef, NameError, RepoName, RequestId, RunId, TokenId, WorkItemId,
};
pub use pull::{Feedback, FeedbackKind, Merged, PullRequest, PullState};
pub use record::{Happening, Record, RecordKind};
pub use references::named_in;
pub use repo::Repo;
pub use run::{
    Companion, JOURNAL_COUNT_MAX, JournalEntry, LogKind, LogLine, Phase, PhaseMark, Run, RunDriver, RunEnding, RunHold,
    RunPriority, RunQuestion, RunStatus, RunStep, RunStepError, RunUsage, RunWish, RunWord,
};
pub use signals::{CiSignal, ClaimSignals, ContainerSignal, PullSignal, PullSigns, ReviewSignal};
pub use skills::{Skill, Skills};
pub use time::{Clock, ManualClock, SharedClock, SystemClock, Timestamp, from_unix_ms, unix_ms};
pub(crate) use token::looks_like_token;
pub use token::{AccessScope, AccessToken, TokenEnd, TokenHash, TokenSecret};
