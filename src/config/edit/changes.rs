//! Making a part of a document say something else, by changing only what differs. Comments stay with the keys that
//! stay, and come along only with what is new or has none; lists and tables keep the shape in which they are written,
//! and a default that is not written stays so.

use serde_json::{Map, Value as Json};
use toml_edit::{Array, ArrayOfTables, Decor, InlineTable, Item, Table, TableLike, Value};

/// What stands before each entry of a list that takes a line for each.
const ON_A_LINE_OF_ITS_OWN: &str = "\n  ";

/// Which part of a configuration is written: that says which of what is in it are sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Candidate,
    Ranker,
    Stage,
    /// What a policy is told, to the last leaf.
    Settings,
}

impl Part {
    /// The section of its own that `key` is in this part, if it is one.
    fn section(self, key: &str) -> Option<Self> {
        match (self, key) {
            (Self::Candidate, "ranker") => Some(Self::Ranker),
            (Self::Ranker, "settings") => Some(Self::Settings),
            (Self::Ranker, "stage") => Some(Self::Stage),
            _ => None,
        }
    }

    /// What the value of `key` is.
    fn inner(self, key: &str) -> Self {
        self.section(key).unwrap_or(Self::Settings)
    }
}

/// What is to be said.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    /// With all defaults.
    pub(super) full: &'a Json,
    /// Without them.
    pub(super) short: &'a Json,
    /// As it stands elsewhere in the document, with its comments.
    pub(super) written: Option<&'a Item>,
}

impl<'a> Wanted<'a> {
    /// The same of one field; `None` where it is left at its default.
    fn field(self, key: &str, full: &'a Json) -> (Self, bool) {
        let short = self.short.get(key);
        let written = self.written.and_then(|item| item.get(key));
        (Self { full, short: short.unwrap_or(full), written }, short.is_some())
    }

    fn entry(self, place: usize) -> Self {
        let nothing = &Json::Null;
        Self {
            full: self.full.get(place).unwrap_or(nothing),
            short: self.short.get(place).unwrap_or(nothing),
            written: self.written.and_then(|item| item.get(place)),
        }
    }
}

/// Makes `item`, which says `was`, say what is wanted.
pub(super) fn say(item: &mut Item, was: &Json, wanted: Wanted<'_>, part: Part) {
    if was == wanted.full {
        return;
    }
    match (&mut *item, was, wanted.full) {
        (Item::Value(value), ..) => say_value(value, was, wanted, part),
        (Item::Table(table), Json::Object(was), Json::Object(full)) => {
            let written = wanted.written.and_then(Item::as_table).map(Table::decor);
            if let Some(decor) = written.filter(|decor| has_comment(decor) && !has_comment(table.decor())) {
                table.decor_mut().clone_from(decor);
            }
            say_fields(Fields { table, is_long: true }, was, full, wanted, part);
        }
        (Item::ArrayOfTables(tables), Json::Array(was), Json::Array(full))
            if !full.is_empty() && full.iter().all(Json::is_object) =>
        {
            say_sections(tables, was, full, wanted, part);
        }
        _ => *item = generated(wanted.short, part),
    }
}

fn say_value(value: &mut Value, was: &Json, wanted: Wanted<'_>, part: Part) {
    match (&mut *value, was, wanted.full) {
        (Value::InlineTable(table), Json::Object(was), Json::Object(full)) => {
            say_fields(Fields { table, is_long: false }, was, full, wanted, part);
        }
        (Value::Array(list), Json::Array(was), Json::Array(full)) => say_entries(list, was, full, wanted, part),
        _ => {
            let mut other = value_of(wanted.short);
            let written = wanted.written.and_then(Item::as_value).map(Value::decor);
            let written = written.filter(|decor| has_comment(decor) && !has_comment(value.decor()));
            *other.decor_mut() = written.unwrap_or(value.decor()).clone();
            *value = other;
        }
    }
}

/// A table, in the long form (`[a.b]`, a line a field) or in one line (`{ }`).
struct Fields<'t> {
    table: &'t mut dyn TableLike,
    is_long: bool,
}

fn say_fields(it: Fields<'_>, was: &Map<String, Json>, full: &Map<String, Json>, wanted: Wanted<'_>, part: Part) {
    let Fields { table, is_long } = it;
    for gone in was.keys().filter(|key| !full.contains_key(*key)) {
        table.remove(gone);
    }
    for (key, full) in full {
        let (field, is_told) = wanted.field(key, full);
        match table.get_mut(key) {
            // A stage that has its default name or weight again says nothing of it.
            Some(_) if part == Part::Stage && !is_told && was.get(key) != Some(full) => drop(table.remove(key)),
            Some(item) => say(item, was.get(key).unwrap_or(&Json::Null), field, part.inner(key)),
            None if is_told => insert(Fields { table: &mut *table, is_long }, key, field, wanted.written, part),
            None => {}
        }
    }
}

/// Adds a field: as it is written elsewhere, if it is in the long form there and here.
fn insert(it: Fields<'_>, key: &str, field: Wanted<'_>, written: Option<&Item>, part: Part) {
    let elsewhere = written.and_then(Item::as_table).and_then(|table| table.get_key_value(key));
    let Some((key, item)) = elsewhere.filter(|_| it.is_long) else {
        let mut item = match part.section(key) {
            Some(section) => generated(field.short, section),
            None if it.is_long => leaf(field.short),
            None => Item::Value(value_of(field.short)),
        };
        if !it.is_long {
            item.make_value();
        }
        it.table.insert(key, item);
        return;
    };
    let (mut key, mut item) = (key.clone(), item.clone());
    forget_places(&mut item);
    if let Item::Value(value) = &mut item {
        tidy(value.decor_mut());
    }
    tidy(key.leaf_decor_mut());
    it.table.entry_format(&key).or_insert(item);
}

/// Changes the entries of a list between those that it begins and ends with, and that stay.
fn say_entries(list: &mut Array, was: &[Json], full: &[Json], wanted: Wanted<'_>, part: Part) {
    let Differing { begin, was_count, count } = Differing::of(was, full);
    for (place, was) in was.iter().enumerate().skip(begin).take(was_count.min(count)) {
        if let Some(value) = list.get_mut(place) {
            say_value(value, was, wanted.entry(place), part);
        }
    }
    for _ in count..was_count {
        remove_entry(list, begin + count);
    }
    for place in begin + was_count..begin + count {
        let entry = wanted.entry(place);
        insert_entry(list, place, value_of(entry.short), entry.written.and_then(Item::as_value));
    }
}

fn say_sections(tables: &mut ArrayOfTables, was: &[Json], full: &[Json], wanted: Wanted<'_>, part: Part) {
    let Differing { begin, was_count, count } = Differing::of(was, full);
    for place in begin..begin + was_count.min(count) {
        if let (Some(table), Json::Object(was), Json::Object(full)) = (tables.get_mut(place), &was[place], &full[place])
        {
            say_fields(Fields { table, is_long: true }, was, full, wanted.entry(place), part);
        }
    }
    for _ in count..was_count {
        tables.remove(begin + count);
    }
    for place in begin + was_count..begin + count {
        let mut item = match wanted.entry(place) {
            Wanted { written: Some(Item::Table(written)), .. } => Item::Table(written.clone()),
            Wanted { short, .. } => generated(short, part),
        };
        forget_places(&mut item);
        if let Ok(table) = item.into_table() {
            tables.insert(place, table);
        }
    }
}

/// Where two lists differ, between what both begin with and what both end with.
struct Differing {
    begin: usize,
    was_count: usize,
    count: usize,
}

impl Differing {
    fn of(was: &[Json], full: &[Json]) -> Self {
        let begin = was.iter().zip(full).take_while(|(a, b)| a == b).count();
        let (was, full) = (&was[begin..], &full[begin..]);
        let end = was.iter().rev().zip(full.iter().rev()).take_while(|(a, b)| a == b).count();
        Self { begin, was_count: was.len() - end, count: full.len() - end }
    }
}

/// Takes an entry out of a list. A comment behind an entry on its line stands before the next one in the document,
/// and goes with its own.
fn remove_entry(list: &mut Array, place: usize) {
    let entry = list.remove(place);
    let before = first_line(prefix_of(&entry)).to_owned();
    match list.get_mut(place) {
        Some(next) => {
            let rest = format!("{before}{}", other_lines(prefix_of(next)));
            let kept = if prefix_of(next).contains('\n') { rest } else { prefix_of(&entry).to_owned() };
            next.decor_mut().set_prefix(kept);
        }
        None => {
            let behind = format!("{}{}", suffix_of(&entry), list.trailing().as_str().unwrap_or_default());
            let rest = if behind.contains('\n') { other_lines(&behind) } else { "\n" };
            let is_one_line = before.is_empty() && !behind.contains('\n');
            list.set_trailing(if list.is_empty() || is_one_line { String::new() } else { format!("{before}{rest}") });
        }
    }
}

/// Puts an entry into a list: on a line of its own where the others are, below the comments that it has elsewhere.
fn insert_entry(list: &mut Array, place: usize, mut entry: Value, written: Option<&Value>) {
    let has_lines = |text: &str| text.contains('\n');
    let trailing = list.trailing().as_str().unwrap_or_default().to_owned();
    let by_lines = has_lines(&trailing) || list.iter().any(|entry| has_lines(prefix_of(entry)));
    if !by_lines {
        // One line for all: the first begins as the first did, the others with a blank.
        let first = list.get(0).map(|first| prefix_of(first).to_owned()).unwrap_or_default();
        if let Some(next) = list.get_mut(place) {
            next.decor_mut().set_prefix(" ");
        }
        entry.decor_mut().set_prefix(if place == 0 { first } else { " ".to_owned() });
        list.insert_formatted(place, entry);
        return;
    }
    let indent = list.iter().map(prefix_of).find(|prefix| has_lines(prefix)).map_or(ON_A_LINE_OF_ITS_OWN, last_line);
    let (indent, at_end) = (indent.to_owned(), place >= list.len());
    let mut trailing = trailing;
    if at_end && let Some(last) = list.get_mut(place.wrapping_sub(1)) {
        let suffix = suffix_of(last).to_owned();
        last.decor_mut().set_suffix("");
        trailing.insert_str(0, &suffix);
    }
    let behind =
        if at_end { trailing } else { list.get(place).map_or_else(String::new, |it| prefix_of(it).to_owned()) };
    let above = written.map(|entry| other_lines(prefix_of(entry))).filter(|above| above.contains('#'));
    entry.decor_mut().set_prefix(format!("{}{}", first_line(&behind), above.unwrap_or(&indent)));
    let rest = other_lines(&behind).to_owned();
    if at_end {
        list.set_trailing_comma(true);
        list.set_trailing(if has_lines(&rest) { rest } else { "\n".to_owned() });
    } else if let Some(next) = list.get_mut(place) {
        next.decor_mut().set_prefix(rest);
    }
    list.insert_formatted(place, entry);
}

fn prefix_of(value: &Value) -> &str {
    value.decor().prefix().and_then(|text| text.as_str()).unwrap_or_default()
}

fn suffix_of(value: &Value) -> &str {
    value.decor().suffix().and_then(|text| text.as_str()).unwrap_or_default()
}

/// What belongs to the entry before: all up to the end of its line.
fn first_line(text: &str) -> &str {
    text.find('\n').map_or("", |end| &text[..end])
}

fn other_lines(text: &str) -> &str {
    text.find('\n').map_or(text, |end| &text[end..])
}

/// The last line's indentation, with the end of the line before.
fn last_line(text: &str) -> &str {
    text.rfind('\n').map_or(text, |begin| &text[begin..])
}

fn has_comment(decor: &Decor) -> bool {
    let parts = [decor.prefix(), decor.suffix()];
    parts.into_iter().flatten().any(|text| text.as_str().is_some_and(|text| text.contains('#')))
}

/// Blanks that belonged to another place go; comments stay.
fn tidy(decor: &mut Decor) {
    if !has_comment(decor) {
        decor.clear();
    }
}

/// Tables of another place stand where their parents do.
fn forget_places(item: &mut Item) {
    let of_table = |table: &mut Table| {
        table.set_position(None);
        table.iter_mut().for_each(|(_, item)| forget_places(item));
    };
    match item {
        Item::Table(table) => of_table(table),
        Item::ArrayOfTables(tables) => tables.iter_mut().for_each(of_table),
        _ => {}
    }
}

/// A part of a configuration in the form in which people write it.
pub(super) fn generated(short: &Json, part: Part) -> Item {
    match short {
        Json::Object(fields) => Item::Table(section_of(fields, part)),
        Json::Array(entries) if part == Part::Stage => {
            let sections = entries.iter().filter_map(Json::as_object).map(|fields| section_of(fields, part));
            Item::ArrayOfTables(sections.collect())
        }
        leaf_value => leaf(leaf_value),
    }
}

fn section_of(fields: &Map<String, Json>, part: Part) -> Table {
    let mut table = Table::new();
    table.set_implicit(!fields.is_empty());
    for (key, value) in fields {
        let item = match part.section(key) {
            Some(inner) => generated(value, inner),
            None => leaf(value),
        };
        table.insert(key, item);
    }
    table
}

/// A value behind its key: a list of several tables takes a line for each.
fn leaf(json: &Json) -> Item {
    let mut value = value_of(json);
    if let (Value::Array(list), Json::Array(entries)) = (&mut value, json)
        && entries.len() > 1
        && entries.iter().all(Json::is_object)
    {
        list.iter_mut().for_each(|entry| entry.decor_mut().set_prefix(ON_A_LINE_OF_ITS_OWN));
        list.set_trailing_comma(true);
        list.set_trailing("\n");
    }
    Item::Value(value)
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Bool(value) => (*value).into(),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => whole.into(),
            None => number.as_f64().unwrap_or_default().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(entries) => entries.iter().map(value_of).collect::<Array>().into(),
        Json::Object(fields) => {
            let fields = fields.iter().filter(|(_, value)| !value.is_null());
            fields.map(|(key, value)| (key.as_str(), value_of(value))).collect::<InlineTable>().into()
        }
        Json::Null => unreachable!("settings without a form in TOML are refused before anything is written"),
    }
}
