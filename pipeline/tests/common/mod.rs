//! Toy kinds and a way to plan them by hand, so that the engine is tested without a file and without networks.

#![allow(dead_code, reason = "each test binary uses its own share")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use affectflow_pipeline::event::{Event, Observer, Silent};
use affectflow_pipeline::plan::{OnError, Plan, PlannedStage, Tries};
use affectflow_pipeline::registry::{Kind, Registry};
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::stage::{Failures, Inputs, TableOutput};
use affectflow_pipeline::*;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What the toy stages did, shared with the test.
#[derive(Default)]
pub struct Log {
    pub computed: Mutex<Vec<String>>,
    pub tables: AtomicUsize,
    pub opened: AtomicUsize,
}

fn about(kind: &'static str, shape: Shape) -> About {
    About {
        kind,
        version: 1,
        summary: "a toy",
        shape,
        columns: &[],
        example: "",
        scores: false,
        retry: Retry::Safe,
    }
}

fn utf8(name: &str) -> FieldRef {
    Arc::new(Field::new(name, DataType::Utf8, true))
}

/// Rows named in the options: `id=value`.
pub struct Rows;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct RowsOptions {
    #[schemars(extend("x-identity" = false))]
    rows: Vec<String>,
    #[serde(default)]
    numbered: u64,
}

impl Stage for Rows {
    type Options = RowsOptions;

    fn about(&self) -> About {
        about("rows", Shape::Source)
    }

    fn plan(&self, options: RowsOptions, _: &Inputs) -> Result<Planned, Problem> {
        Ok(Planned::new(&[], vec![utf8("value")], Work::Source(Arc::new(options))))
    }
}

impl Source for RowsOptions {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        _: &mut Failures,
    ) -> StageResult<()> {
        let listed = self
            .rows
            .iter()
            .map(|row| row.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap());
        let numbered = (0..self.numbered).map(|n| (format!("n/{n:09}"), format!("{n}")));
        let all: Vec<(String, String)> = listed.chain(numbered).collect();
        for chunk in all.chunks(1024) {
            let ids = StringArray::from_iter_values(chunk.iter().map(|r| &r.0));
            let values = StringArray::from_iter_values(chunk.iter().map(|r| &r.1));
            let schema = Schema::new(vec![utf8("id"), utf8("value")]);
            emit(RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(values)])?)?;
        }
        Ok(())
    }
}

/// Adds column `to` = the value of column `from` in upper case; `bad` fails, `slow` takes a while.
pub struct Upper(pub Arc<Log>);

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
pub struct UpperOptions {
    from: String,
    to: String,
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    #[schemars(extend("x-identity" = false))]
    rows_per_call: usize,
}

struct UpperMap {
    options: UpperOptions,
    log: Arc<Log>,
}

impl Stage for Upper {
    type Options = UpperOptions;

    fn about(&self) -> About {
        about("upper", Shape::Map)
    }

    fn plan(&self, options: UpperOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column(&options.from)?;
        let (from, to) = (options.from.clone(), utf8(&options.to));
        Ok(Planned::new(&[&from], vec![to], Work::Map(Arc::new(UpperMap { options, log: self.0.clone() }))))
    }
}

impl Map for UpperMap {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        self.log.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Box::new(UpperMap { options: self.options.clone(), log: self.log.clone() }))
    }

    fn rows_per_call(&self) -> usize {
        self.options.rows_per_call.max(1)
    }
}

impl Worker for UpperMap {
    fn compute(&mut self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let ids = rows.column(0).as_string::<i32>();
        let values = rows.column(1).as_string::<i32>();
        let mut out = Vec::new();
        for (id, value) in ids.iter().zip(values) {
            let (id, value) = (id.unwrap(), value.unwrap());
            if value == "bad" {
                failures.push(id, "a bad value");
            }
            if value.starts_with("slow") {
                std::thread::sleep(Duration::from_millis(30));
            }
            self.log.computed.lock().unwrap().push(id.to_owned());
            out.push(format!("{}{}", value.to_uppercase(), self.options.suffix));
        }
        Ok(vec![Arc::new(StringArray::from(out))])
    }
}

/// Counts rows by value of a column; provides artifact `count`, adds column `rank`.
pub struct Count(pub Arc<Log>);

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct CountOptions {
    of: String,
    #[serde(default)]
    base: i32,
}

struct CountTable(CountOptions, Arc<Log>);

impl Stage for Count {
    type Options = CountOptions;

    fn about(&self) -> About {
        about("count", Shape::Table)
    }

    fn plan(&self, options: CountOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column(&options.of)?;
        let of = options.of.clone();
        let rank = Arc::new(Field::new("rank", DataType::Int32, true));
        let work = Work::Table(Arc::new(CountTable(options, self.0.clone())));
        Ok(Planned { provides: vec!["count".into()], ..Planned::new(&[&of], vec![rank], work) })
    }
}

impl Table for CountTable {
    fn run(&self, rows: &TableRows, _: &Context) -> StageResult<TableOutput> {
        self.1.tables.fetch_add(1, Ordering::Relaxed);
        let column = rows.column(&self.0.of)?;
        let text = column.as_string::<i32>().iter().flatten().collect::<Vec<_>>().join(",");
        let ranks = Int32Array::from_iter_values((0..rows.len() as i32).map(|n| n + self.0.base));
        Ok(TableOutput {
            columns: vec![Arc::new(ranks)],
            artifacts: vec![("count".into(), text.into_bytes().into())],
            ..TableOutput::default()
        })
    }
}

/// Adds column `heard`, the length of the artifact `count`, which another table provides.
pub struct Recall;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct RecallOptions {}

impl Stage for Recall {
    type Options = RecallOptions;

    fn about(&self) -> About {
        about("recall", Shape::Table)
    }

    fn plan(&self, _: RecallOptions, _: &Inputs) -> Result<Planned, Problem> {
        let heard = Arc::new(Field::new("heard", DataType::Int32, true));
        let planned = Planned::new(&[], vec![heard], Work::Table(Arc::new(RecallOptions {})));
        Ok(Planned { needs: vec!["count".into()], ..planned })
    }
}

impl Table for RecallOptions {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        if let Ok(column) = rows.column("value") {
            panic!("a column that was not declared can be read: {column:?}");
        }
        let heard = cx.artifact("count")?.len() as i32;
        let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![heard; rows.len()]))];
        Ok(TableOutput { columns, ..TableOutput::default() })
    }
}

/// Keeps the rows whose `value` is not `drop`.
pub struct Keep;

#[derive(Serialize, Deserialize, JsonSchema)]
pub struct KeepOptions {}

impl Stage for Keep {
    type Options = KeepOptions;

    fn about(&self) -> About {
        about("keep", Shape::Subset)
    }

    fn plan(&self, options: KeepOptions, inputs: &Inputs) -> Result<Planned, Problem> {
        inputs.column("value")?;
        Ok(Planned::new(&["value"], vec![], Work::Subset(Arc::new(options))))
    }
}

impl Subset for KeepOptions {
    fn select(&self, rows: &RecordBatch) -> StageResult<Vec<u32>> {
        let values = rows.column(1).as_string::<i32>();
        Ok((0..rows.num_rows() as u32).filter(|&row| values.value(row as usize) != "drop").collect())
    }
}

/// A stage of a plan by hand: name, kind, options, inputs by index.
pub type Row<'a> = (&'a str, &'a str, Value, Vec<usize>);

/// A registry of the toy kinds.
pub fn registry(log: &Arc<Log>) -> Registry {
    let mut registry = Registry::new();
    registry.add(Rows).add(Upper(log.clone())).add(Count(log.clone())).add(Keep).add(Recall);
    registry
}

/// Plans stages by hand.
pub fn plan(registry: &Registry, rows: &[Row]) -> Plan {
    let mut stages: Vec<PlannedStage> = Vec::new();
    for (name, kind, options, inputs) in rows {
        let mut fields: Vec<FieldRef> = vec![Arc::new(Field::new("id", DataType::Utf8, false))];
        for field in
            inputs.iter().flat_map(|&at| stages[at].schema.fields().iter().cloned().collect::<Vec<_>>())
        {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field);
            }
        }
        let input_schema = Arc::new(Schema::new(fields.clone()));
        let seen = Inputs {
            stage: name.to_string(),
            schema: input_schema.clone(),
            from: vec![],
            ports: vec![],
            artifacts: vec![],
            base: Path::new(".").to_owned(),
        };
        let kind_of: &Arc<dyn Kind> = registry.get(kind).unwrap();
        let (planned, full) = kind_of.plan(options, &seen).unwrap();
        for field in &planned.adds {
            if !fields.iter().any(|known| known.name() == field.name()) {
                fields.push(field.clone());
            }
        }
        let mut identity_options = full.clone();
        for hidden in ["rows", "rows_per_call"] {
            identity_options.as_object_mut().unwrap().remove(hidden);
        }
        stages.push(PlannedStage {
            name: name.to_string(),
            kind: kind.to_string(),
            version: 1,
            inputs: inputs.clone(),
            ports: vec![],
            input_schema,
            schema: Arc::new(Schema::new(fields)),
            options: full,
            identity_options,
            artifacts: planned
                .needs
                .iter()
                .map(|need| {
                    (need.clone(), stages.iter().rposition(|s| s.planned.provides.contains(need)).unwrap())
                })
                .collect(),
            planned,
            on_error: OnError::Quarantine { threshold: 0.5 },
            retry: kind_of.about().retry,
            tries: Tries::default(),
            span: Default::default(),
        });
    }
    Plan {
        pipeline: "toy".into(),
        description: None,
        matrix: Vec::new(),
        stages,
        resolved: json!({}),
        base: Path::new(".").to_owned(),
        included: Vec::new(),
        max_size: None,
        until: None,
    }
}

/// Runs rows of a plan in a state folder and expects it to work.
pub fn go(folder: &Path, log: &Arc<Log>, rows: &[Row]) -> Record {
    let (record, result) = go_with(folder, log, rows, &Options::default());
    result.unwrap();
    record
}

/// Asks a run to stop once a stage has made so many rows.
pub struct StopAt(pub &'static str, pub u64, pub Arc<AtomicBool>);

impl Observer for StopAt {
    fn event(&self, event: &Event) {
        if let Event::Progress { stage, done, .. } = event
            && stage == self.0
            && *done >= self.1
        {
            self.2.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs with options, and gives back whatever came.
pub fn go_with(
    folder: &Path,
    log: &Arc<Log>,
    rows: &[Row],
    options: &Options,
) -> (Record, Result<(), Error>) {
    let registry = registry(log);
    let plan = plan(&registry, rows);
    run(&plan, &registry, &State::open(folder), options, Arc::new(Silent)).unwrap()
}

/// The exported rows of a stage as `id: column, column` lines.
pub fn exported(folder: &Path, record: &Record, stage: &str) -> Vec<String> {
    let mut lines = Vec::new();
    affectflow_pipeline::run::export::export(&State::open(folder).cache, record, stage, true, |batch| {
        lines.extend(lines_of(&batch));
        Ok(())
    })
    .unwrap();
    lines
}

/// Rows as lines of their values.
pub fn lines_of(batch: &RecordBatch) -> Vec<String> {
    let line = |row: usize| {
        let cell = |c: &ArrayRef| arrow::util::display::array_value_to_string(c, row).unwrap();
        batch.columns().iter().map(cell).collect::<Vec<_>>().join(" ")
    };
    (0..batch.num_rows()).map(line).collect()
}
