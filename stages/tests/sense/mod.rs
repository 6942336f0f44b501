//! What the tests of `embed` and `perceive` share: pictures, model folders to damage, and one way to run a map stage.
#![allow(dead_code)]

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use affectflow_models::builtin::builtin;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::{Failures, Inputs, schema_of};
use affectflow_pipeline::{Digest, Map, Planned, Problem, Registry, StageError, Work};
use affectflow_stages::columns;
use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde_json::Value;

/// A PNG of smooth colours that differ by `seed`.
pub fn png(seed: u32) -> Vec<u8> {
    let pixel = |x: u32, y: u32| {
        let wave =
            |k: u32| ((x * (k + seed % 5) + y * (7 - k) + seed * 31) as f32 / 40.0).sin() * 100.0 + 128.0;
        image::Rgb([wave(1) as u8, wave(2) as u8, wave(3) as u8])
    };
    let mut bytes = Cursor::new(Vec::new());
    image::RgbImage::from_fn(96, 80, pixel).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The built-in model on disk.
pub fn model_on_disk(to: &Path) {
    let model = builtin("tiny").unwrap();
    for name in model.names().unwrap() {
        let file = to.join(&name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, model.bytes(&name).unwrap()).unwrap();
    }
}

/// Replaces bytes of a file by others, equally many; at least one place must match.
pub fn damage(file: &Path, from: &str, to: &str) {
    let mut bytes = std::fs::read(file).unwrap();
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
    bytes.splice(at..at + from.len(), to.bytes());
    std::fs::write(file, bytes).unwrap();
}

/// What a stage whose inputs have `id`, `image` and `more` knows.
pub fn inputs(base: &Path, more: &[FieldRef]) -> Inputs {
    let mut fields: Vec<FieldRef> = vec![Arc::new(Field::new("id", DataType::Utf8, false))];
    fields.extend(columns::image());
    fields.extend_from_slice(more);
    Inputs {
        stage: "test".into(),
        schema: schema_of(&fields),
        from: Vec::new(),
        ports: Vec::new(),
        artifacts: Vec::new(),
        base: base.to_owned(),
    }
}

/// The plan of a kind as the program makes it, from options as typed.
pub fn plan(kind: &str, options: Value, inputs: &Inputs) -> Result<Planned, Problem> {
    let mut registry = Registry::new();
    affectflow_stages::register(&mut registry);
    registry.get(kind).unwrap().plan(&options, inputs).map(|(planned, _)| planned)
}

/// `id` and `image`, with further columns.
pub fn rows(pictures: &[Vec<u8>], more: &[(&str, ArrayRef)]) -> RecordBatch {
    let ids: StringArray = (0..pictures.len()).map(|row| Some(format!("set/{row}.png"))).collect();
    let images: BinaryArray = pictures.iter().map(|picture| Some(picture.as_slice())).collect();
    let mut fields =
        vec![Field::new("id", DataType::Utf8, false), Field::new(columns::IMAGE, DataType::Binary, true)];
    let mut values: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(images)];
    for (name, column) in more {
        fields.push(Field::new(*name, column.data_type().clone(), true));
        values.push(column.clone());
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), values).unwrap()
}

/// What a map stage made of rows: its columns for those that succeeded, with their ids, and the failures.
pub struct Made {
    pub ids: Vec<String>,
    pub columns: Vec<ArrayRef>,
    pub failures: Vec<(String, String)>,
}

impl Made {
    /// One digest of all columns.
    pub fn digest(&self) -> Digest {
        let cells =
            self.columns.iter().flat_map(|column| affectflow_pipeline::digest::cells(column).unwrap());
        let cells: Vec<Digest> = cells.collect();
        Digest::of_parts(cells.iter().map(|cell| cell.0.as_slice()))
    }
}

pub fn map_of(planned: &Planned) -> Arc<dyn Map> {
    let Work::Map(map) = &planned.work else { panic!("not a map") };
    map.clone()
}

/// Runs a map stage as the engine does, `rows_per_call` rows at a time.
pub fn run(planned: &Planned, rows: &RecordBatch, rows_per_call: usize) -> Result<Made, StageError> {
    let map = map_of(planned);
    let mut worker = map.open(&Context::detached([]))?;
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); planned.adds.len()];
    let (mut ids, mut failures) = (Vec::new(), Vec::new());
    for start in (0..rows.num_rows()).step_by(rows_per_call) {
        let mut failed = Failures::default();
        let call = rows.slice(start, rows_per_call.min(rows.num_rows() - start));
        let prepared = map.prepare(call, &mut failed)?;
        let columns = worker.compute(&prepared, &mut failed)?;
        let names: Vec<String> =
            prepared.column(0).as_string::<i32>().iter().map(|id| id.unwrap().to_owned()).collect();
        let good = (0..names.len() as u32).filter(|&row| !failed.contains(&names[row as usize]));
        let good = UInt32Array::from_iter_values(good);
        for ((part, column), field) in parts.iter_mut().zip(&columns).zip(&planned.adds) {
            assert_eq!((column.data_type(), column.len()), (field.data_type(), names.len()));
            part.push(arrow::compute::take(column, &good, None).unwrap());
        }
        ids.extend(good.values().iter().map(|&row| names[row as usize].clone()));
        failures.extend(failed.into_inner());
    }
    let join =
        |parts: &Vec<ArrayRef>| concat(&parts.iter().map(|part| part.as_ref()).collect::<Vec<_>>()).unwrap();
    Ok(Made { ids, columns: parts.iter().map(join).collect(), failures })
}

/// Runs `work` in a pool of that many threads.
pub fn with_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(work)
}

/// The digest that this test prints in a process of its own with that many threads.
pub fn digest_in_process(test: &str, threads: usize) -> String {
    let program = std::env::current_exe().unwrap();
    let output = std::process::Command::new(program)
        .args([test, "--exact", "--nocapture"])
        .env("RAYON_NUM_THREADS", threads.to_string())
        .env("AFFECTFLOW_TEST_CHILD", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let digest = said.split("digest=").nth(1).map(|rest| rest.chars().take(32).collect::<String>());
    digest.unwrap_or_else(|| panic!("no digest in {said}{}", String::from_utf8_lossy(&output.stderr)))
}

/// Whether this is the process that [`digest_in_process`] started.
pub fn is_child() -> bool {
    std::env::var_os("AFFECTFLOW_TEST_CHILD").is_some()
}
