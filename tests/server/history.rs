//! What clients called and were answered, and whether one order of the calls explains it all: linearizability, one
//! issue at a time. The search is that of Wing and Gong, with what was seen remembered as Lowe does.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

/// What a client asked of one issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// This issue, by name or as the next one.
    Claim,
    /// To give this claim back.
    Release(String),
    /// To go on with this claim.
    Update(String),
}

/// What it was answered in the end, however often it had to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A new claim.
    Granted { claim: String, epoch: u64 },
    /// It is this agent's already, under this claim.
    Already { claim: String },
    /// It is another agent's.
    HeldBy(String),
    /// Done.
    Done,
    /// The claim is over, or another agent's.
    NotYours,
    /// One of several tries may have done it: the last found the claim over.
    DoneOrOver,
    /// No answer ever came: it may have been done, at any time, or never.
    Unknown,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Op {
    pub agent: String,
    pub call: Call,
    pub answer: Answer,
    /// When it was first sent, and when its answer was there, by one clock for all clients.
    pub called: u64,
    pub answered: u64,
}

/// What an issue is, to the specification.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct State {
    /// Who has it, under which claim; a claim whose answer never came has no name yet.
    holder: Option<(String, Option<String>)>,
    /// The highest epoch that was granted.
    epoch: u64,
}

impl State {
    /// What the issue is after `op`, if `op` could have happened now.
    fn after(&self, op: &Op) -> Option<Self> {
        let is_holders = |claim: &str| match &self.holder {
            Some((agent, Some(held))) => *agent == op.agent && held == claim,
            Some((agent, None)) => *agent == op.agent,
            None => false,
        };
        let named = |claim: &str| Self { holder: Some((op.agent.clone(), Some(claim.to_owned()))), ..self.clone() };
        let free = Self { holder: None, ..self.clone() };
        match (&op.call, &op.answer) {
            (Call::Claim, Answer::Granted { claim, epoch }) => {
                (self.holder.is_none() && *epoch > self.epoch).then(|| Self { epoch: *epoch, ..named(claim) })
            }
            (Call::Claim, Answer::Already { claim }) => is_holders(claim).then(|| named(claim)),
            (Call::Claim, Answer::HeldBy(other)) => match &self.holder {
                Some((agent, _)) if agent == other && *other != op.agent => Some(self.clone()),
                _ => None,
            },
            (Call::Claim, Answer::Unknown) => match &self.holder {
                None => Some(Self { holder: Some((op.agent.clone(), None)), epoch: self.epoch + 1 }),
                Some(_) => Some(self.clone()),
            },
            (Call::Release(claim), Answer::Done) => is_holders(claim).then_some(free),
            (Call::Release(claim), Answer::DoneOrOver | Answer::Unknown) => {
                Some(if is_holders(claim) { free } else { self.clone() })
            }
            (Call::Update(claim), Answer::Done) => is_holders(claim).then(|| named(claim)),
            (Call::Update(_), Answer::DoneOrOver | Answer::Unknown) => Some(self.clone()),
            (Call::Release(claim) | Call::Update(claim), Answer::NotYours) => {
                (!is_holders(claim)).then(|| self.clone())
            }
            _ => None,
        }
    }
}

/// Everything that clients did, by issue.
#[derive(Debug, Default)]
pub struct History {
    ops: BTreeMap<u64, Vec<Op>>,
    granted: HashSet<String>,
}

impl History {
    pub fn note(&mut self, issue: u64, op: Op) {
        if let Answer::Granted { claim, .. } = &op.answer {
            self.granted.insert(claim.clone());
        }
        self.ops.entry(issue).or_default().push(op);
    }

    /// Whether a client was told before that this claim is its own.
    pub fn has_granted(&self, claim: &str) -> bool {
        self.granted.contains(claim)
    }

    pub fn len(&self) -> usize {
        self.ops.values().map(Vec::len).sum()
    }

    /// Finds an order for every issue.
    ///
    /// # Errors
    /// Names the first issue that has none, with the calls around the place where the search came no further.
    pub fn check(&self) -> Result<(), String> {
        self.ops.iter().try_for_each(|(issue, ops)| explain(ops).map_err(|why| format!("issue {issue}: {why}")))
    }
}

/// Calls under way at once that a search remembers: far more than there are clients.
const WINDOW: usize = 128;

/// A place in the search: which calls are done, and what the issue is by then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    /// Every call before this one is done.
    low: usize,
    /// And of those from there on, these.
    done: u128,
    /// And of those without an answer, these.
    unanswered: u128,
    state: State,
}

fn explain(ops: &[Op]) -> Result<(), String> {
    let (mut unanswered, mut ops): (Vec<Op>, Vec<Op>) =
        ops.iter().cloned().partition(|op| op.answer == Answer::Unknown);
    ops.sort_by_key(|op| op.called);
    unanswered.truncate(WINDOW);
    let begin = Place { low: 0, done: 0, unanswered: 0, state: State::default() };
    let (mut open, mut seen, mut furthest) = (vec![begin], HashSet::new(), 0);
    while let Some(place) = open.pop() {
        if place.low == ops.len() {
            return Ok(());
        }
        furthest = furthest.max(place.low);
        open.extend(steps(&ops, &unanswered, &place).into_iter().filter(|next| seen.insert(next.clone())));
    }
    let from = furthest.saturating_sub(4);
    let around = ops[from..].iter().take(12).fold(String::new(), |mut text, op| {
        let _ = write!(text, "\n  {}..{} {} {:?} -> {:?}", op.called, op.answered, op.agent, op.call, op.answer);
        text
    });
    Err(format!("no order of its {} calls explains what was answered; around call {furthest}:{around}", ops.len()))
}

/// The calls that may come next: those called before any other that is left was answered.
fn steps(ops: &[Op], unanswered: &[Op], place: &Place) -> Vec<Place> {
    let window = || (place.low..ops.len()).take(WINDOW).filter(|n| place.done & (1 << (n - place.low)) == 0);
    let first_answer = window().map(|n| ops[n].answered).min().expect("some are left");
    let mut next = Vec::new();
    for n in window().take_while(|n| ops[*n].called <= first_answer) {
        if let Some(state) = place.state.after(&ops[n]) {
            let mut done = Place { done: place.done | 1 << (n - place.low), state, ..place.clone() };
            while done.done & 1 == 1 {
                (done.low, done.done) = (done.low + 1, done.done >> 1);
            }
            next.push(done);
        }
    }
    // Those are tried last: they explain almost anything, and almost never are what happened.
    for (n, op) in unanswered.iter().enumerate() {
        let bit = 1 << n;
        if place.unanswered & bit == 0
            && op.called <= first_answer
            && let Some(state) = place.state.after(op)
            && state != place.state
        {
            next.insert(0, Place { unanswered: place.unanswered | bit, state, ..place.clone() });
        }
    }
    next
}

mod tests {
    use super::*;

    fn op(agent: &str, call: Call, answer: Answer, called: u64, answered: u64) -> Op {
        Op { agent: agent.into(), call, answer, called, answered }
    }

    fn granted(agent: &str, claim: &str, epoch: u64, called: u64, answered: u64) -> Op {
        op(agent, Call::Claim, Answer::Granted { claim: claim.into(), epoch }, called, answered)
    }

    fn held_by(agent: &str, other: &str, called: u64, answered: u64) -> Op {
        op(agent, Call::Claim, Answer::HeldBy(other.into()), called, answered)
    }

    fn released(agent: &str, claim: &str, called: u64, answered: u64) -> Op {
        op(agent, Call::Release(claim.into()), Answer::Done, called, answered)
    }

    fn updated(agent: &str, claim: &str, answer: Answer, called: u64, answered: u64) -> Op {
        op(agent, Call::Update(claim.into()), answer, called, answered)
    }

    #[test]
    fn histories_that_an_order_explains_pass() {
        let good: [Vec<Op>; 6] = [
            vec![granted("a", "1", 1, 0, 9), released("a", "1", 10, 11), granted("b", "2", 2, 12, 13)],
            // The grant of b fits only between two calls of a that overlap it.
            vec![granted("a", "1", 1, 0, 3), granted("b", "2", 2, 2, 9), released("a", "1", 4, 8)],
            // Told of an owner whose own answer came later.
            vec![held_by("b", "a", 0, 2), granted("a", "1", 1, 0, 9)],
            // Never answered, and done all the same.
            vec![op("a", Call::Claim, Answer::Unknown, 0, 1), held_by("b", "a", 5, 6)],
            // Never answered, and never done.
            vec![op("a", Call::Claim, Answer::Unknown, 0, 1), granted("b", "1", 1, 5, 6)],
            vec![
                granted("a", "1", 1, 0, 1),
                op("a", Call::Release("1".into()), Answer::DoneOrOver, 2, 9),
                granted("b", "2", 2, 3, 4),
                updated("a", "1", Answer::NotYours, 10, 11),
            ],
        ];
        for history in good {
            explain(&history).unwrap();
        }
    }

    #[test]
    fn histories_that_no_order_explains_are_found() {
        let bad: [(&str, Vec<Op>); 9] = [
            ("two owners", vec![granted("a", "1", 1, 0, 1), granted("b", "2", 2, 2, 3)]),
            ("two owners at once", vec![granted("a", "1", 1, 0, 5), granted("b", "2", 2, 0, 5)]),
            ("a lost claim", vec![granted("a", "1", 1, 0, 1), updated("a", "1", Answer::NotYours, 2, 3)]),
            ("an owner that was not yet", vec![held_by("b", "a", 0, 1), granted("a", "1", 1, 2, 3)]),
            (
                "an owner that was no more",
                vec![granted("a", "1", 1, 0, 1), released("a", "1", 2, 3), held_by("b", "a", 4, 5)],
            ),
            ("an old epoch", vec![granted("a", "1", 2, 0, 1), released("a", "1", 2, 3), granted("b", "2", 2, 4, 5)]),
            (
                "a late owner's write",
                vec![
                    granted("a", "1", 1, 0, 1),
                    released("a", "1", 2, 3),
                    granted("b", "2", 2, 4, 5),
                    updated("a", "1", Answer::Done, 6, 7),
                ],
            ),
            (
                "a claim that came back",
                vec![
                    granted("a", "1", 1, 0, 1),
                    released("a", "1", 2, 3),
                    op("a", Call::Claim, Answer::Already { claim: "1".into() }, 4, 5),
                ],
            ),
            (
                "a release undone by a crash",
                vec![
                    granted("a", "1", 1, 0, 1),
                    released("a", "1", 2, 3),
                    op("b", Call::Claim, Answer::HeldBy("a".into()), 4, 5),
                ],
            ),
        ];
        for (what, history) in bad {
            assert!(explain(&history).is_err(), "{what}");
        }
    }

    /// A long history with eight clients that an order explains, with one answer of it made wrong.
    #[test]
    fn one_wrong_answer_in_a_long_history_is_found() {
        let mut ops = Vec::new();
        for n in 0..2_000 {
            let (agent, at) = (format!("a{}", n % 8), n * 10);
            ops.push(granted(&agent, &n.to_string(), n + 1, at, at + 5));
            ops.push(held_by("other", &agent, at + 6, at + 7));
            ops.push(released(&agent, &n.to_string(), at + 6, at + 12));
        }
        explain(&ops).unwrap();
        ops[3_001].answer = Answer::HeldBy("nobody".into());
        assert!(explain(&ops).unwrap_err().contains("nobody"));
    }
}
