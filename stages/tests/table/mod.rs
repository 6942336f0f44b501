//! A small feature table with a known shift between its domains, and a way to run a table stage on it.

#![allow(dead_code)]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::registry::Kind;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::{Inputs, Planned, TableOutput, Work};
use affectflow_pipeline::{Problem, StageResult, tensor};
use affectflow_stages::columns::{self, FEATURES, KNOWLEDGE, LEVELS};
use arrow::array::{ArrayRef, AsArray, Int32Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Int32Type, Schema};
use bytes::Bytes;
use half::f16;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

pub const CLASSES: [&str; 4] = ["surprise", "happy", "sad", "anger"];
const CHANNELS: [usize; 3] = [6, 8, 5];
const TOKENS: usize = 8;
const WIDTH: usize = 64;

/// Rows of a table: how many a domain, how far classes lie apart and the domains from each other (in deviations).
#[derive(Clone)]
pub struct Synthetic {
    pub seed: u64,
    pub source: usize,
    pub target: usize,
    pub apart: f32,
    pub shift: f32,
    pub split: fn(usize) -> &'static str,
}

impl Default for Synthetic {
    fn default() -> Self {
        let split = |row| if row % 5 == 4 { "val" } else { "train" };
        Synthetic { seed: 7, source: 200, target: 120, apart: 0.6, shift: 0.4, split }
    }
}

fn gauss(random: &mut ChaCha8Rng) -> f32 {
    let (a, b): (f32, f32) = (random.random::<f32>().max(1e-7), random.random());
    (-2.0 * a.ln()).sqrt() * (std::f32::consts::TAU * b).cos()
}

impl Synthetic {
    pub fn length() -> usize {
        9 * CHANNELS.iter().sum::<usize>()
    }

    /// The table, its rows in the order of their numbers (which is not that of their ids).
    pub fn table(&self) -> RecordBatch {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut vector = |length: usize| (0..length).map(|_| gauss(&mut random)).collect::<Vec<f32>>();
        let means: Vec<Vec<f32>> = CLASSES.iter().map(|_| vector(Self::length())).collect();
        let words: Vec<Vec<f32>> = CLASSES.iter().map(|_| vector(WIDTH)).collect();
        let drift = vector(Self::length());
        let rows = self.source + self.target;
        let (mut features, mut knowledge) = (Vec::new(), Vec::new());
        for row in 0..rows {
            let (class, drift_of) = (row % CLASSES.len(), if row < self.source { 0.0 } else { self.shift });
            let noise = vector(Self::length());
            let value = |i: usize| means[class][i] * self.apart + drift[i] * drift_of + noise[i];
            features.extend((0..Self::length()).map(|i| f16::from_f32(3.0 + 0.5 * value(i))));
            let noise = vector(TOKENS * WIDTH);
            knowledge
                .extend((0..TOKENS * WIDTH).map(|i| f16::from_f32(0.3 * words[class][i % WIDTH] + noise[i])));
        }
        self.batch(features, knowledge)
    }

    fn batch(&self, features: Vec<f16>, knowledge: Vec<f16>) -> RecordBatch {
        let rows = self.source + self.target;
        let classes: Vec<String> = CLASSES.map(str::to_owned).to_vec();
        let text = |name: &str, value: &dyn Fn(usize) -> String| -> (FieldRef, ArrayRef) {
            let values = StringArray::from_iter_values((0..rows).map(value));
            (columns::text(name), Arc::new(values))
        };
        let of_source = |row: usize| row < self.source;
        let class = |row: usize| Some((row % CLASSES.len()) as i32);
        let label: Int32Array = (0..rows).map(|row| class(row).filter(|_| of_source(row))).collect();
        let truth: Int32Array = (0..rows).map(|row| class(row).filter(|_| !of_source(row))).collect();
        let columns: Vec<(FieldRef, ArrayRef)> = vec![
            text("id", &|row| {
                format!("{}/{:04}", if of_source(row) { "a" } else { "b" }, (row * 7919) % 10_000)
            }),
            text("dataset", &|row| if of_source(row) { "a".into() } else { format!("b{}", row % 2) }),
            text("domain", &|row| if of_source(row) { "source".into() } else { "target".into() }),
            text("split", &|row| if of_source(row) { (self.split)(row).into() } else { "all".into() }),
            text("group", &|row| format!("g{:02}", row % 24)),
            (columns::class("label", &classes), Arc::new(label)),
            (columns::class("eval_label", &classes), Arc::new(truth)),
            (features_field(&CHANNELS), tensor::from_f16(Self::length(), features).unwrap()),
            (
                tensor::field(KNOWLEDGE, tensor::Dtype::Float16, &[TOKENS, WIDTH]),
                tensor::from_f16(TOKENS * WIDTH, knowledge).unwrap(),
            ),
        ];
        let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
    }
}

/// The field of features of those channels, each level half as high as the one before.
pub fn features_field(channels: &[usize]) -> FieldRef {
    let side = |level: usize| 8 >> level;
    let levels: Vec<Value> = channels
        .iter()
        .enumerate()
        .map(|(level, channels)| serde_json::json!({ "channels": channels, "height": side(level), "width": side(level) }))
        .collect();
    let length = 9 * channels.iter().sum::<usize>();
    let field = tensor::field(FEATURES, tensor::Dtype::Float16, &[1, length]);
    let mut metadata: HashMap<String, String> = field.metadata().clone().into();
    metadata.insert(LEVELS.into(), Value::from(levels).to_string());
    Arc::new(field.as_ref().clone().with_metadata(metadata))
}

/// Plans a stage on the columns of a table.
pub fn plan(stage: &dyn Kind, options: Value, rows: &RecordBatch) -> Result<Planned, Problem> {
    let inputs = Inputs {
        stage: stage.about().kind.into(),
        schema: rows.schema(),
        from: Vec::new(),
        ports: Vec::new(),
        artifacts: vec!["alignment".into()],
        base: PathBuf::new(),
    };
    Ok(stage.plan(&options, &inputs)?.0)
}

/// Runs a table stage; the rows that come out have its columns added.
pub fn run(
    stage: &dyn Kind,
    options: Value,
    rows: &RecordBatch,
    cx: &Context,
) -> StageResult<(RecordBatch, TableOutput)> {
    run_on(stage, options, rows, cx, |rows| rows)
}

/// The same, on rows that are held another way.
pub fn run_on(
    stage: &dyn Kind,
    options: Value,
    rows: &RecordBatch,
    cx: &Context,
    held: impl FnOnce(TableRows) -> TableRows,
) -> StageResult<(RecordBatch, TableOutput)> {
    let planned = plan(stage, options, rows).unwrap_or_else(|problem| panic!("{}", problem.message));
    let Work::Table(work) = &planned.work else { panic!("not a table stage") };
    let indices: Vec<usize> = (0..rows.num_columns())
        .filter(|&at| at == 0 || planned.consumes.contains(rows.schema().field(at).name()))
        .collect();
    let output = work.run(&held(TableRows::from_record_batch(&rows.project(&indices)?)?), cx)?;
    let sorted = sorted(rows);
    let fields: Vec<FieldRef> =
        sorted.schema().fields().iter().cloned().chain(planned.adds.iter().cloned()).collect();
    let arrays: Vec<ArrayRef> =
        sorted.columns().iter().cloned().chain(output.columns.iter().cloned()).collect();
    Ok((RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?, output))
}

/// What a table stage says where it fails.
pub fn failure(stage: &dyn Kind, options: Value, rows: &RecordBatch, cx: &Context) -> String {
    match run(stage, options, rows, cx) {
        Ok(_) => panic!("it did not fail"),
        Err(error) => error.message().to_owned(),
    }
}

/// The rows in the order of their ids.
pub fn sorted(rows: &RecordBatch) -> RecordBatch {
    let ids = rows.column(0).as_string::<i32>();
    let mut order: Vec<u32> = (0..rows.num_rows() as u32).collect();
    order.sort_by_key(|&row| ids.value(row as usize).to_owned());
    take_record_batch(rows, &UInt32Array::from(order)).unwrap()
}

/// The same rows the other way round.
pub fn reversed(rows: &RecordBatch) -> RecordBatch {
    let order: UInt32Array = (0..rows.num_rows() as u32).rev().collect();
    take_record_batch(rows, &order).unwrap()
}

/// The same rows with one column replaced; its field stays unless one is given.
pub fn replaced(rows: &RecordBatch, name: &str, array: ArrayRef, field: Option<FieldRef>) -> RecordBatch {
    let at = rows.schema().index_of(name).unwrap();
    let mut fields: Vec<FieldRef> = rows.schema().fields().to_vec();
    fields[at] = field.unwrap_or_else(|| fields[at].clone());
    let mut arrays = rows.columns().to_vec();
    arrays[at] = array;
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

/// The rows without a column.
pub fn without(rows: &RecordBatch, name: &str) -> RecordBatch {
    let keep: Vec<usize> =
        (0..rows.num_columns()).filter(|&at| rows.schema().field(at).name() != name).collect();
    rows.project(&keep).unwrap()
}

pub fn ints(rows: &RecordBatch, name: &str) -> Vec<Option<i32>> {
    rows.column_by_name(name).unwrap().as_primitive::<Int32Type>().iter().collect()
}

pub fn floats(rows: &RecordBatch, name: &str) -> Vec<f32> {
    rows.column_by_name(name).unwrap().as_primitive::<Float32Type>().values().to_vec()
}

/// Share of the rows with a truth whose value is it, and share of those rows that have a value.
pub fn agreement(given: &[Option<i32>], truth: &[Option<i32>]) -> (f64, f64) {
    let both = given.iter().zip(truth).filter(|(_, truth)| truth.is_some());
    let rows = both.clone().count();
    let given = both.filter(|(given, _)| given.is_some());
    let (count, right) =
        given.fold((0, 0), |(count, right), (given, truth)| (count + 1, right + usize::from(given == truth)));
    (right as f64 / f64::from(count.max(1)), f64::from(count) / rows as f64)
}

pub fn artifact(output: &TableOutput, name: &str) -> Bytes {
    output.artifacts.iter().find(|(given, _)| given == name).unwrap().1.clone()
}

/// Bytes of everything a stage put out, in one.
pub fn bytes(rows: &RecordBatch, output: &TableOutput) -> Vec<u8> {
    let mut all = format!("{:?}", rows.columns()).into_bytes();
    output.columns.iter().for_each(|column| {
        let data = column.to_data();
        data.buffers()
            .iter()
            .chain(data.child_data().iter().flat_map(|c| c.buffers()))
            .for_each(|b| all.extend_from_slice(b));
    });
    output.artifacts.iter().for_each(|(_, bytes)| all.extend_from_slice(bytes));
    all
}

/// Keeps every event, and may act on it.
pub struct Told {
    pub events: Mutex<Vec<Event>>,
    pub on: Box<dyn Fn(&Event) + Send + Sync>,
}

impl Told {
    pub fn new(on: impl Fn(&Event) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Told { events: Mutex::default(), on: Box::new(on) })
    }

    pub fn metrics(&self, wanted: &str) -> Vec<f64> {
        let events = self.events.lock().unwrap();
        let value = |event: &Event| match event {
            Event::Metric { name, value, .. } if name == wanted => Some(*value),
            _ => None,
        };
        events.iter().filter_map(value).collect()
    }

    pub fn warnings(&self) -> Vec<String> {
        let events = self.events.lock().unwrap();
        let text = |event: &Event| match event {
            Event::Warning { message, .. } => Some(message.clone()),
            _ => None,
        };
        events.iter().filter_map(text).collect()
    }
}

impl Observer for Told {
    fn event(&self, event: &Event) {
        self.events.lock().unwrap().push(event.clone());
        (self.on)(event);
    }
}

pub fn watched(told: &Arc<Told>, artifacts: impl IntoIterator<Item = (String, Bytes)>) -> Context {
    Context::detached(artifacts).observed(told.clone())
}

pub fn of_type(kind: DataType, name: &str) -> FieldRef {
    Arc::new(Field::new(name, kind, true))
}
