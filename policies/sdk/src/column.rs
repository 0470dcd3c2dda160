//! Columns of facts: each is pulled from the host when it is first read, once per call.

use std::cell::{Cell, OnceCell};

use crate::per_name::PerName;
use crate::wit::types::{LabelTable, TextColumn};

/// Tells one column of one call from every other, so that what was worked out for its names is
/// never taken for another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ColumnId(u64);

impl ColumnId {
    fn fresh() -> Self {
        thread_local!(static LAST: Cell<u64> = const { Cell::new(0) });
        Self(LAST.replace(LAST.get() + 1) + 1)
    }
}

/// What is pulled when it is first read.
#[derive(Debug)]
pub(crate) struct Pulled<T>(OnceCell<T>);

/// A column of anything: values of one kind, one a row.
pub(crate) type Column<T> = Pulled<Vec<T>>;

impl<T> Pulled<T> {
    /// Reads it. Rows are read in loops, so that this is to be a look at memory in all rounds but the first.
    #[inline]
    pub(crate) fn get_or_init(&self, pull: impl FnOnce() -> T) -> &T {
        match self.0.get() {
            Some(pulled) => pulled,
            None => self.pull(pull),
        }
    }

    #[cold]
    #[inline(never)]
    fn pull(&self, pull: impl FnOnce() -> T) -> &T {
        self.0.get_or_init(pull)
    }
}

impl<T> Default for Pulled<T> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<T> From<T> for Pulled<T> {
    fn from(here: T) -> Self {
        Self(here.into())
    }
}

/// A column of texts that repeat.
#[derive(Debug, Default)]
pub(crate) struct Texts(Pulled<(ColumnId, TextColumn)>);

impl Texts {
    /// A column that is already here, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of<S: AsRef<str>>(rows: impl IntoIterator<Item = S>) -> Self {
        let mut column = TextColumn { names: Vec::new(), ids: Vec::new() };
        for text in rows {
            column.ids.push(intern(&mut column.names, text.as_ref()));
        }
        Self((ColumnId::fresh(), column).into())
    }

    #[inline]
    fn get(&self, pull: fn() -> TextColumn) -> &(ColumnId, TextColumn) {
        self.0.get_or_init(|| (ColumnId::fresh(), pull()))
    }

    /// The text of a row.
    pub(crate) fn row(&self, row: usize, pull: fn() -> TextColumn) -> &str {
        let (_, column) = self.get(pull);
        &column.names[column.ids[row] as usize]
    }

    /// What `meaning` says of the text of a row.
    pub(crate) fn lookup<T: Copy>(&self, row: usize, pull: fn() -> TextColumn, meaning: &PerName<T>) -> Option<T> {
        let (id, column) = self.get(pull);
        meaning.resolved(*id, &column.names)[column.ids[row] as usize]
    }
}

/// A column of lists of texts that repeat.
#[derive(Debug, Default)]
pub(crate) struct TextLists(Pulled<(ColumnId, LabelTable)>);

impl TextLists {
    /// A column that is already here, for tests.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn of<'a>(rows: impl IntoIterator<Item = &'a [String]>) -> Self {
        let mut table = LabelTable { names: Vec::new(), starts: vec![0], ids: Vec::new() };
        for texts in rows {
            for text in texts {
                table.ids.push(intern(&mut table.names, text));
            }
            table.starts.push(table.ids.len() as u32);
        }
        Self((ColumnId::fresh(), table).into())
    }

    #[inline]
    fn get(&self, row: usize, pull: fn() -> LabelTable) -> (ColumnId, &LabelTable, &[u32]) {
        let (id, table) = self.0.get_or_init(|| (ColumnId::fresh(), pull()));
        (*id, table, &table.ids[table.starts[row] as usize..table.starts[row + 1] as usize])
    }

    /// The texts of a row.
    pub(crate) fn row(&self, row: usize, pull: fn() -> LabelTable) -> impl Iterator<Item = &str> {
        let (_, table, ids) = self.get(row, pull);
        ids.iter().map(|id| table.names[*id as usize].as_str())
    }

    /// Folds what `meaning` says of each text of a row.
    pub(crate) fn fold<T: Copy, A>(
        &self,
        row: usize,
        pull: fn() -> LabelTable,
        meaning: &PerName<T>,
        start: A,
        mut fold: impl FnMut(A, T) -> A,
    ) -> A {
        let (id, table, ids) = self.get(row, pull);
        if ids.is_empty() {
            return start;
        }
        let resolved = meaning.resolved(id, &table.names);
        ids.iter().filter_map(|id| resolved[*id as usize]).fold(start, &mut fold)
    }
}

#[cfg(not(target_arch = "wasm32"))]
fn intern(names: &mut Vec<String>, text: &str) -> u32 {
    let known = names.iter().position(|name| name == text);
    known.unwrap_or_else(|| {
        names.push(text.to_owned());
        names.len() - 1
    }) as u32
}
