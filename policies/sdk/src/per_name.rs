//! What names mean to a policy, worked out once for each distinct name instead of once a row.

use std::cell::{Ref, RefCell};
use std::fmt;

use crate::column::ColumnId;

/// The form in which names are compared: trimmed and lower-cased, as GitHub compares them.
pub fn name_key(name: &str) -> String {
    name.trim().to_lowercase()
}

/// What one name means.
type Meaning<T> = dyn Fn(&str) -> Option<T>;

/// What a name (a label, a login, a milestone, a repository) means to a policy, if anything: a
/// weight, a tier, membership in a set. Facts share their names, so the question is put once for each
/// name of a column, however many rows have it; a row then costs an array access.
///
/// Make it in [`Ranker::new`](crate::Ranker::new) and keep it: it forgets by itself with every call. Use
/// one for one column: asked about two in turns, it works all names out again each time.
pub struct PerName<T> {
    meaning: Box<Meaning<T>>,
    resolved: RefCell<(Option<ColumnId>, Vec<Option<T>>)>,
}

/// A set of names.
pub type NameSet = PerName<()>;

/// A weight for each of some names.
pub type NameWeights = PerName<f64>;

impl<T: Copy> PerName<T> {
    /// Asks `meaning` of each name, as GitHub spells it; [`name_key`] gives the form to compare.
    /// The answer must depend on the name alone.
    pub fn new(meaning: impl Fn(&str) -> Option<T> + 'static) -> Self {
        Self { meaning: Box::new(meaning), resolved: RefCell::default() }
    }

    /// Gives each of `entries` its meaning, whatever its case; of equal names the first counts.
    pub fn of<N: AsRef<str>>(entries: impl IntoIterator<Item = (N, T)>) -> Self
    where
        T: 'static,
    {
        let mut known: Vec<_> = entries.into_iter().map(|(name, meaning)| (name_key(name.as_ref()), meaning)).collect();
        known.sort_by(|(a, _), (b, _)| a.cmp(b));
        known.dedup_by(|(a, _), (b, _)| a == b);
        Self::new(move |name| {
            let at = known.binary_search_by(|(known, _)| known.as_str().cmp(&name_key(name))).ok()?;
            Some(known[at].1)
        })
    }

    /// The meaning of one name.
    pub fn get(&self, name: &str) -> Option<T> {
        (self.meaning)(name)
    }

    /// The meaning of every name of a column.
    pub(crate) fn resolved(&self, column: ColumnId, names: &[String]) -> Ref<'_, Vec<Option<T>>> {
        if self.resolved.borrow().0 != Some(column) {
            self.resolve(column, names);
        }
        Ref::map(self.resolved.borrow(), |(_, resolved)| resolved)
    }

    #[cold]
    fn resolve(&self, column: ColumnId, names: &[String]) {
        let mut kept = self.resolved.borrow_mut();
        kept.0 = Some(column);
        kept.1.clear();
        kept.1.extend(names.iter().map(|name| (self.meaning)(name)));
    }
}

impl NameSet {
    /// The set of these names, whatever their case.
    pub fn set<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::of(names.into_iter().map(|name| (name, ())))
    }
}

impl<T> fmt::Debug for PerName<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PerName").finish_non_exhaustive()
    }
}

/// Whether `text` fits `pattern`, in which `*` stands for any characters, none included, and `?` for
/// one. Both are compared as they are: bring them to one case first. Takes time in proportion to the
/// product of both lengths at worst.
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // Where to go back to: behind the last star, and the first character it has not swallowed yet.
    let mut star = None;
    loop {
        let mut ahead = text.clone();
        match (pattern.next(), ahead.next()) {
            (Some('*'), _) => {
                star = Some((pattern.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => {}
            (Some(wanted), Some(found)) if wanted == found => {}
            (None, None) => return true,
            (_, None) => return false,
            _ => {
                let Some((behind, from)) = &mut star else { return false };
                from.next();
                (pattern, text) = (behind.clone(), from.clone());
                continue;
            }
        }
        text = ahead;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;
    use crate::testing::{candidate, candidates};

    #[test]
    fn names_compare_trimmed_and_without_case() {
        let weights = NameWeights::of([(" Bug ", 3.0), ("bug", 5.0), ("docs", 1.0)]);
        assert_eq!(weights.get("BUG"), Some(3.0), "the first of equal names counts");
        assert_eq!(weights.get(" docs"), Some(1.0));
        assert_eq!(weights.get("doc"), None);
    }

    #[test]
    fn a_name_is_judged_once_however_many_rows_have_it() {
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let set = PerName::new(move |name| {
            count.set(count.get() + 1);
            (name == "bug").then_some(())
        });
        let facts = candidates([candidate().label("bug"), candidate().label("bug").label("docs"), candidate()]);
        let hits: Vec<_> = facts.iter().map(|c| c.has_label_in(&set)).collect();
        assert_eq!(hits, [true, true, false]);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn one_meaning_serves_several_columns_and_calls() {
        let set = NameSet::set(["kim"]);
        let first = candidates([candidate().author("Kim").label("x"), candidate().author("x").label("kim")]);
        let second = candidates([candidate().author("ada"), candidate().author("KIM")]);
        for _ in 0..2 {
            let seen: Vec<_> = first.iter().map(|c| (c.has_author_in(&set), c.has_label_in(&set))).collect();
            assert_eq!(seen, [(true, false), (false, true)]);
            let seen: Vec<_> = second.iter().map(|c| c.has_author_in(&set)).collect();
            assert_eq!(seen, [false, true]);
        }
    }

    #[test]
    fn globs_know_star_and_question_mark_only() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "any"),
            ("area/*", "area/"),
            ("area/*", "area/ui"),
            ("*-api", "acme/the-api"),
            ("a*b*c", "axxbyybzc"),
            ("p?", "p1"),
            ("é?", "éü"),
            ("a.b[c]", "a.b[c]"),
        ] {
            assert!(glob_matches(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in
            [("", "a"), ("area/*", "areas"), ("p?", "p"), ("p?", "p10"), ("a*b", "a"), ("a.b", "axb"), ("*a", "b")]
        {
            assert!(!glob_matches(pattern, text), "{pattern} should not match {text}");
        }
    }
}
