//! Toy map `mix`: a column made from other columns, some rows of which fail.

use std::sync::Arc;
use std::time::Duration;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::tensor::{self, Dtype};
use affectflow_pipeline::{About, Map, Planned, Problem, Shape, Stage, StageResult, Work, Worker};
use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Ledger, text};

/// Numbers in a vector.
const WIDTH: usize = 6;

pub struct Mix(pub Arc<Ledger>);

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub struct MixOptions {
    /// Columns that the result is made from
    pub from: Vec<String>,
    /// Column added
    pub to: String,
    /// Any text; another one gives other results
    #[serde(default)]
    pub salt: String,
    /// Characters of the result; of one character many rows have the same
    #[serde(default = "eight")]
    pub length: usize,
    /// One row in so many fails; 0: none
    #[serde(default)]
    pub fails: u64,
    /// A tensor rather than text
    #[serde(default)]
    pub vector: bool,
    /// Microseconds that a row takes
    #[serde(default)]
    #[schemars(extend("x-identity" = false))]
    pub pause: u64,
    /// Rows computed at once
    #[serde(default = "four")]
    #[schemars(extend("x-identity" = false))]
    pub rows_per_call: usize,
}

fn eight() -> usize {
    8
}

fn four() -> usize {
    4
}

impl Stage for Mix {
    type Options = MixOptions;

    fn about(&self) -> About {
        super::about("mix", Shape::Map)
    }

    fn plan(&self, options: MixOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        options.from.iter().try_for_each(|name| inputs.column(name).map(drop))?;
        let field = match options.vector {
            true => tensor::field(&options.to, Dtype::Float32, &[WIDTH]),
            false => Arc::new(Field::new(&options.to, DataType::Utf8, true)),
        };
        let from: Vec<&str> = options.from.iter().map(String::as_str).collect();
        let work = MixMap { options: options.clone(), stage: inputs.stage.clone(), ledger: self.0.clone() };
        Ok(Planned::new(&from, vec![field], Work::Map(Arc::new(work))))
    }
}

#[derive(Clone)]
struct MixMap {
    options: MixOptions,
    stage: String,
    ledger: Arc<Ledger>,
}

impl Map for MixMap {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(self.clone()))
    }

    fn rows_per_call(&self) -> usize {
        self.options.rows_per_call
    }
}

impl Worker for MixMap {
    fn compute(&mut self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let MixOptions { salt, length, fails, vector, pause, .. } = &self.options;
        let ids = rows.column(0).as_string::<i32>();
        let mut texts = Vec::new();
        let mut numbers = Vec::new();
        for row in 0..rows.num_rows() {
            std::thread::sleep(Duration::from_micros(*pause));
            let seen = format!("{salt}\n{}", text::row(rows, row));
            let failed = *fails > 0 && text::number(&seen).is_multiple_of(*fails);
            if failed {
                failures.push(ids.value(row), format!("{} does not mix", text::name(&seen)));
            }
            match vector {
                true => numbers.extend((0..WIDTH).map(|n| (text::number(&format!("{n}{seen}")) % 7) as f32)),
                false => texts.push(text::stretched(&seen, *length)),
            }
            let of = format!("mix {} {length} {fails} {vector} {seen}", self.options.to);
            self.ledger.note(&self.stage, &of, ids.value(row), failed);
        }
        Ok(vec![match vector {
            true => tensor::from_f32(WIDTH, numbers)?,
            false => Arc::new(StringArray::from(texts)),
        }])
    }
}
