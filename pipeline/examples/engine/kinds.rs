//! Which toy kinds do the benches run? A source of numbered rows, maps that count on, a subset

use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{
    About, Map, Planned, Problem, Registry, Retry, Shape, Source, Stage, StageResult, Subset, Work, Worker,
};
use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rows that the source hands over at once.
const BATCH: usize = 1 << 16;
/// Rows of one call of a map.
pub const CALL: usize = 256;

/// All of them.
pub fn registry() -> Registry {
    let mut registry = Registry::new();
    registry.add(Numbers).add(Number).add(Next).add(Odd);
    registry
}

/// What a kind says of itself.
pub fn about(kind: &'static str, shape: Shape) -> About {
    About {
        kind,
        version: 1,
        summary: "counts",
        shape,
        columns: &[],
        example: "",
        scores: false,
        retry: Retry::Safe,
    }
}

/// A field that may be null.
pub fn field(name: &str, of: DataType) -> FieldRef {
    Arc::new(Field::new(name, of, true))
}

/// Options of a kind that has none.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Source: ids as of files in folders, and the number of the folder.
struct Numbers;

/// Options of `numbers`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[schemars(extend("x-identity" = false))]
    rows: u32,
    /// Every row once, in no order.
    #[schemars(extend("x-identity" = false))]
    #[serde(default)]
    shuffled: bool,
}

/// The numbers of its rows, in order.
struct Listing(Vec<u32>);

impl Stage for Numbers {
    type Options = Rows;

    fn about(&self) -> About {
        about("numbers", Shape::Source)
    }

    fn plan(&self, options: Rows, _: &Inputs) -> Result<Planned, Problem> {
        let mut numbers: Vec<u32> = (0..options.rows).collect();
        if options.shuffled {
            numbers.shuffle(&mut ChaCha8Rng::seed_from_u64(0));
        }
        let work = Work::Source(Arc::new(Listing(numbers)));
        Ok(Planned::new(&[], vec![field("folder", DataType::Int8)], work))
    }
}

impl Source for Listing {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        let fields = vec![field("id", DataType::Utf8), field("folder", DataType::Int8)];
        let schema = Arc::new(Schema::new(fields));
        for numbers in self.0.chunks(BATCH) {
            let ids = StringArray::from_iter_values(numbers.iter().map(|&number| id(number)));
            let folders = Int8Array::from_iter_values(numbers.iter().map(|&number| folder(number)));
            emit(RecordBatch::try_new(schema.clone(), vec![Arc::new(ids), Arc::new(folders)])?)?;
        }
        Ok(())
    }
}

/// The id of a row, as of a file in a folder.
pub fn id(number: u32) -> String {
    format!("folder-{:02}/{number}.png", folder(number))
}

fn folder(number: u32) -> i8 {
    (number % 100) as i8
}

/// Map: the number in the id.
struct Number;

impl Stage for Number {
    type Options = Nothing;

    fn about(&self) -> About {
        about("number", Shape::Map)
    }

    fn plan(&self, _: Nothing, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&["id"], vec![field("number", DataType::Int64)], Work::Map(Arc::new(Number))))
    }
}

impl Map for Number {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(Number))
    }

    fn rows_per_call(&self) -> usize {
        CALL
    }
}

impl Worker for Number {
    fn compute(&mut self, rows: &RecordBatch, _: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let number = |id: &str| id.split_once('/')?.1.strip_suffix(".png")?.parse().ok();
        let numbers = rows.column(0).as_string::<i32>().iter().map(|id| id.and_then(number));
        Ok(vec![Arc::new(numbers.collect::<Int64Array>())])
    }
}

/// Map: one more than the number in a column.
struct Next;

/// Options of `next`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Columns {
    of: String,
    to: String,
}

impl Stage for Next {
    type Options = Columns;

    fn about(&self) -> About {
        about("next", Shape::Map)
    }

    fn plan(&self, columns: Columns, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column(&columns.of)?;
        let added = vec![field(&columns.to, DataType::Int64)];
        Ok(Planned::new(&[&columns.of], added, Work::Map(Arc::new(Next))))
    }
}

impl Map for Next {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(Next))
    }

    fn rows_per_call(&self) -> usize {
        CALL
    }
}

impl Worker for Next {
    fn compute(&mut self, rows: &RecordBatch, _: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let next = rows.column(1).as_primitive::<Int64Type>().unary::<_, Int64Type>(|number| number + 1);
        Ok(vec![Arc::new(next)])
    }
}

/// Subset: rows of an odd number, which it reads from the cache.
struct Odd;

impl Stage for Odd {
    type Options = Nothing;

    fn about(&self) -> About {
        about("odd", Shape::Subset)
    }

    fn plan(&self, _: Nothing, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column("number")?;
        Ok(Planned::new(&["number"], vec![], Work::Subset(Arc::new(Odd))))
    }
}

impl Subset for Odd {
    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        let numbers = rows.column(1).as_primitive::<Int64Type>().values();
        Ok((0u32..).zip(numbers).filter(|(_, number)| **number % 2 == 1).map(|(row, _)| row).collect())
    }
}
