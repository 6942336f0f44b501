//! Power cuts, disk errors and full disks at every single operation of a run: the next run continues without a hand, and
//! ends with the bytes of a run that nothing disturbed.

mod common;
mod simulated;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::memo::FileMemo;
use affectflow_pipeline::cache::storage::Disk;
use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::run::export::export;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::{Digest, Error};
use common::{Log, Row, lines_of, plan, registry};
use serde_json::json;
use simulated::{Fault, SimulatedDisk};
use tempfile::TempDir;

/// Warnings of a run, and rows that it called durable.
#[derive(Default)]
struct Heard {
    warnings: Mutex<Vec<String>>,
    durable: AtomicU64,
}

impl Observer for Heard {
    fn event(&self, event: &Event) {
        match event {
            Event::Warning { message, .. } => self.warnings.lock().unwrap().push(message.clone()),
            // The rows of tables are not counted by the toy that computes.
            Event::RowsCommitted { stage, rows, .. } if ["up", "again"].contains(&stage.as_str()) => {
                self.durable.fetch_add(*rows, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// A pipeline with every shape of stage, its rows and a row that fails.
fn stages() -> Vec<Row<'static>> {
    let rows: Vec<String> = (0..24).map(|n| format!("r{n:02}=value {}", n % 20)).collect();
    let rows = [rows, vec!["x=bad".into(), "y=drop".into()]].concat();
    vec![
        ("in", "rows", json!({ "rows": rows }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "loud", "rows_per_call": 5 }), vec![0]),
        ("keep", "keep", json!({}), vec![1]),
        ("count", "count", json!({ "of": "loud" }), vec![2]),
        ("again", "upper", json!({ "from": "loud", "to": "louder", "suffix": "!" }), vec![3]),
        ("recall", "recall", json!({}), vec![4]),
    ]
}

struct Machine {
    disk: SimulatedDisk,
    runs: TempDir,
    log: Arc<Log>,
}

impl Machine {
    fn new() -> Self {
        Machine { disk: SimulatedDisk::new(), runs: TempDir::new().unwrap(), log: Arc::default() }
    }

    fn state(&self) -> State {
        let disk = Disk::on(self.disk.clone(), "/state/cache");
        State {
            cache: Cache::on(Box::new(disk), PathBuf::from("/state/cache")),
            files: Arc::new(FileMemo::default()),
            runs: self.runs.path().to_owned(),
        }
    }

    /// The record where the run came to its end, what it warned of, and the rows it called durable.
    fn run(&self) -> (Result<Record, Error>, Vec<String>, usize) {
        let registry = registry(&self.log);
        let plan = plan(&registry, &stages());
        let heard = Arc::new(Heard::default());
        let ran = run(&plan, &registry, &self.state(), &Options::default(), heard.clone());
        let record = ran.and_then(|(record, result)| result.map(|()| record));
        let warnings = std::mem::take(&mut *heard.warnings.lock().unwrap());
        (record, warnings, heard.durable.load(Ordering::Relaxed) as usize)
    }

    /// Everything that a user can take out of a run.
    fn results(&self, record: &Record) -> BTreeMap<String, String> {
        let cache = self.state().cache;
        let mut all = BTreeMap::new();
        for (stage, told) in &record.stages {
            let mut lines = Vec::new();
            export(&cache, record, stage, true, |batch| {
                lines.extend(lines_of(&batch));
                Ok(())
            })
            .unwrap();
            all.insert(stage.clone(), lines.join("\n"));
            for artifact in told["artifacts"].as_array().unwrap() {
                let digest = Digest::parse(artifact["digest"].as_str().unwrap()).unwrap();
                let bytes = cache.blob(digest).unwrap().unwrap();
                all.insert(
                    format!("{stage}.{}", artifact["name"]),
                    String::from_utf8_lossy(&bytes).into_owned(),
                );
            }
        }
        let quarantine = std::fs::read(record.folder().join("quarantine.parquet")).unwrap();
        all.insert("quarantine".into(), format!("{quarantine:?}"));
        all
    }

    fn computed(&self) -> usize {
        self.log.computed.lock().unwrap().len()
    }
}

/// What an undisturbed run gives, its operations, and how many rows it computes.
fn undisturbed() -> (BTreeMap<String, String>, usize, usize) {
    let machine = Machine::new();
    let (record, warnings, durable) = machine.run();
    assert!(durable > 0);
    assert_eq!(warnings, Vec::<String>::new());
    (machine.results(&record.unwrap()), machine.disk.operations(), machine.computed())
}

/// Disturbs a run, mends the disk, and runs until it is through.
fn disturbed(fault: Fault, seed: u64, expected: &BTreeMap<String, String>, rows: usize) {
    let machine = Machine::new();
    machine.disk.set(fault);
    let (first, _, durable) = machine.run();
    let computed = machine.computed();
    match fault {
        Fault::PowerCut(_) => machine.disk.after_power_cut(seed),
        _ => machine.disk.set(Fault::None),
    }
    let (record, warnings, _) = machine.run();
    let record = record.unwrap_or_else(|error| panic!("{fault:?}, seed {seed}: {error}"));
    assert_eq!(warnings, Vec::<String>::new(), "{fault:?}, seed {seed}: false alarm");
    let results = machine.results(&record);
    for (name, expected) in expected {
        assert_eq!(results.get(name), Some(expected), "{fault:?}, seed {seed}: `{name}`");
    }
    let again = machine.computed() - computed;
    assert!(
        again <= rows - durable,
        "{fault:?}: {again} of {rows} rows computed again, {durable} were durable"
    );
    if let Ok(first) = first {
        let all = first.stages.values().all(|stage| stage["rows"].as_u64() > Some(0));
        assert!(all, "{fault:?}: a run that calls itself done is not");
    }
}

#[test]
fn a_power_cut_at_any_operation_costs_no_more_than_what_was_not_durable() {
    let (expected, operations, rows) = undisturbed();
    let mut points = 0;
    for at in 1..=operations + 5 {
        for seed in 0..4 {
            disturbed(Fault::PowerCut(at), seed * 1000 + at as u64, &expected, rows);
            points += 1;
        }
    }
    println!("{points} power cuts over {operations} operations");
    assert!(points >= 400, "only {points} points");
}

#[test]
fn an_error_at_any_operation_is_told_and_the_next_run_continues() {
    let (expected, operations, rows) = undisturbed();
    for at in 1..=operations + 5 {
        disturbed(Fault::Error(at), 0, &expected, rows);
    }
    println!("{operations} operations failed, one at a time");
}

/// Removes the records of all runs once a stage begins, so that nothing more can be written there.
struct Remover(PathBuf, Mutex<Vec<String>>);

impl Observer for Remover {
    fn event(&self, event: &Event) {
        match event {
            Event::StageStarted { .. } => {
                for run in std::fs::read_dir(&self.0).unwrap().flatten() {
                    let _ = std::fs::remove_dir_all(run.path());
                }
            }
            Event::Warning { message, .. } => self.1.lock().unwrap().push(message.clone()),
            _ => {}
        }
    }
}

#[test]
fn the_write_that_failed_first_is_the_one_that_is_told() {
    for (fault, told) in
        [(Fault::Full(3000), "cannot write `/state/cache/v1/"), (Fault::None, "quarantine.parquet`")]
    {
        let machine = Machine::new();
        machine.disk.set(fault);
        let registry = registry(&machine.log);
        let remover = Arc::new(Remover(machine.runs.path().to_owned(), Mutex::default()));
        let plan = plan(&registry, &stages());
        let (_, result) =
            run(&plan, &registry, &machine.state(), &Options::default(), remover.clone()).unwrap();
        let error = result.unwrap_err().to_string();
        assert!(error.contains(told), "{fault:?}: {error}");
        let warnings = remover.1.lock().unwrap();
        let also = |line: &String| {
            line.contains("how the run ended could not be written") && line.contains("run.json")
        };
        assert!(warnings.iter().any(also), "{fault:?}: {warnings:?}");
    }
}

#[test]
fn a_disk_that_is_full_at_any_size_loses_nothing() {
    let (expected, _, rows) = undisturbed();
    let machine = Machine::new();
    machine.run().0.unwrap();
    let total: usize = machine.disk.snapshot().values().map(Vec::len).sum();
    let step = total / 120;
    for bytes in (0..total).step_by(step.max(1)) {
        disturbed(Fault::Full(bytes), 0, &expected, rows);
    }
    println!("full at {} sizes up to {total} bytes", total / step.max(1));
}
