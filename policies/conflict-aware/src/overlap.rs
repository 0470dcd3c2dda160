//! How far two pieces of work are likely to touch the same places.

/// So many of the places that an issue is likely to touch are looked at, the most likely first: the rest is
/// too much of a guess, and an agent waits.
const AREA_COUNT_MAX: usize = 8;
/// What each place further down the list counts, by the one before it.
const NEXT_AREA_FACTOR: f64 = 0.8;
/// What sharing a folder counts, by what being the same or lying within counts.
const SIBLING_FACTOR: f64 = 0.5;
/// Less than this is none: everything shares `src/`.
const OVERLAP_MIN: f64 = 0.2;

/// Files and folders that a piece of work is likely to touch, each split into its parts.
#[derive(Debug)]
pub struct Places<'a>(Vec<(&'a str, Vec<&'a str>)>);

impl<'a> Places<'a> {
    /// The places of these paths, the most likely first.
    pub fn of(paths: impl Iterator<Item = &'a str>) -> Self {
        let split = |path: &'a str| (path, path.split('/').filter(|part| !part.is_empty()).collect());
        Self(paths.take(AREA_COUNT_MAX).map(split).collect())
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How far this work and `other` are likely to touch the same places, from 0 to 1, and the place of this
    /// work where it is the most; `None` where it is nothing to speak of.
    pub fn overlap(&self, other: &Self) -> Option<(f64, &'a str)> {
        let mut most: Option<(f64, &'a str)> = None;
        let mut own_factor = 1.0;
        for (path, parts) in &self.0 {
            let mut factor = own_factor;
            for (_, other_parts) in &other.0 {
                let overlap = factor * overlap(parts, other_parts);
                if overlap >= OVERLAP_MIN && most.is_none_or(|(known, _)| overlap > known) {
                    most = Some((overlap, path));
                }
                factor *= NEXT_AREA_FACTOR;
            }
            own_factor *= NEXT_AREA_FACTOR;
        }
        most
    }
}

/// How far two paths are the same place: 1 for the same, the shared part of the deeper one where one lies
/// within the other, half of that where they merely lie in one folder.
fn overlap(a: &[&str], b: &[&str]) -> f64 {
    let shared = a.iter().zip(b).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
    let deeper = a.len().max(b.len());
    if shared == 0 {
        return 0.0;
    }
    let part = shared as f64 / deeper as f64;
    if shared == a.len().min(b.len()) { part } else { part * SIBLING_FACTOR }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlap(a: &[&str], b: &[&str]) -> Option<f64> {
        let (a, b) = (Places::of(a.iter().copied()), Places::of(b.iter().copied()));
        let there = a.overlap(&b).map(|(overlap, _)| overlap);
        assert_eq!(there, b.overlap(&a).map(|(overlap, _)| overlap), "it is the same from both sides");
        there
    }

    #[test]
    fn the_deeper_the_shared_path_the_more_it_counts() {
        assert_eq!(overlap(&["src/qt/a.cpp"], &["src/qt/a.cpp"]), Some(1.0));
        assert_eq!(overlap(&["src/qt/"], &["SRC/qt"]), Some(1.0));
        assert_eq!(overlap(&["src/qt/a.cpp"], &["src/qt/"]), Some(2.0 / 3.0));
        assert_eq!(overlap(&["src/qt/a.cpp"], &["src/qt/b.cpp"]), Some(1.0 / 3.0));
        assert_eq!(overlap(&["src/qt/a.cpp"], &["src/"]), Some(1.0 / 3.0));
        assert_eq!(overlap(&["src/qt/a.cpp"], &["src/net/b.cpp"]), None, "everything shares src/");
        assert_eq!(overlap(&["src/qt/a.cpp"], &["doc/qt/a.cpp"]), None);
        assert_eq!(overlap(&["src/qt/a.cpp"], &[]), None);
    }

    #[test]
    fn what_is_less_likely_counts_less() {
        assert_eq!(overlap(&["doc/x", "src/qt/a.cpp"], &["src/qt/a.cpp"]), Some(0.8));
        assert_eq!(overlap(&["doc/x", "src/qt/a.cpp"], &["web/y", "src/qt/a.cpp"]), Some(0.8 * 0.8));
        let mut long = vec!["other"; 8];
        long.push("src/qt/a.cpp");
        assert_eq!(overlap(&long, &["src/qt/a.cpp"]), None, "the ninth place is not looked at");
    }
}
