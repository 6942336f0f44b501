//! Does `why` name what changed, all of it and nothing else? And does looking leave no trace?

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use affectflow_pipeline::event::Silent;
use affectflow_pipeline::plan::Plan;
use affectflow_pipeline::run::context::Device;
use affectflow_pipeline::run::predict::{Forecast, predict};
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::why::{Why, why};
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::stage::Dependency;
use affectflow_pipeline::{Error, spec};
use common::*;
use serde_json::json;
use tempfile::{TempDir, tempdir};

struct Bench {
    folder: TempDir,
    log: Arc<Log>,
}

impl Bench {
    fn new() -> Self {
        Bench { folder: tempdir().unwrap(), log: Arc::default() }
    }

    fn state(&self) -> State {
        State::open(&self.folder.path().join("state"))
    }

    fn run(&self, plan: &Plan) -> Record {
        let registry = registry(&self.log);
        let (record, result) =
            run(plan, &registry, &self.state(), &Options::default(), Arc::new(Silent)).unwrap();
        result.unwrap();
        record
    }

    fn plan(&self, rows: &[Row]) -> Plan {
        plan(&registry(&self.log), rows)
    }

    fn rows(&self, rows: &[Row]) -> Record {
        self.run(&self.plan(rows))
    }

    fn ask(&self, plan: &Plan, stage: &str, row: Option<&str>, options: &Options) -> Result<Why, Error> {
        why(plan, &registry(&self.log), &self.state(), options, stage, row).map(|(why, _)| why)
    }

    fn why(&self, rows: &[Row], stage: &str) -> Why {
        self.ask(&self.plan(rows), stage, None, &Options::default()).unwrap()
    }

    fn row(&self, rows: &[Row], stage: &str, id: &str) -> Why {
        self.ask(&self.plan(rows), stage, Some(id), &Options::default()).unwrap()
    }

    fn forecast(&self, rows: &[Row]) -> Vec<Forecast> {
        predict(&self.plan(rows), &registry(&self.log), &self.state(), &Options::default()).unwrap().0
    }
}

fn chain(rows: &[&str]) -> Vec<Row<'static>> {
    vec![
        ("in", "rows", json!({ "rows": rows }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "big" }), vec![0]),
        ("again", "upper", json!({ "from": "big", "to": "bigger", "suffix": "!" }), vec![1]),
        ("count", "count", json!({ "of": "bigger" }), vec![2]),
    ]
}

fn changes(why: &Why) -> Vec<String> {
    why.changes.iter().map(|change| change.to_string()).collect()
}

fn rows_of(why: &Why) -> String {
    why.rows.as_ref().map(|rows| rows.to_string()).unwrap_or_default()
}

/// Every file below a folder with its bytes.
fn tree(folder: &Path) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => files.extend(tree(&entry.path())),
            false => drop(files.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
        }
    }
    files
}

#[test]
fn a_stage_that_never_ran_has_nothing_to_compare_with() {
    let bench = Bench::new();
    let why = bench.why(&chain(&["a=one"]), "up");
    assert!(!why.known && why.changes.is_empty() && why.against.is_none());
    assert_eq!(why.forecast.reason, "never run before");
    assert_eq!((why.forecast.seconds, why.forecast.bytes), (None, None), "nobody can know what it costs");
}

#[test]
fn an_option_is_named_with_old_and_new_and_a_default_written_out_changes_nothing() {
    let bench = Bench::new();
    let mut rows = chain(&["a=one", "b=two"]);
    let first = bench.rows(&rows);
    rows[1].2 = json!({ "to": "big", "suffix": "", "from": "value", "rows_per_call": 9 });
    let same = bench.why(&rows, "up");
    assert_eq!((same.forecast.compute, same.forecast.cached, changes(&same)), (0, 2, vec![]));
    assert_eq!(same.against.as_ref().map(|run| run.run.as_str()), Some(first.id.as_str()));
    rows[1].2 = json!({ "from": "value", "to": "big", "suffix": "?" });
    let why = bench.why(&rows, "up");
    assert_eq!(changes(&why), ["`options.suffix` \"\" -> \"?\""]);
    assert_eq!((why.forecast.compute, why.forecast.reason.as_str()), (2, "`options.suffix` \"\" -> \"?\""));
    let reasons: Vec<String> = bench.forecast(&rows).into_iter().map(|f| f.reason).collect();
    assert_eq!(reasons[2], "2 rows to come after `up`");
    bench.rows(&rows);
    assert_eq!(changes(&bench.why(&rows, "up")), Vec::<String>::new(), "now it has run");
    rows[1].2 = json!({ "from": "value", "to": "big" });
    assert_eq!(bench.why(&rows, "up").forecast.compute, 0, "the first result is still there");
}

#[test]
fn the_nearest_is_the_one_with_the_fewest_differences_and_of_these_the_newest() {
    let bench = Bench::new();
    let with = |of: &str, base: i32| {
        let mut rows = chain(&["a=one"]);
        rows[3].2 = json!({ "of": of, "base": base });
        rows
    };
    bench.rows(&with("bigger", 1));
    let second = bench.rows(&with("bigger", 2));
    bench.rows(&with("value", 3));
    let why = bench.why(&with("bigger", 3), "count");
    assert_eq!(changes(&why), ["`options.base` 2 -> 3"], "not the newest run, whose column differs as well");
    assert_eq!(why.against.unwrap().run, second.id);
    // Another pipeline's stage of the kind is compared with where this one has never run.
    let mut other = bench.plan(&with("bigger", 7));
    other.pipeline = "other".into();
    let why = bench.ask(&other, "count", None, &Options::default()).unwrap();
    assert_eq!(why.changes.len(), 1);
    assert_eq!(why.against.unwrap().pipeline, "toy");
}

#[test]
fn version_file_and_device_are_named() {
    let bench = Bench::new();
    let weights = bench.folder.path().join("weights");
    let planned = |version: u32| {
        let mut plan = bench.plan(&chain(&["a=one"]));
        let depends = Dependency::File { name: "unet/weights".into(), path: weights.clone() };
        plan.stages[1].planned.depends.push(depends);
        plan.stages[1].version = version;
        plan
    };
    let ask = |version: u32, device: Device| {
        let options = Options { device, ..Options::default() };
        changes(&bench.ask(&planned(version), "up", None, &options).unwrap())
    };
    std::fs::write(&weights, "old").unwrap();
    bench.run(&planned(3));
    assert_eq!(ask(4, Device::Cpu), ["stage version 3 -> 4"]);
    assert_eq!(ask(3, Device::Metal), ["device cpu -> metal"]);
    std::fs::write(&weights, "new").unwrap();
    let digest = |text: &str| affectflow_pipeline::Digest::of(text.as_bytes()).to_string()[..12].to_owned();
    let content = format!("content of `unet/weights` {} -> {}", digest("old"), digest("new"));
    assert_eq!(ask(3, Device::Cpu), std::slice::from_ref(&content));
    assert_eq!(ask(4, Device::Cpu), ["stage version 3 -> 4".to_owned(), content]);
}

#[test]
fn rows_added_and_changed_are_told_apart_before_anything_is_computed() {
    let bench = Bench::new();
    bench.rows(&chain(&["a=one", "b=two", "c=three"]));
    let now = chain(&["a=one", "b=deux", "d=four"]);
    let source = bench.why(&now, "in");
    assert_eq!(rows_of(&source), "1 row added, 1 removed, 1 changed in `value`");
    let why = bench.why(&now, "up");
    assert_eq!((why.forecast.cached, why.forecast.compute), (1, 2));
    assert_eq!(rows_of(&why), "1 row added, 1 changed in `value`");
    let rows = why.rows.as_ref().unwrap();
    assert_eq!((&rows.added.examples, &rows.changed.examples), (&vec!["d".into()], &vec!["b".into()]));
    assert_eq!(changes(&why), Vec::<String>::new());
    let note = "`value` comes from `in` (`in`: 1 row added, 1 removed, 1 changed in `value`)";
    assert!(why.notes.iter().any(|n| n == note), "{:?}", why.notes);
    let again = bench.why(&now, "again");
    assert_eq!(again.forecast.reason, "2 rows to come after `up`");
    assert_eq!(bench.forecast(&now)[1].reason, "1 row added, 1 changed in `value`");
}

#[test]
fn a_changed_row_names_the_column_both_digests_and_both_values() {
    let bench = Bench::new();
    bench.rows(&chain(&["a=one", "b=two"]));
    let now = chain(&["a=one", "b=deux", "d=four"]);
    let row = bench.row(&now, "up", "b").row.unwrap();
    assert_eq!((row.state, row.sentence.as_str()), ("compute", "is to be computed: changed in `value`"));
    let cell = &row.cells[0];
    assert_eq!((cell.column.as_str(), &cell.from), ("value", &vec!["in".to_owned()]));
    assert_eq!(cell.old_value.as_deref(), Some("\"two\""));
    assert_eq!(cell.new_value.as_deref(), Some("\"deux\""));
    assert!(cell.old != cell.new && cell.old.len() == 32, "{cell:?}");
    let new = bench.row(&now, "up", "d").row.unwrap();
    assert_eq!((new.sentence.as_str(), new.cells.len()), ("is to be computed: the row is new", 0));
    // Downstream the row is held up where it is to be computed.
    let held = bench.row(&now, "count", "b").row.unwrap();
    assert_eq!((held.stage.as_str(), held.state, held.cells.len()), ("up", "compute", 1));
    // With another option and another value, both are told.
    let mut both = now.clone();
    both[1].2 = json!({ "from": "value", "to": "big", "suffix": "?" });
    let why = bench.row(&both, "up", "b");
    assert_eq!(changes(&why), ["`options.suffix` \"\" -> \"?\""]);
    assert_eq!(why.row.unwrap().cells[0].old_value.as_deref(), Some("\"two\""));
    let same = bench.row(&both, "up", "a").row.unwrap();
    assert_eq!(same.sentence, "is to be computed: its input is the same, but the stage's identity changed");
}

#[test]
fn a_cached_row_says_since_when_and_by_which_run() {
    let bench = Bench::new();
    let first = bench.rows(&chain(&["a=one", "b=one"]));
    bench.rows(&chain(&["a=one", "b=one", "c=three"]));
    let row = bench.row(&chain(&["a=one", "b=one"]), "up", "a").row.unwrap();
    assert_eq!(row.state, "cached");
    assert!(row.sentence.starts_with("is cached: stored at 20"), "{}", row.sentence);
    assert_eq!(row.run.unwrap().stage, "up");
    assert!(first.stages["up"]["entries"].is_string());
    let twin = bench.row(&chain(&["a=one", "b=one"]), "up", "b").row.unwrap();
    assert!(twin.sentence.contains("for row `a`, whose input is the same"), "{}", twin.sentence);
}

#[test]
fn a_row_in_quarantine_shows_its_error_and_a_row_that_is_not_there_its_neighbours() {
    let bench = Bench::new();
    let rows = chain(&["photos/a=one", "photos/b=bad", "photos/c=three"]);
    bench.rows(&rows);
    for stage in ["up", "count"] {
        let row = bench.row(&rows, stage, "photos/b").row.unwrap();
        assert_eq!((row.state, row.stage.as_str()), ("quarantined", "up"));
        assert!(row.sentence.contains("tried once: a bad value"), "{}", row.sentence);
    }
    let error = bench.ask(&bench.plan(&rows), "up", Some("photo/c"), &Options::default()).unwrap_err();
    assert!(
        matches!(&error, Error::NotFound(text) if text.contains("the nearest are `photos/c`, ")),
        "{error}"
    );
    let error = bench.ask(&bench.plan(&rows), "upp", None, &Options::default()).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error}");
}

#[test]
fn a_change_that_gives_equal_output_stops_and_why_says_where() {
    let bench = Bench::new();
    let first = bench.rows(&chain(&["a=one", "b=two"]));
    let now = chain(&["a=One", "b=two"]);
    bench.rows(&now);
    for stage in ["again", "count"] {
        let why = bench.why(&now, stage);
        assert_eq!(why.forecast.compute, 0);
        let note = why.notes.iter().find(|note| note.contains("nothing is computed")).unwrap();
        assert!(note.contains(&first.id), "{note}");
        assert!(note.contains("`in`: 1 row changed in `value`; `up`: the input of 1 row changed"), "{note}");
    }
    assert!(bench.why(&now, "up").notes.is_empty());
}

#[test]
fn a_table_compares_its_whole_input() {
    let bench = Bench::new();
    let table = |rows: &[&str]| {
        vec![
            ("in", "rows", json!({ "rows": rows }), vec![]),
            ("count", "count", json!({ "of": "value" }), vec![0]),
        ]
    };
    bench.rows(&table(&["a=one", "b=two", "c=three"]));
    let now = table(&["a=one", "b=deux", "d=four"]);
    let why = bench.row(&now, "count", "b");
    assert_eq!(rows_of(&why), "1 row added, 1 removed, 1 changed in `value`");
    assert_eq!(why.forecast.reason, rows_of(&why));
    let row = why.row.unwrap();
    assert_eq!(row.sentence, "is computed with all others; changed in `value`");
    assert_eq!(row.cells[0].old_value.as_deref(), Some("\"two\""));
    bench.rows(&now);
    let first = bench.why(&table(&["a=one", "b=two", "c=three"]), "count");
    assert_eq!((first.forecast.compute, rows_of(&first).as_str()), (0, "no row differs"));
    let reordered = bench.why(&table(&["c=three", "b=two", "a=one"]), "count");
    assert_eq!((reordered.forecast.compute, rows_of(&reordered).as_str()), (0, "no row differs"));
}

#[test]
fn another_artifact_is_traced_to_the_stage_that_gave_it() {
    let bench = Bench::new();
    let rows = |of: &str| {
        vec![
            ("in", "rows", json!({ "rows": ["a=one", "b=two"] }), vec![]),
            ("up", "upper", json!({ "from": "value", "to": "big" }), vec![0]),
            ("teach", "count", json!({ "of": of }), vec![1]),
            ("learn", "recall", json!({}), vec![2]),
        ]
    };
    bench.rows(&rows("value"));
    let before = bench.why(&rows("big"), "learn");
    assert_eq!(changes(&before), Vec::<String>::new(), "what is not made yet is not compared");
    let words =
        "`count`, which `teach` is to compute first (`teach`: `options.of` \"value\" -> \"big\" and 2 more)";
    assert!(before.notes.iter().any(|note| note.contains(words)), "{:?}", before.notes);
    bench.rows(&rows("big")[..3]);
    let why = bench.why(&rows("big"), "learn");
    assert_eq!(why.changes.len(), 1);
    assert!(changes(&why)[0].starts_with("artifact `count` "), "{:?}", changes(&why));
    assert_eq!(why.forecast.reason, "`teach` gave another `count`");
    let words =
        "because `teach` gave another `count` (`teach`: `options.of` \"value\" -> \"big\" and 2 more)";
    assert!(why.notes.iter().any(|note| note == words), "{:?}", why.notes);
}

#[test]
fn without_any_record_the_cache_alone_explains() {
    let bench = Bench::new();
    bench.rows(&chain(&["a=one", "b=two"]));
    std::fs::remove_dir_all(bench.state().runs).unwrap();
    let mut rows = chain(&["a=uno", "b=two", "c=three"]);
    let why = bench.row(&rows, "up", "a");
    assert!(why.known && why.against.is_none());
    assert_eq!(rows_of(&why), "1 row added, 1 changed in `value`");
    assert_eq!(why.row.unwrap().cells[0].new_value.as_deref(), Some("\"uno\""));
    rows[1].2 = json!({ "from": "value", "to": "big", "suffix": "?" });
    assert_eq!(changes(&bench.why(&rows, "up")), ["`options.suffix` \"\" -> \"?\""]);
    // A damaged identity is passed over.
    let identities = bench.state().cache.root().join("v1/identities");
    for entry in std::fs::read_dir(identities).unwrap() {
        std::fs::write(entry.unwrap().path(), "{ \"kind\": \"upper\" }").unwrap();
    }
    assert!(!bench.why(&rows, "up").known);
}

#[test]
fn rows_that_the_cache_lost_are_not_called_new() {
    let bench = Bench::new();
    let rows = chain(&["a=one", "b=two"]);
    let record = bench.rows(&rows);
    bench.rows(&chain(&["a=one", "b=two", "c=three"]));
    let folder = bench.state().cache.root().join(record.stages["up"]["entries"].as_str().unwrap());
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    let first = files[0].with_extension("");
    files.iter().filter(|f| f.with_extension("") == first).for_each(|f| std::fs::remove_file(f).unwrap());
    let why = bench.row(&rows, "up", "a");
    assert_eq!(rows_of(&why), "no row differs");
    assert!(
        why.notes.iter().any(|n| n == "stored before and gone from the cache: 2 rows (`a`, `b`)"),
        "{:?}",
        why.notes
    );
    assert_eq!(why.forecast.reason, "2 stored before and gone");
    assert!(why.row.unwrap().sentence.contains("gone from the cache"));
}

#[test]
fn costs_come_from_the_runs_before() {
    let bench = Bench::new();
    let record = bench.rows(&chain(&["a=slow1", "b=slow2"]));
    let forecast = bench.forecast(&chain(&["a=slow1", "b=slow2", "c=slow3"]));
    let (bytes, seconds) =
        (record.stages["up"]["bytes"].as_f64().unwrap(), record.stages["up"]["computing"].as_f64().unwrap());
    assert!(bytes > 0.0 && seconds >= 0.06, "{bytes} bytes, {seconds} s");
    assert_eq!(forecast[1].bytes, Some((bytes / 2.0).round() as u64));
    assert_eq!(forecast[1].seconds, Some(seconds / 2.0));
    assert_eq!((forecast[0].seconds, forecast[0].bytes), (Some(0.0), Some(0)));
    // An identity that never ran costs what the stage of that name cost.
    let mut rows = chain(&["a=slow1"]);
    rows[1].2 = json!({ "from": "value", "to": "big", "suffix": "?" });
    assert_eq!(bench.forecast(&rows)[1].seconds, Some(seconds / 2.0));
}

#[test]
fn looking_leaves_no_trace() {
    let bench = Bench::new();
    let rows = chain(&["a=one", "b=two"]);
    bench.why(&rows, "count");
    assert!(!bench.folder.path().join("state").exists());
    bench.rows(&rows);
    let before = tree(bench.folder.path());
    let mut now = chain(&["a=uno", "c=three"]);
    bench.forecast(&now);
    bench.row(&now, "up", "a");
    now[1].2 = json!({ "from": "value", "to": "big", "suffix": "?" });
    bench.row(&now, "up", "a");
    bench.why(&now, "count");
    assert_eq!(tree(bench.folder.path()), before);
}

#[test]
fn values_of_the_environment_are_never_told() {
    let bench = Bench::new();
    let text = "
version: 1
pipelines:
  p:
    stages:
      in: { kind: rows, config: { rows: [a=one] } }
      up: { kind: upper, config: { from: value, to: big, suffix: \"${env.SECRET}\" } }
";
    let planned = |secret: &str| {
        let env = |_: &str| Some(secret.to_owned());
        let (spec, problems) = spec::parse_lenient(text, "p.yaml", &[], &env);
        assert!(problems.is_empty(), "{problems:?}");
        let plan = affectflow_pipeline::plan::plan(
            &spec.unwrap(),
            None,
            &registry(&bench.log),
            Path::new("."),
            None,
        );
        plan.unwrap_or_else(|problems| panic!("{problems:?}"))
    };
    bench.run(&planned("hunter1"));
    let why = bench.ask(&planned("hunter2"), "up", Some("a"), &Options::default()).unwrap();
    assert_eq!(why.changes.len(), 1);
    assert_eq!(why.changes[0].name, "options.suffix");
    let told = format!("{} {}", serde_json::to_string(&why).unwrap(), changes(&why)[0]);
    assert!(told.contains("digest:") && !told.contains("hunter"), "{told}");
}

#[test]
fn a_column_that_is_not_read_may_change() {
    let bench = Bench::new();
    let rows = |label: &str| {
        vec![
            ("in", "rows", json!({ "rows": ["a=one"] }), vec![]),
            ("label", "upper", json!({ "from": "value", "to": "label", "suffix": label }), vec![0]),
            ("up", "upper", json!({ "from": "value", "to": "big" }), vec![1]),
        ]
    };
    bench.rows(&rows("x"));
    bench.rows(&rows("y"));
    let why = bench.why(&rows("y"), "up");
    assert_eq!((why.forecast.cached, why.forecast.compute), (1, 0));
    let note = why.notes.iter().find(|note| note.contains("nothing is computed")).unwrap();
    assert!(note.contains("`label`: `options.suffix` \"x\" -> \"y\""), "{note}");
}
