//! Rows turned into the columns that policies pull.

use std::collections::HashMap;

use rustc_hash::FxHashMap;

use super::bindings::ranker::issuecommand::policy::types::{LabelTable, TextColumn};

/// Gives each distinct text a number. Texts of many rows are mostly shared, so an address that was
/// seen before settles it without reading the text; equal texts at different addresses still get one
/// number, by a second look-up. That one keeps the hasher that withstands chosen keys: logins and
/// labels come from strangers.
#[derive(Default)]
struct Dictionary<'a> {
    names: Vec<&'a str>,
    by_address: FxHashMap<(usize, usize), u32>,
    by_text: HashMap<&'a str, u32>,
    last: Option<(&'a str, u32)>,
}

impl<'a> Dictionary<'a> {
    fn id(&mut self, text: &'a str) -> u32 {
        // Both slices are alive, so the same address and length are the same text.
        if let Some((last, id)) = self.last
            && std::ptr::eq(last, text)
        {
            return id;
        }
        let address = (text.as_ptr() as usize, text.len());
        let id = match self.by_address.get(&address) {
            Some(id) => *id,
            None => self.new_address(address, text),
        };
        self.last = Some((text, id));
        id
    }

    #[cold]
    fn new_address(&mut self, address: (usize, usize), text: &'a str) -> u32 {
        let id = *self.by_text.entry(text).or_insert_with(|| {
            self.names.push(text);
            u32::try_from(self.names.len() - 1).expect("a call is about fewer than 2^32 texts")
        });
        self.by_address.insert(address, id);
        id
    }

    fn names(self) -> Vec<String> {
        self.names.into_iter().map(String::from).collect()
    }
}

/// One text a row.
pub(super) fn text_column<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> TextColumn {
    let mut dictionary = Dictionary::default();
    let ids = texts.map(|text| dictionary.id(text)).collect();
    TextColumn { names: dictionary.names(), ids }
}

/// Several texts a row.
pub(super) fn label_table<'a, T>(rows: impl ExactSizeIterator<Item = &'a [T]>) -> LabelTable
where
    T: AsRef<str> + 'a,
{
    let mut dictionary = Dictionary::default();
    let mut ids = Vec::new();
    let mut starts = Vec::with_capacity(rows.len() + 1);
    starts.push(0);
    for row in rows {
        ids.extend(row.iter().map(|text| dictionary.id(text.as_ref())));
        starts.push(u32::try_from(ids.len()).expect("a call is about fewer than 2^32 texts"));
    }
    LabelTable { names: dictionary.names(), starts, ids }
}

/// How much a policy takes when it pulls this.
pub(super) trait ByteCount {
    /// The bytes that are copied, about.
    fn byte_count(&self) -> usize;
}

impl ByteCount for u32 {
    fn byte_count(&self) -> usize {
        size_of::<u32>()
    }
}

impl ByteCount for String {
    fn byte_count(&self) -> usize {
        size_of::<Self>() + self.len()
    }
}

macro_rules! numbers_count_whole {
    ($($number:ty),*) => {$(
        impl ByteCount for Vec<$number> {
            fn byte_count(&self) -> usize {
                size_of_val(self.as_slice())
            }
        }
    )*};
}

numbers_count_whole!(bool, u32, u64, f64);

impl ByteCount for Vec<String> {
    fn byte_count(&self) -> usize {
        self.iter().map(ByteCount::byte_count).sum()
    }
}

impl ByteCount for TextColumn {
    fn byte_count(&self) -> usize {
        self.names.byte_count() + self.ids.byte_count()
    }
}

impl ByteCount for LabelTable {
    fn byte_count(&self) -> usize {
        self.names.byte_count() + self.starts.byte_count() + self.ids.byte_count()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn equal_texts_share_a_name_whether_or_not_they_share_memory() {
        let shared: Arc<str> = "bug".into();
        let twin: Arc<str> = "bug".into();
        let other: Arc<str> = "docs".into();
        let rows = [shared.clone(), other, twin, shared];
        let column = text_column(rows.iter().map(|text| &**text));
        assert_eq!(column.names, ["bug", "docs"]);
        assert_eq!(column.ids, [0, 1, 0, 0]);
    }

    #[test]
    fn parts_of_one_text_are_not_taken_for_the_whole() {
        let text = "abc";
        let column = text_column([text, &text[..2], &text[..0], ""].into_iter());
        assert_eq!(column.names, ["abc", "ab", ""]);
        assert_eq!(column.ids, [0, 1, 2, 2]);
    }

    proptest! {
        #[test]
        fn a_label_table_reads_back_as_the_rows_it_was_made_of(
            rows in prop::collection::vec(prop::collection::vec("[abc]{0,2}", 0..4), 0..20)
        ) {
            let table = label_table(rows.iter().map(Vec::as_slice));
            let read = |row: usize| -> Vec<&str> {
                let range = table.starts[row] as usize..table.starts[row + 1] as usize;
                table.ids[range].iter().map(|id| table.names[*id as usize].as_str()).collect()
            };
            prop_assert_eq!(table.starts.len(), rows.len() + 1);
            for (row, labels) in rows.iter().enumerate() {
                prop_assert_eq!(&read(row), labels);
            }
            let mut names = table.names.clone();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), table.names.len());
        }
    }
}
