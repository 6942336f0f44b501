//! `evaluate` against scikit-learn (`tests/golden/metrics.py`) and on rows that cannot be scored.

mod table;

use std::sync::Arc;

use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::tensor;
use affectflow_stages::columns;
use affectflow_stages::evaluate::Evaluate;
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{FieldRef, Schema};
use serde_json::{Value, json};
use table::{Told, artifact, failure, plan, replaced, run, watched, without};

const NAMES: [&str; 6] = ["surprise", "happy", "disgust", "fear", "sad", "anger"];

/// The rows of a golden case as the target, with four rows of the source around them.
fn rows(case: &Value) -> RecordBatch {
    let list = |name: &str| case[name].as_array().unwrap().clone();
    let number = |value: &Value| value.as_i64().unwrap() as i32;
    let truth: Vec<i32> = list("truth").iter().map(number).collect();
    let prediction: Vec<i32> = list("prediction").iter().map(number).collect();
    let (target, all) = (truth.len(), truth.len() + 4);
    let classes: Vec<String> = NAMES.map(str::to_owned).to_vec();
    // The first two source rows are of split `test`, the others of `train` and `all`; all four are predicted as 2.
    let split = ["test", "test", "train", "all"];
    let text = |name: &str, value: &dyn Fn(usize) -> Option<String>| -> (FieldRef, ArrayRef) {
        (columns::text(name), Arc::new((0..all).map(value).collect::<StringArray>()))
    };
    let ints = |name: &str, value: &dyn Fn(usize) -> Option<i32>| -> (FieldRef, ArrayRef) {
        (columns::class(name, &classes), Arc::new((0..all).map(value).collect::<Int32Array>()))
    };
    let mut probabilities: Vec<f32> = list("probabilities")
        .iter()
        .flat_map(|row| row.as_array().unwrap().clone())
        .map(|p| p.as_f64().unwrap() as f32)
        .collect();
    probabilities.extend([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]; 4].concat());
    let dataset = list("dataset");
    let pseudo: Vec<i32> = list("pseudo").iter().map(number).collect();
    let columns: Vec<(FieldRef, ArrayRef)> = vec![
        text("id", &|row| Some(format!("{:05}", (row * 31) % 10_007))),
        text("dataset", &|row| {
            Some(if row < target { dataset[row].as_str().unwrap().into() } else { "s".into() })
        }),
        text("domain", &|row| Some(if row < target { "target".into() } else { "source".into() })),
        text("split", &|row| {
            Some(if row < target { ["all", "test"][row % 2].into() } else { split[row - target].into() })
        }),
        text("group", &|row| (row % 3 != 0).then(|| format!("g{}", row % 7))),
        ints("label", &|row| (row >= target).then_some([2, 1][row % 2])),
        ints("eval_label", &|row| truth.get(row).copied()),
        ints("prediction", &|row| Some(prediction.get(row).copied().unwrap_or(2))),
        ints("pseudo_label", &|row| pseudo.get(row).copied().filter(|p| *p >= 0)),
        (
            tensor::field("probabilities", tensor::Dtype::Float32, &[6]),
            tensor::from_f32(6, probabilities).unwrap(),
        ),
    ];
    let (fields, arrays): (Vec<FieldRef>, Vec<ArrayRef>) = columns.into_iter().unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn metrics(options: Value, rows: &RecordBatch) -> Value {
    let (_, output) = run(&Evaluate, options, rows, &Context::detached([])).unwrap();
    assert!(output.columns.is_empty());
    serde_json::from_slice(&artifact(&output, "metrics")).unwrap()
}

fn golden() -> Vec<Value> {
    let text = include_str!("golden/metrics.json");
    serde_json::from_str(text).unwrap()
}

fn close(ours: &Value, theirs: &Value, tolerance: f64) {
    match (ours, theirs) {
        (Value::Array(ours), Value::Array(theirs)) => {
            assert_eq!(ours.len(), theirs.len());
            ours.iter().zip(theirs).for_each(|(ours, theirs)| close(ours, theirs, tolerance));
        }
        (Value::Object(_), Value::Object(theirs)) => {
            theirs.iter().for_each(|(key, theirs)| close(&ours[key], theirs, tolerance));
        }
        _ => {
            let (a, b) = (ours.as_f64(), theirs.as_f64());
            assert!(a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= tolerance), "{ours} for {theirs}");
        }
    }
}

#[test]
fn scores_are_those_of_scikit_learn() {
    for case in golden() {
        let ours = metrics(json!({ "group": "none" }), &rows(&case));
        for name in ["accuracy", "macro_f1", "confusion", "pseudo_label", "by_dataset"] {
            close(&ours[name], &case[name], 1e-12);
        }
        close(&ours["log_loss"], &case["log_loss"], 1e-5);
        for (class, name) in NAMES.iter().enumerate() {
            for score in ["precision", "recall", "f1", "support"] {
                close(&ours["per_class"][name][score], &case[score][class], 1e-12);
            }
        }
        // Two independent resamplings agree to the noise of their quantiles, and to one row.
        let rows = case["truth"].as_array().unwrap().len();
        close(&ours["ci95"], &case["ci95"], 0.02 + 1.0 / rows as f64);
        assert_eq!(ours["rows"], json!(rows));
        assert_eq!(ours["by_group"], Value::Null);
    }
}

#[test]
fn held_out_source_rows_are_reported_apart() {
    let case = &golden()[0];
    let ours = metrics(json!({ "bootstrap": 0 }), &rows(case));
    assert_eq!(ours["by_domain"]["source"]["rows"], json!(2));
    assert_eq!(ours["by_domain"]["source"]["accuracy"], json!(0.5));
    assert_eq!(ours["by_domain"]["target"]["accuracy"], case["accuracy"]);
    assert_eq!(ours["ci95"], Value::Null);
    let half = metrics(json!({ "split": "test", "bootstrap": 0 }), &rows(case));
    assert_eq!(half["rows"], json!(45));
}

#[test]
fn groups_are_drawn_together_and_listed() {
    let case = &golden()[0];
    let told = Told::new(|_| ());
    let (_, output) = run(&Evaluate, json!({}), &rows(case), &watched(&told, [])).unwrap();
    let ours: Value = serde_json::from_slice(&artifact(&output, "metrics")).unwrap();
    // 90 rows, of which each third has no group and stands for itself, and seven groups.
    assert_eq!(ours["by_group"].as_object().unwrap().len(), 30 + 7);
    assert!(ours["ci95"]["accuracy"][0].as_f64().unwrap() < ours["accuracy"].as_f64().unwrap());
    let same = metrics(json!({}), &rows(case));
    assert_eq!(ours, same);
    assert_ne!(ours["ci95"], metrics(json!({ "seed": 5 }), &rows(case))["ci95"]);
    assert_eq!(told.metrics("accuracy"), [case["accuracy"].as_f64().unwrap()]);
}

#[test]
fn a_target_without_truth_is_predicted_but_not_scored() {
    let rows = rows(&golden()[1]);
    let none: ArrayRef = Arc::new(Int32Array::from(vec![None; rows.num_rows()]));
    let rows = replaced(&rows, "eval_label", none, None);
    let told = Told::new(|_| ());
    let (_, output) = run(&Evaluate, json!({}), &rows, &watched(&told, [])).unwrap();
    let ours: Value = serde_json::from_slice(&artifact(&output, "metrics")).unwrap();
    assert_eq!((&ours["accuracy"], &ours["unlabelled"]), (&Value::Null, &json!(40)));
    assert_eq!(told.warnings().len(), 1);
}

#[test]
fn bad_input_is_named() {
    let rows = rows(&golden()[1]);
    let failing =
        |options: Value, rows: &RecordBatch| failure(&Evaluate, options, rows, &Context::detached([]));
    let message = failing(json!({ "split": "val" }), &rows);
    assert_eq!(message, "no row of the target domain has split `val`, so there is nothing to score");
    let beyond: ArrayRef = Arc::new(Int32Array::from(vec![6; rows.num_rows()]));
    let message = failing(json!({}), &replaced(&rows, "prediction", beyond, None));
    assert!(message.contains("`prediction` is 6, and there are 6 classes"), "{message}");
    let nan = tensor::from_f32(6, vec![f32::NAN; 6 * rows.num_rows()]).unwrap();
    let message = failing(json!({}), &replaced(&rows, "probabilities", nan, None));
    assert!(message.contains("not a number"), "{message}");
    assert!(plan(&Evaluate, json!({}), &without(&rows, "prediction")).is_err());
    let problem = plan(&Evaluate, json!({ "group": "style" }), &rows).err().unwrap();
    assert_eq!(problem.option, ["group"]);
    assert!(plan(&Evaluate, json!({ "bootstrap": "many" }), &rows).is_err());
}
