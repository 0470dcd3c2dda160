//! Tables in a terminal, for all commands: as wide as their widest cells, and no wider than the terminal.

use std::fmt::{self, Write};

use anstyle::Style;
use issuecommand::domain::in_one_line;
use terminal_size::terminal_size_of;
use unicode_width::UnicodeWidthStr;

use super::output;

/// What stands before each row, and between two columns.
const INDENT: &str = "  ";
const GAP: &str = "  ";
/// What stands where a text was cut.
const CUT: &str = "…";
/// How narrow a column may become where the terminal is too narrow for all of it.
const COLUMN_WIDTH_MIN: usize = 6;

const HEAD: Style = Style::new().dimmed();

/// A column: its head, and how its cells stand in it.
#[derive(Debug, Clone)]
pub struct Column {
    head: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To the left; cut where nothing else can give way.
    Text,
    /// To the left; the first to be cut where the terminal is too narrow, and left out where it is narrower still.
    Long,
    /// To the left; the last to be cut, and in front: its end says which.
    Place,
    /// To the right, and never cut.
    Number,
    /// To the left, and never cut: the terminal breaks it.
    Whole,
}

/// A column of short texts: names, states.
pub fn text(head: &str) -> Column {
    Column { head: head.to_owned(), kind: Kind::Text }
}

/// A column of long texts, such as titles.
pub fn long(head: &str) -> Column {
    Column { head: head.to_owned(), kind: Kind::Long }
}

/// A column of issues and other places, which end in what tells them apart.
pub fn place(head: &str) -> Column {
    Column { head: head.to_owned(), kind: Kind::Place }
}

/// A column of numbers and times.
pub fn number(head: &str) -> Column {
    Column { head: head.to_owned(), kind: Kind::Number }
}

/// A column of what is of no use when it is cut: addresses, digests, settings.
pub fn whole(head: &str) -> Column {
    Column { head: head.to_owned(), kind: Kind::Whole }
}

/// What stands in one place.
#[derive(Debug, Clone)]
pub struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A text in a style. Texts of others are among the cells: none steers the terminal.
    pub fn styled(text: &str, style: Style) -> Self {
        Self { text: in_one_line(text), style }
    }

    /// What it says.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How it stands out.
    pub fn style(&self) -> Style {
        self.style
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::styled(text, Style::new())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// Rows of cells below a head.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table of these columns; without any head it has no row for them.
    pub fn of(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// A table of numbers.
    pub fn of_numbers(heads: &[&str]) -> Self {
        Self::of(heads.iter().map(|head| number(head)))
    }

    /// A list of names and what they stand for.
    pub fn of_facts() -> Self {
        Self::of([whole(""), whole("")])
    }

    /// One row more.
    pub fn row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// One row more that stands out.
    pub fn marked_row<C: Into<Cell>>(&mut self, style: Style, cells: impl IntoIterator<Item = C>) {
        let marked = |cell: C| Cell { style, ..cell.into() };
        self.rows.push(cells.into_iter().map(marked).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Prints it: as wide as the terminal at most, and whole where standard output is none.
    pub fn print(&self) {
        output::print(self.fitted());
    }

    /// The same as a text.
    pub fn fitted(&self) -> String {
        self.within(terminal_size_of(std::io::stdout()).map(|(width, _)| width.0.into()))
    }

    fn within(&self, room: Option<usize>) -> String {
        let mut told = String::new();
        for line in self.lines(room) {
            for Cell { text, style } in line {
                // Writing into a string does not fail.
                _ = write!(told, "{style}{text}{style:#}");
            }
            told.push('\n');
        }
        told
    }

    /// The table in lines of at most `room` columns of the terminal; each line is its parts, with what is between them.
    pub fn lines(&self, room: Option<usize>) -> Vec<Vec<Cell>> {
        let widths = self.widths(room);
        let heads = self.columns.iter().map(|column| Cell::styled(&column.head, HEAD)).collect();
        let head = Some(&heads).filter(|_| self.columns.iter().any(|column| !column.head.is_empty()));
        head.into_iter().chain(&self.rows).map(|row| self.line(row, &widths)).collect()
    }

    fn line(&self, row: &[Cell], widths: &[usize]) -> Vec<Cell> {
        // Nothing stands to the right of the last cell, spaces neither.
        let count = row.iter().rposition(|cell| !cell.text.is_empty()).map_or(0, |last| last + 1);
        let mut line = Vec::with_capacity(2 * count);
        let mut between = INDENT.to_owned();
        for ((cell, width), column) in row[..count].iter().zip(widths).zip(&self.columns) {
            if *width == 0 && column.kind == Kind::Long {
                continue;
            }
            let text = match column.kind {
                Kind::Place => cut_in_front(&cell.text, *width),
                _ => cut(&cell.text, *width),
            };
            let padding = " ".repeat(width.saturating_sub(text.width()));
            let (before, after) = match column.kind {
                Kind::Number => (padding.as_str(), ""),
                Kind::Text | Kind::Long | Kind::Place | Kind::Whole => ("", padding.as_str()),
            };
            line.push(Cell { text: between + before, style: Style::new() });
            line.push(Cell { text, style: cell.style });
            between = format!("{after}{GAP}");
        }
        line
    }

    /// How wide each column is within `room`: long texts give way first, then other texts, places last, numbers never.
    fn widths(&self, room: Option<usize>) -> Vec<usize> {
        let widest = |place: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            cells.map(|cell| cell.text.width()).chain([column.head.width()]).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> =
            self.columns.iter().enumerate().map(|(place, column)| widest(place, column)).collect();
        let Some(room) = room else { return widths };
        let gaps = INDENT.len() + GAP.len() * widths.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(room);
        for kind in [Kind::Long, Kind::Text, Kind::Place] {
            while excess > 0 {
                let places = (0..widths.len()).filter(|place| self.columns[*place].kind == kind);
                let Some(widest) = places.max_by_key(|place| widths[*place]) else { break };
                if widths[widest] > COLUMN_WIDTH_MIN {
                    widths[widest] -= 1;
                    excess -= 1;
                } else if kind == Kind::Long && widths[widest] > 0 {
                    excess = excess.saturating_sub(widths[widest] + GAP.len());
                    widths[widest] = 0;
                } else {
                    break;
                }
            }
        }
        widths
    }
}

/// The table as it is where nothing bounds it.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.within(None))
    }
}

/// A text within so many columns of the terminal.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(CUT.width());
    let ends = text.char_indices().map(|(at, _)| at);
    let end = ends.take_while(|end| text[..*end].width() <= room).last().unwrap_or(0);
    format!("{}{CUT}", text[..end].trim_end())
}

/// The same, of which the end stays.
fn cut_in_front(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let room = width.saturating_sub(CUT.width());
    let begins = text.char_indices().map(|(at, _)| at);
    let begin = begins.into_iter().find(|begin| text[*begin..].width() <= room).unwrap_or(text.len());
    format!("{CUT}{}", &text[begin..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn claims() -> Table {
        let mut table = Table::of([text("agent"), number("held"), long("title")]);
        table.row(["alice", "3m", "Cart forgets its currency when the page is reloaded"]);
        table.row(["bob", "12h", "Short"]);
        table
    }

    #[test]
    fn columns_align_numbers_to_the_right_and_no_line_ends_in_spaces() {
        let lines = [
            "  agent  held  title",
            "  alice    3m  Cart forgets its currency when the page is reloaded",
            "  bob     12h  Short",
        ];
        assert_eq!(plain(&claims().to_string()), lines.map(|line| format!("{line}\n")).concat());
        let mut gaps = Table::of([text("a"), text("b"), number("n")]);
        gaps.row(["x", "", ""]);
        gaps.row(["", "", ""]);
        assert_eq!(plain(&gaps.to_string()), "  a  b  n\n  x\n\n");
    }

    #[test]
    fn a_narrow_terminal_cuts_titles_first_then_names_and_never_numbers() {
        let lines = ["  agent  held  title", "  alice    3m  Cart forgets its…", "  bob     12h  Short"];
        assert_eq!(plain(&claims().within(Some(33))), lines.map(|line| format!("{line}\n")).concat());
        let mut names = Table::of([text("a-long-name"), number("count"), long("title")]);
        names.row(["somebody-else", "1234567", "A title"]);
        assert_eq!(plain(&names.within(Some(25))), "  a-long-name      count\n  somebody-else  1234567\n");
        assert_eq!(plain(&names.within(Some(20))), "  a-long-n…    count\n  somebody…  1234567\n");
        for line in plain(&claims().within(Some(30))).lines() {
            assert!(line.width() <= 30, "{line}");
        }
    }

    #[test]
    fn a_terminal_narrower_still_leaves_titles_out_and_keeps_what_tells_places_apart() {
        let mut table = Table::of([whole("claim"), text("agent"), place("issue"), number("held"), long("title")]);
        table.row(["7fdad2cb", "ada-1", "acme/webshop#1042", "11m", "Cart forgets its currency"]);
        let told = |room| plain(&table.within(Some(room)));
        assert_eq!(
            told(47),
            "  claim     agent  issue              held\n  7fdad2cb  ada-1  acme/webshop#1042   11m\n"
        );
        assert_eq!(told(35), "  claim     agent  issue       held\n  7fdad2cb  ada-1  …shop#1042   11m\n");
    }

    #[test]
    fn wide_characters_count_as_the_columns_they_take() {
        let mut table = Table::of([long("title"), text("by")]);
        table.row(["日本語の題名", "a"]);
        table.row(["plain", "b"]);
        assert_eq!(plain(&table.to_string()), "  title         by\n  日本語の題名  a\n  plain         b\n");
        assert_eq!(
            (cut("日本語", 5).as_str(), cut("日本語", 4).as_str(), cut("abc", 3).as_str()),
            ("日本…", "日…", "abc")
        );
    }

    #[test]
    fn what_others_wrote_steers_no_terminal() {
        let mut table = Table::of_facts();
        table.row(["title", "a\u{1b}[2Jb\u{202e}c\nd"]);
        assert_eq!(plain(&table.to_string()), "  title  a [2Jb c d\n");
    }
}
