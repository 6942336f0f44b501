//! `label` on tables whose classes and domain shift are known.

mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use affectflow_pipeline::event::Event;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::tensor;
use affectflow_stages::label::Label;
use arrow::array::{Float32Array, Int32Array, RecordBatch};
use arrow::datatypes::DataType;
use half::f16;
use serde_json::{Value, json};
use table::*;

fn quick() -> Value {
    json!({ "epochs": 8, "batch": 16, "knowledge_tokens": 4, "lr": 0.005, "pyramid": 16 })
}

#[test]
fn pseudo_labels_beat_chance_by_far() {
    let rows = Synthetic::default().table();
    let told = Told::new(|_| ());
    let (out, output) = run(&Label, quick(), &rows, &watched(&told, [])).unwrap();
    let (accuracy, coverage) = agreement(&ints(&out, "pseudo_label"), &ints(&out, "eval_label"));
    assert!(accuracy > 0.8, "pseudo-labels are right in {accuracy}");
    assert!(coverage > 0.3 && coverage <= 0.83, "coverage {coverage}");
    let val = told.metrics("val_macro_f1");
    assert!(val.iter().copied().fold(0.0, f64::max) > 0.8, "{val:?}");

    let source = ints(&out, "label");
    let pseudo = ints(&out, "pseudo_label");
    assert!(source.iter().zip(&pseudo).all(|(label, pseudo)| label.is_none() || pseudo.is_none()));
    for (row, pseudo) in pseudo.iter().enumerate() {
        let scores = tensor::row_f32(out.column_by_name("alignment").unwrap(), row).unwrap();
        let largest = scores.iter().copied().fold(f32::MIN, f32::max);
        let best = 1.0 / scores.iter().map(|s| (s - largest).exp()).sum::<f32>();
        assert!((best - floats(&out, "pseudo_confidence")[row]).abs() < 1e-5);
        if let Some(class) = *pseudo {
            assert!(scores[class as usize] == largest && best >= 0.6);
        }
    }
    assert!(artifact(&output, "alignment").len() > 10_000);
}

#[test]
fn same_seed_same_bytes_in_any_order_of_arrival() {
    let rows = Synthetic { source: 60, target: 30, ..Synthetic::default() }.table();
    let run = |rows: &RecordBatch, seed: u64| {
        let options = json!({ "epochs": 2, "batch": 16, "knowledge_tokens": 4, "seed": seed });
        let (out, output) = run(&Label, options, rows, &Context::detached([])).unwrap();
        bytes(&out.project(&[0]).unwrap(), &output)
    };
    let first = run(&rows, 0);
    assert!(first == run(&rows, 0), "two runs differ");
    assert!(first == run(&reversed(&rows), 0), "the order of arrival counts");
    assert!(first != run(&rows, 1), "the seed does not count");
}

const DIGEST: &str = "AFFECTFLOW_TEST_DIGEST";

/// Runs itself in two processes, as the number of threads is fixed once a process has begun to compute.
#[test]
fn threads_change_nothing() {
    if let Some(path) = std::env::var_os(DIGEST) {
        let rows = Synthetic { source: 60, target: 30, ..Synthetic::default() }.table();
        let options = json!({ "epochs": 2, "batch": 32, "pyramid": 64 });
        let (out, output) = run(&Label, options, &rows, &Context::detached([])).unwrap();
        std::fs::write(path, bytes(&out.project(&[0]).unwrap(), &output)).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let with = |threads: &str| {
        let path = folder.path().join(threads);
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "threads_change_nothing", "--test-threads=1"])
            .env("RAYON_NUM_THREADS", threads)
            .env(DIGEST, &path)
            .output()
            .unwrap();
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stdout));
        std::fs::read(path).unwrap()
    };
    assert!(with("1") == with("4"));
}

#[test]
fn a_stop_is_heeded_within_an_epoch() {
    let rows = Synthetic::default().table();
    let stop = Arc::new(AtomicBool::new(false));
    let sign = stop.clone();
    let told = Told::new(move |event| {
        if matches!(event, Event::Progress { .. }) {
            sign.store(true, Ordering::Relaxed);
        }
    });
    let cx = Context::detached([]).observed(told.clone()).stopped_by(stop);
    assert_eq!(failure(&Label, quick(), &rows, &cx), "interrupted");
    assert_eq!(told.metrics("loss").len(), 1);
}

fn failing(rows: &RecordBatch) -> String {
    failure(&Label, quick(), rows, &Context::detached([]))
}

#[test]
fn bad_input_is_named() {
    let small = Synthetic { source: 20, target: 12, ..Synthetic::default() };
    let rows = small.table();

    let none = Int32Array::from(vec![None; 32]);
    let message = failing(&replaced(&rows, "label", Arc::new(none), None));
    assert_eq!(message, "no labelled row of the source domain has split `train` or `all`");

    let one: Int32Array = (0..32).map(|row| (row < 20).then_some(1)).collect();
    let message = failing(&replaced(&rows, "label", Arc::new(one), None));
    assert!(message.contains("one class, `happy`"), "{message}");

    let beyond: Int32Array = (0..32).map(|row| (row < 20).then_some(row % 5)).collect();
    let message = failing(&replaced(&rows, "label", Arc::new(beyond), None));
    assert!(message.contains("`label` is 4, and there are 4 classes"), "{message}");

    let mut values = vec![f16::ONE; 32 * Synthetic::length()];
    values[5] = f16::NAN;
    let features = tensor::from_f16(Synthetic::length(), values).unwrap();
    let message = failing(&replaced(&rows, "features", features, None));
    assert!(message.contains("row `a/0000`: `features` holds a value that is not a number"), "{message}");
}

#[test]
fn an_absent_class_is_refused() {
    let rows = Synthetic { source: 40, target: 12, ..Synthetic::default() }.table();
    let three: Int32Array = (0..52).map(|row| (row < 40).then_some(row % 3)).collect();
    let rows = replaced(&rows, "label", Arc::new(three), None);
    let told = Told::new(|_| ());
    let refused = run(&Label, json!({ "epochs": 1, "knowledge_tokens": 2 }), &rows, &watched(&told, []));
    let Err(error) = refused else { panic!("trained") };
    assert_eq!(error.message(), "no source row of class `anger` to learn from");
}

#[test]
fn the_plan_refuses_what_cannot_run() {
    let rows = Synthetic { source: 8, target: 4, ..Synthetic::default() }.table();
    let refused = |options: Value, rows: &RecordBatch| match plan(&Label, options, rows) {
        Ok(_) => panic!("planned"),
        Err(problem) => (problem.message, problem.option.join(".")),
    };
    assert!(refused(json!({}), &without(&rows, "knowledge")).0.contains("`knowledge`"));
    assert_eq!(refused(json!({ "template": "a face" }), &rows).1, "template");
    assert_eq!(refused(json!({ "lr": 0.0 }), &rows).1, "lr");
    assert_eq!(refused(json!({ "heads": 5 }), &rows).1, "heads");
    assert_eq!(refused(json!({ "min_confidence": 1.5 }), &rows).1, "min_confidence");
    let narrow = tensor::field("knowledge", tensor::Dtype::Float16, &[2, 8]);
    let values = tensor::from_f16(16, vec![f16::ONE; 12 * 16]).unwrap();
    let (message, option) = refused(json!({}), &replaced(&rows, "knowledge", values, Some(narrow)));
    assert!(option == "model" && message.contains("64 wide"), "{message}");
    let bare = Arc::new(Float32Array::from(vec![0.0; 12]));
    let field = of_type(DataType::Float32, "features");
    assert!(refused(json!({}), &replaced(&rows, "features", bare, Some(field))).0.contains("`levels`"));
}

#[test]
fn identity_does_not_hold_the_model_path_but_its_files() {
    let rows = Synthetic { source: 8, target: 4, ..Synthetic::default() }.table();
    let planned = plan(&Label, json!({}), &rows).unwrap();
    assert!(planned.depends.len() >= 3, "{:?}", planned.depends);
    let schema = affectflow_pipeline::registry::Kind::schema(&Label);
    assert_eq!(schema["properties"]["model"]["x-identity"], json!(false));
    assert_eq!(schema["properties"]["lr"]["x-identity"], Value::Null);
}
