//! `adapt` on tables whose classes and domain shift are known.

mod table;

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::TableOutput;
use affectflow_pipeline::tensor;
use affectflow_stages::adapt::Adapt;
use affectflow_stages::label::Label;
use arrow::array::RecordBatch;
use serde_json::{Value, json};
use table::*;

fn labelled(rows: &RecordBatch) -> (RecordBatch, Context) {
    let options = json!({ "epochs": 8, "batch": 16, "knowledge_tokens": 4, "lr": 0.005, "pyramid": 16 });
    let (out, output) = run(&Label, options, rows, &Context::detached([])).unwrap();
    (out, Context::detached([("alignment".to_owned(), artifact(&output, "alignment"))]))
}

fn quick(options: &Value) -> Value {
    let mut all = json!({ "epochs": 8, "batch": 16, "ramp": 2, "lr": 0.005, "pyramid": 16 });
    all.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    all
}

fn adapted(options: Value, rows: &RecordBatch, cx: &Context) -> StageResult<(RecordBatch, TableOutput)> {
    run(&Adapt, quick(&options), rows, cx)
}

fn accuracy(rows: &RecordBatch) -> f64 {
    agreement(&ints(rows, "prediction"), &ints(rows, "eval_label")).0
}

#[test]
fn kcdp_finds_the_classes_of_the_target() {
    let (rows, cx) = labelled(&Synthetic::default().table());
    let told = Told::new(|_| ());
    let cx = cx.observed(told.clone());
    let (out, _) = adapted(json!({}), &rows, &cx).unwrap();
    let found = accuracy(&out);
    assert!(found >= 0.8, "accuracy {found}");
    for row in 0..out.num_rows() {
        let probabilities = tensor::row_f32(out.column_by_name("probabilities").unwrap(), row).unwrap();
        let prediction = ints(&out, "prediction")[row].unwrap() as usize;
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(probabilities.iter().all(|p| *p <= probabilities[prediction]));
    }
    // The warm-up epoch has no pseudo-labels; then the share that counts grows from `quantile_from`.
    let coverage = told.metrics("pseudo_coverage");
    assert!(coverage.len() == told.metrics("loss").len() - 1 && coverage[0] < coverage[2], "{coverage:?}");
    assert!(coverage[0] <= 0.25 && told.metrics("pseudo_entropy")[0] > 0.8);
}

#[test]
fn every_policy_of_pseudo_labels_adapts() {
    let (rows, cx) = labelled(&Synthetic::default().table());
    for options in [
        json!({ "pseudo": "fixed" }),
        json!({ "pseudo": "batch", "moe_text": "none", "balance_kind": "rank_std", "balance": 0.1 }),
        json!({ "pseudo": "batch", "agreement": true }),
        json!({ "pseudo": "epoch", "agreement": true, "pl_warmup": 0, "ramp": 0 }),
    ] {
        let found = accuracy(&adapted(options.clone(), &rows, &cx).unwrap().0);
        assert!(found >= 0.75, "{options}: accuracy {found}");
    }
}

#[test]
fn source_only_needs_neither_artifact_nor_target() {
    let table = Synthetic::default();
    let cx = Context::detached([]);
    let options = json!({ "method": "source_only" });
    let (out, _) = adapted(options.clone(), &table.table(), &cx).unwrap();
    assert!(accuracy(&out) > 0.5, "{}", accuracy(&out));
    let (right, _) = agreement(&ints(&out, "prediction"), &ints(&out, "label"));
    assert!(right > 0.9, "{right}");
    let alone = Synthetic { target: 0, ..table };
    assert!(adapted(options.clone(), &alone.table(), &cx).is_ok());
    let planned = plan(&Adapt, options, &alone.table()).unwrap();
    assert!(planned.needs.is_empty() && !planned.consumes.iter().any(|c| c.starts_with("pseudo")));
}

#[test]
fn same_seed_same_bytes_in_any_order_of_arrival() {
    let (rows, cx) = labelled(&Synthetic { source: 60, target: 30, ..Synthetic::default() }.table());
    for method in ["kcdp", "source_only"] {
        let run = |rows: &RecordBatch, seed: u64| {
            let options = json!({ "method": method, "epochs": 3, "ramp": 1, "seed": seed });
            let (out, output) = adapted(options, rows, &cx).unwrap();
            bytes(&out.project(&[0]).unwrap(), &output)
        };
        let first = run(&rows, 0);
        assert!(first == run(&reversed(&rows), 0), "{method}: the order of arrival counts");
        assert!(first != run(&rows, 1), "{method}: the seed does not count");
    }
}

#[test]
fn labels_of_the_target_are_never_consumed() {
    let rows = Synthetic { source: 8, target: 4, ..Synthetic::default() }.table();
    for method in ["kcdp", "source_only"] {
        let planned = plan(&Adapt, json!({ "method": method }), &rows).unwrap();
        assert!(!planned.consumes.contains(&"eval_label".to_owned()));
    }
    assert!(!plan(&Label, json!({}), &rows).unwrap().consumes.contains(&"eval_label".to_owned()));
}

#[test]
fn bad_input_is_named() {
    let (rows, cx) = labelled(&Synthetic { source: 40, target: 12, ..Synthetic::default() }.table());
    let failing =
        |options: Value, rows: &RecordBatch, cx: &Context| failure(&Adapt, quick(&options), rows, cx);
    let message = failing(json!({}), &rows, &Context::detached([]));
    assert_eq!(message, "no artifact `alignment` reached this stage");
    let broken = Context::detached([("alignment".to_owned(), vec![1u8, 2, 3].into())]);
    assert!(failing(json!({}), &rows, &broken).starts_with("artifact `alignment`: "));
    let alone = Synthetic { source: 40, target: 0, ..Synthetic::default() }.table();
    assert!(failing(json!({}), &alone, &cx).contains("no row of the target domain"));
    let message = failing(json!({ "lr": 1e30, "method": "source_only" }), &rows, &cx);
    assert!(message.contains("training diverged in epoch 1, step "), "{message}");

    let problem = |options: Value| plan(&Adapt, options, &rows).err().map(|problem| problem.option.join("."));
    assert_eq!(problem(json!({ "top": 9 })), Some("top".into()));
    assert_eq!(problem(json!({ "epochs": 0 })), Some("epochs".into()));
    let bare = without(&without(&rows, "pseudo_label"), "pseudo_confidence");
    assert!(plan(&Adapt, json!({ "pseudo": "fixed" }), &bare).is_err());
    assert!(plan(&Adapt, json!({ "pseudo": "epoch" }), &bare).is_ok());
}

#[test]
fn features_of_other_levels_are_refused() {
    let (rows, cx) = labelled(&Synthetic { source: 40, target: 12, ..Synthetic::default() }.table());
    let values = tensor::from_f16(9 * 5, vec![half::f16::ONE; 52 * 9 * 5]).unwrap();
    let other = replaced(&rows, "features", values, Some(features_field(&[3, 2])));
    let message = failure(&Adapt, quick(&json!({})), &other, &cx);
    assert!(message.contains("`features` of channels [6, 8, 5], and here it is [3, 2]"), "{message}");
}
