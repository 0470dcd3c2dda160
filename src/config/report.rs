//! What is wrong with a configuration, told like a compiler would: where, what, and what to do.

use std::fmt;
use std::io::Write;

use anstyle::{AnsiColor, Style};

/// Everything found wrong at once. Nothing of a secret's value is ever in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigReport {
    /// In the order of the file, then the environment; never empty.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named, or `environment`.
    pub file: String,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The column in characters, from 1.
    pub column: Option<usize>,
    /// The dotted key, or the variable's name; empty if the file as a whole is meant.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The line itself, with its secrets hidden, and how many characters of it are meant.
    pub excerpt: Option<(String, usize)>,
}

impl ConfigReport {
    /// Writes the report to standard error, in colour if that is a terminal.
    pub fn print(&self) {
        _ = write!(anstream::stderr(), "{}", Painted { report: self, palette: Palette::COLOURED });
    }

    /// The first problem in one line, for where there is room for no more.
    pub fn first(&self) -> String {
        let line = self.problems.first().map_or("the configuration is not valid".to_owned(), Problem::in_one_line);
        match self.problems.len() {
            0 | 1 => line,
            2 => format!("{line} (and one more problem)"),
            count => format!("{line} (and {} more problems)", count - 1),
        }
    }
}

impl std::error::Error for ConfigReport {}

impl fmt::Display for ConfigReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Painted { report: self, palette: Palette::PLAIN }.fmt(f)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, Palette::PLAIN)
    }
}

#[derive(Clone, Copy)]
struct Palette {
    place: Style,
    mark: Style,
    margin: Style,
}

impl Palette {
    const PLAIN: Self = Self { place: Style::new(), mark: Style::new(), margin: Style::new() };
    const COLOURED: Self = Self {
        place: Style::new().bold(),
        mark: AnsiColor::Red.on_default().bold(),
        margin: AnsiColor::Blue.on_default(),
    };
}

struct Painted<'r> {
    report: &'r ConfigReport,
    palette: Palette,
}

impl fmt::Display for Painted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.report.problems {
            problem.write(f, self.palette)?;
        }
        Ok(())
    }
}

impl Problem {
    /// Where, and what, without the line itself.
    pub fn in_one_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, palette: Palette) -> fmt::Result {
        let Palette { place, mark, margin } = palette;
        write!(f, "{place}{}", self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, "{place:#}: ")?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        writeln!(f, "{mark}{}{mark:#}", self.message)?;
        let number = self.line.map(|line| line.to_string()).unwrap_or_default();
        let gutter = " ".repeat(number.len());
        if let Some((text, width)) = &self.excerpt {
            let indent = " ".repeat(self.column.unwrap_or(1) - 1);
            let carets = "^".repeat((*width).max(1));
            writeln!(f, "{margin}{gutter} |{margin:#}")?;
            writeln!(f, "{margin}{number} |{margin:#} {text}")?;
            writeln!(f, "{margin}{gutter} |{margin:#} {indent}{mark}{carets}{mark:#}")?;
        }
        if let Some(hint) = &self.hint {
            writeln!(f, "{margin}{gutter} ={margin:#} {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem() -> Problem {
        Problem {
            file: "issuecommand.toml".into(),
            line: Some(12),
            column: Some(8),
            key: "server.port".into(),
            message: "expected a whole number".into(),
            hint: Some("3100 is the default".into()),
            excerpt: Some(("port = true".into(), 4)),
        }
    }

    #[test]
    fn a_problem_shows_its_line_with_a_caret_and_what_to_do() {
        let expected = "\
issuecommand.toml:12:8: server.port: expected a whole number
   |
12 | port = true
   |        ^^^^
   = 3100 is the default
";
        assert_eq!(problem().to_string(), expected);
    }

    #[test]
    fn where_there_is_room_for_one_line_it_is_that_of_the_first_problem() {
        let one = ConfigReport { problems: vec![problem()] };
        assert_eq!(one.first(), "issuecommand.toml:12:8: server.port: expected a whole number");
        let three = ConfigReport { problems: vec![problem(), Problem::default(), Problem::default()] };
        assert_eq!(three.first(), format!("{} (and 2 more problems)", one.first()));
    }

    #[test]
    fn colours_are_an_addition_and_nothing_else() {
        let report = ConfigReport { problems: vec![problem()] };
        let painted = Painted { report: &report, palette: Palette::COLOURED }.to_string();
        assert!(painted.contains("\u{1b}["), "{painted:?}");
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), report.to_string());
    }
}
