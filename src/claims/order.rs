//! The order of candidates, kept ready for every question an agent may ask.
//!
//! A *lane* is the ordered set of candidates that answer one question: all of them, those of one
//! repository, those with one label or milestone, and those of one repository with one of these. An
//! issue stands in every lane it belongs to, so that the best candidates of any lane are read off
//! its front and nothing is ever scanned. A lane also tallies the issues that belong to it but are
//! not on offer, so that an empty answer can say why.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::domain::{Empty, IssueFacts, label_key};

/// The reasons for skipping that an empty answer names at most.
pub(super) const SKIP_REASON_COUNT_MAX: usize = 5;

/// An issue's place in memory.
pub(super) type Slot = u32;

/// A place in the order: the higher score first, among equals the older issue, then the lower number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct OrderKey {
    score_descending: u64,
    opened_then_number: u64,
    slot: Slot,
}

impl OrderKey {
    pub(super) fn new(score: f64, facts: &IssueFacts, slot: Slot) -> Self {
        // GitHub's times are whole seconds, which fit 32 bits until 2106.
        let opened = u32::try_from(facts.created_at.timestamp().max(0)).unwrap_or(u32::MAX);
        let number = u32::try_from(facts.issue.number.get()).unwrap_or(u32::MAX);
        Self {
            score_descending: !ascending_bits(score),
            opened_then_number: (u64::from(opened) << 32) | u64::from(number),
            slot,
        }
    }

    pub(super) fn slot(self) -> Slot {
        self.slot
    }
}

/// Bits that compare as unsigned numbers in the order in which finite floats compare.
fn ascending_bits(value: f64) -> u64 {
    // Adding zero turns -0.0 into 0.0, which is equal to it and must sort with it.
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}

/// Where an issue stands: on offer, or why not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Standing {
    /// On offer, at this place.
    Ready(OrderKey),
    /// Waiting for its first score.
    #[default]
    Unscored,
    /// The policy skips it.
    Skipped(Arc<str>),
    /// An agent holds it.
    Claimed,
    /// Finished here, still open on GitHub.
    Finished,
    /// Its repository does not take part.
    NotAdmitted,
}

/// A label or a milestone, compared trimmed and without case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Tag {
    Label(String),
    Milestone(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct LaneKey {
    repo: Option<u32>,
    tag: Option<u32>,
}

#[derive(Debug, Default)]
struct Lane {
    ready: BTreeSet<OrderKey>,
    open: usize,
    claimed: usize,
    finished: usize,
    not_admitted: usize,
    unscored: usize,
    skipped: usize,
    skip_reasons: HashMap<Arc<str>, usize>,
}

impl Lane {
    fn count(&mut self, standing: &Standing, by: isize) {
        let add = |count: &mut usize| *count = count.saturating_add_signed(by);
        add(&mut self.open);
        match standing {
            Standing::Ready(_) => {}
            Standing::Unscored => add(&mut self.unscored),
            Standing::Claimed => add(&mut self.claimed),
            Standing::Finished => add(&mut self.finished),
            Standing::NotAdmitted => add(&mut self.not_admitted),
            Standing::Skipped(reason) => {
                add(&mut self.skipped);
                let count = self.skip_reasons.entry(Arc::clone(reason)).or_default();
                add(count);
                if *count == 0 {
                    self.skip_reasons.remove(reason);
                }
            }
        }
    }
}

impl Lane {
    fn told(&self) -> Empty {
        let mut skip_reasons: Vec<_> = self.skip_reasons.iter().map(|(why, count)| (why.to_string(), *count)).collect();
        skip_reasons.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        skip_reasons.truncate(SKIP_REASON_COUNT_MAX);
        Empty {
            open: self.open,
            claimed: self.claimed,
            skipped: self.skipped,
            finished: self.finished,
            not_admitted: self.not_admitted,
            unscored: self.unscored,
            skip_reasons,
            ..Empty::default()
        }
    }
}

/// Why there is nothing among issues that stand so.
pub(super) fn tally_of<'a>(standings: impl Iterator<Item = &'a Standing>) -> Empty {
    let mut lane = Lane::default();
    standings.for_each(|standing| lane.count(standing, 1));
    lane.told()
}

/// What an agent may narrow its question to.
#[derive(Debug, Clone, Default)]
pub(super) struct Question<'a> {
    pub(super) repo: Option<&'a str>,
    pub(super) label: Option<&'a str>,
    pub(super) milestone: Option<&'a str>,
}

/// The lanes.
#[derive(Debug, Default)]
pub(super) struct Order {
    lanes: HashMap<LaneKey, Lane>,
    repo_ids: HashMap<Arc<str>, u32>,
    tag_ids: HashMap<Tag, u32>,
    /// Tag ids by the text as GitHub spells it: saves normalising the same label once an issue.
    label_ids: HashMap<Arc<str>, u32>,
    milestone_ids: HashMap<Arc<str>, u32>,
}

impl Order {
    /// Builds all lanes at once: much cheaper than one insertion after the other.
    pub(super) fn build<'a>(rows: impl Iterator<Item = (&'a IssueFacts, Standing)>) -> Self {
        let mut order = Self::default();
        let mut ready: HashMap<LaneKey, Vec<OrderKey>> = HashMap::new();
        for (facts, standing) in rows {
            for key in order.lane_keys(facts) {
                order.lanes.entry(key).or_default().count(&standing, 1);
                if let Standing::Ready(place) = standing {
                    ready.entry(key).or_default().push(place);
                }
            }
        }
        for (key, places) in ready {
            order.lanes.entry(key).or_default().ready = places.into_iter().collect();
        }
        order
    }

    /// Puts an issue where it stands.
    pub(super) fn insert(&mut self, facts: &IssueFacts, standing: &Standing) {
        for key in self.lane_keys(facts) {
            let lane = self.lanes.entry(key).or_default();
            lane.count(standing, 1);
            if let Standing::Ready(place) = standing {
                lane.ready.insert(*place);
            }
        }
    }

    /// Takes away what [`Order::insert`] put with the same arguments.
    pub(super) fn remove(&mut self, facts: &IssueFacts, standing: &Standing) {
        for key in self.lane_keys(facts) {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.count(standing, -1);
            if let Standing::Ready(place) = standing {
                lane.ready.remove(place);
            }
            if lane.open == 0 {
                self.lanes.remove(&key);
            }
        }
    }

    /// The slots that answer `question`, best first, from behind `after`. Where it names both a label
    /// and a milestone the shorter lane is walked and the caller must check the other.
    pub(super) fn walk(&self, question: &Question<'_>, after: Option<OrderKey>) -> impl Iterator<Item = OrderKey> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        let lane = self.lane(question);
        let from = after.map_or(Unbounded, Excluded);
        lane.into_iter().flat_map(move |lane| lane.ready.range((from, Unbounded)).copied())
    }

    /// How many issues are on offer in answer to `question`, which names a label or a milestone, not both.
    pub(super) fn ready_count(&self, question: &Question<'_>) -> usize {
        self.lane(question).map_or(0, |lane| lane.ready.len())
    }

    /// Why there is nothing in answer to `question`, which names a label or a milestone, not both.
    pub(super) fn tally(&self, question: &Question<'_>) -> Empty {
        self.lane(question).map_or_else(Empty::default, Lane::told)
    }

    fn lane(&self, question: &Question<'_>) -> Option<&Lane> {
        let repo = match question.repo {
            Some(name) => Some(*self.repo_ids.get(name)?),
            None => None,
        };
        let label = match question.label {
            Some(label) => Some(*self.tag_ids.get(&Tag::Label(label_key(label)))?),
            None => None,
        };
        let milestone = match question.milestone {
            Some(title) => Some(*self.tag_ids.get(&Tag::Milestone(label_key(title)))?),
            None => None,
        };
        let lane = |tag| self.lanes.get(&LaneKey { repo, tag });
        match (label, milestone) {
            (Some(label), Some(milestone)) => {
                let (by_label, by_milestone) = (lane(Some(label))?, lane(Some(milestone))?);
                Some(if by_label.ready.len() <= by_milestone.ready.len() { by_label } else { by_milestone })
            }
            (tag, None) | (None, tag) => lane(tag),
        }
    }

    fn lane_keys(&mut self, facts: &IssueFacts) -> impl Iterator<Item = LaneKey> + use<> {
        let repo = next_id(&mut self.repo_ids, facts.issue.repo.shared());
        let mut tags: Vec<Option<u32>> = Vec::with_capacity(facts.labels.len() + 2);
        tags.push(None);
        for label in &facts.labels {
            let key = || Tag::Label(label_key(label));
            tags.push(Some(tag_id(&mut self.label_ids, &mut self.tag_ids, label, key)));
        }
        if let Some(title) = &facts.milestone {
            let key = || Tag::Milestone(label_key(title));
            tags.push(Some(tag_id(&mut self.milestone_ids, &mut self.tag_ids, title, key)));
        }
        // Two spellings of one label on one issue are one tag.
        tags.sort_unstable();
        tags.dedup();
        tags.into_iter().flat_map(move |tag| [LaneKey { repo: None, tag }, LaneKey { repo: Some(repo), tag }])
    }
}

fn next_id<K: std::hash::Hash + Eq>(ids: &mut HashMap<K, u32>, key: K) -> u32 {
    let next = u32::try_from(ids.len()).expect("fewer than 2^32 names");
    *ids.entry(key).or_insert(next)
}

fn tag_id(
    by_spelling: &mut HashMap<Arc<str>, u32>,
    tag_ids: &mut HashMap<Tag, u32>,
    spelling: &Arc<str>,
    key: impl FnOnce() -> Tag,
) -> u32 {
    if let Some(id) = by_spelling.get(spelling) {
        return *id;
    }
    let id = next_id(tag_ids, key());
    by_spelling.insert(Arc::clone(spelling), id);
    id
}

/// Whether an issue has `label` and stands in `milestone`, where they are asked for.
pub(super) fn answers(facts: &IssueFacts, question: &Question<'_>) -> bool {
    let same = |wanted: &str, text: &str| label_key(wanted) == label_key(text);
    question.label.is_none_or(|wanted| facts.labels.iter().any(|label| same(wanted, label)))
        && question.milestone.is_none_or(|wanted| facts.milestone.as_deref().is_some_and(|title| same(wanted, title)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{Approval, IssueNumber, IssueRef, from_unix_ms};

    fn facts(number: u64, labels: &[&str], milestone: Option<&str>) -> IssueFacts {
        IssueFacts {
            issue: IssueRef::new("acme/small".parse().unwrap(), IssueNumber::new(number).unwrap()),
            title: "t".into(),
            labels: labels.iter().map(|label| Arc::from(*label)).collect(),
            assignees: Box::new([]),
            milestone: milestone.map(Arc::from),
            author: "ann".into(),
            author_association: "OWNER".into(),
            comment_count: 0,
            reaction_count: 0,
            created_at: from_unix_ms(1_000 * (1_000 - number)),
            updated_at: from_unix_ms(0),
            topics: Arc::default(),
            open_blockers: Box::default(),
            approval: Approval::None,
            areas: Box::default(),
            reviewers: Box::default(),
        }
    }

    fn slots(order: &Order, question: &Question<'_>) -> Vec<Slot> {
        order.walk(question, None).map(OrderKey::slot).collect()
    }

    #[test]
    fn higher_scores_come_first_and_among_equals_the_older_issue() {
        let rows = [(1, 0.0), (2, 5.0), (3, -1.0), (4, 0.0)];
        let rows: Vec<_> = rows.iter().map(|(number, score)| (facts(*number, &[], None), *score)).collect();
        let order = Order::build(
            (0..).zip(&rows).map(|(slot, (facts, score))| (facts, Standing::Ready(OrderKey::new(*score, facts, slot)))),
        );
        assert_eq!(slots(&order, &Question::default()), [1, 3, 0, 2]);
    }

    #[test]
    fn a_lane_holds_what_answers_its_question_in_any_spelling() {
        let rows = [facts(1, &["Bug", " bug "], None), facts(2, &["docs"], Some("V1")), facts(3, &["bug"], Some("v1"))];
        let order = Order::build(
            (0..).zip(&rows).map(|(slot, facts)| (facts, Standing::Ready(OrderKey::new(0.0, facts, slot)))),
        );
        let ask = |label, milestone| Question { repo: Some("acme/small"), label, milestone };
        assert_eq!(slots(&order, &ask(Some("BUG"), None)), [2, 0]);
        assert_eq!(slots(&order, &ask(None, Some("v1"))), [2, 1]);
        assert_eq!(slots(&order, &ask(Some("nothing"), None)), [0; 0]);
        assert_eq!(slots(&order, &Question { repo: Some("acme/other"), ..Question::default() }), [0; 0]);
        let both = ask(Some("bug"), Some("v1"));
        let found: Vec<_> =
            order.walk(&both, None).filter(|place| answers(&rows[place.slot() as usize], &both)).collect();
        assert_eq!(found.len(), 1);
    }

    #[test]
    fn an_empty_lane_says_why() {
        let mut order = Order::default();
        let rows = [facts(1, &[], None), facts(2, &[], None), facts(3, &[], None)];
        order.insert(&rows[0], &Standing::Claimed);
        order.insert(&rows[1], &Standing::Skipped("label wontfix".into()));
        order.insert(&rows[2], &Standing::Finished);
        let tally = order.tally(&Question::default());
        assert_eq!(tally.to_string(), "3 open, 1 claimed, 1 skipped by policy, 1 finished here (label wontfix)");
        order.remove(&rows[1], &Standing::Skipped("label wontfix".into()));
        assert_eq!(order.tally(&Question::default()).skip_reasons, []);
    }

    proptest! {
        #[test]
        fn sorting_bits_agree_with_sorting_floats(a in -1e300..1e300f64, b in -1e300..1e300f64) {
            prop_assert_eq!(a.partial_cmp(&b), Some(ascending_bits(a).cmp(&ascending_bits(b))));
        }

        #[test]
        fn built_at_once_or_one_by_one_it_is_the_same(scores in prop::collection::vec((-3i8..3, 0usize..3), 0..40)) {
            let labels = [vec![], vec!["bug"], vec!["bug", "docs"]];
            let rows: Vec<_> = (1..).zip(&scores).map(|(n, (score, l))| (facts(n, &labels[*l], None), f64::from(*score))).collect();
            let standing = |slot: usize| {
                let (facts, score) = &rows[slot];
                Standing::Ready(OrderKey::new(*score, facts, u32::try_from(slot).unwrap()))
            };
            let built = Order::build(rows.iter().enumerate().map(|(slot, (facts, _))| (facts, standing(slot))));
            let mut grown = Order::default();
            for (slot, (facts, _)) in rows.iter().enumerate() {
                grown.insert(facts, &standing(slot));
            }
            let bug = Question { label: Some("bug"), ..Question::default() };
            prop_assert_eq!(slots(&built, &Question::default()), slots(&grown, &Question::default()));
            prop_assert_eq!(slots(&built, &bug), slots(&grown, &bug));
            for (slot, (facts, _)) in rows.iter().enumerate() {
                grown.remove(facts, &standing(slot));
            }
            prop_assert!(grown.lanes.is_empty());
        }
    }
}
