//! Tables in a terminal: as wide as their widest cells, the first column to the left.

use std::fmt;

use issuecommand::domain::in_one_line;

/// Rows of cells below a head.
pub struct Table {
    rows: Vec<Vec<String>>,
    numbers: bool,
}

impl Table {
    /// A table of texts.
    pub fn of_texts(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(ToString::to_string).collect()], numbers: false }
    }

    /// A table of numbers, after the first column.
    pub fn of_numbers(head: &[&str]) -> Self {
        Self { numbers: true, ..Self::of_texts(head) }
    }

    /// One row more. Texts of others are among the cells: none steers the terminal.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| in_one_line(&cell)).collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let cell = |row: &[String], column: usize| row.get(column).map_or(0, |cell| cell.chars().count());
        let widths: Vec<usize> =
            (0..columns).map(|column| self.rows.iter().map(|row| cell(row, column)).max().unwrap_or(0)).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| match column {
                0 => format!("{cell:width$}"),
                _ if self.numbers => format!("{cell:>width$}"),
                _ => format!("{cell:width$}"),
            });
            writeln!(f, "  {}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
