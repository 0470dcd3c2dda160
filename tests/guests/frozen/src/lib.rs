//! A ranker from before policies were offered bodies, topics, areas, skills and the like. It calls every
//! function of the two interfaces that rankers had then, as guests do whose language imports them whole.

wit_bindgen::generate!({ path: "wit", world: "ranker-policy" });

use exports::issuecommand::policy::ranker::{Choice, Exclusion, Guest, Reason, Scores};
use issuecommand::policy::{candidates, log, request};

struct Frozen;

export!(Frozen);

/// The number of rows, if every column of that time is that long.
fn row_count() -> Result<usize, String> {
    let rows = candidates::count() as usize;
    let columns = [
        candidates::repos().ids.len(),
        candidates::numbers().len(),
        candidates::titles().len(),
        candidates::authors().ids.len(),
        candidates::author_associations().ids.len(),
        candidates::labels().starts.len() - 1,
        candidates::assignees().starts.len() - 1,
        candidates::milestones().ids.len(),
        candidates::comment_counts().len(),
        candidates::reaction_counts().len(),
        candidates::created_at().len(),
        candidates::updated_at().len(),
    ];
    match columns.iter().all(|column| *column == rows) {
        true => Ok(rows),
        false => Err(format!("{rows} rows in columns of {columns:?}")),
    }
}

impl Guest for Frozen {
    fn settings_schema() -> String {
        r#"{"type":"object"}"#.into()
    }

    fn configure(settings: String) -> Result<(), String> {
        log::write(log::Level::Debug, &settings);
        Ok(())
    }

    /// By reactions; what has no comment yet is left out.
    fn score(now: u64) -> Result<Scores, String> {
        let rows = row_count()?;
        let comments = candidates::comment_counts();
        let skip = |row: usize| Exclusion { row: row as u32, reason: "nobody spoke of it".into() };
        Ok(Scores {
            values: candidates::reaction_counts().into_iter().map(f64::from).collect(),
            valid_until: vec![now + 60_000; rows],
            skipped: (0..rows).filter(|row| comments[*row] == 0).map(skip).collect(),
        })
    }

    /// The last first; who holds two claims gets nothing, nor does a repository of seven.
    fn choose(_now: u64) -> Result<Choice, String> {
        let rows = row_count()?;
        if candidates::scores().len() != rows || request::agent().is_empty() {
            return Err("there are no scores, or nobody asks".into());
        }
        let held = request::agent_claim_count();
        if request::agent_claim_repos().len() != held as usize {
            return Err("claims without repositories".into());
        }
        let full = |row: usize| held >= 2 || request::repo_claim_counts()[row] >= 9;
        let skip = |row: usize| Exclusion { row: row as u32, reason: "enough".into() };
        Ok(Choice {
            order: (0..rows as u32).rev().collect(),
            skipped: (0..rows).filter(|row| full(*row)).map(skip).collect(),
        })
    }

    fn explain(_now: u64) -> Result<Vec<Vec<Reason>>, String> {
        row_count()?;
        let reason = |score| vec![Reason { rule: "reactions".into(), amount: score, text: String::new() }];
        Ok(candidates::scores().into_iter().map(reason).collect())
    }
}
