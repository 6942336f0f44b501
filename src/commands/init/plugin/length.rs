//! The kind `length`: how many words does a text have?

use std::sync::Arc;

use affectflow::pipeline::run::context::Context;
use affectflow::pipeline::stage::{Failures, Inputs};
use affectflow::pipeline::{
    About, Map, Planned, Problem, Retry, Shape, Stage, StageError, StageResult, Work, Worker,
};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::datatypes::{DataType, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Options of `length`. Doc comments, defaults and ranges become help, schema and checks.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Column of text to measure
    column: String,
    /// Most words that are counted
    #[schemars(range(min = 1), extend("x-unit" = "words"))]
    limit: u32,
}

impl Default for Options {
    fn default() -> Self {
        Options { column: "caption".into(), limit: 1000 }
    }
}

/// The kind `length`.
pub struct Length;

impl Stage for Length {
    type Options = Options;

    fn about(&self) -> About {
        About {
            kind: "length",
            version: 1,
            summary: "Counts the words of a text",
            shape: Shape::Map,
            scores: false,
            retry: Retry::Safe,
            columns: &[("length", "uint32", "words of the text, at most `limit`")],
            example: "length: { kind: length, config: { column: caption } }",
        }
    }

    fn plan(&self, options: Options, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs
            .column_as(&options.column, "utf8", |kind| *kind == DataType::Utf8)
            .map_err(|problem| problem.option("column"))?;
        let adds = vec![Arc::new(Field::new("length", DataType::UInt32, true))];
        let work = Work::Map(Arc::new(Counting { options: options.clone() }));
        Ok(Planned::new(&[&options.column], adds, work))
    }
}

/// What the stage does once it runs.
#[derive(Clone)]
struct Counting {
    options: Options,
}

impl Map for Counting {
    /// Load weights here: it is called at the first row to compute, and not at all where every row is cached.
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(self.clone()))
    }
}

impl Worker for Counting {
    fn compute(&mut self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let text = |name: &str| {
            let column = rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
            column.ok_or_else(|| StageError::new(format!("no text in column `{name}`")))
        };
        let (ids, texts) = (text("id")?, text(&self.options.column)?);
        let count = |row: usize| {
            if texts.is_null(row) {
                failures.push(ids.value(row), "there is no text");
                return 0;
            }
            let words = texts.value(row).split_whitespace().take(self.options.limit as usize);
            words.count() as u32
        };
        let lengths: Vec<u32> = (0..rows.num_rows()).map(count).collect();
        Ok(vec![Arc::new(UInt32Array::from(lengths))])
    }
}
