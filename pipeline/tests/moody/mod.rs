//! Toy kinds that fail when told to: rows say in their value how, and how often before they succeed.

#![allow(dead_code, reason = "each test binary uses its own share")]

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::plan::{OnError, Tries};
use affectflow_pipeline::registry::Registry;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::stage::{Failures, Inputs, TableOutput};
use affectflow_pipeline::*;
use arrow::array::*;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::common;

/// What the toys did and were told, shared with the test.
#[derive(Default)]
pub struct Mood {
    /// Tries of each row, over all runs.
    pub tries: Mutex<HashMap<String, usize>>,
    /// How often a worker was opened.
    pub opened: AtomicUsize,
    /// Opening fails so many times.
    pub closed: AtomicUsize,
    /// Every row fails.
    pub dark: AtomicBool,
    /// What sleeps may wake.
    pub wake: AtomicBool,
    /// What was told.
    pub events: Mutex<Vec<Event>>,
    /// Set at the first warning.
    pub stop_at_warning: Mutex<Option<Arc<AtomicBool>>>,
}

impl Mood {
    /// Tries of a row since last asked.
    pub fn tries_of(&self, id: &str) -> usize {
        self.tries.lock().unwrap().remove(id).unwrap_or(0)
    }

    /// Warnings since last asked.
    pub fn warnings(&self) -> Vec<String> {
        let warning = |event| match event {
            Event::Warning { message, .. } => Some(message),
            _ => None,
        };
        std::mem::take(&mut *self.events.lock().unwrap()).into_iter().filter_map(warning).collect()
    }

    fn sleep(&self) {
        // Ends in any case, so that a test that fails leaves no thread behind for good.
        for _ in 0..12_000 {
            if self.wake.load(Ordering::Relaxed) {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Observer for Mood {
    fn event(&self, event: &Event) {
        if let (Event::Warning { .. }, Some(stop)) = (event, &*self.stop_at_warning.lock().unwrap()) {
            stop.store(true, Ordering::Relaxed);
        }
        self.events.lock().unwrap().push(event.clone());
    }
}

/// The kinds: a map that is safe to try again or not, a table, a source.
pub struct Moody(pub &'static str, pub Retry, pub Arc<Mood>);

#[derive(Serialize, Deserialize, JsonSchema, Clone, Default)]
pub struct MoodyOptions {
    #[serde(default)]
    #[schemars(extend("x-identity" = false))]
    rows_per_call: usize,
    #[serde(default)]
    #[schemars(extend("x-identity" = false))]
    rows: Vec<String>,
}

struct Work(MoodyOptions, Arc<Mood>);

impl Stage for Moody {
    type Options = MoodyOptions;

    fn about(&self) -> About {
        let shape = match self.0 {
            "table" => Shape::Table,
            "gaps" => Shape::Source,
            _ => Shape::Map,
        };
        About {
            kind: self.0,
            version: 1,
            summary: "a toy",
            shape,
            columns: &[],
            example: "",
            scores: false,
            retry: self.1,
        }
    }

    fn plan(&self, options: MoodyOptions, _: &Inputs) -> Result<Planned, Problem> {
        let work = Arc::new(Work(options, self.2.clone()));
        let text = |name: &str| -> FieldRef { Arc::new(Field::new(name, DataType::Utf8, true)) };
        Ok(match self.0 {
            "table" => Planned::new(&["value"], vec![text("out")], affectflow_pipeline::Work::Table(work)),
            "gaps" => Planned::new(&[], vec![text("value")], affectflow_pipeline::Work::Source(work)),
            _ => Planned::new(&["value"], vec![text("out")], affectflow_pipeline::Work::Map(work)),
        })
    }
}

/// An error with a cause, which has one as well.
#[derive(Debug, thiserror::Error)]
#[error("cannot reach the moon")]
struct Far(#[source] Engine);

#[derive(Debug, thiserror::Error)]
#[error("the engine does not start: out of fuel")]
struct Engine(#[source] Fuel);

#[derive(Debug, thiserror::Error)]
#[error("out of fuel")]
struct Fuel;

/// What a row makes of this try: `fail:2` fails twice and then works.
fn mood(mood: &Mood, id: &str, value: &str) -> Option<String> {
    let tried = {
        let mut tries = mood.tries.lock().unwrap();
        let tries = tries.entry(id.to_owned()).or_default();
        *tries += 1;
        *tries
    };
    let (what, times) = value.split_once(':')?;
    (tried <= times.parse().unwrap()).then(|| what.to_owned())
}

impl Work {
    fn column(&self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        let (ids, values) = (rows.column(0).as_string::<i32>(), rows.column(1).as_string::<i32>());
        for (id, value) in ids.iter().zip(values) {
            let (id, value) = (id.unwrap(), value.unwrap());
            match mood(&self.1, id, value).as_deref() {
                _ if self.1.dark.load(Ordering::Relaxed) => failures.push(id, "it is dark"),
                Some("fail") => failures.push(id, Far(Engine(Fuel))),
                Some("hint") => failures.push(id, StageError::new("a knot").hint("untie it")),
                Some("error") => return Err(StageError::new(format!("{id} brings it down")).hint("lift it")),
                Some("panic") => panic!("boom"),
                Some("sleep") => self.1.sleep(),
                _ => {}
            }
        }
        let out = values.iter().map(|value| value.map(str::to_uppercase));
        Ok(vec![Arc::new(out.collect::<StringArray>())])
    }
}

impl Map for Work {
    fn open(&self, _: &Context) -> StageResult<Box<dyn Worker>> {
        self.1.opened.fetch_add(1, Ordering::Relaxed);
        let closed = self.1.closed.load(Ordering::Relaxed);
        if closed > 0 {
            self.1.closed.store(closed - 1, Ordering::Relaxed);
            return Err(StageError::new("the shop is closed").hint("come back later"));
        }
        Ok(Box::new(Work(self.0.clone(), self.1.clone())))
    }

    fn rows_per_call(&self) -> usize {
        self.0.rows_per_call.max(1)
    }
}

impl Worker for Work {
    fn compute(&mut self, rows: &RecordBatch, failures: &mut Failures) -> StageResult<Vec<ArrayRef>> {
        self.column(rows, failures)
    }
}

impl Table for Work {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let values = rows.column("value")?;
        let values = values.as_string::<i32>();
        match mood(&self.1, rows.ids().value(0), values.value(0)).as_deref() {
            Some("error") => return Err(StageError::new("the table is not laid")),
            Some("panic") => panic!("boom"),
            // Looks at the context, as a stage that learns does.
            Some("epochs") => loop {
                cx.check()?;
                std::thread::sleep(Duration::from_millis(5));
            },
            Some("sleep") => self.1.sleep(),
            _ => {}
        }
        Ok(TableOutput { columns: vec![Arc::new(values.clone())], ..TableOutput::default() })
    }
}

impl Source for Work {
    fn rows(
        &self,
        _: &Context,
        emit: &mut dyn FnMut(RecordBatch) -> StageResult<()>,
        failures: &mut Failures,
    ) -> StageResult<()> {
        let (read, gone): (Vec<&String>, Vec<&String>) =
            self.0.rows.iter().partition(|id| !id.starts_with('!'));
        gone.iter().for_each(|id| failures.push(id, "no such file"));
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(read));
        let fields = ["id", "value"].map(|name| Field::new(name, DataType::Utf8, true));
        let schema = Schema::new(fields.to_vec());
        emit(RecordBatch::try_new(Arc::new(schema), vec![ids.clone(), ids])?)
    }
}

/// A state folder, what is asked of the second stage, and what the toys did.
pub struct World {
    pub folder: tempfile::TempDir,
    pub mood: Arc<Mood>,
    /// `map`, `rash` (a map that is not safe to try again) or `table`.
    pub kind: &'static str,
    pub rows_per_call: usize,
    pub tries: Tries,
    pub on_error: OnError,
    pub options: Options,
}

impl World {
    pub fn new(kind: &'static str) -> Self {
        World {
            folder: tempfile::tempdir().unwrap(),
            mood: Arc::default(),
            kind,
            rows_per_call: 4,
            tries: Tries { wait: Duration::ZERO, ..Tries::default() },
            on_error: OnError::Quarantine { threshold: 1.0 },
            options: Options::default(),
        }
    }

    /// Runs `in -> work` on rows `id=value`.
    pub fn run(&self, rows: &[&str]) -> (Record, Result<(), Error>) {
        let mut registry: Registry = common::registry(&Arc::default());
        for (kind, retry) in [("map", Retry::Safe), ("rash", Retry::Unsafe), ("table", Retry::Safe)] {
            registry.add(Moody(kind, retry, self.mood.clone()));
        }
        registry.add(Moody("gaps", Retry::Unsafe, self.mood.clone()));
        let options = json!({ "rows_per_call": self.rows_per_call, "rows": rows });
        let stages = match self.kind {
            "gaps" => vec![("work", "gaps", options, vec![])],
            kind => vec![("in", "rows", json!({ "rows": rows }), vec![]), ("work", kind, options, vec![0])],
        };
        let mut plan = common::plan(&registry, &stages);
        let work = plan.stages.last_mut().unwrap();
        (work.tries, work.on_error) = (self.tries, self.on_error);
        let state = State::open(self.folder.path());
        run(&plan, &registry, &state, &self.options, self.mood.clone()).unwrap()
    }

    /// Runs them and expects it to work.
    pub fn go(&self, rows: &[&str]) -> Record {
        let (record, result) = self.run(rows);
        result.unwrap();
        record
    }

    /// Ids of the rows that left the stage.
    pub fn out(&self, record: &Record) -> Vec<String> {
        let lines = common::exported(self.folder.path(), record, "work");
        lines.iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }
}

/// `quarantine.parquet` as `id: error (attempts)`.
pub fn quarantined(record: &Record) -> Vec<String> {
    let file = std::fs::File::open(record.folder().join("quarantine.parquet")).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let mut lines = Vec::new();
    for batch in reader.map(Result::unwrap) {
        let text = |column: usize, row: usize| batch.column(column).as_string::<i32>().value(row).to_owned();
        let attempts = batch.column(3).as_primitive::<arrow::datatypes::UInt32Type>();
        let line = |row: usize| format!("{}: {} ({})", text(0, row), text(2, row), attempts.value(row));
        lines.extend((0..batch.num_rows()).map(line));
    }
    lines.sort();
    lines
}

/// Files of the cache with that ending.
pub fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), ending));
        } else if entry.path().extension().is_some_and(|e| e == ending) {
            found.push(entry.path());
        }
    }
    found
}
