//! What past work teaches of where new work goes, for one repository.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::paths::{folder_of, mentioned};
use super::similar::Similar;
use super::words::{prefixes, terms};
use super::{AREA_COUNT_MAX, LabelAreas, WORD_PREFIX};
use crate::domain::label_key;

/// Most pieces of past work that one model keeps; the oldest go first.
pub(super) const WORK_COUNT_MAX: usize = 512;
/// Most folders that count of one piece of past work: those with most of its files.
const FOLDER_COUNT_MAX: usize = 8;
/// Most areas that similar work, labels and the beginning of the title add to one issue: a guess at everything
/// overlaps with everything.
const LEARNT_AREA_COUNT_MAX: usize = 4;
/// Most pieces of similar work that are asked where they went.
const NEIGHBOUR_COUNT_MAX: usize = 5;
/// Cosine below which work is not similar. Ours: two titles that share one rare word of four.
const NEIGHBOUR_COSINE_MIN: f64 = 0.25;
/// Share of its neighbours, weighed by likeness, that must have touched a folder.
const NEIGHBOUR_SHARE_MIN: f64 = 0.4;
/// Pieces of past work with a label, or with a beginning of the title, below which it teaches nothing.
const CUE_COUNT_MIN: u32 = 2;
/// Share of them that must have touched a folder.
const CUE_SHARE_MIN: f64 = 0.5;
/// How much more often that must be than among all past work: a label on everything points nowhere.
const CUE_LIFT_MIN: f64 = 1.5;
/// How often past titles must have begun with a word before a label of that name is taken for an area.
const WORD_COUNT_MIN: u32 = 2;

/// One piece of past work: a merged pull request, or an issue that one closed.
#[derive(Debug, Clone, Copy)]
pub struct PastWork<'a> {
    /// Its title.
    pub title: &'a str,
    /// Its text: paths in it stand in for files that are not known.
    pub body: &'a str,
    /// Its labels.
    pub labels: &'a [String],
    /// The files it touched; empty where that is not known.
    pub files: &'a [String],
}

/// What past work teaches of one repository. The same work learnt in the same order predicts the same.
#[derive(Debug, Clone, Default)]
pub struct AreaModel {
    configured: BTreeMap<String, Vec<Arc<str>>>,
    similar: Similar,
    works: VecDeque<Work>,
    cues: BTreeMap<String, Cue>,
    /// How many pieces of work touched each folder.
    folders: BTreeMap<Arc<str>, u32>,
    /// Pieces of work of which a folder is known.
    located_count: u32,
    /// Where files of a name were seen.
    by_name: HashMap<String, BTreeMap<Arc<str>, u32>>,
}

#[derive(Debug, Clone)]
struct Work {
    cues: Vec<String>,
    folders: Vec<Arc<str>>,
    files: Vec<Arc<str>>,
}

/// A label, or a word that titles begin with.
#[derive(Debug, Clone, Default)]
struct Cue {
    /// How often it was seen at all.
    seen: u32,
    /// How often on work of which a folder is known.
    located: u32,
    folders: BTreeMap<Arc<str>, u32>,
}

impl AreaModel {
    /// A model that has learnt nothing, and knows what a team says its labels name.
    pub fn new(labels: &LabelAreas) -> Self {
        let areas = |areas: &Vec<String>| areas.iter().map(|area| Arc::from(area.as_str())).collect();
        let configured = labels.iter().map(|(label, named)| (label_key(label), areas(named))).collect();
        Self { configured, ..Self::default() }
    }

    /// How many pieces of past work it knows.
    pub fn work_count(&self) -> usize {
        self.similar.len()
    }

    /// Takes in one more piece of past work; forgets the oldest when there are too many.
    pub fn learn(&mut self, past: &PastWork<'_>) {
        let mut files: Vec<String> = past.files.to_vec();
        if files.is_empty() {
            files = mentioned(past.title);
            files.extend(mentioned(past.body));
            files.retain(|path| path.contains('/'));
        }
        let files: Vec<Arc<str>> = files.into_iter().map(Arc::from).collect();
        let work = Work { cues: cues(past.title, past.labels), folders: folders(&files), files };
        self.similar.push(terms(past.title, past.labels.iter().map(String::as_str)));
        self.count(&work, true);
        self.works.push_back(work);
        if self.works.len() > WORK_COUNT_MAX
            && let Some(oldest) = self.works.pop_front()
        {
            self.similar.forget_oldest();
            self.count(&oldest, false);
        }
    }

    /// Where an issue of this title, text and labels is likely to go, the most likely first, at most
    /// [`AREA_COUNT_MAX`]: what the text names, what a team says its labels name, what labels, the beginning of
    /// the title and similar work teach; and words, where nothing is known of them.
    pub fn predict(&self, title: &str, body: &str, labels: &[impl AsRef<str>]) -> Vec<Arc<str>> {
        let mut areas = Areas::default();
        mentioned(title).iter().chain(&mentioned(body)).for_each(|path| areas.add(self.placed(path)));
        let configured = labels.iter().filter_map(|label| self.configured.get(&label_key(label.as_ref())));
        configured.flatten().for_each(|area| areas.add(Arc::clone(area)));

        let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
        let mut guesses = BTreeMap::<Arc<str>, f64>::new();
        let mut words = Vec::new();
        for cue in cues(title, &labels) {
            let pointed = self.pointed_at(&cue, &mut guesses);
            if !pointed && let Some(word) = self.word_of(&cue) {
                words.push(word);
            }
        }
        self.similar_work(title, &labels, &mut guesses);
        let mut guesses: Vec<_> = guesses.into_iter().collect();
        guesses.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        guesses.into_iter().take(LEARNT_AREA_COUNT_MAX).for_each(|(area, _)| areas.add(area));
        words.into_iter().for_each(|word| areas.add(word));
        areas.into_vec()
    }

    /// A path as it is known here: the one file of its name, where the text names no folder.
    fn placed(&self, path: &str) -> Arc<str> {
        if path.contains('/') {
            return path.into();
        }
        match self.by_name.get(path) {
            Some(known) if known.len() == 1 => known.keys().next().map_or_else(|| path.into(), Arc::clone),
            _ => path.into(),
        }
    }

    /// Adds the folders that a cue points at; whether there are any.
    fn pointed_at(&self, cue: &str, guesses: &mut BTreeMap<Arc<str>, f64>) -> bool {
        let Some(known) = self.cues.get(cue).filter(|cue| cue.located >= CUE_COUNT_MIN) else { return false };
        let mut pointed = false;
        for (folder, count) in &known.folders {
            let share = f64::from(*count) / f64::from(known.located);
            let among_all = f64::from(self.folders.get(folder).copied().unwrap_or(0)) / f64::from(self.located_count);
            let is_title = cue.starts_with(WORD_PREFIX);
            if share >= CUE_SHARE_MIN && (is_title || share >= CUE_LIFT_MIN * among_all) {
                *guesses.entry(Arc::clone(folder)).or_default() += share;
                pointed = true;
            }
        }
        pointed
    }

    /// The word that a cue is an area by: what the title begins with, or a label that titles begin with.
    fn word_of(&self, cue: &str) -> Option<Arc<str>> {
        if cue.starts_with(WORD_PREFIX) {
            return Some(cue.into());
        }
        let word = format!("{WORD_PREFIX}{}", cue.strip_prefix(LABEL_PREFIX)?);
        self.cues.get(&word).filter(|known| known.seen >= WORD_COUNT_MIN).map(|_| word.into())
    }

    fn similar_work(&self, title: &str, labels: &[&str], guesses: &mut BTreeMap<Arc<str>, f64>) {
        let terms = terms(title, labels.iter().copied());
        let near = self.similar.nearest(&terms, NEIGHBOUR_COUNT_MAX, NEIGHBOUR_COSINE_MIN);
        let located: Vec<_> = near.iter().filter(|(place, _)| !self.works[*place].folders.is_empty()).collect();
        let whole: f64 = located.iter().map(|(_, cosine)| cosine).sum();
        let mut shares = BTreeMap::<&Arc<str>, f64>::new();
        for (place, cosine) in located {
            for folder in &self.works[*place].folders {
                *shares.entry(folder).or_default() += cosine / whole;
            }
        }
        for (folder, share) in shares.into_iter().filter(|(_, share)| *share >= NEIGHBOUR_SHARE_MIN) {
            *guesses.entry(Arc::clone(folder)).or_default() += share;
        }
    }

    /// Counts a piece of work in, or out.
    fn count(&mut self, work: &Work, comes: bool) {
        let located = !work.folders.is_empty();
        step(&mut self.located_count, comes && located, !comes && located);
        for folder in &work.folders {
            step_in(&mut self.folders, folder, comes);
        }
        for name in &work.cues {
            let cue = self.cues.entry(name.clone()).or_default();
            step(&mut cue.seen, comes, !comes);
            step(&mut cue.located, comes && located, !comes && located);
            for folder in &work.folders {
                step_in(&mut cue.folders, folder, comes);
            }
            if cue.seen == 0 {
                self.cues.remove(name);
            }
        }
        for file in &work.files {
            let Some(name) = file.rsplit('/').next().filter(|name| !name.is_empty()) else { continue };
            let known = self.by_name.entry(name.to_owned()).or_default();
            step_in(known, file, comes);
            if known.is_empty() {
                self.by_name.remove(name);
            }
        }
    }
}

const LABEL_PREFIX: &str = "label:";

/// What points at a place besides paths: labels, and what the title begins with.
fn cues(title: &str, labels: &[impl AsRef<str>]) -> Vec<String> {
    let words = prefixes(title).into_iter().map(|word| format!("{WORD_PREFIX}{word}"));
    let labels = labels.iter().map(|label| format!("{LABEL_PREFIX}{}", label_key(label.as_ref())));
    words.chain(labels).collect()
}

/// The folders of some files, those with most files first, then by name.
fn folders(files: &[Arc<str>]) -> Vec<Arc<str>> {
    let mut counts = BTreeMap::<&str, usize>::new();
    files.iter().filter_map(|file| folder_of(file)).for_each(|folder| *counts.entry(folder).or_default() += 1);
    let mut folders: Vec<_> = counts.into_iter().collect();
    folders.sort_by_key(|(folder, count)| (std::cmp::Reverse(*count), *folder));
    folders.into_iter().take(FOLDER_COUNT_MAX).map(|(folder, _)| Arc::from(folder)).collect()
}

fn step(count: &mut u32, up: bool, down: bool) {
    *count = count.saturating_add(u32::from(up)).saturating_sub(u32::from(down));
}

fn step_in(counts: &mut BTreeMap<Arc<str>, u32>, key: &Arc<str>, comes: bool) {
    let count = counts.entry(Arc::clone(key)).or_default();
    step(count, comes, !comes);
    if *count == 0 {
        counts.remove(key);
    }
}

/// Areas in the order in which they were added, each once, bounded.
#[derive(Default)]
struct Areas {
    list: Vec<Arc<str>>,
    known: BTreeSet<Arc<str>>,
}

impl Areas {
    fn add(&mut self, area: Arc<str>) {
        if self.list.len() < AREA_COUNT_MAX && self.known.insert(Arc::clone(&area)) {
            self.list.push(area);
        }
    }

    fn into_vec(self) -> Vec<Arc<str>> {
        self.list
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
