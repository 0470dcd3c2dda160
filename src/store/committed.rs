//! What the in-memory index is made from: all that the store holds, and then each change as it is committed.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ApprovalKept, IssuePlace, KeptToken, Notice, NoticeId};
use crate::domain::{
    AgentId, Blocker, Claim, Event, EventSeq, FollowUp, IssueFacts, IssueRef, Repo, RepoName, Timestamp,
};

/// Learns what was committed, in the order of commits, before the writer of each change is answered:
/// who reads the index after an acknowledgement sees at least that write.
pub trait CommitObserver: Send + Sync + fmt::Debug + 'static {
    /// Takes note of one committed transaction. Runs on the writer: be brief, never block.
    fn committed(&self, changes: Vec<Change>);
    /// The same, with the number of the commit among those of all servers; 0 where there is but one server. What a
    /// [`Snapshot`] of this number or a higher one holds is in it.
    fn committed_as(&self, seq: u64, changes: Vec<Change>) {
        let _ = seq;
        self.committed(changes);
    }
    /// Takes note of everything anew: this server was away for so long that what others changed meanwhile is no
    /// longer kept one by one. Who remembers nothing of what it was told has nothing to replace.
    fn replaced(&self, snapshot: Snapshot, tokens: Vec<KeptToken>) {
        let _ = (snapshot, tokens);
    }
}

/// One committed change. Servers of one PostgreSQL database tell each other of it as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Change {
    /// A claim was granted or moved; a terminal one has left the active set.
    ClaimSet(Box<Claim>),
    /// A follow-up was made or moved; one that ended has left the active set.
    FollowUpSet(Box<FollowUp>),
    /// An issue is open, with these facts.
    IssueOpen(Box<IssueFacts>),
    /// An issue has these blockers and no others, be they open or not.
    BlockersSet(IssueRef, Vec<Blocker>),
    /// An issue was approved so, or is approved no more.
    ApprovalSet(IssueRef, Option<ApprovalKept>),
    /// An open issue was finished here before it was known to be open.
    IssueFinished(IssueRef),
    /// An issue is no longer open, or no longer there.
    IssueGone(IssueRef),
    /// Another guess at where an issue goes.
    IssuePlaced(Box<IssuePlace>),
    /// An agent is to be told something at its next call.
    Notice(Box<Notice>),
    /// Agents were told these, by whichever server they called.
    NoticesTold(Vec<NoticeId>),
    /// A repository is known, with these facts.
    RepoSet(Box<Repo>),
    /// A repository is no longer there.
    RepoGone(RepoName),
    /// An access token was made or revoked.
    TokenSet(Box<KeptToken>),
    /// An event took its place in the order.
    Event(Box<Event>),
}

/// What the in-memory index is rebuilt from.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Every known repository.
    pub repos: Vec<Repo>,
    /// Every open issue; equal texts shared.
    pub issues: Vec<IssueFacts>,
    /// What is to be closed first, of every open issue that has blockers.
    pub blockers: Vec<(IssueRef, Vec<Blocker>)>,
    /// Approvals of open issues.
    pub approvals: Vec<(IssueRef, ApprovalKept)>,
    /// Open issues whose last claim ended as closed: finished here, still open on GitHub.
    pub finished: Vec<IssueRef>,
    /// Every active claim.
    pub claims: Vec<Claim>,
    /// Every active follow-up.
    pub follow_ups: Vec<FollowUp>,
    /// Open issues of which nobody looked yet where they go, as they are now.
    pub unplaced: Vec<IssueRef>,
    /// What agents are to be told at their next call, in its order.
    pub notices: Vec<Notice>,
    /// When agents were last heard of.
    pub last_calls: Vec<(AgentId, Timestamp)>,
    /// The number of the last commit that is in it; 0 where there is but one server.
    pub commit_seq: u64,
    /// The newest event.
    pub last_event: EventSeq,
    /// Claims ever granted.
    pub granted_count: u64,
}
