//! Runs an ingest and collects what it gives.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::Failures;
use affectflow_pipeline::{Problem, Work};
use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use arrow::util::display::array_value_to_string;
use serde_json::Value;

use crate::common::plan;

/// One row as text by column; nulls are left out.
pub type Row = BTreeMap<String, String>;

/// What an ingest gave.
#[derive(Default)]
pub struct Given {
    pub rows: Vec<Row>,
    pub batches: Vec<usize>,
    pub failures: Vec<(String, String)>,
    pub warnings: Vec<String>,
    pub error: Option<String>,
}

impl Given {
    pub fn column(&self, name: &str) -> Vec<&str> {
        self.rows.iter().map(|row| row.get(name).map_or("null", String::as_str)).collect()
    }

    pub fn count(&self, column: &str, value: &str) -> usize {
        self.column(column).into_iter().filter(|cell| *cell == value).count()
    }
}

#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Warning { message, .. } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

/// Plans and runs an ingest; a problem of the plan is a failed test.
pub fn ingest(options: Value, base: &Path) -> Given {
    let planned = plan("ingest", &options, base, Arc::new(Schema::empty()))
        .unwrap_or_else(|problem| panic!("{problem:?}"));
    let Work::Source(source) = &planned.work else { panic!("ingest is a source") };
    let warnings = Arc::new(Warnings::default());
    let cx = Context::detached([]).observed(warnings.clone());
    let mut given = Given::default();
    let mut failures = Failures::default();
    let error = source.rows(
        &cx,
        &mut |batch| {
            given.batches.push(batch.num_rows());
            given.rows.extend(rows(&batch));
            Ok(())
        },
        &mut failures,
    );
    given.error = error.err().map(|error| error.message().to_owned());
    given.failures = failures.into_inner();
    given.warnings = warnings.0.lock().unwrap().clone();
    given
}

/// The problem that a plan finds.
pub fn problem(options: Value, base: &Path) -> Problem {
    plan("ingest", &options, base, Arc::new(Schema::empty())).err().expect("the plan should find a problem")
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let schema = batch.schema();
    let cell = |column: usize, row: usize| {
        let array = batch.column(column);
        (array.is_valid(row))
            .then(|| (schema.field(column).name().clone(), array_value_to_string(array, row).unwrap()))
    };
    (0..batch.num_rows())
        .map(|row| (0..batch.num_columns()).filter_map(|column| cell(column, row)).collect())
        .collect()
}
