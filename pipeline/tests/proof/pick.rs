//! Toy subset `pick`: leaves out rows by a column, batch by batch or all at once, in order or backwards.

use std::sync::Arc;

use affectflow_pipeline::stage::Inputs;
use affectflow_pipeline::{About, Planned, Problem, Shape, Stage, StageResult, Subset, Work};
use arrow::array::RecordBatch;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text;

pub struct Pick;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PickOptions {
    /// The column that decides
    by: String,
    /// One row in so many is left out; 0: none
    #[serde(default)]
    drops: u64,
    /// Whether to see all rows at once
    #[serde(default)]
    whole: bool,
    /// Whether to turn the order round
    #[serde(default)]
    backwards: bool,
}

impl Stage for Pick {
    type Options = PickOptions;

    fn about(&self) -> About {
        super::about("pick", Shape::Subset)
    }

    fn plan(&self, options: PickOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column(&options.by)?;
        let by = options.by.clone();
        Ok(Planned::new(&[&by], vec![], Work::Subset(Arc::new(options))))
    }
}

impl Subset for PickOptions {
    fn whole(&self) -> bool {
        self.whole
    }

    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        let dropped =
            |row: usize| self.drops > 0 && text::number(&text::row(rows, row)).is_multiple_of(self.drops);
        let mut kept: Vec<u32> =
            (0..rows.num_rows()).filter(|&row| !dropped(row)).map(|row| row as u32).collect();
        if self.backwards {
            kept.reverse();
        }
        Ok(kept)
    }
}
