//! The promises of a run: what is computed, what is reused, what comes out.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use affectflow_pipeline::Error;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::{Options, State, predict, run};
use common::*;
use serde_json::json;
use tempfile::tempdir;

fn chain(rows: &[&str]) -> Vec<Row<'static>> {
    vec![
        ("in", "rows", json!({ "rows": rows }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "big" }), vec![0]),
        ("again", "upper", json!({ "from": "big", "to": "bigger", "suffix": "!" }), vec![1]),
        ("count", "count", json!({ "of": "bigger" }), vec![2]),
    ]
}

fn number(record: &Record, stage: &str, what: &str) -> u64 {
    record.stages[stage][what].as_u64().unwrap()
}

#[test]
fn a_second_run_computes_nothing() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = chain(&["b=two", "a=one", "c=three"]);
    let first = go(folder.path(), &log, &rows);
    assert_eq!((number(&first, "up", "misses"), number(&first, "count", "misses")), (3, 1));
    let expected = ["a 0 ONE! ONE one", "b 1 TWO! TWO two", "c 2 THREE! THREE three"];
    assert_eq!(exported(folder.path(), &first, "count"), expected);
    let computed = log.computed.lock().unwrap().len();
    let second = go(folder.path(), &log, &rows);
    assert_eq!(
        (number(&second, "up", "hits"), number(&second, "again", "hits"), number(&second, "count", "hits")),
        (3, 3, 1)
    );
    assert_eq!(log.computed.lock().unwrap().len(), computed);
    assert_eq!(log.opened.load(Ordering::Relaxed), 2, "weights are loaded only where something computes");
    assert_eq!(exported(folder.path(), &second, "count"), expected);
}

#[test]
fn a_new_row_computes_one_row_and_reordering_none() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    go(folder.path(), &log, &chain(&["a=one", "b=two"]));
    log.computed.lock().unwrap().clear();
    let record = go(folder.path(), &log, &chain(&["c=three", "b=two", "a=one"]));
    assert_eq!(*log.computed.lock().unwrap(), ["c", "c"]);
    assert_eq!(number(&record, "up", "misses"), 1);
    log.computed.lock().unwrap().clear();
    let tables = log.tables.load(Ordering::Relaxed);
    let record = go(folder.path(), &log, &chain(&["a=one", "c=three", "b=two"]));
    assert!(log.computed.lock().unwrap().is_empty());
    assert_eq!(
        log.tables.load(Ordering::Relaxed),
        tables,
        "a table sees its rows sorted, so their order does not count"
    );
    assert_eq!(number(&record, "count", "hits"), 1);
}

#[test]
fn equal_output_stops_a_change_from_spreading() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    go(folder.path(), &log, &chain(&["a=one", "b=two"]));
    log.computed.lock().unwrap().clear();
    let record = go(folder.path(), &log, &chain(&["a=One", "b=two"]));
    assert_eq!(*log.computed.lock().unwrap(), ["a"], "`One` and `one` are both `ONE`");
    assert_eq!((number(&record, "again", "hits"), number(&record, "count", "hits")), (2, 1));
}

#[test]
fn an_option_of_a_table_reruns_it_alone_and_a_knob_reruns_nothing() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let mut rows = chain(&["a=one", "b=two"]);
    go(folder.path(), &log, &rows);
    log.computed.lock().unwrap().clear();
    rows[3].2 = json!({ "of": "bigger", "base": 10 });
    rows[1].2 = json!({ "from": "value", "to": "big", "rows_per_call": 7 });
    let record = go(folder.path(), &log, &rows);
    assert!(log.computed.lock().unwrap().is_empty());
    assert_eq!(number(&record, "count", "misses"), 1);
    assert_eq!(exported(folder.path(), &record, "count")[0], "a 10 ONE! ONE one");
}

#[test]
fn twins_are_computed_once() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let record = go(folder.path(), &log, &chain(&["a=same", "b=same", "c=same"]));
    assert_eq!(*log.computed.lock().unwrap(), ["a", "a"]);
    assert_eq!(exported(folder.path(), &record, "again").len(), 3);
}

#[test]
fn a_bad_row_is_set_aside_and_tried_again_only_when_asked() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = chain(&["a=one", "b=bad", "c=three"]);
    let first = go(folder.path(), &log, &rows);
    assert_eq!((first.outcome.as_str(), number(&first, "up", "quarantined")), ("quarantined", 1));
    assert_eq!(exported(folder.path(), &first, "count").len(), 2);
    log.computed.lock().unwrap().clear();
    let second = go(folder.path(), &log, &rows);
    assert!(log.computed.lock().unwrap().is_empty());
    assert_eq!(number(&second, "up", "quarantined"), 1);
    let retry = Options { retry_quarantined: true, ..Options::default() };
    go_with(folder.path(), &log, &rows, &retry).1.unwrap();
    assert_eq!(*log.computed.lock().unwrap(), ["b"]);
    assert!(first.folder().join("quarantine.parquet").exists());
}

#[test]
fn too_many_bad_rows_fail_the_stage() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let (record, result) =
        go_with(folder.path(), &log, &chain(&["a=bad", "b=one", "c=bad"]), &Options::default());
    let error = result.unwrap_err();
    assert!(matches!(&error, Error::TooManyFailed { stage, failed: 2, .. } if stage == "up"), "{error}");
    assert_eq!(record.outcome, "failed");
}

#[test]
fn force_computes_again() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = chain(&["a=one"]);
    go(folder.path(), &log, &rows);
    let options = Options { force: ["up".to_owned(), "count".to_owned()].into(), ..Options::default() };
    let (record, result) = go_with(folder.path(), &log, &rows, &options);
    result.unwrap();
    assert_eq!(
        (
            number(&record, "up", "misses"),
            number(&record, "again", "hits"),
            number(&record, "count", "misses")
        ),
        (1, 1, 1)
    );
}

#[test]
fn an_interrupted_run_goes_on_where_it_stopped() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let names: Vec<String> = (0..40).map(|n| format!("r{n:03}=slow{n}")).collect();
    let rows = vec![
        ("in", "rows", json!({ "rows": names }), vec![]),
        ("slow", "upper", json!({ "from": "value", "to": "big" }), vec![0]),
    ];
    let (options, registry) = (Options::default(), registry(&log));
    let stop = Arc::new(StopAt("slow", 5, options.interrupt.clone()));
    let state = State::open(folder.path());
    let (record, result) = run(&plan(&registry, &rows), &registry, &state, &options, stop).unwrap();
    assert!(matches!(result, Err(Error::Interrupted)));
    assert_eq!(record.outcome, "interrupted");
    let stored = number(&record, "slow", "misses");
    assert!((5..40).contains(&stored), "{stored} rows stored");
    let record = go(folder.path(), &log, &rows);
    assert_eq!(number(&record, "slow", "hits"), stored);
    assert_eq!(number(&record, "slow", "misses"), 40 - stored);
    assert_eq!(exported(folder.path(), &record, "slow").len(), 40);
}

#[test]
fn a_diamond_of_many_rows_does_not_block() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = vec![
        ("in", "rows", json!({ "rows": [], "numbered": 200_000 }), vec![]),
        ("left", "upper", json!({ "from": "value", "to": "left", "rows_per_call": 4096 }), vec![0]),
        ("right", "keep", json!({}), vec![0]),
        ("down", "upper", json!({ "from": "value", "to": "down", "rows_per_call": 4096 }), vec![1, 2]),
    ];
    let record = go(folder.path(), &log, &rows);
    assert_eq!(number(&record, "down", "rows"), 400_000);
}

#[test]
fn two_rows_with_one_id_are_refused() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = vec![
        ("in", "rows", json!({ "rows": ["a=one"] }), vec![]),
        ("more", "rows", json!({ "rows": ["a=two"] }), vec![]),
        ("count", "count", json!({ "of": "value" }), vec![0, 1]),
    ];
    let (_, result) = go_with(folder.path(), &log, &rows, &Options::default());
    assert!(result.unwrap_err().to_string().ends_with("failed: two rows have the id `a`"));
    let twice = vec![
        ("in", "rows", json!({ "rows": ["a=one"] }), vec![]),
        ("keep", "keep", json!({}), vec![0]),
        ("count", "count", json!({ "of": "value" }), vec![0, 1]),
    ];
    let (_, result) = go_with(folder.path(), &log, &twice, &Options::default());
    assert!(result.unwrap_err().to_string().contains("or list an input once"));
}

#[test]
fn damage_is_found_moved_aside_and_repaired() {
    for damage in ["flip", "truncate", "delete", "empty"] {
        for ending in ["parquet", "keys"] {
            let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
            let rows = chain(&["a=one", "b=two"]);
            let expected = exported(folder.path(), &go(folder.path(), &log, &rows), "count");
            for file in files(&folder.path().join("cache/v1/rows"), ending) {
                let mut bytes = std::fs::read(&file).unwrap();
                match damage {
                    "flip" => {
                        let middle = bytes.len() / 3;
                        bytes[middle] ^= 0x10;
                        std::fs::write(&file, bytes).unwrap();
                    }
                    "truncate" => std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap(),
                    "empty" => std::fs::write(&file, []).unwrap(),
                    _ => std::fs::remove_file(&file).unwrap(),
                }
            }
            // A changed table option makes the table read its input again.
            let mut rows = rows;
            rows[3].2 = json!({ "of": "bigger", "base": 1 });
            let record = go(folder.path(), &log, &rows);
            let expected: Vec<String> = expected
                .iter()
                .map(|line| line.replacen(" 1 ", " 2 ", 1).replacen(" 0 ", " 1 ", 1))
                .collect();
            assert_eq!(exported(folder.path(), &record, "count"), expected, "{damage} {ending}");
        }
    }
}

#[test]
fn a_forecast_says_what_a_run_would_do_and_does_nothing() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let forecast = |rows: &[Row]| {
        let registry = registry(&log);
        let plan = plan(&registry, rows);
        let forecasts =
            predict::predict(&plan, &registry, &State::open(folder.path()), &Options::default()).unwrap().0;
        forecasts.into_iter().map(|f| (f.stage, f.cached, f.compute)).collect::<Vec<_>>()
    };
    let named = |counts: [(u64, u64); 4]| {
        let names = ["in", "up", "again", "count"].map(str::to_owned);
        names
            .into_iter()
            .zip(counts)
            .map(|(name, (cached, compute))| (name, cached, compute))
            .collect::<Vec<_>>()
    };
    let rows = chain(&["a=one", "b=two"]);
    assert_eq!(forecast(&rows), named([(0, 0), (0, 2), (0, 2), (0, 1)]));
    assert!(!folder.path().join("cache").exists(), "a forecast writes nothing");
    go(folder.path(), &log, &rows);
    assert_eq!(forecast(&rows), named([(0, 0), (2, 0), (2, 0), (1, 0)]));
    assert_eq!(forecast(&chain(&["a=one", "b=two", "c=three"])), named([(0, 0), (2, 1), (2, 1), (0, 1)]));
}

#[test]
fn a_table_that_needs_an_artifact_takes_more_rows_than_a_queue_holds() {
    let (folder, log) = (tempdir().unwrap(), Arc::new(Log::default()));
    let rows = [
        ("in", "rows", json!({ "rows": [], "numbered": 250_000 }), vec![]),
        ("teach", "count", json!({ "of": "value" }), vec![0]),
        ("learn", "recall", json!({}), vec![1]),
    ];
    for computed in [1, 0] {
        let record = go(folder.path(), &log, &rows);
        assert_eq!(number(&record, "learn", "rows"), 250_000);
        assert_eq!(number(&record, "learn", "misses"), computed);
    }
}

#[test]
fn a_table_without_rows_says_so() {
    let folder = tempdir().unwrap();
    let rows = [
        ("in", "rows", json!({ "rows": ["a=drop", "b=drop"] }), vec![]),
        ("keep", "keep", json!({}), vec![0]),
        ("count", "count", json!({ "of": "value" }), vec![1]),
    ];
    let (record, result) = go_with(folder.path(), &Arc::new(Log::default()), &rows, &Options::default());
    assert_eq!(result.unwrap_err().to_string(), "stage `count` failed: no rows reach it");
    assert_eq!(number(&record, "keep", "rows"), 0);
}

fn files(folder: &std::path::Path, ending: &str) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() {
            found.extend(files(&entry.path(), ending));
        } else if entry.path().extension().is_some_and(|e| e == ending) {
            found.push(entry.path());
        }
    }
    assert!(!found.is_empty());
    found
}
