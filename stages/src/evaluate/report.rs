//! What does `metrics.json` say? The fields of the contract, from tables that polars groups.
//!
//! Beyond the contract: `rows` and `unlabelled` count the target's rows with and without a truth, `log_loss` is the mean
//! negative log-probability of the truth (natural logarithm), and `classes` names the rows and columns of `confusion`
//! (truth down, prediction across). `by_group` is left out above [`GROUPS`] groups.

use std::collections::BTreeMap;

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use polars::prelude::{Column, DataFrame, DataType};
use serde_json::{Map, Value, json};

use crate::columns::{SOURCE, TARGET};
use crate::training::confusion::Confusion;

use super::Scoring;
use super::bootstrap::intervals;
use super::scored::{Row, Scored};

/// Most groups that `by_group` lists.
pub const GROUPS: usize = 200;

/// The artifact.
pub fn metrics(scored: &Scored, stage: &Scoring, cx: &Context) -> StageResult<Value> {
    let classes = stage.classes.len();
    let all = one(&scored.rows, classes)?;
    let units = units(&scored.rows);
    if stage.group.is_some() && (1..10).contains(&units.len()) {
        cx.warn(format!("the 95% intervals draw from only {} groups and are coarse", units.len()));
    }
    let ci95 = intervals(&units, classes, stage.options.bootstrap, stage.options.seed, cx)?;
    let ci95 = ci95.map(|i| json!({ "accuracy": i.accuracy, "macro_f1": i.macro_f1 }));
    let mut by_domain = Map::new();
    for (name, rows) in [(SOURCE, &scored.source), (TARGET, &scored.rows)] {
        if !rows.is_empty() {
            by_domain.insert(name.into(), short(&one(rows, classes)?));
        }
    }
    let mut metrics = json!({
        "rows": scored.rows.len(),
        "unlabelled": scored.target - scored.rows.len(),
        "accuracy": all.accuracy(),
        "macro_f1": all.macro_f1(),
        "log_loss": log_loss(&scored.rows),
        "classes": stage.classes,
        "per_class": per_class(&all, &stage.classes),
        "confusion": all.matrix(),
        "pseudo_label": stage.pseudo.then(|| pseudo_label(&scored.rows)),
        "ci95": ci95,
        "by_domain": by_domain,
        "by_dataset": by(&scored.rows, classes, |row| &row.dataset)?,
    });
    if stage.group.is_some() && units.len() <= GROUPS {
        metrics["by_group"] = by(&scored.rows, classes, |row| &row.group)?;
    }
    Ok(metrics)
}

fn short(confusion: &Confusion) -> Value {
    json!({ "rows": confusion.rows(), "accuracy": confusion.accuracy(), "macro_f1": confusion.macro_f1() })
}

fn per_class(confusion: &Confusion, classes: &[String]) -> Value {
    let scores = classes.iter().enumerate().map(|(class, name)| {
        let scores = confusion.class(class);
        let value = json!({
            "precision": scores.precision, "recall": scores.recall, "f1": scores.f1, "support": scores.support
        });
        (name.clone(), value)
    });
    Value::Object(scores.collect())
}

/// Accuracy among the accepted pseudo-labels, and the share that was accepted.
fn pseudo_label(rows: &[Row]) -> Value {
    let accepted = rows.iter().filter(|row| row.pseudo.is_some()).count();
    let right = rows.iter().filter(|row| row.pseudo == Some(row.truth)).count();
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    json!({ "accuracy": share(right, accepted), "coverage": share(accepted, rows.len()) })
}

fn log_loss(rows: &[Row]) -> Option<f64> {
    let sum: f64 = rows.iter().map(|row| -row.probability.max(f64::MIN_POSITIVE).ln()).sum();
    (!rows.is_empty()).then(|| sum / rows.len() as f64)
}

/// Rows that are drawn together, in order of their group's name.
fn units(rows: &[Row]) -> Vec<Vec<(u32, u32)>> {
    let mut units: BTreeMap<&str, Vec<(u32, u32)>> = BTreeMap::new();
    for row in rows {
        units.entry(&row.group).or_default().push((row.truth, row.prediction));
    }
    units.into_values().collect()
}

fn one(rows: &[Row], classes: usize) -> StageResult<Confusion> {
    let mut all = confusions(rows, classes, |_| "")?;
    Ok(all.remove("").unwrap_or_else(|| Confusion::new(classes)))
}

fn by(rows: &[Row], classes: usize, key: impl Fn(&Row) -> &str) -> StageResult<Value> {
    let groups = confusions(rows, classes, key)?;
    Ok(Value::Object(groups.iter().map(|(name, confusion)| (name.clone(), short(confusion))).collect()))
}

/// One confusion matrix for each value of `key`: the table grouped by (key, truth, prediction) and counted.
fn confusions(
    rows: &[Row],
    classes: usize,
    key: impl Fn(&Row) -> &str,
) -> StageResult<BTreeMap<String, Confusion>> {
    const COUNTED: [&str; 3] = ["key", "truth", "prediction"];
    if rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let table = DataFrame::new_infer_height(vec![
        Column::new("key".into(), rows.iter().map(key).collect::<Vec<_>>()),
        Column::new("truth".into(), rows.iter().map(|row| row.truth).collect::<Vec<_>>()),
        Column::new("prediction".into(), rows.iter().map(|row| row.prediction).collect::<Vec<_>>()),
    ])?;
    let counted = table.group_by_stable(COUNTED)?.select(["prediction"]).count()?;
    let rows = counted.column("prediction_count")?.cast(&DataType::UInt64)?;
    let (keys, rows) = (counted.column("key")?.str()?, rows.u64()?);
    let (truths, predictions) = (counted.column("truth")?.u32()?, counted.column("prediction")?.u32()?);
    let mut groups: BTreeMap<String, Confusion> = BTreeMap::new();
    for (((key, truth), prediction), rows) in
        keys.iter().zip(truths.iter()).zip(predictions.iter()).zip(rows.iter())
    {
        let (Some(key), Some(truth), Some(prediction), Some(rows)) = (key, truth, prediction, rows) else {
            continue;
        };
        let group = groups.entry(key.to_owned()).or_insert_with(|| Confusion::new(classes));
        group.add(truth as usize, prediction as usize, rows);
    }
    Ok(groups)
}
