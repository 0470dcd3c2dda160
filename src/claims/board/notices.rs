//! What agents are to be told at their next call, as the store keeps it.

use std::collections::HashMap;

use crate::domain::AgentId;
use crate::store::{NOTICE_COUNT_MAX, Notice, NoticeId};

/// Notices between two times that old ones are dropped.
const TRIM_EVERY: i64 = 256;
/// Most lines told at once: the newest.
const TOLD_COUNT_MAX: usize = 3;

/// Notices by agent, oldest first.
#[derive(Debug, Default)]
pub(in crate::claims) struct Notices(HashMap<AgentId, Vec<Notice>>);

impl Notices {
    /// Keeps a notice, and as many before it as the store does: agents that never call again are told nothing.
    pub(in crate::claims) fn add(&mut self, notice: Notice) {
        let oldest = notice.notice_id - NOTICE_COUNT_MAX;
        if oldest > 0 && notice.notice_id % TRIM_EVERY == 0 {
            self.0.retain(|_, kept| {
                kept.retain(|it| it.notice_id > oldest);
                !kept.is_empty()
            });
        }
        self.0.entry(notice.agent_id.clone()).or_default().push(notice);
    }

    /// Whether nobody is to be told anything: the usual case.
    pub(in crate::claims) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Forgets what was told, by another server.
    pub(in crate::claims) fn forget(&mut self, told: &[NoticeId]) {
        self.0.retain(|_, kept| {
            kept.retain(|it| !told.contains(&it.notice_id));
            !kept.is_empty()
        });
    }

    /// Takes what is to be told to an agent.
    pub(in crate::claims) fn take(&mut self, agent: &AgentId) -> Vec<Notice> {
        self.0.remove(agent).unwrap_or_default()
    }
}

/// Notices in one line; of many the newest, and how many more there were.
pub(in crate::claims) fn in_one_line(notices: &[Notice]) -> String {
    let earlier = notices.len().saturating_sub(TOLD_COUNT_MAX);
    let lines: Vec<&str> = notices[earlier..].iter().map(|notice| notice.told.as_str()).collect();
    let more = if earlier > 0 { format!(" (and {earlier} earlier ones like it)") } else { String::new() };
    format!("{}{more}", lines.join(" "))
}
