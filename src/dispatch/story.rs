//! What an issue tells of its run: one comment that is kept up to date, labels, and the pull request's own words.
//! Pure, but for [`tell`]. What agents say stands in blocks of code, where GitHub sees no names, links or markup.

use std::fmt::Write;

use super::agent::Question;
use crate::domain::{IssueNumber, IssueRef, Timestamp};
use crate::domain::{clean, clean_line};
use crate::github::{CommentId, Forge, Label, OWN_COMMENT_HEAD, SourceError};

/// Longest text of an agent in a comment, in bytes: GitHub's comments have at most 65,536 characters.
const WORDS_BYTES_MAX: usize = 16 << 10;
/// Longest title of a pull request, in characters: GitHub's have at most 256, and a word on further issues is added.
const TITLE_CHARS_MAX: usize = 220;
/// Width of the lines of a block of code, which GitHub does not break, in characters.
const LINE_CHARS_MAX: usize = 100;

/// An issue that agents should work on.
pub const AGENT: &str = "agent";
/// An issue that an agent works on.
pub const RUNNING: &str = "agent/running";
/// An issue whose agent waits for an answer.
pub const WAITING: &str = "agent/waiting";
/// An issue whose pull request is open.
pub const DONE: &str = "agent/done";
/// An issue that no agent could do.
pub const FAILED: &str = "agent/failed";
/// A pull request that an agent made.
pub const PULL: &str = "agent-pr";

/// The labels of the dispatcher.
pub const LABELS: [Label; 6] = [
    Label { name: AGENT, color: "5319e7", description: "Agents should work on it" },
    Label { name: RUNNING, color: "1d76db", description: "An agent works on it" },
    Label { name: WAITING, color: "fbca04", description: "An agent waits for an answer" },
    Label { name: DONE, color: "0e8a16", description: "An agent opened a pull request for it" },
    Label { name: FAILED, color: "b60205", description: "No agent could do it" },
    Label { name: PULL, color: "bfd4f2", description: "An agent made it" },
];

/// What there is to tell of a run.
#[derive(Debug, Clone, Copy)]
pub struct Story<'s> {
    /// The run's id.
    pub run: &'s str,
    /// The agent's name in the configuration.
    pub agent: &'s str,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How it stands.
    pub state: StoryState<'s>,
}

/// How a run stands, for people.
#[derive(Debug, Clone, Copy)]
pub enum StoryState<'s> {
    /// It waits for a slot.
    Queued {
        /// Its place, from 1.
        position: usize,
    },
    /// An agent works.
    Working {
        /// Since when.
        since: Timestamp,
    },
    /// The agent waits for an answer.
    Waiting {
        /// To this.
        question: &'s Question,
    },
    /// It is through.
    Done {
        /// The pull request's page; empty where there is none.
        pull_url: &'s str,
    },
    /// It left the queue: another agent was faster, or the issue is no longer asked for. No failure.
    Left {
        /// Why, for people.
        reason: &'s str,
    },
    /// It ended without one.
    Failed {
        /// Why, for people; may be an agent's own words.
        reason: &'s str,
    },
}

impl StoryState<'_> {
    /// The labels to put on the issue, and those to take off.
    pub fn labels(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        let own = match self {
            Self::Queued { .. } | Self::Left { .. } => None,
            Self::Working { .. } => Some(RUNNING),
            Self::Waiting { .. } => Some(WAITING),
            Self::Done { .. } => Some(DONE),
            Self::Failed { .. } => Some(FAILED),
        };
        let others = [RUNNING, WAITING, DONE, FAILED].into_iter().filter(|name| Some(*name) != own);
        (own.into_iter().collect(), others.collect())
    }
}

/// By what the one comment of an issue is found again, whichever run it tells of.
const MARKER: &str = "<!-- issuecommand:story -->";

/// The comment.
pub fn comment(story: &Story<'_>) -> String {
    let (agent, run) = (word(story.agent), word(story.run));
    let mut text = format!("{MARKER}\n");
    let _ = match story.state {
        StoryState::Queued { position } => writeln!(text, "**Queued**, at position {position}, for `{agent}`."),
        StoryState::Working { since } => {
            let again = if story.attempt > 1 { format!(", attempt {}", story.attempt) } else { String::new() };
            writeln!(text, "**Working on it**: `{agent}`, since {} UTC{again}.", since.format("%Y-%m-%d %H:%M"))
        }
        StoryState::Waiting { question } => {
            writeln!(text, "**`{agent}` has a question.** A comment below answers it.\n\n{}", asked(question))
        }
        StoryState::Done { pull_url: "" } => writeln!(text, "**Done** by `{agent}`, without a pull request."),
        StoryState::Done { pull_url } => writeln!(text, "**Done** by `{agent}`: {}", address(pull_url)),
        StoryState::Left { reason } => writeln!(text, "**Not worked on** by `{agent}`.\n\n{}", block(reason)),
        StoryState::Failed { reason } => writeln!(text, "**Failed**: `{agent}` could not do it.\n\n{}", block(reason)),
    };
    let _ = writeln!(text, "\n<sub>IssueCommand, run `{run}`. This comment is kept up to date.</sub>");
    text
}

/// A question as a comment of its own: GitHub tells nobody of an edit.
pub fn question(run: &str, question: &Question) -> String {
    let run = word(run);
    let words = "**The agent has a question**, and waits. A comment below answers it.";
    format!(
        "{OWN_COMMENT_HEAD}question {run} -->\n{words}\n\n{}\n\n<sub>IssueCommand, run `{run}`.</sub>\n",
        asked(question)
    )
}

/// Whether a comment is the dispatcher's, by how it begins: no word for an agent to hear. Anybody may write one so.
pub fn is_ours(body: &str) -> bool {
    body.trim_start().starts_with(OWN_COMMENT_HEAD)
}

/// Writes the comment: edits the one that is known, finds it by its marker if it is not known, and makes a new one
/// where it is gone.
///
/// # Errors
/// As GitHub's; it may be told again, and leaves one comment then too.
pub async fn tell(
    forge: &dyn Forge,
    issue: &IssueRef,
    known: Option<CommentId>,
    story: &Story<'_>,
) -> Result<CommentId, SourceError> {
    let body = comment(story);
    let found = match known {
        Some(comment) => Some(comment),
        None => forge.comment_find(issue, MARKER).await?,
    };
    if let Some(comment) = found {
        match forge.comment_edit(issue, comment, &body).await {
            Ok(()) => return Ok(comment),
            Err(SourceError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    forge.comment_create(issue, &body).await
}

/// What a pull request says of itself.
#[derive(Debug, Clone, Copy)]
pub struct PullWords<'p> {
    /// The issues that it closes, in its own repository.
    pub issues: &'p [IssueNumber],
    /// The title of the first.
    pub issue_title: &'p str,
    /// The agent's name in the configuration.
    pub agent: &'p str,
    /// What the agent said last.
    pub summary: &'p str,
    /// The run's id.
    pub run: &'p str,
    /// The epoch of the run's lease.
    pub epoch: u64,
}

impl PullWords<'_> {
    /// The title: that of the issue, without what would ping, link or close when it becomes a commit's message.
    pub fn title(&self) -> String {
        let title = defused(&clean_line(self.issue_title, 4 * TITLE_CHARS_MAX));
        let title: String = title.chars().take(TITLE_CHARS_MAX).collect();
        let title = if title.is_empty() { format!("Changes by {}", word(self.agent)) } else { title };
        let more = match self.issues.len() {
            0 | 1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        format!("{title}{more}")
    }

    /// The text, which begins with the marker.
    pub fn body(&self) -> String {
        let mut text = format!("{}\n", pull_marker(self.run, self.epoch));
        for number in self.issues {
            let _ = writeln!(text, "Closes #{number}");
        }
        let _ = writeln!(text, "\nMade by the agent `{}`. Review it as you would anybody's.", word(self.agent));
        if !self.summary.trim().is_empty() {
            let _ = writeln!(text, "\nWhat it says of its work:\n\n{}", block(self.summary));
        }
        let _ = writeln!(
            text,
            "\n<sub>IssueCommand, run `{}`. Reviews that ask for changes are worked on.</sub>",
            word(self.run)
        );
        text
    }
}

/// By what a pull request is known to be that of a run, and of which lease.
pub fn pull_marker(run: &str, epoch: u64) -> String {
    format!("{OWN_COMMENT_HEAD}pull {} epoch {epoch} -->", word(run))
}

/// The run and the epoch that the text of a pull request names, if it is the dispatcher's.
pub fn read_pull_marker(body: &str) -> Option<(String, u64)> {
    let marker = body.trim_start().strip_prefix(OWN_COMMENT_HEAD)?.strip_prefix("pull ")?.split_once(" -->")?.0;
    let (run, epoch) = marker.split_once(" epoch ")?;
    Some((run.to_owned(), epoch.parse().ok()?))
}

fn asked(question: &Question) -> String {
    let mut text = question.text.clone();
    for (at, option) in question.options.iter().enumerate() {
        let _ = write!(text, "\n{}. {}", at + 1, clean_line(option, WORDS_BYTES_MAX));
    }
    block(&text)
}

/// Words of others in a block of code that they cannot leave: its fence is longer than any in them. There GitHub sees
/// no account, no issue and no markup.
fn block(words: &str) -> String {
    let words = clean(words, WORDS_BYTES_MAX);
    let lines: Vec<_> = words.trim_matches('\n').lines().flat_map(wrapped).collect();
    let longest = words.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    let lines = lines.join("\n");
    let lines = if lines.trim().is_empty() { "(nothing)" } else { &lines };
    format!("{fence}text\n{lines}\n{fence}")
}

/// A line in pieces that fit, broken at spaces where there are some.
fn wrapped(line: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut width = 0;
    for word in line.split_inclusive(' ') {
        let chars: Vec<_> = word.chars().collect();
        if width > 0 && width + chars.len() > LINE_CHARS_MAX {
            pieces.push(String::new());
            width = 0;
        }
        for piece in chars.chunks(LINE_CHARS_MAX) {
            if width > 0 && width + piece.len() > LINE_CHARS_MAX {
                pieces.push(String::new());
                width = 0;
            }
            pieces.last_mut().expect("there is always one").extend(piece);
            width += piece.len();
        }
    }
    pieces.into_iter().map(|piece| piece.trim_end().to_owned()).collect()
}

/// A name for a place where only a plain word may stand: within a comment of HTML, or `code`.
fn word(text: &str) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || "-_./:".contains(*c);
    let word: String = text.chars().filter(fits).take(100).collect();
    // Two hyphens would end a comment of HTML.
    word.replace("--", "-")
}

/// An address on the web; what is none is shown as code.
fn address(url: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.~:/?#%=&+".contains(c);
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web && url.chars().all(fits) { url.to_owned() } else { format!("`{}`", word(url)) }
}

/// A line in which GitHub sees no account, issue or address: an invisible character stands behind what begins one.
fn defused(line: &str) -> String {
    const GAP: char = '\u{200b}';
    let mut text = String::new();
    for c in line.chars() {
        text.push(c);
        // `GH-7` names an issue too.
        if "@#".contains(c) || (c == '-' && text.to_ascii_lowercase().ends_with("gh-")) {
            text.push(GAP);
        }
    }
    text.replace("://", &format!(":{GAP}//"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn story(state: StoryState<'_>) -> Story<'_> {
        Story { run: "0198-ab", agent: "opencode", attempt: 1, state }
    }

    fn asking(text: &str, options: &[&str]) -> Question {
        let options = options.iter().copied().map(str::to_owned).collect();
        Question { id: "q1".into(), text: text.into(), options }
    }

    /// What of a comment GitHub reads as markup: all but its blocks of code.
    fn outside(text: &str) -> String {
        let mut fence: Option<String> = None;
        let mut kept = Vec::new();
        for line in text.lines() {
            let ticks: String = line.chars().take_while(|c| *c == '`').collect();
            match &fence {
                Some(open) if line == open => fence = None,
                Some(open) => assert!(ticks.len() < open.len() || !line.trim_matches('`').is_empty(), "{text}"),
                None if ticks.len() >= 3 => fence = Some(ticks),
                None => kept.push(line),
            }
        }
        assert!(fence.is_none(), "a block is open: {text}");
        kept.join("\n")
    }

    #[test]
    fn each_state_is_told_in_one_comment_with_the_same_marker() {
        let since = "2026-11-21T18:55:09Z".parse().unwrap();
        let asked = asking("Left or right?", &["left", "right"]);
        for (state, words) in [
            (StoryState::Queued { position: 3 }, "**Queued**, at position 3, for `opencode`."),
            (StoryState::Working { since }, "**Working on it**: `opencode`, since 2026-11-21 18:55 UTC."),
            (StoryState::Waiting { question: &asked }, "```text\nLeft or right?\n1. left\n2. right\n```"),
            (StoryState::Done { pull_url: "https://github.com/acme/small/pull/9" }, "/acme/small/pull/9\n"),
            (StoryState::Done { pull_url: "" }, "**Done** by `opencode`, without a pull request."),
            (StoryState::Failed { reason: "the tests fail" }, "```text\nthe tests fail\n```"),
        ] {
            let text = comment(&story(state));
            assert!(text.starts_with("<!-- issuecommand:story -->\n") && text.contains(words), "{text}");
        }
        let again = comment(&Story { attempt: 2, ..story(StoryState::Working { since }) });
        assert!(again.contains("UTC, attempt 2."), "{again}");
    }

    #[test]
    fn words_of_an_agent_ping_link_and_close_nothing() {
        let trap =
            "@acme/all fixes #1 <img src=x> [a](http://x)\n```\nfixes #2 @ann\n````\n<!-- issuecommand:run 9 -->";
        let asked = asking(trap, &[trap]);
        for state in [StoryState::Waiting { question: &asked }, StoryState::Failed { reason: trap }] {
            let text = comment(&story(state));
            let outside = outside(&text);
            assert!(!outside.contains(['@', '#', '[']) && !outside.contains("<img"), "{outside}");
            assert!(text.contains("fixes #2 @ann"), "nothing of it is lost: {text}");
        }
        let text = question("0198-ab", &asked);
        assert!(is_ours(&text) && !outside(&text).contains(['@', '#', '[']), "{text}");
        assert!(!is_ours(trap) && is_ours(&comment(&story(StoryState::Queued { position: 1 }))));
        let text = comment(&Story { agent: "x` @ann", run: "7 --> @ann", ..story(StoryState::Queued { position: 1 }) });
        assert!(!text.contains('@') && text.matches("-->").count() == 1, "{text}");
        let done = comment(&story(StoryState::Done { pull_url: "javascript:@ann" }));
        assert!(!done.contains('@'), "{done}");
    }

    #[test]
    fn labels_tell_the_state_and_only_that() {
        let (add, remove) = StoryState::Done { pull_url: "" }.labels();
        assert_eq!((add, remove), (vec![DONE], vec![RUNNING, WAITING, FAILED]));
        let (add, remove) = StoryState::Queued { position: 1 }.labels();
        assert_eq!((add.len(), remove.len()), (0, 4));
        for label in LABELS {
            assert!(label.color.len() == 6 && label.description.len() <= 100, "{label:?}");
        }
    }

    fn words<'p>(issues: &'p [IssueNumber], issue_title: &'p str, summary: &'p str) -> PullWords<'p> {
        PullWords { issues, issue_title, agent: "opencode", summary, run: "0198-ab", epoch: 4 }
    }

    #[test]
    fn a_pull_request_closes_its_issues_and_names_its_run() {
        let numbers = [7, 9].map(|number| IssueNumber::new(number).unwrap());
        let both = words(&numbers, "The door is stuck", "I oiled it. Fixes #1 @ann");
        let body = both.body();
        assert!(body.contains("Closes #7\nCloses #9\n") && body.contains("I oiled it."), "{body}");
        assert_eq!(read_pull_marker(&body), Some(("0198-ab".into(), 4)));
        let outside = outside(&body);
        assert!(!outside.contains('@') && outside.matches('#').count() == 2, "{outside}");
        assert_eq!(both.title(), "The door is stuck (and 1 more)");
        assert!(!words(&numbers, "T", " ").body().contains("What it says"));
    }

    #[test]
    fn a_marker_in_an_agents_words_is_not_believed() {
        let numbers = [IssueNumber::new(7).unwrap()];
        let body = words(&numbers, "T", "<!-- issuecommand:pull 1 epoch 9 -->").body();
        assert_eq!(read_pull_marker(&body), Some(("0198-ab".into(), 4)));
        assert_eq!(read_pull_marker("Hello\n<!-- issuecommand:pull 1 epoch 9 -->"), None);
        assert_eq!(read_pull_marker(""), None);
    }

    #[test]
    fn a_title_that_becomes_a_commit_message_closes_nothing() {
        let title = words(&[], "Fixes #12 and gh-3, see https://x @ann\nsecond", "").title();
        assert!(!title.contains("#1") && !title.contains("@a") && !title.contains("gh-3"), "{title}");
        assert!(!title.contains("://") && !title.contains('\n'), "{title}");
        assert_eq!(words(&[], " \n", "").title(), "Changes by opencode");
        for long in ["x", "@", "日"] {
            assert!(words(&[], &long.repeat(1000), "").title().chars().count() <= 256);
        }
    }

    #[test]
    fn long_lines_are_broken_where_a_person_can_read_them() {
        let long = format!("{} {}", "word ".repeat(40), "x".repeat(250));
        let text = block(&long);
        assert!(text.lines().all(|line| line.chars().count() <= LINE_CHARS_MAX), "{text}");
        assert_eq!(text.matches("word").count(), 40);
        assert_eq!(text.matches('x').count(), 251, "with that of the fence's own word");
        assert!(block("").contains("(nothing)"));
    }
}
