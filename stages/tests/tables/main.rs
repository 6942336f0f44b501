//! Does the work on tables around the six stages give the rows and columns it should? A file a kind.

#[path = "../common/mod.rs"]
mod common;
mod export;
mod join;
mod select;
mod split;
mod sql;

use std::path::Path;
use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Inputs, Port, TableOutput};
use affectflow_pipeline::{Planned, Problem, StageResult, Work};
use affectflow_stages::columns;
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde_json::Value;

/// A column of text; an empty text stands for an empty cell.
fn words(name: &str, values: &[&str]) -> (FieldRef, ArrayRef) {
    let cells = values.iter().map(|value| Some(*value).filter(|value| !value.is_empty()));
    (Arc::new(Field::new(name, DataType::Utf8, name != "id")), Arc::new(cells.collect::<StringArray>()))
}

fn numbers(name: &str, values: &[Option<i32>]) -> (FieldRef, ArrayRef) {
    let column: Int32Array = values.iter().copied().collect();
    (Arc::new(Field::new(name, DataType::Int32, true)), Arc::new(column))
}

/// A column of class indices, 0 `sad` and 1 `happy`.
fn classes(name: &str, values: &[Option<i32>]) -> (FieldRef, ArrayRef) {
    (columns::class(name, &["sad".to_owned(), "happy".to_owned()]), numbers(name, values).1)
}

fn table(columns: Vec<(FieldRef, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// What arrives: one table as a list, several as ports by name.
fn inputs(tables: &[(&str, &RecordBatch)], base: &Path) -> Inputs {
    let port = |(name, rows): &(&str, &RecordBatch)| Port {
        name: name.to_string(),
        from: format!("{name}_stage"),
        schema: rows.schema(),
    };
    let ports: Vec<Port> = if tables.len() > 1 { tables.iter().map(port).collect() } else { Vec::new() };
    Inputs {
        stage: "it".into(),
        schema: tables[0].1.schema(),
        from: tables.iter().map(|(name, _)| name.to_string()).collect(),
        ports,
        artifacts: Vec::new(),
        base: base.to_owned(),
    }
}

fn plan(kind: &str, options: Value, tables: &[(&str, &RecordBatch)]) -> Result<Planned, Problem> {
    common::plan_on(kind, &options, inputs(tables, Path::new(".")))
}

/// The message and the option that a plan is refused with.
#[track_caller]
fn refused(kind: &str, options: Value, tables: &[(&str, &RecordBatch)]) -> (String, String) {
    let problem = plan(kind, options, tables).err().expect("a problem");
    (problem.message, problem.option.join("."))
}

/// Runs a table on what it declares to read of the tables given.
fn run(kind: &str, options: Value, tables: &[(&str, &RecordBatch)]) -> StageResult<TableOutput> {
    let planned = plan(kind, options, tables).unwrap_or_else(|problem| panic!("{problem}"));
    run_planned(&planned, tables)
}

fn run_planned(planned: &Planned, tables: &[(&str, &RecordBatch)]) -> StageResult<TableOutput> {
    let Work::Table(work) = &planned.work else { panic!("not a table") };
    let read = |rows: &RecordBatch, consumes: &[String]| {
        let wanted = |at: &usize| *at == 0 || consumes.contains(rows.schema().field(*at).name());
        let columns: Vec<usize> = (0..rows.num_columns()).filter(wanted).collect();
        TableRows::from_record_batch(&rows.project(&columns).unwrap()).unwrap()
    };
    let side = |name: &str| planned.sides.iter().find(|side| side.port == name);
    let (_, main) = tables.iter().find(|(name, _)| side(name).is_none()).unwrap();
    let mut rows = read(main, &planned.consumes);
    for side in &planned.sides {
        let (_, table) = tables.iter().find(|(name, _)| *name == side.port).unwrap();
        rows = rows.with_side(&side.port, read(table, &side.consumes));
    }
    work.run(&rows, &Context::detached([]))
}

/// A column of text as text, `-` for an empty cell.
fn cells(column: &ArrayRef) -> Vec<String> {
    let column = arrow::compute::cast(column, &DataType::Utf8).unwrap();
    column.as_string::<i32>().iter().map(|cell| cell.unwrap_or("-").to_owned()).collect()
}

fn ids(output: &TableOutput) -> Vec<String> {
    output.ids.as_ref().unwrap().iter().flatten().map(str::to_owned).collect()
}
