//! How much memory and time do ten million rows take? Three stages, no pictures: a source of ids, a map, a subset
//!
//! `cargo run -p affectflow-pipeline --example many_ids [-- ROWS]` runs them twice on a state folder of its own,
//! cold and then from the cache, and prints one table.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use affectflow_pipeline::event::Silent;
use affectflow_pipeline::plan::{self, Plan};
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::stage::{Failures, Inputs};
use affectflow_pipeline::{
    About, Map, Planned, Problem, Registry, Retry, Shape, Source, Stage, StageResult, Subset, Work, Worker,
};
use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const ROWS: u64 = 10_000_000;
/// Rows that the source hands over at once.
const BATCH: u64 = 1 << 16;
const CALL: usize = 256;

const HEAD: [&str; 6] = ["run", "rows", "kept", "computed", "seconds", "peak"];

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let rows = match std::env::args().nth(1) {
        None => ROWS,
        Some(word) => word.parse().map_err(|_| format!("`{word}` is no number of rows"))?,
    };
    let folder = tempfile::tempdir()?;
    let mut registry = Registry::new();
    registry.add(Numbers).add(Lengths).add(Odd);
    let plan = planned(folder.path(), &registry, rows)?;
    print(&HEAD.map(str::to_owned));
    for name in ["cold", "again"] {
        print(&turn(name, &plan, &registry, folder.path())?);
    }
    Ok(())
}

fn planned(folder: &Path, registry: &Registry, rows: u64) -> Result<Plan, Box<dyn Error>> {
    let file = folder.join("pipelines.yaml");
    let stages = format!(
        "numbers: {{ kind: numbers, config: {{ rows: {rows} }} }}, lengths: {{ kind: lengths }}, odd: {{ kind: odd }}"
    );
    fs::write(&file, format!("version: 1\npipelines: {{ many: {{ stages: {{ {stages} }} }} }}\n"))?;
    let opened = plan::open(&file, None, &[], registry, None);
    let said =
        |problems: Vec<Problem>| problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n");
    Ok(opened.map_err(said)?.1)
}

/// One run, as a line of the table.
fn turn(name: &str, plan: &Plan, registry: &Registry, folder: &Path) -> Result<[String; 6], Box<dyn Error>> {
    let started = Instant::now();
    let state = State::open(&folder.join("state"));
    let (record, result) = run(plan, registry, &state, &Options::default(), Arc::new(Silent))?;
    result?;
    let count = |stage: &str, what: &str| record.stages[stage][what].to_string();
    Ok([
        name.to_owned(),
        count("numbers", "rows"),
        count("odd", "rows"),
        count("lengths", "misses"),
        format!("{:.1}", started.elapsed().as_secs_f64()),
        peak(),
    ])
}

fn print(cells: &[String; 6]) {
    let [run, numbers @ ..] = cells;
    let numbers: String = numbers.iter().map(|number| format!("{number:>12}")).collect();
    println!("{run:<5}{numbers}");
}

/// Most memory that the process has held until now, files it has mapped included.
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
    kib.map_or("unknown".into(), |kib| format!("{:.0} MiB", kib / 1024.0))
}

fn about(kind: &'static str, shape: Shape) -> About {
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

fn field(name: &str, of: DataType) -> FieldRef {
    Arc::new(Field::new(name, of, true))
}

/// Options of a kind that has none.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// Source: ids as of files in folders, and the number of the folder.
struct Numbers;

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[schemars(extend("x-identity" = false))]
    rows: u64,
}

impl Stage for Numbers {
    type Options = Rows;

    fn about(&self) -> About {
        about("numbers", Shape::Source)
    }

    fn plan(&self, options: Rows, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&[], vec![field("folder", DataType::Int8)], Work::Source(Arc::new(options))))
    }
}

impl Source for Rows {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        let schema =
            Arc::new(Schema::new(vec![field("id", DataType::Utf8), field("folder", DataType::Int8)]));
        for first in (0..self.rows).step_by(BATCH as usize) {
            let numbers = first..self.rows.min(first + BATCH);
            let folder = |n: u64| (n % 100) as i8;
            let ids = numbers.clone().map(|n| format!("folder-{:02}/{n}.png", folder(n)));
            let ids = Arc::new(StringArray::from_iter_values(ids));
            let folders = Arc::new(Int8Array::from_iter_values(numbers.map(folder)));
            emit(RecordBatch::try_new(schema.clone(), vec![ids, folders])?)?;
        }
        Ok(())
    }
}

/// Map: the length of the id in bytes.
struct Lengths;

impl Stage for Lengths {
    type Options = Nothing;

    fn about(&self) -> About {
        about("lengths", Shape::Map)
    }

    fn plan(&self, _: Nothing, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&["id"], vec![field("length", DataType::Int64)], Work::Map(Arc::new(Lengths))))
    }
}

impl Map for Lengths {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        Ok(Box::new(Lengths))
    }

    fn rows_per_call(&self) -> usize {
        CALL
    }
}

impl Worker for Lengths {
    fn compute(&mut self, rows: &RecordBatch, _: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let ids = rows.column(0).as_string::<i32>();
        let lengths = ids.iter().map(|id| id.map(|id| id.len() as i64));
        Ok(vec![Arc::new(lengths.collect::<Int64Array>())])
    }
}

/// Subset: rows of odd length, which it reads from the cache.
struct Odd;

impl Stage for Odd {
    type Options = Nothing;

    fn about(&self) -> About {
        about("odd", Shape::Subset)
    }

    fn plan(&self, _: Nothing, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column("length")?;
        Ok(Planned::new(&["length"], vec![], Work::Subset(Arc::new(Odd))))
    }
}

impl Subset for Odd {
    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        let lengths = rows.column(1).as_primitive::<Int64Type>().values();
        Ok((0u32..).zip(lengths).filter(|(_, length)| **length % 2 == 1).map(|(row, _)| row).collect())
    }
}
