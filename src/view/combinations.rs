//! How do the runs of a matrix compare? A line for each combination, and mean ± deviation over those that differ in the
//! seed alone.

use affectflow_pipeline::plan::Plan;
use affectflow_pipeline::run::record::Record;
use serde_json::{Map, Value};

use super::numbers::duration;
use super::table::table;

/// The variable over which scores are averaged.
const SEED: &str = "seed";

/// One run of a matrix.
pub struct Ran {
    /// The variables that the matrix set.
    pub matrix: Vec<(String, Value)>,
    /// Its record.
    pub record: Record,
    /// Accuracy and macro-F1 of each evaluate stage.
    pub scores: Vec<(String, [f64; 2])>,
}

/// "seed: 1, method: kcdp"
pub fn combination(plan: &Plan) -> String {
    plan.matrix.iter().map(|(name, value)| format!("{name}: {}", text(value))).collect::<Vec<_>>().join(", ")
}

/// Accuracy and macro-F1 of each evaluate stage, from `metrics.json`.
pub fn scores_of(metrics: &Map<String, Value>) -> Vec<(String, [f64; 2])> {
    let of = |value: &Value| Some([value["accuracy"].as_f64()?, value["macro_f1"].as_f64()?]);
    metrics.iter().filter_map(|(stage, value)| Some((stage.clone(), of(value)?))).collect()
}

/// The runs side by side.
pub fn compared(runs: &[Ran]) -> String {
    let names = names(runs);
    let stages = stages(runs);
    let mut head: Vec<String> = names.clone();
    head.extend(["run", "outcome", "time"].map(str::to_owned));
    head.extend(stages.iter().flat_map(|stage| [format!("{stage} accuracy"), "macro-F1".to_owned()]));
    let row = |ran: &Ran| {
        let mut cells: Vec<String> = names.iter().map(|name| value(ran, name)).collect();
        let seconds = ran.record.seconds.unwrap_or_default();
        cells.extend([ran.record.id.clone(), ran.record.outcome.clone(), duration(seconds)]);
        for stage in &stages {
            let scores = score(ran, stage);
            cells.extend([0, 1].map(|at| scores.map_or("-".into(), |scores| format!("{:.3}", scores[at]))));
        }
        cells
    };
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut out = table(&head, names.len() + 2, runs.iter().map(row));
    let averaged = averaged(runs, &names, &stages);
    if !averaged.is_empty() {
        out += "\n";
        out += &averaged;
    }
    out
}

/// Mean ± deviation over seeds, where several runs differ in nothing else.
fn averaged(runs: &[Ran], names: &[String], stages: &[String]) -> String {
    let others: Vec<&String> = names.iter().filter(|name| *name != SEED).collect();
    if others.len() == names.len() || stages.is_empty() {
        return String::new();
    }
    let mut groups: Vec<(Vec<String>, Vec<&Ran>)> = Vec::new();
    for ran in runs {
        let key: Vec<String> = others.iter().map(|name| value(ran, name)).collect();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, members)) => members.push(ran),
            None => groups.push((key, vec![ran])),
        }
    }
    let mut head: Vec<String> = others.into_iter().cloned().collect();
    let labels = head.len();
    head.push("seeds".to_owned());
    head.extend(stages.iter().flat_map(|stage| [format!("{stage} accuracy"), "macro-F1".to_owned()]));
    let row = |(key, members): &(Vec<String>, Vec<&Ran>)| {
        let mut cells = key.clone();
        cells.push(members.len().to_string());
        for stage in stages {
            for at in [0, 1] {
                let values = members.iter().filter_map(|ran| score(ran, stage)).map(|scores| scores[at]);
                cells.push(mean_and_deviation(&values.collect::<Vec<_>>()));
            }
        }
        cells
    };
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    table(&head, labels, groups.iter().map(row))
}

/// `0.612 ± 0.014`: the mean, and the deviation of the sample; of one value there is none.
fn mean_and_deviation(values: &[f64]) -> String {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    match values.len() {
        0 => "-".to_owned(),
        1 => format!("{mean:.3}"),
        _ => format!("{mean:.3} ± {:.3}", (squares / (count - 1.0)).sqrt()),
    }
}

fn names(runs: &[Ran]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (name, _) in runs.iter().flat_map(|ran| &ran.matrix) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn stages(runs: &[Ran]) -> Vec<String> {
    let mut stages: Vec<String> = Vec::new();
    for (stage, _) in runs.iter().flat_map(|ran| &ran.scores) {
        if !stages.contains(stage) {
            stages.push(stage.clone());
        }
    }
    stages
}

fn score(ran: &Ran, stage: &str) -> Option<[f64; 2]> {
    ran.scores.iter().find(|(known, _)| known == stage).map(|(_, scores)| *scores)
}

/// The value of a variable; that of `vars` where the matrix does not set it.
fn value(ran: &Ran, name: &str) -> String {
    let set = ran.matrix.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    set.or_else(|| ran.record.pipeline["vars"].get(name)).map_or(String::new(), text)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        assert_eq!(mean_and_deviation(&[0.5, 0.7]), "0.600 ± 0.141");
        assert_eq!(mean_and_deviation(&[0.5]), "0.500");
        assert_eq!(mean_and_deviation(&[]), "-");
    }
}
