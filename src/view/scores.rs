//! How are the scores of an evaluate stage shown? What it says in `metrics.json`, as tables.

use serde_json::{Map, Value};

use super::numbers::count;
use super::table::table;

/// The scores of every evaluate stage of a run.
pub fn scores(metrics: &Map<String, Value>) -> String {
    metrics.iter().map(|(stage, value)| one(stage, value)).collect::<Vec<_>>().join("\n")
}

fn one(stage: &str, metrics: &Value) -> String {
    let rows = metrics["rows"].as_u64().unwrap_or_default();
    let mut out = format!("{stage}: {} of the target scored", count(rows, "row"));
    if let Some(unlabelled) = metrics["unlabelled"].as_u64().filter(|&n| n > 0) {
        out += &format!(", {} without a truth", count(unlabelled, "row"));
    }
    if rows == 0 {
        return out + "\n";
    }
    out += "\n";
    for (name, key) in [("accuracy", "accuracy"), ("macro-F1", "macro_f1")] {
        out += &format!("  {name:<14}{}{}\n", share(&metrics[key]), interval(&metrics["ci95"][key]));
    }
    let pseudo = &metrics["pseudo_label"];
    if pseudo.is_object() {
        let (right, covered) = (share(&pseudo["accuracy"]), share(&pseudo["coverage"]));
        out += &match pseudo["coverage"].as_f64() {
            Some(share) if share > 0.0 => {
                format!("  pseudo-labels {right} right, on {covered} of the rows\n")
            }
            _ => "  pseudo-labels none accepted\n".to_owned(),
        };
    }
    out += "\n";
    out += &per_class(metrics);
    let sets = metrics["by_dataset"].as_object().filter(|sets| sets.len() > 1);
    if let Some(sets) = sets {
        let rows = sets.iter().map(|(name, value)| {
            vec![name.clone(), number(&value["rows"]), share(&value["accuracy"]), share(&value["macro_f1"])]
        });
        out += "\n";
        out += &table(&["dataset", "rows", "accuracy", "macro-F1"], 1, rows);
    }
    out
}

/// Precision, recall, F1 and support of each class, then its row of the confusion matrix.
fn per_class(metrics: &Value) -> String {
    let names: Vec<&str> =
        metrics["classes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut head = vec!["truth", "precision", "recall", "F1", "support", "predicted as"];
    head.extend(names.iter().copied());
    let rows = names.iter().enumerate().map(|(class, name)| {
        let scores = &metrics["per_class"][name];
        let mut row = vec![name.to_string()];
        row.extend(["precision", "recall", "f1"].map(|key| share(&scores[key])));
        row.extend([number(&scores["support"]), String::new()]);
        row.extend((0..names.len()).map(|predicted| number(&metrics["confusion"][class][predicted])));
        row
    });
    table(&head, 1, rows)
}

fn share(value: &Value) -> String {
    value.as_f64().map_or("-".into(), |share| format!("{share:.3}"))
}

fn number(value: &Value) -> String {
    value.as_u64().map_or("-".into(), |number| number.to_string())
}

fn interval(value: &Value) -> String {
    match (value[0].as_f64(), value[1].as_f64()) {
        (Some(low), Some(high)) => format!("  95% interval {low:.3} to {high:.3}"),
        _ => String::new(),
    }
}
