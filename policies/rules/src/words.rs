//! The words of the table: which facts it looks at, and how.

use serde::Deserialize;

/// A fact of an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// Label names: any of them.
    Label,
    /// The title.
    Title,
    /// The text below the title.
    Body,
    /// The login of who opened it.
    Author,
    /// The author's relation to the repository, in GitHub's words.
    AuthorAssociation,
    /// Logins it is assigned to: any of them.
    Assignee,
    /// The milestone's title.
    Milestone,
    /// The repository, `owner/name`.
    Repo,
    /// Topics of the repository: any of them.
    Topic,
    /// Open issues that must be closed first, `owner/name#number`: any of them.
    BlockedBy,
    /// What became of a maintainer's approval.
    Approval,
    /// Files and folders that it is likely to touch: any of them.
    Area,
    /// Logins whose review it needs: any of them.
    Reviewer,
    /// How many comments.
    Comments,
    /// How many reactions.
    Reactions,
    /// Days since it was opened.
    AgeDays,
    /// Days since GitHub last saw a change.
    IdleDays,
}

impl Field {
    /// Its word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Label => "label",
            Self::Title => "title",
            Self::Body => "body",
            Self::Author => "author",
            Self::AuthorAssociation => "author_association",
            Self::Assignee => "assignee",
            Self::Milestone => "milestone",
            Self::Repo => "repo",
            Self::Topic => "topic",
            Self::BlockedBy => "blocked_by",
            Self::Approval => "approval",
            Self::Area => "area",
            Self::Reviewer => "reviewer",
            Self::Comments => "comments",
            Self::Reactions => "reactions",
            Self::AgeDays => "age_days",
            Self::IdleDays => "idle_days",
        }
    }

    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Self::Comments | Self::Reactions) || self.is_time()
    }

    /// Whether it is a number of days that grows by itself.
    pub fn is_time(self) -> bool {
        matches!(self, Self::AgeDays | Self::IdleDays)
    }

    /// The ways to ask about it, `each` and `decay` apart, which are no conditions.
    pub fn ops(self) -> &'static [Op] {
        match self {
            Self::Title | Self::Body => &[Op::Is, Op::IsNot, Op::Contains, Op::Glob, Op::Matches],
            field if field.is_number() => &[Op::AtLeast, Op::AtMost],
            _ => &[Op::Is, Op::IsNot, Op::Contains, Op::Glob, Op::Matches, Op::Present, Op::Absent],
        }
    }
}

/// How to look at a fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// It is one of the texts.
    Is,
    /// It is none of the texts.
    IsNot,
    /// One of the texts is part of it.
    Contains,
    /// It fits one of the patterns, with `*` and `?`.
    Glob,
    /// One of the regular expressions is found in it.
    Matches,
    /// There is one.
    Present,
    /// There is none.
    Absent,
    /// It is this number or more.
    AtLeast,
    /// It is this number or less.
    AtMost,
    /// For each one, up to `max_points`.
    Each,
    /// All of it at first, half of it after `half_life_days`, a quarter after two of them, and so on.
    Decay,
}

impl Op {
    /// Its word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is_not",
            Self::Contains => "contains",
            Self::Glob => "glob",
            Self::Matches => "matches",
            Self::Present => "present",
            Self::Absent => "absent",
            Self::AtLeast => "at_least",
            Self::AtMost => "at_most",
            Self::Each => "each",
            Self::Decay => "decay",
        }
    }
}
