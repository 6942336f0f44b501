//! What does the cache hold, and what goes? Merging of small segments, removal of what nobody needs, a size that is held,
//! and damage that a check finds.

mod common;
mod simulated;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use affectflow_pipeline::cache::Cache;
use affectflow_pipeline::cache::compact::{Compacted, compact};
use affectflow_pipeline::cache::entries::Entries;
use affectflow_pipeline::cache::live::{Live, pinned};
use affectflow_pipeline::cache::segment::Rows;
use affectflow_pipeline::cache::storage::Disk;
use affectflow_pipeline::event::{Event, Observer};
use affectflow_pipeline::run::export::export;
use affectflow_pipeline::run::record::Record;
use affectflow_pipeline::run::space::gc::{Policy, Removed, What, gc};
use affectflow_pipeline::run::space::stats::stats;
use affectflow_pipeline::run::verify::verify;
use affectflow_pipeline::run::{Options, State, run};
use affectflow_pipeline::{Digest, Error};
use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use common::{Log, Row, exported, go, go_with, lines_of, plan, registry};
use serde_json::json;
use simulated::{Fault, SimulatedDisk};

const FOLDER: &str = "v1/rows/00";

fn fields() -> Vec<FieldRef> {
    vec![Arc::new(Field::new("word", DataType::Utf8, true))]
}

fn key(n: usize) -> Digest {
    Digest::of(&n.to_le_bytes())
}

/// Rows of these numbers, with the words that `word` makes of them.
fn rows(numbers: &[usize], word: impl Fn(usize) -> String, inputs: bool) -> Rows {
    let words: ArrayRef = Arc::new(StringArray::from_iter_values(numbers.iter().map(|&n| word(n))));
    Rows {
        keys: numbers.iter().map(|&n| key(n)).collect(),
        inputs: if inputs { numbers.iter().map(|&n| key(n + 1_000_000)).collect() } else { Vec::new() },
        ids: StringArray::from_iter_values(numbers.iter().map(|n| format!("id {n}"))),
        columns: vec![words],
    }
}

fn open(cache: &Arc<Cache>) -> Entries {
    Entries::open(cache.clone(), FOLDER.into(), fields(), None).unwrap()
}

/// Word, id and number of inputs by row.
fn content(entries: &Entries, numbers: &[usize]) -> Vec<(String, String, usize)> {
    let keys: Vec<Digest> = numbers.iter().map(|&n| key(n)).collect();
    let places: Vec<_> = entries.find(&keys).unwrap().into_iter().flatten().collect();
    assert_eq!(places.len(), numbers.len(), "rows are lost");
    let words = entries.read(0, &places, &entries.digests(0, &places).unwrap()).unwrap();
    let (ids, inputs) = (entries.ids(&places).unwrap(), entries.inputs(&places).unwrap());
    let words = words.as_string::<i32>().iter().map(|word| word.unwrap().to_owned());
    for (told, &n) in inputs.iter().zip(numbers) {
        assert!(told.is_empty() || told == &[key(n + 1_000_000)]);
    }
    words.zip(ids).zip(inputs).map(|((word, id), inputs)| (word, id, inputs.len())).collect()
}

fn segments(cache: &Cache) -> usize {
    cache.list(FOLDER).unwrap().iter().filter(|item| item.name.ends_with(".parquet")).count()
}

/// Twelve small segments of five rows each.
fn many(cache: &Arc<Cache>) -> Vec<usize> {
    let entries = open(cache);
    for part in 0..12 {
        let numbers: Vec<usize> = (part * 5..part * 5 + 5).collect();
        entries.commit(&rows(&numbers, |n| format!("word {n}"), true), false).unwrap();
    }
    (0..60).collect()
}

#[test]
fn few_segments_stay_and_many_become_one() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let numbers = many(&cache);
    let before = content(&open(&cache), &numbers);
    assert_eq!(compact(&cache, FOLDER, &fields()).unwrap(), Compacted { removed: 12, written: 1 });
    assert_eq!(content(&open(&cache), &numbers), before);
    assert_eq!((segments(&cache), cache.list(FOLDER).unwrap().len()), (1, 2));
    for n in 0..7 {
        open(&cache).commit(&rows(&[100 + n], |n| n.to_string(), true), false).unwrap();
    }
    assert_eq!(compact(&cache, FOLDER, &fields()).unwrap(), Compacted::default());
    assert_eq!(segments(&cache), 8);
    assert!(verify(&cache, &AtomicBool::new(false), |_, _| {}).unwrap().damage.is_empty());
}

#[test]
fn a_row_computed_again_on_demand_stays_the_newest() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    let numbers = many(&cache);
    let entries = open(&cache);
    entries.commit(&rows(&[3, 4], |n| format!("older {n}"), true), true).unwrap();
    entries.commit(&rows(&[4, 5], |n| format!("newer {n}"), true), true).unwrap();
    entries.commit(&rows(&[4, 9], |n| format!("twin {n}"), true), false).unwrap();
    let words = |entries: &Entries| -> Vec<String> {
        content(entries, &[3, 4, 5, 6]).into_iter().map(|(word, ..)| word).collect()
    };
    let expected = ["older 3", "newer 4", "newer 5", "word 6"];
    assert_eq!(words(&open(&cache)), expected);
    assert_eq!(compact(&cache, FOLDER, &fields()).unwrap().written, 2);
    let merged = open(&cache);
    assert_eq!(words(&merged), expected);
    // Of the rows that lie twice one is left.
    assert_eq!((merged.rows(), content(&merged, &numbers).len()), (60, 60));
    // What is computed again after that stands before what was merged, also for a reader that opened earlier.
    open(&cache).commit(&rows(&[4], |n| format!("newest {n}"), true), true).unwrap();
    merged.refresh().unwrap();
    assert_eq!((&words(&merged)[1], &words(&open(&cache))[1]), (&"newest 4".into(), &"newest 4".into()));
}

#[test]
fn a_reader_that_has_opened_goes_on_while_segments_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, other) = (Cache::at(folder.path()), Cache::at(folder.path()));
    let numbers = many(&cache);
    let reader = open(&cache);
    let keys: Vec<Digest> = numbers.iter().map(|&n| key(n)).collect();
    let places: Vec<_> = reader.find(&keys).unwrap().into_iter().flatten().collect();
    let digests = reader.digests(0, &places).unwrap();
    assert_eq!(compact(&other, FOLDER, &fields()).unwrap(), Compacted { removed: 12, written: 1 });
    let words = reader.read(0, &places, &digests).unwrap();
    let expected: Vec<String> = numbers.iter().map(|n| format!("word {n}")).collect();
    assert_eq!(words.as_string::<i32>().iter().flatten().collect::<Vec<_>>(), expected);
    assert_eq!((cache.take_damage(), other.take_damage()), (vec![], vec![]));
}

#[test]
fn segments_that_do_not_tell_what_keys_were_made_of_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::at(folder.path());
    many(&cache);
    let entries = open(&cache);
    for part in 20..23 {
        entries.commit(&rows(&[part * 5, part * 5 + 1], |n| format!("old {n}"), false), false).unwrap();
    }
    let numbers: Vec<usize> = (0..60).chain([100, 101, 105, 106, 110, 111]).collect();
    let before = content(&open(&cache), &numbers);
    assert_eq!(compact(&cache, FOLDER, &fields()).unwrap(), Compacted { removed: 15, written: 2 });
    assert_eq!(content(&open(&cache), &numbers), before);
    assert_eq!(before.iter().map(|(.., inputs)| inputs).sum::<usize>(), 60);
}

fn on(disk: &SimulatedDisk) -> Arc<Cache> {
    Cache::on(Box::new(Disk::on(disk.clone(), "/cache")), PathBuf::from("/cache"))
}

#[test]
fn a_power_cut_or_an_error_while_merging_costs_nothing() {
    let disk = SimulatedDisk::new();
    let numbers = many(&on(&disk));
    let before = content(&open(&on(&disk)), &numbers);
    disk.set(Fault::None);
    compact(&on(&disk), FOLDER, &fields()).unwrap();
    let operations = disk.operations();
    assert!(operations > 60, "{operations}");
    for at in 1..=operations {
        for fault in [Fault::PowerCut(at), Fault::Error(at)] {
            let disk = SimulatedDisk::new();
            many(&on(&disk));
            disk.set(fault);
            let ended = compact(&on(&disk), FOLDER, &fields());
            assert!(ended.is_err() || matches!(fault, Fault::Error(_)), "{fault:?}");
            match fault {
                Fault::PowerCut(_) => disk.after_power_cut(at as u64),
                _ => disk.set(Fault::None),
            }
            let cache = on(&disk);
            assert_eq!(content(&open(&cache), &numbers), before, "{fault:?}");
            assert_eq!(cache.take_damage(), vec![], "{fault:?}: false alarm");
            // What lies twice lies once after the next time.
            for n in 0..9 {
                open(&cache).commit(&rows(&[200 + n], |n| n.to_string(), true), false).unwrap();
            }
            compact(&cache, FOLDER, &fields()).unwrap();
            let merged = open(&cache);
            assert_eq!((merged.rows(), segments(&cache)), (60 + 9, 1), "{fault:?}");
            assert_eq!(content(&merged, &numbers), before, "{fault:?}");
            assert_eq!(cache.take_damage(), vec![], "{fault:?}");
        }
    }
    println!("{operations} operations, each cut off and failed");
}

/// A map, a table on it and one more map; `suffix` changes the identity of the first map and all after it.
fn stages(suffix: &str, count: u64) -> Vec<Row<'static>> {
    vec![
        ("in", "rows", json!({ "rows": [], "numbered": count }), vec![]),
        ("up", "upper", json!({ "from": "value", "to": "loud", "suffix": suffix }), vec![0]),
        ("count", "count", json!({ "of": "loud" }), vec![1]),
    ]
}

fn state(folder: &Path) -> State {
    State::open(folder)
}

fn collect(folder: &Path, older_than: Duration, max_size: Option<u64>, dry_run: bool) -> Removed {
    let policy = Policy { older_than: Some(older_than), max_size, dry_run };
    gc(&state(folder), &policy).unwrap()
}

const MONTH: Duration = Duration::from_secs(30 * 86_400);

/// Every file of the cache with its size.
fn files(folder: &Path) -> BTreeMap<PathBuf, u64> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => drop(all.insert(path, entry.metadata().unwrap().len())),
        }
    }
    all
}

/// Makes a recorded run end so many days from now.
fn ended(record: &Record, days: i64) {
    let path = record.folder().join("run.json");
    let mut json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let by = Duration::from_secs(days.unsigned_abs() * 86_400);
    let then = if days < 0 { SystemTime::now() - by } else { SystemTime::now() + by };
    json["end"] = humantime::format_rfc3339_seconds(then).to_string().into();
    fs::write(&path, serde_json::to_vec(&json).unwrap()).unwrap();
}

fn size(folder: &Path) -> u64 {
    files(&folder.join("cache/v1")).values().sum()
}

/// The name of what a stage has stored.
fn stored(record: &Record, stage: &str) -> String {
    record.stages[stage]["entries"].as_str().unwrap().trim_start_matches("v1/rows/").to_owned()
}

fn names(removed: &Removed, what: What) -> Vec<String> {
    removed.gone.iter().filter(|gone| gone.what == what).map(|gone| gone.name.clone()).collect()
}

#[test]
fn what_only_old_runs_need_goes_and_is_missed_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let old = go(at, &log, &stages("a", 40));
    let new = go(at, &log, &stages("b", 40));
    let rows = exported(at, &new, "count");
    let before = files(&at.join("cache"));
    assert!(collect(at, MONTH, None, false).gone.is_empty(), "young runs are kept");
    let seen = collect(at, Duration::ZERO, None, true);
    assert_eq!(files(&at.join("cache")), before, "a dry run removes nothing");
    let removed = collect(at, Duration::ZERO, None, false);
    assert_eq!(names(&removed, What::Rows), [stored(&old, "up")]);
    assert_eq!(names(&removed, What::Table), [stored(&old, "count")]);
    assert_eq!(
        names(&removed, What::Artifact),
        [old.stages["count"]["artifacts"][0]["digest"].as_str().unwrap()]
    );
    assert_eq!((names(&removed, What::List).len(), names(&removed, What::Identity).len()), (3, 1));
    let told = |removed: &Removed| -> Vec<_> {
        removed.gone.iter().map(|gone| (gone.name.clone(), gone.bytes)).collect()
    };
    assert_eq!(told(&seen), told(&removed), "a dry run tells what goes");
    let up = removed.gone.iter().find(|gone| gone.what == What::Rows).unwrap();
    assert_eq!((up.rows, up.stage.as_deref(), up.kind.as_deref()), (Some(40), Some("up"), Some("upper")));
    assert!(up.seconds.is_some() && up.used.is_some());
    let gone: u64 = removed.gone.iter().map(|gone| gone.bytes).sum();
    assert_eq!(before.values().sum::<u64>() - gone, files(&at.join("cache")).values().sum::<u64>());
    assert!(!at.join("cache/v1/rows").join(stored(&old, "up")).exists(), "no empty folder is left");
    // What is kept is whole, and what is gone is told and comes again.
    assert_eq!(exported(at, &new, "count"), rows);
    assert_eq!(go(at, &log, &stages("b", 40)).stages["up"]["misses"], 0);
    let error = export(&state(at).cache, &old, "up", true, |_| Ok(())).unwrap_err();
    assert!(matches!(&error, Error::NotFound(text) if text.contains("removed by `cache gc`")), "{error}");
    let again = go(at, &log, &stages("a", 40));
    assert_eq!(again.stages["up"]["misses"], 40);
    assert_eq!(exported(at, &old, "count"), exported(at, &again, "count"));
}

/// A run of the beginning of the pipeline.
fn up_to(folder: &Path, log: &Arc<Log>, rows: &[Row], stage: &str) -> Record {
    let registry = registry(log);
    let mut plan = plan(&registry, rows);
    plan.until = Some(stage.to_owned());
    let (record, result) =
        run(&plan, &registry, &state(folder), &Options::default(), Arc::new(Warnings::default())).unwrap();
    result.unwrap();
    record
}

#[test]
fn a_run_up_to_a_stage_displaces_no_whole_one() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let whole = go(at, &log, &stages("a", 40));
    let first = up_to(at, &log, &stages("b", 40)[..2], "up");
    [&whole, &first].iter().for_each(|record| ended(record, -60));
    assert!(
        collect(at, MONTH, None, false).gone.is_empty(),
        "the newer partial run counts beside the whole one"
    );
    let second = up_to(at, &log, &stages("c", 40)[..2], "up");
    assert_eq!(names(&collect(at, Duration::ZERO, None, false), What::Rows), [stored(&first, "up")]);
    assert_eq!(exported(at, &whole, "count").len(), 40);
    go(at, &log, &stages("d", 40));
    let removed = collect(at, Duration::ZERO, None, false);
    let mut expected = [stored(&whole, "up"), stored(&second, "up")];
    expected.sort();
    assert_eq!(names(&removed, What::Rows), expected);
    assert_eq!(names(&removed, What::Table), [stored(&whole, "count")]);
}

fn force(stage: &str) -> Options {
    Options { force: [stage.to_owned()].into(), ..Options::default() }
}

/// Rows that count of a stage, and rows and bytes that newer ones stand before.
fn counted(folder: &Path, stage: &str) -> (u64, (u64, u64)) {
    let all = stats(&state(folder)).unwrap();
    let found = all.iter().find(|stored| stored.stage == stage).unwrap();
    (found.rows, found.superseded)
}

#[test]
fn rows_that_newer_ones_stand_before_go_and_are_not_counted_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let record = go(at, &log, &stages("a", 40));
    let rows = exported(at, &record, "count");
    // All rows are computed anew, then some of them once more.
    for count in [40, 30] {
        go_with(at, &log, &stages("a", count), &force("up")).1.unwrap();
    }
    let (found, (superseded, bytes)) = counted(at, "up");
    assert_eq!((found, superseded), (40, 70));
    let before = files(&at.join("cache/v1/rows").join(stored(&record, "up")));
    assert_eq!(before.len(), 6);
    let seen = collect(at, MONTH, None, true);
    let removed = collect(at, MONTH, None, false);
    assert_eq!(names(&seen, What::Superseded), [stored(&record, "up")]);
    assert_eq!(names(&removed, What::Superseded), [stored(&record, "up")]);
    let told = &removed.gone[0];
    assert_eq!((removed.gone.len(), told.rows, told.bytes), (1, Some(70), bytes));
    assert_eq!((told.stage.as_deref(), told.seconds), (Some("up"), Some(0.0)));
    assert_eq!(counted(at, "up"), (40, (0, 0)));
    let after = files(&at.join("cache/v1/rows").join(stored(&record, "up")));
    assert_eq!(after.len(), 4, "one segment is gone, one written anew without its superseded rows");
    assert!(after.values().sum::<u64>() < before.values().sum::<u64>());
    assert!(collect(at, MONTH, None, false).gone.is_empty());
    assert_eq!(exported(at, &record, "count"), rows);
    assert_eq!(go(at, &log, &stages("a", 40)).stages["up"]["misses"], 0);
    assert!(verify(&state(at).cache, &AtomicBool::new(false), |_, _| {}).unwrap().damage.is_empty());
}

#[test]
fn rows_that_two_processes_have_stored_lie_once_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let record = go(at, &log, &stages("a", 40));
    let rows = exported(at, &record, "count");
    for file in files(&at.join("cache/v1/rows").join(stored(&record, "up"))).into_keys() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        fs::copy(&file, file.with_file_name(format!("018000000000{}", &name[12..]))).unwrap();
    }
    assert_eq!((counted(at, "up").0, counted(at, "up").1.0), (40, 40));
    assert_eq!(names(&collect(at, MONTH, None, false), What::Superseded), [stored(&record, "up")]);
    assert_eq!(counted(at, "up"), (40, (0, 0)));
    assert_eq!(exported(at, &record, "count"), rows);
}

#[test]
fn a_table_computed_again_keeps_what_a_kept_run_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let old = go(at, &log, &stages("a", 40));
    let rows = exported(at, &old, "count");
    let (new, result) = go_with(at, &log, &stages("a", 40), &force("count"));
    result.unwrap();
    assert_ne!(old.stages["count"]["segments"], new.stages["count"]["segments"]);
    assert!(counted(at, "count").0 == 40 && counted(at, "count").1.0 == 40);
    assert!(collect(at, MONTH, None, false).gone.is_empty(), "the older run is kept, and reads its own");
    ended(&old, -60);
    let removed = collect(at, MONTH, None, false);
    assert_eq!(names(&removed, What::Superseded), [stored(&new, "count")]);
    assert_eq!(counted(at, "count"), (40, (0, 0)));
    assert_eq!(files(&at.join("cache/v1/tables")).len(), 1);
    assert_eq!((exported(at, &new, "count"), exported(at, &old, "count")), (rows.clone(), rows));
    assert_eq!(go(at, &log, &stages("a", 40)).stages["count"]["misses"], 0);
}

#[test]
fn a_power_cut_while_superseded_rows_are_removed_raises_no_false_alarm() {
    let policy = Policy { older_than: Some(MONTH), max_size: None, dry_run: false };
    let prepared = || {
        let (disk, runs) = (SimulatedDisk::new(), tempfile::tempdir().unwrap());
        simulated_run(&disk, runs.path());
        simulated_run_of(&disk, runs.path(), 12, &force("up"));
        simulated_run_of(&disk, runs.path(), 7, &force("up"));
        (disk, runs)
    };
    let (disk, runs) = prepared();
    let (record, _) = simulated_run(&disk, runs.path());
    let expected = lines(&disk, runs.path(), &record);
    disk.set(Fault::None);
    let removed = gc(&simulated_state(&disk, runs.path()), &policy).unwrap();
    assert_eq!(removed.gone.iter().map(|gone| gone.rows).collect::<Vec<_>>(), [Some(19)]);
    let operations = disk.operations();
    for at in 1..=operations {
        let (disk, runs) = prepared();
        disk.set(Fault::PowerCut(at));
        assert!(gc(&simulated_state(&disk, runs.path()), &policy).is_err(), "operation {at}");
        disk.after_power_cut(at as u64);
        let (record, warned) = simulated_run(&disk, runs.path());
        assert_eq!(warned, Vec::<String>::new(), "operation {at}: false alarm");
        assert_eq!(record.stages["up"]["misses"], 0, "operation {at}: rows are lost");
        assert_eq!(lines(&disk, runs.path(), &record), expected, "operation {at}");
    }
    println!("{operations} operations, each cut off");
}

#[test]
fn what_a_live_run_uses_stays_whatever_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let record = go(at, &log, &stages("a", 40));
    let cache = state(at).cache;
    let live = Live::begin(&cache, "somebody's run");
    live.uses(&stored(&record, "up"));
    while pinned(&cache).unwrap().is_empty() {
        std::thread::yield_now();
    }
    let removed = collect(at, Duration::ZERO, Some(1), false);
    assert_eq!(names(&removed, What::Rows), Vec::<String>::new());
    assert_eq!(names(&removed, What::Table), [stored(&record, "count")]);
    assert_eq!(names(&removed, What::List), Vec::<String>::new());
    assert!(removed.pinned > 0 && removed.left >= removed.pinned);
    drop(live);
    let removed = collect(at, Duration::ZERO, Some(1), false);
    assert_eq!(names(&removed, What::Rows), [stored(&record, "up")]);
    assert_eq!(names(&removed, What::List).len(), 4);
}

#[test]
fn a_size_is_held_by_removing_what_was_not_used_for_longest() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let [a, b, c] = ["a", "b", "c"].map(|suffix| go(at, &log, &stages(suffix, 200)));
    ended(&a, 2);
    ended(&b, -2);
    ended(&c, 1);
    let total = collect(at, MONTH, None, true).left;
    let removed = collect(at, MONTH, Some(total - 1), true);
    let of = |record: &Record| [stored(record, "up"), stored(record, "count")];
    assert!(of(&b).contains(&removed.gone[0].name), "the run of long ago goes first");
    let results = |max| -> Vec<String> {
        let removed = collect(at, MONTH, Some(max), true);
        [names(&removed, What::Rows), names(&removed, What::Table)].concat()
    };
    let mut max = total;
    while results(max).len() < 3 {
        max -= 100;
    }
    let three = results(max);
    assert!(
        of(&b).iter().all(|name| three.contains(name)) && of(&a).iter().all(|name| !three.contains(name))
    );
    collect(at, MONTH, Some(max), false);
    assert!(size(at) <= max);
    assert_eq!(go(at, &log, &stages("a", 200)).stages["up"]["misses"], 0);
}

#[test]
fn a_record_that_cannot_be_read_keeps_everything_newer() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let old = go(at, &log, &stages("a", 40));
    go(at, &log, &stages("b", 40));
    fs::write(old.folder().join("run.json"), "{").unwrap();
    let removed = collect(at, Duration::ZERO, None, false);
    assert_eq!((removed.gone.len(), removed.unreadable), (0, vec![old.id.clone()]));
    fs::remove_dir_all(old.folder()).unwrap();
    assert_eq!(names(&collect(at, Duration::ZERO, None, false), What::Rows), [stored(&old, "up")]);
}

#[test]
fn checkpoints_stay_while_the_newest_run_did_not_come_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let record = go(at, &log, &stages("a", 4));
    let checkpoint = at.join("cache/v1/checkpoints/abc/000000000007-0123");
    fs::create_dir_all(checkpoint.parent().unwrap()).unwrap();
    fs::write(&checkpoint, "half a training").unwrap();
    let path = record.folder().join("run.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"outcome\": \"done\"", "\"outcome\": \"interrupted\"")).unwrap();
    // The newest run that was stopped goes on whenever it is started again; one that came to its end needs none.
    assert_eq!(names(&collect(at, Duration::ZERO, None, false), What::Checkpoint), Vec::<String>::new());
    fs::write(&path, text).unwrap();
    assert_eq!(names(&collect(at, Duration::ZERO, None, false), What::Checkpoint), ["abc"]);
    assert!(!checkpoint.exists());
}

#[test]
fn verify_follows_the_names_in_the_record_of_a_table_and_a_repair_leaves_nothing_to_find() {
    let check = |at: &Path| verify(&state(at).cache, &AtomicBool::new(false), |_, _| {}).unwrap().damage;
    for sidecar_too in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (at, log) = (folder.path(), Arc::new(Log::default()));
        let record = go(at, &log, &stages("a", 4));
        let rows = exported(at, &record, "count");
        for path in files(&at.join("cache/v1/rows").join(stored(&record, "count"))).into_keys() {
            if sidecar_too || path.extension().is_some_and(|end| end == "parquet") {
                fs::remove_file(path).unwrap();
            }
        }
        if sidecar_too {
            let found = check(at);
            assert!(found[0].what.contains("which it names, is gone"), "{found:?}");
        }
        let record = go(at, &log, &stages("a", 4));
        assert_eq!(exported(at, &record, "count"), rows);
        assert!(check(at).is_empty());
    }
}

#[test]
fn files_that_dead_writers_left_go_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let record = go(at, &log, &stages("a", 4));
    let rows = at.join("cache/v1/rows").join(stored(&record, "up"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let young = rows.join(format!(".tmp-1-{now:012x}-0"));
    for path in
        [&rows.join(".tmp-1-018000000000-0"), &at.join("cache/v1/blobs/.tmp-2-018000000000-7"), &young]
    {
        fs::write(path, "half").unwrap();
    }
    let before = files(&at.join("cache")).len();
    assert_eq!(collect(at, MONTH, None, false).leftovers, (2, 8));
    assert!(young.exists());
    assert_eq!(files(&at.join("cache")).len(), before - 2);
}

/// What a run warned of.
#[derive(Default)]
struct Warnings(Mutex<Vec<String>>);

impl Observer for Warnings {
    fn event(&self, event: &Event) {
        if let Event::Warning { message, .. } = event {
            self.0.lock().unwrap().push(message.clone());
        }
    }
}

#[test]
fn a_power_cut_while_something_is_removed_raises_no_false_alarm() {
    let all = Policy { older_than: Some(Duration::ZERO), max_size: Some(1), dry_run: false };
    let prepared = || {
        let (disk, runs) = (SimulatedDisk::new(), tempfile::tempdir().unwrap());
        let (record, _) = simulated_run(&disk, runs.path());
        (disk, runs, record)
    };
    let (disk, runs, record) = prepared();
    let expected = lines(&disk, runs.path(), &record);
    disk.set(Fault::None);
    gc(&simulated_state(&disk, runs.path()), &all).unwrap();
    let operations = disk.operations();
    assert!(operations > 40, "{operations}");
    for at in 1..=operations {
        let (disk, runs, _) = prepared();
        disk.set(Fault::PowerCut(at));
        let ended = gc(&simulated_state(&disk, runs.path()), &all);
        assert!(ended.is_err(), "operation {at}");
        disk.after_power_cut(at as u64);
        let (record, warned) = simulated_run(&disk, runs.path());
        assert_eq!(warned, Vec::<String>::new(), "operation {at}: false alarm");
        assert_eq!(lines(&disk, runs.path(), &record), expected, "operation {at}");
    }
    println!("{operations} operations, each cut off");
}

fn simulated_state(disk: &SimulatedDisk, runs: &Path) -> State {
    State { cache: on(disk), files: Arc::default(), runs: runs.to_owned() }
}

fn simulated_run(disk: &SimulatedDisk, runs: &Path) -> (Record, Vec<String>) {
    simulated_run_of(disk, runs, 12, &Options::default())
}

fn simulated_run_of(
    disk: &SimulatedDisk,
    runs: &Path,
    count: u64,
    options: &Options,
) -> (Record, Vec<String>) {
    let registry = registry(&Arc::new(Log::default()));
    let warnings = Arc::new(Warnings::default());
    let state = simulated_state(disk, runs);
    let plan = plan(&registry, &stages("a", count));
    let (record, result) = run(&plan, &registry, &state, options, warnings.clone()).unwrap();
    result.unwrap();
    let warned = std::mem::take(&mut *warnings.0.lock().unwrap());
    (record, warned)
}

fn lines(disk: &SimulatedDisk, runs: &Path, record: &Record) -> Vec<String> {
    let mut lines = Vec::new();
    export(&simulated_state(disk, runs).cache, record, "count", true, |batch| {
        lines.extend(lines_of(&batch));
        Ok(())
    })
    .unwrap();
    lines
}

/// Runs with a limit; the record and the warnings.
fn limited(folder: &Path, log: &Arc<Log>, rows: &[Row], max: u64) -> (Record, Vec<String>) {
    let registry = registry(log);
    let mut plan = plan(&registry, rows);
    plan.max_size = Some(max);
    let warnings = Arc::new(Warnings::default());
    let (record, result) =
        run(&plan, &registry, &state(folder), &Options::default(), warnings.clone()).unwrap();
    result.unwrap();
    let warned = std::mem::take(&mut *warnings.0.lock().unwrap());
    (record, warned)
}

#[test]
fn a_limit_is_held_while_a_run_is_at_work() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let old = go(at, &log, &stages("a", 200));
    ended(&old, -2);
    go(at, &log, &stages("b", 200));
    let max = size(at) + 100;
    let (record, warned) = limited(at, &log, &stages("c", 200), max);
    assert!(!warned.is_empty() && warned.iter().all(|line| line.starts_with("removed ")), "{warned:?}");
    let left: Vec<bool> =
        [&old, &record].map(|r| at.join("cache/v1/rows").join(stored(r, "up")).exists()).into();
    assert_eq!(left, [false, true], "the results of long ago made room");
    let free = tempfile::tempdir().unwrap();
    let free_record = go(free.path(), &log, &stages("c", 200));
    assert_eq!(exported(at, &record, "count"), exported(free.path(), &free_record, "count"));
    // One that needs more than there is says so once, and comes to its end.
    let (record, warned) = limited(at, &log, &stages("d", 200), 1000);
    let (removed, beyond): (Vec<&String>, Vec<&String>) =
        warned.iter().partition(|line| line.starts_with("removed "));
    assert!(beyond.len() == 1 && beyond[0].contains("may hold 1000 B"), "{beyond:?} {removed:?}");
    assert!(beyond[0].contains("needs "), "{beyond:?}");
    assert_eq!(exported(at, &record, "up").len(), 200);
}

#[test]
fn what_a_check_moves_aside_is_all_that_is_computed_again() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    go(at, &log, &stages("a", 30));
    let record = go(at, &log, &stages("a", 50));
    let rows = exported(at, &record, "count");
    let cache = state(at).cache;
    let check = || verify(&cache, &AtomicBool::new(false), |_, _| {}).unwrap();
    assert!(check().damage.is_empty());
    let mut segments: Vec<PathBuf> =
        files(&at.join("cache/v1/rows").join(stored(&record, "up"))).into_keys().collect();
    segments.retain(|path| path.extension().is_some_and(|end| end == "parquet"));
    assert_eq!(segments.len(), 2);
    let mut bytes = fs::read(&segments[1]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&segments[1], bytes).unwrap();
    let found = check().damage;
    assert!(
        found.iter().all(|damage| damage.path.contains(&stored(&record, "up")) && damage.aside.is_some())
    );
    assert_eq!(found.len(), 2, "the segment and its sidecar");
    let before = log.computed.lock().unwrap().len();
    let again = go(at, &log, &stages("a", 50));
    assert_eq!(log.computed.lock().unwrap().len() - before, 20);
    assert_eq!((&again.stages["up"]["misses"], &again.stages["count"]["misses"]), (&20.into(), &0.into()));
    assert_eq!(exported(at, &again, "count"), rows);
    assert!(check().damage.is_empty());
}

#[test]
fn a_run_that_adds_the_ninth_small_segment_merges_them() {
    let folder = tempfile::tempdir().unwrap();
    let (at, log) = (folder.path(), Arc::new(Log::default()));
    let counts: Vec<usize> = (1..=9)
        .map(|n| {
            let record = go(at, &log, &stages("a", n * 10));
            let all = files(&at.join("cache/v1/rows").join(stored(&record, "up")));
            all.keys().filter(|path| path.extension().is_some_and(|end| end == "parquet")).count()
        })
        .collect();
    assert_eq!(counts, [1, 2, 3, 4, 5, 6, 7, 8, 1]);
    let record = go(at, &log, &stages("a", 90));
    assert_eq!(record.stages["up"]["hits"], 90);
    assert_eq!(exported(at, &record, "up").len(), 90);
    let stop = AtomicBool::new(true);
    assert!(matches!(verify(&state(at).cache, &stop, |_, _| {}), Err(Error::Interrupted)));
    stop.store(false, Ordering::Relaxed);
    assert!(verify(&state(at).cache, &stop, |_, _| {}).unwrap().damage.is_empty());
}
