//! Is it true what `plan` tells somebody who resumes: after a kill, a failure, damage, a removal?

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use affectflow_pipeline::event::{Event, Observer, Silent};
use affectflow_pipeline::plan::{OnError, Plan};
use affectflow_pipeline::run::predict::{Forecast, predict};
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::space::gc::{Policy, gc};
use affectflow_pipeline::run::why::{Why, why};
use affectflow_pipeline::run::{Options, State, run};
use common::*;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

struct Bench {
    folder: TempDir,
    log: Arc<Log>,
}

/// Stops a run once rows of stage `up` are durable.
struct Stop(Options);

impl Observer for Stop {
    fn event(&self, event: &Event) {
        if matches!(event, Event::RowsCommitted { stage, .. } if stage == "up") {
            self.0.interrupt.store(true, Ordering::Relaxed);
        }
    }
}

impl Bench {
    fn new() -> Self {
        Bench { folder: tempdir().unwrap(), log: Arc::default() }
    }

    fn state(&self) -> State {
        State::open(self.folder.path())
    }

    fn plan(&self, rows: &[Row]) -> Plan {
        plan(&registry(&self.log), rows)
    }

    /// Runs to the end, even where that is a failure.
    fn run(&self, rows: &[Row]) -> Record {
        let (registry, options) = (registry(&self.log), Options::default());
        run(&self.plan(rows), &registry, &self.state(), &options, Arc::new(Silent)).unwrap().0
    }

    /// Runs until some rows of `up` are durable.
    fn interrupted(&self, rows: &[Row]) -> Record {
        let options = Options { commit_every: Some(Duration::ZERO), ..Options::default() };
        let stop = Arc::new(Stop(options.clone()));
        let record = run(&self.plan(rows), &registry(&self.log), &self.state(), &options, stop).unwrap().0;
        assert_eq!(record.outcome, "interrupted");
        record
    }

    /// The same, and leaves the record as a kill would: `run.json` as the run began it, no event of an end.
    fn killed(&self, rows: &[Row]) -> Record {
        let record = self.interrupted(rows);
        let path = record.folder().join("run.json");
        let mut json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        json["outcome"] = "running".into();
        json["stages"] = json!({});
        for field in ["end", "seconds", "error"] {
            json[field] = Value::Null;
        }
        fs::write(&path, json.to_string()).unwrap();
        let path = record.folder().join("events.jsonl");
        let events = fs::read_to_string(&path).unwrap();
        let before = events.lines().filter(|line| !line.contains("_finished"));
        fs::write(&path, before.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        record
    }

    fn ask(&self, plan: &Plan, options: &Options) -> Vec<Forecast> {
        predict(plan, &registry(&self.log), &self.state(), options).unwrap().0
    }

    fn forecast(&self, rows: &[Row]) -> Vec<Forecast> {
        self.ask(&self.plan(rows), &Options::default())
    }

    fn why(&self, rows: &[Row], stage: &str, row: Option<&str>) -> Why {
        let (plan, options) = (self.plan(rows), Options::default());
        why(&plan, &registry(&self.log), &self.state(), &options, stage, row).unwrap().0
    }

    fn cached(&self, record: &Record, stage: &str) -> PathBuf {
        self.state().cache.root().join(record.stages[stage]["entries"].as_str().unwrap())
    }
}

fn chain(rows: &[&str], suffix: &str) -> Vec<Row<'static>> {
    vec![
        ("in", "rows", json!({ "rows": rows }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "big", "suffix": suffix }), vec![0]),
        ("again", "upper", json!({ "from": "big", "to": "bigger" }), vec![1]),
        ("count", "count", json!({ "of": "bigger" }), vec![2]),
    ]
}

fn slow() -> Vec<Row<'static>> {
    let rows: Vec<String> = (0..20).map(|n| format!("{n:02}=slow{n}")).collect();
    chain(&rows.iter().map(String::as_str).collect::<Vec<_>>(), "")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    assert!(!found.is_empty());
    found
}

/// Reason and cause.
fn said(forecast: &Forecast) -> (&str, Option<&str>) {
    (&forecast.reason, forecast.cause.as_deref())
}

/// Rows cached, to compute, the same as others, in quarantine.
fn counts(forecast: &Forecast) -> [u64; 4] {
    [forecast.cached, forecast.compute, forecast.twins, forecast.quarantined]
}

#[test]
fn rows_that_a_run_was_stopped_short_of_are_not_called_new() {
    type Ending = fn(&Bench, &[Row]) -> Record;
    let endings: [(Ending, &str); 2] =
        [(Bench::killed, "was killed"), (Bench::interrupted, "was interrupted")];
    for (end, how) in endings {
        let bench = Bench::new();
        let record = end(&bench, &slow());
        let forecast = &bench.forecast(&slow())[1];
        let left = forecast.compute;
        assert!(left > 0 && left < 20, "{left}");
        assert_eq!(counts(forecast), [20 - left, left, 0, 0]);
        let reason = format!("{left} of 20 rows left: run `{}` {how}", record.id);
        assert_eq!(said(forecast), (reason.as_str(), None));
        let seconds = forecast.seconds.expect("what was computed tells what the rest costs");
        assert!(seconds >= 0.03 * left as f64 && forecast.bytes > Some(0), "{forecast:?}");
        let why = bench.why(&slow(), "up", Some("19"));
        let sentence = format!("is to be computed: run `{}` {how} before it came to it", record.id);
        assert_eq!(why.row.unwrap().sentence, sentence);
        assert_eq!(why.against.unwrap().outcome, how.trim_start_matches("was "));
        let note =
            format!("run `{}` {how} before the stage had come to its end, and left {left} row", record.id);
        assert!(why.notes.iter().any(|n| n.starts_with(&note)), "{:?}", why.notes);
        bench.run(&slow());
        assert_eq!(said(&bench.forecast(&slow())[1]), ("every row is cached", None));
        let more = bench.forecast(&chain(&["00=slow0", "new=new"], ""));
        assert_eq!(more[1].reason, "1 row added", "the run that was stopped has nothing to do with it");
    }
}

#[test]
fn a_stage_that_was_killed_before_its_first_row_names_what_changed_as_well() {
    let bench = Bench::new();
    let with = |suffix: &str| {
        let mut rows = slow();
        rows[1].2["suffix"] = suffix.into();
        rows
    };
    bench.run(&with(""));
    let record = bench.killed(&with("?"));
    fs::remove_dir_all(bench.cached(&record, "up")).unwrap();
    let path = record.folder().join("events.jsonl");
    let events = fs::read_to_string(&path).unwrap();
    let before = events.lines().filter(|line| !line.contains("rows_committed"));
    fs::write(&path, before.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let cause = format!("run `{}` was killed", record.id);
    let changed = "`options.suffix` \"\" -> \"?\"";
    assert_eq!(said(&bench.forecast(&with("?"))[1]), (changed, Some(cause.as_str())));
    // With no other run to compare with, the kill is all there is to tell.
    let first = bench.run(&with(""));
    let mut runs: Vec<PathBuf> =
        fs::read_dir(bench.state().runs).unwrap().map(|entry| entry.unwrap().path()).collect();
    runs.retain(|run| !run.ends_with(&record.id));
    runs.iter().for_each(|run| fs::remove_dir_all(run).unwrap());
    fs::remove_dir_all(bench.state().cache.root().join("v1/identities")).unwrap();
    assert!(first.finished());
    let begun = "begun before, and nothing of it is stored";
    assert_eq!(said(&bench.forecast(&with("?"))[1]), (begun, Some(cause.as_str())));
}

#[test]
fn what_was_removed_or_damaged_is_not_called_never_run() {
    let rows = chain(&["a=one", "b=two"], "");
    let bench = Bench::new();
    let record = bench.run(&rows);
    let policy = Policy { older_than: None, max_size: Some(0), dry_run: false };
    gc(&bench.state(), &policy).unwrap();
    let forecast = bench.forecast(&rows);
    let gone = Some("removed by `cache gc`, or deleted");
    assert_eq!(said(&forecast[1]), ("2 stored before and gone", gone));
    bench.run(&rows[..3]);
    assert_eq!(said(&bench.forecast(&rows)[3]), ("its result was stored before and is gone", gone));
    bench.run(&rows);
    for file in files(&bench.cached(&record, "up"), "parquet") {
        fs::write(file, "no segment").unwrap();
    }
    let damaged = bench.forecast(&rows);
    assert_eq!(said(&damaged[1]), ("2 stored before and found damaged", None));
    assert_eq!(counts(&damaged[1]), [0, 2, 0, 0]);
}

#[test]
fn quarantine_is_counted_apart_and_tried_again_when_asked() {
    let bench = Bench::new();
    let all = chain(&["a=bad"], "");
    bench.run(&all);
    let again = "`--retry-quarantined` tries those in quarantine again";
    let forecast = &bench.forecast(&all)[1];
    assert_eq!(
        (said(forecast), counts(forecast)),
        (("every row is in quarantine", Some(again)), [0, 0, 0, 1])
    );
    let some = chain(&["a=bad", "b=two", "c=three"], "");
    bench.run(&some);
    let forecast = &bench.forecast(&some)[1];
    let words = "every row is cached or in quarantine";
    assert_eq!((said(forecast), counts(forecast)), ((words, Some(again)), [2, 0, 0, 1]));
    let retry = Options { retry_quarantined: true, ..Options::default() };
    let forecast = &bench.ask(&bench.plan(&some), &retry)[1];
    assert_eq!(
        (forecast.reason.as_str(), counts(forecast)),
        ("1 row tried again: in quarantine", [2, 1, 0, 0])
    );
    assert_eq!(forecast.retried, 1);
    let equal = chain(&["a=bad", "e=bad", "b=two"], "");
    let words = "1 row tried again: in quarantine, 1 row the same as another one";
    assert_eq!(bench.ask(&bench.plan(&equal), &retry)[1].reason, words);
    // Where nothing is set aside, a run tries it again as well.
    let mut strict = bench.plan(&some);
    strict.stages[1].on_error = OnError::Fail;
    let forecast = &bench.ask(&strict, &Options::default())[1];
    assert_eq!(
        (forecast.reason.as_str(), counts(forecast)),
        ("1 row tried again: failed before", [2, 1, 0, 0])
    );
}

#[test]
fn rows_to_come_name_what_they_come_of() {
    let bench = Bench::new();
    let rows = ["a=one", "b=two"];
    bench.run(&chain(&rows, ""));
    let forecasts = bench.forecast(&chain(&rows, "?"));
    let option = "`options.suffix` \"\" -> \"?\"";
    assert_eq!(said(&forecasts[1]), (option, None));
    let cause = format!("`big` of `up`: {option}");
    assert_eq!(said(&forecasts[2]), ("2 rows to come after `up`", Some(cause.as_str())));
    let cause = format!("`bigger` of `again`, from `up`: {option}");
    assert_eq!(said(&forecasts[3]), ("2 rows to come after `up`", Some(cause.as_str())));
    let unknown: Vec<u64> = forecasts.iter().map(|forecast| forecast.unknown).collect();
    assert_eq!(unknown, [0, 0, 2, 1], "of what is to come nobody knows whether it is stored");
    // Once `up` has run, its output tells `again` apart; the cause is still upstream.
    bench.run(&chain(&rows, "?")[..2]);
    let again = &bench.forecast(&chain(&rows, "?"))[2];
    let cause = format!("`big` comes from `up`: {option}");
    assert_eq!(said(again), ("2 rows changed in `big`", Some(cause.as_str())));
}

#[test]
fn what_does_not_read_a_column_to_come_is_looked_up() {
    let bench = Bench::new();
    let rows = |suffix: &str| {
        let mut rows = chain(&["a=one", "b=two"], suffix);
        rows[2].2 = json!({ "from": "value", "to": "other" });
        rows[3].2 = json!({ "of": "value" });
        rows
    };
    bench.run(&rows(""));
    let forecasts = bench.forecast(&rows("?"));
    assert_eq!(
        forecasts.iter().map(counts).collect::<Vec<_>>()[1..],
        [[0, 2, 0, 0], [2, 0, 0, 0], [1, 0, 0, 0]]
    );
    let record = bench.run(&rows("?"));
    let computed = ["up", "again", "count"].map(|stage| record.stages[stage]["misses"].as_u64());
    assert_eq!(computed, [Some(2), Some(0), Some(0)]);
}

#[test]
fn equal_rows_are_computed_once() {
    let bench = Bench::new();
    let forecast = &bench.forecast(&chain(&["a=one", "b=one", "c=two"], ""))[1];
    assert_eq!(counts(forecast), [0, 2, 1, 0]);
    assert_eq!(forecast.reason, "never run before, 1 row the same as another one");
}

#[test]
fn a_subset_that_cannot_choose_yet_gives_an_upper_bound() {
    let bench = Bench::new();
    let rows = |from: &str| {
        vec![
            ("in", "rows", json!({ "rows": ["a=one", "b=drop", "c=three"] }), vec![]),
            ("up", "upper", json!({ "from": "value", "to": from }), vec![0]),
            ("keep", "keep", json!({}), vec![1]),
            ("again", "upper", json!({ "from": "value", "to": "bigger" }), vec![2]),
        ]
    };
    let known = bench.forecast(&rows("big"));
    assert_eq!(
        (known[2].at_most, known[3].at_most, known[3].rows),
        (false, false, 2),
        "it chooses by `value`"
    );
    let unknown = bench.forecast(&rows("value"));
    assert_eq!((unknown[2].at_most, unknown[3].at_most, unknown[3].rows), (false, true, 3));
    assert_eq!(unknown[2].cause.as_deref(), Some("`value` of `up`: never run before"));
    let why = bench.why(&rows("value"), "keep", None);
    assert_eq!((why.leaving, why.leaving_at_most), (3, true));
}

#[test]
fn a_table_that_no_row_reaches_awaits_none() {
    let rows = [
        ("in", "rows", json!({ "rows": ["a=drop"] }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "big" }), vec![0]),
        ("keep", "keep", json!({}), vec![1]),
        ("count", "count", json!({ "of": "big" }), vec![2]),
    ];
    let forecast = &Bench::new().forecast(&rows)[3];
    assert_eq!((forecast.rows, forecast.compute, forecast.unknown), (0, 1, 0));
}
