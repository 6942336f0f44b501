//! A table that was stopped goes on from its newest whole checkpoint, and leaves none once its result is stored.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::predict::{Forecast, predict};
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::stage::{Inputs, TableOutput};
use affectflow_pipeline::*;
use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field};
use common::{Log, Row, exported, plan, registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// Climbs so many steps, each from the height of the one before; adds column `height`.
struct Climb;

#[derive(Serialize, Deserialize, JsonSchema, Clone)]
struct ClimbOptions {
    steps: u64,
    by: i64,
}

impl Stage for Climb {
    type Options = ClimbOptions;

    fn about(&self) -> About {
        About {
            kind: "climb",
            version: 1,
            summary: "a toy",
            shape: Shape::Table,
            columns: &[],
            example: "",
            scores: false,
            retry: Retry::Safe,
        }
    }

    fn plan(&self, options: ClimbOptions, _: &Inputs) -> Result<Planned, Problem> {
        let height = Arc::new(Field::new("height", DataType::Int64, true));
        Ok(Planned::new(&["value"], vec![height], Work::Table(Arc::new(options))))
    }
}

impl Table for ClimbOptions {
    fn run(&self, rows: &TableRows, cx: &Context) -> StageResult<TableOutput> {
        let (done, mut height) = match cx.checkpoint() {
            Some((step, bytes)) => (step, i64::from_le_bytes(bytes[..].try_into().unwrap())),
            None => (0, 0),
        };
        for step in done + 1..=self.steps {
            cx.check()?;
            height = height * 3 + self.by;
            cx.progress(step, Some(self.steps), "steps", "");
            if cx.checkpoint_due() {
                cx.save_checkpoint(step, &height.to_le_bytes());
            }
        }
        cx.check()?;
        Ok(TableOutput {
            columns: vec![Arc::new(Int64Array::from(vec![height; rows.len()]))],
            ..TableOutput::default()
        })
    }
}

/// Notes steps and warnings; asks to stop at a step.
struct Watch {
    stop: Option<u64>,
    options: Options,
    steps: Mutex<Vec<u64>>,
    warnings: Mutex<Vec<String>>,
}

impl Observer for Watch {
    fn event(&self, event: &Event) {
        match event {
            Event::Progress { done, unit, .. } if unit == "steps" => {
                self.steps.lock().unwrap().push(*done);
                if self.stop == Some(*done) {
                    self.options.interrupt.store(true, Ordering::Relaxed);
                }
            }
            Event::Warning { message, .. } => self.warnings.lock().unwrap().push(message.clone()),
            _ => {}
        }
    }
}

struct Toy {
    folder: TempDir,
    by: i64,
}

impl Toy {
    fn new() -> Self {
        Toy { folder: tempdir().unwrap(), by: 1 }
    }

    /// What a run would do with the table.
    fn forecast(&self, force: bool) -> Forecast {
        let mut registry = registry(&Arc::new(Log::default()));
        registry.add(Climb);
        let mut options = Options::default();
        if force {
            options.force.insert("climb".into());
        }
        let plan = plan(&registry, &self.rows());
        predict(&plan, &registry, &State::open(self.folder.path()), &options).unwrap().0.swap_remove(1)
    }

    fn rows(&self) -> [Row<'static>; 2] {
        [
            ("in", "rows", json!({ "rows": ["a=one", "b=two"] }), vec![]),
            ("climb", "climb", json!({ "steps": 8, "by": self.by }), vec![0]),
        ]
    }

    /// The steps made, the warnings told and the record, which is of an interrupted run where there is a step to stop at.
    fn run(&self, stop: Option<u64>, force: bool) -> (Vec<u64>, Vec<String>, Record) {
        let mut registry = registry(&Arc::new(Log::default()));
        registry.add(Climb);
        let rows = self.rows();
        let mut options = Options::default();
        if force {
            options.force.insert("climb".into());
        }
        let watch =
            Watch { stop, options: options.clone(), steps: Mutex::default(), warnings: Mutex::default() };
        let watch = Arc::new(watch);
        let state = State::open(self.folder.path());
        let (record, result) =
            run(&plan(&registry, &rows), &registry, &state, &options, watch.clone()).unwrap();
        match stop {
            None => result.unwrap(),
            Some(_) => assert!(matches!(result, Err(Error::Interrupted))),
        }
        let steps = watch.steps.lock().unwrap().clone();
        let warnings = watch.warnings.lock().unwrap().clone();
        (steps, warnings, record)
    }

    fn folder(&self) -> PathBuf {
        self.folder.path().join("cache/v1/checkpoints")
    }

    /// All checkpoints, by step.
    fn checkpoints(&self) -> Vec<PathBuf> {
        let inner = |folder: &Path| -> Vec<PathBuf> {
            fs::read_dir(folder)
                .map(|list| list.map(|entry| entry.unwrap().path()).collect())
                .unwrap_or_default()
        };
        let mut found: Vec<PathBuf> = inner(&self.folder()).iter().flat_map(|entry| inner(entry)).collect();
        found.sort();
        found
    }
}

fn from(step: u64) -> Vec<u64> {
    (step..=8).collect()
}

/// Three times the height before and one, eight times.
const TOP: &str = "3280";

fn assert_top(toy: &Toy, record: &Record) {
    let rows = exported(toy.folder.path(), record, "climb");
    assert!(rows.len() == 2 && rows.iter().all(|row| row.contains(TOP)), "{rows:?}");
    assert!(toy.checkpoints().is_empty(), "{:?}", toy.checkpoints());
}

#[test]
fn a_stopped_table_goes_on() {
    let toy = Toy::new();
    toy.run(Some(3), false);
    assert_eq!(toy.checkpoints().len(), 1);
    let (steps, warnings, _) = toy.run(Some(5), false);
    assert_eq!((steps, warnings), (vec![4, 5], vec![]));
    assert_eq!(toy.run(Some(6), false).0, [6]);
    assert_eq!(toy.checkpoints().len(), 2, "the newest two stay");
    let (steps, warnings, record) = toy.run(None, false);
    assert_eq!((steps, warnings), (vec![7, 8], vec![]));
    assert_top(&toy, &record);
}

#[test]
fn a_damaged_checkpoint_leaves_the_one_before() {
    for damage in ["flip", "truncate", "delete", "empty", "swap"] {
        let toy = Toy::new();
        toy.run(Some(3), false);
        toy.run(Some(5), false);
        let [older, newest] = &toy.checkpoints()[..] else { panic!("{:?}", toy.checkpoints()) };
        let bytes = fs::read(newest).unwrap();
        match damage {
            "flip" => fs::write(newest, [&[bytes[0] ^ 4], &bytes[1..]].concat()).unwrap(),
            "truncate" => fs::write(newest, &bytes[..5]).unwrap(),
            "delete" => fs::remove_file(newest).unwrap(),
            "empty" => fs::write(newest, []).unwrap(),
            _ => fs::write(newest, fs::read(older).unwrap()).unwrap(),
        }
        let (steps, warnings, record) = toy.run(None, false);
        assert_eq!(steps, from(4), "{damage}");
        let told = warnings.iter().filter(|warning| warning.contains("does not match its digest")).count();
        assert_eq!(told, usize::from(damage != "delete"), "{damage}: {warnings:?}");
        assert_top(&toy, &record);
    }
}

#[test]
fn both_damaged_begins_anew() {
    let toy = Toy::new();
    toy.run(Some(3), false);
    toy.run(Some(5), false);
    toy.checkpoints().iter().for_each(|path| fs::write(path, "rubbish").unwrap());
    let (steps, warnings, record) = toy.run(None, false);
    assert_eq!((steps, warnings.len()), (from(1), 2));
    assert_top(&toy, &record);
}

#[test]
fn force_and_other_options_begin_anew() {
    let mut toy = Toy::new();
    toy.run(Some(3), false);
    let (steps, _, record) = toy.run(None, true);
    assert_eq!(steps, from(1));
    assert_top(&toy, &record);
    toy.run(None, false);
    toy.by = 2;
    toy.run(Some(3), false);
    toy.by = 4;
    assert_eq!(toy.run(None, false).0, from(1), "another key has checkpoints of its own");
    toy.by = 2;
    assert_eq!(toy.run(None, false).0, from(4));
    assert!(toy.checkpoints().is_empty());
}

#[test]
fn a_hit_removes_what_a_kill_left() {
    let toy = Toy::new();
    toy.run(Some(3), false);
    let left = toy.checkpoints().remove(0);
    let bytes = fs::read(&left).unwrap();
    toy.run(None, false);
    fs::write(&left, bytes).unwrap();
    let (steps, _, record) = toy.run(None, false);
    assert!(steps.is_empty(), "it was stored");
    assert_top(&toy, &record);
}

#[test]
fn checkpoints_that_cannot_be_written_are_told_and_stop_nothing() {
    let toy = Toy::new();
    fs::create_dir_all(toy.folder().parent().unwrap()).unwrap();
    fs::write(toy.folder(), "in the way").unwrap();
    let (_, warnings, _) = toy.run(Some(3), false);
    assert!(
        warnings.iter().any(|warning| warning.contains("could not be saved, the work goes on")),
        "{warnings:?}"
    );
    let (steps, _, record) = toy.run(None, false);
    assert_eq!(steps, from(1));
    let rows = exported(toy.folder.path(), &record, "climb");
    assert!(rows.iter().all(|row| row.contains(TOP)), "{rows:?}");
}

/// A tensor column larger than the memory for it is the same column, nulls and all, in any order of arrival.
#[test]
fn a_pack_is_the_column() {
    for dtype in [tensor::Dtype::Float16, tensor::Dtype::Float32] {
        let ids = StringArray::from_iter_values((0..50).map(|row| format!("{:02}", row * 37 % 50)));
        let values = (0..150).map(|value| value as f32 * 0.5);
        let cells = match dtype {
            tensor::Dtype::Float16 => tensor::from_f16(3, values.map(half::f16::from_f32).collect()),
            tensor::Dtype::Float32 => tensor::from_f32(3, values.collect()),
        };
        let kept = arrow::array::BooleanArray::from_iter((0..50).map(|row| Some(row % 7 == 3)));
        let cells = arrow::compute::nullif(&cells.unwrap(), &kept).unwrap();
        let fields = vec![Arc::new(Field::new("id", DataType::Utf8, false)), tensor::field("t", dtype, &[3])];
        let schema = Arc::new(arrow::datatypes::Schema::new(fields));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(ids), cells]).unwrap();
        let rows = || TableRows::from_record_batch(&batch).unwrap();
        let (held, packed) = (rows().resident("t").unwrap(), rows().memory(0).resident("t").unwrap());
        assert_eq!(&held, &rows().column("t").unwrap());
        assert_eq!(&packed, &held);
        assert!(packed.null_count() > 0 && packed.null_count() < 50);
    }
}

#[test]
fn a_forecast_says_from_where_a_table_goes_on_and_what_is_left_to_do() {
    let mut toy = Toy::new();
    let (_, _, whole) = toy.run(None, false);
    toy.by = 2;
    let all = toy.forecast(false);
    assert_eq!(all.cause, None);
    let (_, _, record) = toy.run(Some(6), false);
    let rest = toy.forecast(false);
    assert_eq!(rest.reason, "`options.by` 1 -> 2");
    let cause = format!("run `{}` was interrupted; goes on after 6 of 8 steps", record.id);
    assert_eq!(rest.cause, Some(cause));
    let seconds = whole.stages["climb"]["computing"].as_f64().unwrap();
    assert_eq!(all.seconds, Some(seconds), "as long as with the other option");
    assert_eq!(rest.bytes, all.bytes, "the result is stored as a whole");
    // At the pace of the run that was stopped: ten seconds a step.
    let path = record.folder().join("events.jsonl");
    let mut events: Vec<Value> =
        fs::read_to_string(&path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in events.iter_mut().filter(|event| event["unit"] == "steps") {
        event["ts"] = format!(
            "2026-01-01T00:{:02}:{:02}Z",
            event["done"].as_u64().unwrap() / 6,
            event["done"].as_u64().unwrap() % 6 * 10
        )
        .into();
    }
    fs::write(&path, events.iter().map(|event| format!("{event}\n")).collect::<String>()).unwrap();
    assert_eq!(toy.forecast(false).seconds, Some(20.0));
    assert_eq!(toy.forecast(true).seconds, Some(80.0), "a run that is forced begins anew");
    toy.run(None, false);
    assert_eq!((toy.forecast(false).compute, toy.forecast(false).cause), (0, None));
}
