//! Past work that is like new work: TF-IDF weights, cosine, an inverted index. How rare a term is is looked up
//! when it is asked for, so learning one more piece of work costs its own terms and nothing else.

use std::collections::{BTreeMap, VecDeque};

/// Terms that more than this share of all past work has say nothing about any of it.
const COMMON_SHARE: f64 = 0.4;
/// Past work below which no term counts as common.
const COMMON_COUNT_MIN: usize = 20;

/// Terms that two pieces of work must share: one alone is chance, however rare.
const SHARED_COUNT_MIN: u32 = 2;

/// Past work by its terms. Work has a number that grows; the oldest can be forgotten.
#[derive(Debug, Clone, Default)]
pub(super) struct Similar {
    postings: BTreeMap<String, VecDeque<u64>>,
    works: VecDeque<Vec<String>>,
    first: u64,
}

impl Similar {
    /// Takes in the terms of one more piece of work: sorted, each once.
    pub(super) fn push(&mut self, terms: Vec<String>) {
        let number = self.first + self.works.len() as u64;
        for term in &terms {
            self.postings.entry(term.clone()).or_default().push_back(number);
        }
        self.works.push_back(terms);
    }

    /// Forgets the oldest piece of work.
    pub(super) fn forget_oldest(&mut self) {
        let Some(terms) = self.works.pop_front() else { return };
        for term in terms {
            if let Some(posting) = self.postings.get_mut(&term) {
                posting.pop_front();
                if posting.is_empty() {
                    self.postings.remove(&term);
                }
            }
        }
        self.first += 1;
    }

    pub(super) fn len(&self) -> usize {
        self.works.len()
    }

    /// The pieces of work that are most like `terms`, as their place from the oldest and their cosine, the
    /// most alike first, then the newest; at most `count_max`, none below `cosine_min`.
    pub(super) fn nearest(&self, terms: &[String], count_max: usize, cosine_min: f64) -> Vec<(usize, f64)> {
        let length = |terms: &[String]| terms.iter().map(|term| self.weight(term).powi(2)).sum::<f64>().sqrt();
        let own_length = length(terms);
        let mut products = BTreeMap::<u64, (f64, u32)>::new();
        for term in terms {
            let Some(posting) = self.postings.get(term).filter(|posting| !self.is_common(posting.len())) else {
                continue;
            };
            let square = self.weight(term).powi(2);
            for number in posting {
                let (product, shared) = products.entry(*number).or_default();
                *product += square;
                *shared += 1;
            }
        }
        let mut near: Vec<(usize, f64)> = Vec::new();
        for (number, (product, shared)) in products {
            let place = usize::try_from(number - self.first).expect("as many as are kept");
            let cosine = product / (own_length * length(&self.works[place]));
            if shared >= SHARED_COUNT_MIN && cosine >= cosine_min {
                near.push((place, cosine));
            }
        }
        near.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0)));
        near.truncate(count_max);
        near
    }

    fn is_common(&self, count: usize) -> bool {
        self.works.len() >= COMMON_COUNT_MIN && count as f64 > COMMON_SHARE * self.works.len() as f64
    }

    /// How much a term says: the rarer the more; one that was never seen as much as one seen once.
    fn weight(&self, term: &str) -> f64 {
        let seen = self.postings.get(term).map_or(1, VecDeque::len).max(1) as f64;
        (1.0 + self.works.len() as f64 / seen).ln()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut terms: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        terms.sort();
        terms.dedup();
        terms
    }

    #[test]
    fn the_rarest_shared_word_decides() {
        let mut similar = Similar::default();
        for text in ["open wallet dialog", "close wallet dialog", "peers table sort", "wallet backup"] {
            similar.push(terms(text));
        }
        let near = similar.nearest(&terms("sort wallet dialog peers"), 4, 0.0);
        assert_eq!(near.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [2, 1, 0], "{near:?}");
        assert!((similar.nearest(&terms("peers table sort"), 1, 0.0)[0].1 - 1.0).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn what_is_forgotten_leaves_no_trace(
            works in prop::collection::vec("[a-f]{1,2}( [a-f]{1,2}){0,4}", 1..20),
            gone in 0usize..20,
            query in "[a-f]{1,2}( [a-f]{1,2}){0,4}",
        ) {
            let gone = gone.min(works.len());
            let (mut all, mut rest) = (Similar::default(), Similar::default());
            works.iter().for_each(|work| all.push(terms(work)));
            (0..gone).for_each(|_| all.forget_oldest());
            works[gone..].iter().for_each(|work| rest.push(terms(work)));
            prop_assert_eq!(all.len(), rest.len());
            prop_assert_eq!(all.nearest(&terms(&query), 5, 0.1), rest.nearest(&terms(&query), 5, 0.1));
        }
    }
}
