//! Which part of a repository an issue is likely to touch, and whose review that needs: a guess, made from
//! the paths in its text, its labels, how its title begins, and similar merged pull requests whose files are
//! known. Pure and deterministic: a model of one repository [learns](AreaModel::learn) past work and
//! [predicts](AreaModel::predict) where new work goes.
//!
//! An area is a file (`src/qt/main.cpp`), a folder with its slash (`src/qt/`, which holds whatever begins with
//! it), or, where no file of it is known, a word by which people name a part (`word:gui`).

mod model;
mod owners;
mod paths;
mod similar;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use model::{AreaModel, PastWork};
pub use owners::{OWNERS_FILE_PATHS, Owners};

/// Most areas of one issue.
pub const AREA_COUNT_MAX: usize = 16;
/// What an area begins with that is a word and no path.
pub const WORD_PREFIX: &str = "word:";

/// The areas that a team says its labels name: label, compared trimmed and without case, to files and folders.
pub type LabelAreas = BTreeMap<String, Vec<String>>;

/// The areas that an issue of this title, text and labels is likely to touch, the most likely first, at most
/// [`AREA_COUNT_MAX`].
pub fn predict(model: &AreaModel, title: &str, body: &str, labels: &[impl AsRef<str>]) -> Vec<Arc<str>> {
    model.predict(title, body, labels)
}
