//! What came out of a run? Rows of every stage, artifacts, metrics and quarantine, as text to compare.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::run::export::export;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::{Digest, Error};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::text;

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `done`, `quarantined`, …
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
    /// A line a row, by stage; of the columns that the stage adds.
    pub rows: BTreeMap<String, Vec<String>>,
    /// Artifacts with the digests of their bytes, by stage.
    pub artifacts: BTreeMap<String, Vec<String>>,
    /// `metrics.json`.
    pub metrics: String,
    /// A line a row, sorted.
    pub quarantine: Vec<String>,
    /// How often each of these was tried.
    pub attempts: Vec<String>,
}

impl Outcome {
    /// Reads the outcome of a recorded run back from the cache. Of a run that failed only why counts: how far its other
    /// stages were by then is chance.
    pub fn of(cache: &Arc<Cache>, record: &Record) -> Result<Self, Error> {
        let mut found = Outcome {
            outcome: record.outcome.clone(),
            error: record.error.clone(),
            rows: BTreeMap::new(),
            artifacts: BTreeMap::new(),
            metrics: String::new(),
            quarantine: Vec::new(),
            attempts: Vec::new(),
        };
        if found.error.is_some() {
            return Ok(found);
        }
        for (stage, said) in &record.stages {
            found.rows.insert(stage.clone(), rows(cache, record, stage)?);
            let mut artifacts = Vec::new();
            for artifact in said["artifacts"].as_array().into_iter().flatten() {
                let path = artifact["path"].as_str().unwrap();
                let bytes = cache.blob(Digest::parse(artifact["digest"].as_str().unwrap()).unwrap())?;
                let gone = || Error::Damaged { path: path.to_owned(), what: "gone or damaged".into() };
                artifacts.push(format!("{} {}", artifact["name"], blake3::hash(&bytes.ok_or_else(gone)?)));
            }
            found.artifacts.insert(stage.clone(), artifacts);
        }
        found.metrics = fs::read_to_string(record.folder().join("metrics.json")).unwrap_or_default();
        (found.quarantine, found.attempts) = quarantine(record).into_iter().unzip();
        Ok(found)
    }

    /// What differs first, if anything does.
    pub fn differs(&self, other: &Outcome) -> Option<String> {
        if (&self.outcome, &self.error) != (&other.outcome, &other.error) {
            let said = |one: &Outcome| format!("{} {:?}", one.outcome, one.error);
            return Some(format!("ended {} and {}", said(self), said(other)));
        }
        for (stage, rows) in &self.rows {
            let others = other.rows.get(stage).map(Vec::as_slice).unwrap_or_default();
            if rows != others {
                let at = rows.iter().zip(others).position(|(one, two)| one != two);
                let at = at.unwrap_or(rows.len().min(others.len()));
                return Some(format!(
                    "row {at} of stage `{stage}`: {:?} and {:?}",
                    rows.get(at),
                    others.get(at)
                ));
            }
        }
        let rest = |one: &Outcome| {
            let artifacts = one.artifacts.iter().map(|(stage, all)| format!("{stage} {}", all.join(" ")));
            let quarantine =
                one.quarantine.iter().zip(one.attempts.iter().map(Some).chain(std::iter::repeat(None)));
            let quarantine = quarantine.map(|(row, attempts)| format!("{row} {attempts:?}"));
            artifacts.chain([one.metrics.clone()]).chain(quarantine).collect::<Vec<_>>()
        };
        let (ours, theirs) = (rest(self), rest(other));
        let only = |one: &[String], two: &[String]| {
            one.iter().filter(|line| !two.contains(line)).cloned().collect::<Vec<_>>()
        };
        (ours != theirs).then(|| format!("{:?} and {:?}", only(&ours, &theirs), only(&theirs, &ours)))
    }
}

fn rows(cache: &Arc<Cache>, record: &Record, stage: &str) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    export(cache, record, stage, false, |batch| {
        for row in 0..batch.num_rows() {
            let cells: Vec<String> =
                batch.columns().iter().map(|column| short(text::cell(column, row))).collect();
            lines.push(cells.join(" "));
        }
        Ok(())
    })?;
    Ok(lines)
}

fn short(cell: String) -> String {
    if cell.len() > 200 { format!("{} characters {}", cell.len(), text::name(&cell)) } else { cell }
}

fn quarantine(record: &Record) -> Vec<(String, String)> {
    let bytes = fs::read(record.folder().join("quarantine.parquet")).unwrap();
    let batches =
        ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap().build().unwrap();
    let mut lines = Vec::new();
    for batch in batches.map(Result::unwrap) {
        for row in 0..batch.num_rows() {
            let mut cells: Vec<String> =
                batch.columns().iter().map(|column| text::cell(column, row)).collect();
            let attempts = cells.pop().unwrap_or_default();
            lines.push((cells.join(" "), attempts));
        }
    }
    lines.sort();
    lines
}
