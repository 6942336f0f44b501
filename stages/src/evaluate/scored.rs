//! Which rows are scored, and what is known of each?

use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::{StageError, StageResult, tensor};

use crate::columns::{
    DATASET, DOMAIN, EVAL_LABEL, LABEL, PREDICTION, PROBABILITIES, PSEUDO_LABEL, SOURCE, SPLIT, TARGET,
};
use crate::training::read;

use super::{Scoring, Split};

/// The labelled rows that are scored.
pub struct Scored {
    /// Of the target: what the headline figures count.
    pub rows: Vec<Row>,
    /// Held-out rows of the source, for comparison.
    pub source: Vec<Row>,
    /// Rows of the target in the chosen splits, labelled or not.
    pub target: usize,
}

/// One row.
pub struct Row {
    /// The class it has.
    pub truth: u32,
    /// The class it was given.
    pub prediction: u32,
    /// Probability given to the truth.
    pub probability: f64,
    /// The pseudo-label; `None` where rejected, or where no stage made any.
    pub pseudo: Option<u32>,
    /// Its dataset.
    pub dataset: String,
    /// Its group; its id where it has none.
    pub group: String,
}

impl Scored {
    /// Reads the consumed columns and keeps what is to be scored.
    pub fn read(rows: &TableRows, stage: &Scoring) -> StageResult<Self> {
        let (domain, split) = (read::texts(rows, DOMAIN)?, read::texts(rows, SPLIT)?);
        let (label, eval_label) = (read::indices(rows, LABEL)?, read::indices(rows, EVAL_LABEL)?);
        let prediction = read::indices(rows, PREDICTION)?;
        let dataset = read::texts(rows, DATASET)?;
        let pseudo = if stage.pseudo { read::indices(rows, PSEUDO_LABEL)? } else { vec![None; rows.len()] };
        let group = match &stage.group {
            Some(name) => read::texts(rows, name)?,
            None => vec![None; rows.len()],
        };
        let probabilities = rows.column(PROBABILITIES)?;
        let mut scored = Scored { rows: Vec::new(), source: Vec::new(), target: 0 };
        for row in 0..rows.len() {
            let of_target = domain[row].as_deref() == Some(TARGET);
            let of_source = domain[row].as_deref() == Some(SOURCE);
            if !wanted(stage.options.split, split[row].as_deref(), of_target) || !(of_target || of_source) {
                continue;
            }
            scored.target += usize::from(of_target);
            let id = rows.ids().value(row);
            let Some(truth) = eval_label[row].or(label[row]) else { continue };
            let truth = class(truth, EVAL_LABEL, id, stage)?;
            let given = prediction[row]
                .ok_or_else(|| StageError::new(format!("row `{id}` has no `{PREDICTION}`")))?;
            let given_probabilities = tensor::row_f32(probabilities.as_ref(), row).unwrap_or_default();
            let entry = Row {
                truth,
                prediction: class(given, PREDICTION, id, stage)?,
                probability: probability(&given_probabilities, truth, id, stage.classes.len())?,
                pseudo: pseudo[row].map(|given| class(given, PSEUDO_LABEL, id, stage)).transpose()?,
                dataset: dataset[row].clone().unwrap_or_default(),
                group: group[row].clone().unwrap_or_else(|| id.to_owned()),
            };
            if of_target { scored.rows.push(entry) } else { scored.source.push(entry) }
        }
        Ok(scored)
    }
}

/// Rows of split `all` count in the target only: in the source they are trained on.
fn wanted(chosen: Option<Split>, split: Option<&str>, of_target: bool) -> bool {
    match chosen {
        Some(chosen) => split == Some(chosen.name()),
        None => split == Some("test") || (of_target && split == Some("all")),
    }
}

fn class(index: i32, column: &str, id: &str, stage: &Scoring) -> StageResult<u32> {
    let classes = stage.classes.len();
    u32::try_from(index).ok().filter(|&index| (index as usize) < classes).ok_or_else(|| {
        StageError::new(format!("row `{id}`: `{column}` is {index}, and there are {classes} classes"))
    })
}

fn probability(probabilities: &[f32], truth: u32, id: &str, classes: usize) -> StageResult<f64> {
    if probabilities.len() != classes {
        return Err(StageError::new(format!(
            "row `{id}`: `{PROBABILITIES}` has {} values, and there are {classes} classes",
            probabilities.len()
        )));
    }
    match probabilities.iter().all(|p| p.is_finite()) {
        true => Ok(f64::from(probabilities[truth as usize])),
        false => {
            Err(StageError::new(format!("row `{id}`: `{PROBABILITIES}` holds a value that is not a number")))
        }
    }
}
