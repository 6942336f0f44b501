//! Does `export` write what it says, replace only what it wrote, and lay a `datasets` folder out as the library opens it?

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::TableOutput;
use affectflow_pipeline::{Planned, Problem, StageResult, Work, tensor};
use affectflow_stages::columns;
use arrow::array::{ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};

use crate::{cells, classes, common, inputs, numbers, table, words};

/// Five rows: a class, a tensor, a truth that nobody may read.
fn rows() -> RecordBatch {
    let vectors = tensor::from_f32(2, (0..10).map(|n| n as f32 / 2.0).collect()).unwrap();
    let digests = FixedSizeBinaryArray::try_from_iter([[7u8; 16]; 5].iter()).unwrap();
    table(vec![
        words("id", &["d/a.png", "d/b.png", "d/c.png", "d/d.png", "d/e.png"]),
        classes("label", &[Some(1), None, Some(0), Some(1), Some(0)]),
        (tensor::field("vector", tensor::Dtype::Float32, &[2]), vectors),
        (Arc::new(Field::new("image_digest", DataType::FixedSizeBinary(16), true)), Arc::new(digests)),
        numbers("eval_label", &[None, Some(1), None, None, None]),
    ])
}

fn plan(options: Value, rows: &RecordBatch, base: &Path) -> Result<Planned, Problem> {
    common::plan_on("export", &options, inputs(&[("above", rows)], base))
}

fn export(options: Value, rows: &RecordBatch, base: &Path) -> StageResult<TableOutput> {
    let planned = plan(options, rows, base).unwrap_or_else(|problem| panic!("{problem}"));
    crate::run_planned(&planned, &[("above", rows)])
}

#[test]
fn the_ending_chooses_the_format_and_the_truth_stays_inside() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["out/rows.csv", "rows.jsonl", "rows.parquet", "rows.ARROW"] {
        let output = export(json!({ "path": name }), &rows(), folder.path()).unwrap();
        assert_eq!(output.written, [folder.path().join(name)]);
        assert!(fs::metadata(&output.written[0]).unwrap().len() > 100);
    }
    let csv = fs::read_to_string(folder.path().join("out/rows.csv")).unwrap();
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("id,label,vector,image_digest"));
    assert_eq!(lines.next(), Some("d/a.png,1,\"[0.0,0.5]\",07070707070707070707070707070707"));
    let output =
        export(json!({ "path": "two.csv", "columns": ["id", "label"] }), &rows(), folder.path()).unwrap();
    assert_eq!(fs::read_to_string(&output.written[0]).unwrap().lines().nth(2), Some("d/b.png,"));
}

#[test]
fn a_datasets_folder_has_its_streams_its_state_and_its_features() {
    let folder = tempfile::tempdir().unwrap();
    let output = export(json!({ "path": "faces", "rows_per_file": 2 }), &rows(), folder.path()).unwrap();
    let mut names: Vec<String> = fs::read_dir(folder.path().join("faces"))
        .unwrap()
        .map(|item| item.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let streams = ["data-00000-of-00003.arrow", "data-00001-of-00003.arrow", "data-00002-of-00003.arrow"];
    assert_eq!(names, [&streams[..], &["dataset_info.json", "state.json"]].concat());
    assert_eq!(output.written.len(), 5);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing passing is left beside it");

    let json = |name: &str| -> Value {
        serde_json::from_slice(&fs::read(folder.path().join("faces").join(name)).unwrap()).unwrap()
    };
    let features = &json("dataset_info.json")["features"];
    assert_eq!(features["label"], json!({ "names": ["sad", "happy"], "_type": "ClassLabel" }));
    let number = json!({ "dtype": "float32", "_type": "Value" });
    assert_eq!(features["vector"], json!({ "feature": number, "_type": "Sequence" }));
    assert_eq!(features["image_digest"], json!({ "dtype": "binary", "_type": "Value" }));
    assert!(features.get("eval_label").is_none());
    let state = json("state.json");
    assert_eq!(state["_data_files"][2], json!({ "filename": streams[2] }));
    assert_eq!(state["_fingerprint"].as_str().unwrap().len(), 16);
    assert!(state["_split"].is_null());

    let mut ids = Vec::new();
    for stream in streams {
        let file = File::open(folder.path().join("faces").join(stream)).unwrap();
        let reader = StreamReader::try_new(file, None).unwrap();
        assert!(reader.schema().metadata()["huggingface"].contains("ClassLabel"));
        for batch in reader {
            let batch = batch.unwrap();
            batch.column_by_name("label").unwrap().as_primitive::<Int64Type>();
            ids.extend(cells(batch.column(0)));
        }
    }
    assert_eq!(ids, ["d/a.png", "d/b.png", "d/c.png", "d/d.png", "d/e.png"]);
}

#[test]
fn pictures_go_into_a_datasets_folder_with_their_bytes() {
    let arrays: [ArrayRef; 3] = [
        Arc::new(StringArray::from(vec!["file:a"])),
        Arc::new(FixedSizeBinaryArray::try_from_iter([[0u8; 16]].iter()).unwrap()),
        Arc::new(BinaryArray::from(vec![&b"png"[..]])),
    ];
    let columns = [words("id", &["d/a.png"])].into_iter().chain(columns::image().into_iter().zip(arrays));
    let rows = table(columns.collect());
    let folder = tempfile::tempdir().unwrap();
    let planned = plan(json!({ "path": "faces" }), &rows, folder.path()).unwrap();
    assert!(planned.consumes.contains(&"image".to_owned()));
    assert!(
        !plan(json!({ "path": "f.csv" }), &rows, folder.path())
            .unwrap()
            .consumes
            .contains(&"image".to_owned())
    );
    let Work::Table(work) = &planned.work else { panic!("not a table") };
    work.run(&TableRows::from_record_batch(&rows).unwrap(), &Context::detached([])).unwrap();
    let file = File::open(folder.path().join("faces/data-00000-of-00001.arrow")).unwrap();
    let batch = StreamReader::try_new(file, None).unwrap().next().unwrap().unwrap();
    let image = batch.column_by_name("image").unwrap().as_struct();
    assert_eq!(image.column_by_name("bytes").unwrap().as_binary::<i32>().value(0), b"png");
    assert_eq!(image.column_by_name("path").unwrap().as_string::<i32>().value(0), "a.png");
    let info = fs::read_to_string(folder.path().join("faces/dataset_info.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&info).unwrap()["features"]["image"],
        json!({ "_type": "Image" })
    );
}

#[test]
fn a_folder_of_its_own_is_replaced_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let options = || json!({ "path": "faces", "columns": [] });
    let state = || fs::read_to_string(folder.path().join("faces/state.json")).unwrap();
    export(options(), &rows(), folder.path()).unwrap();
    let first = state();
    export(options(), &rows().slice(0, 3), folder.path()).unwrap();
    assert_ne!(state(), first, "other rows have another fingerprint");
    export(options(), &rows(), folder.path()).unwrap();
    assert_eq!(state(), first);
    fs::create_dir(folder.path().join("mine")).unwrap();
    fs::write(folder.path().join("mine/work.txt"), "months").unwrap();
    let error = export(json!({ "path": "mine" }), &rows(), folder.path()).err().unwrap();
    assert!(error.message().contains("is no folder that `export` wrote"), "{}", error.message());
    assert!(folder.path().join("mine/work.txt").is_file());
}

#[test]
fn what_cannot_be_written_is_refused() {
    let refused = |options: Value| {
        let problem = plan(options, &rows(), Path::new(".")).err().expect("a problem");
        (problem.message, problem.option.join("."))
    };
    assert_eq!(
        refused(json!({ "path": "x.xlsx" })),
        ("cannot tell the format of `x.xlsx`".into(), "path".into())
    );
    assert_eq!(refused(json!({ "path": "x.csv", "columns": ["colour"] })).1, "columns");
    assert_eq!(refused(json!({ "path": "x.csv", "rows_per_file": 5 })).1, "rows_per_file");
    assert_eq!(refused(json!({ "path": ".." })).0, "`path` names no file");
}
