//! What becomes of rows that fail? They stay aside until they change or are asked for, and no failure outlives a success.

mod common;
mod moody;

use std::sync::atomic::Ordering;
use std::time::Duration;

use affectflow_pipeline::Error;
use affectflow_pipeline::plan::{OnError, Tries};
use affectflow_pipeline::run::Options;
use moody::{World, files, quarantined};

const FAR: &str = "cannot reach the moon: the engine does not start: out of fuel";

fn retry() -> Options {
    Options { retry_quarantined: true, ..Options::default() }
}

fn force() -> Options {
    Options { force: ["work".to_owned()].into(), ..Options::default() }
}

#[test]
fn rows_in_quarantine_are_retried_alone_and_attempts_count_over_runs() {
    let mut world = World::new("map");
    let rows = ["a=one", "b=fail:2", "c=two"];
    let record = world.go(&rows);
    assert_eq!(quarantined(&record), [format!("b: {FAR} (1)")]);
    assert_eq!(record.outcome, "quarantined");
    assert_eq!((world.mood.tries_of("a"), world.mood.tries.lock().unwrap()["b"]), (1, 1));
    assert_eq!(quarantined(&world.go(&rows)), [format!("b: {FAR} (1)")]);
    assert_eq!(world.mood.tries.lock().unwrap()["b"], 1, "not tried again by itself");
    world.options = retry();
    assert_eq!(quarantined(&world.go(&rows)), [format!("b: {FAR} (2)")]);
    let record = world.go(&rows);
    assert_eq!(
        (quarantined(&record).len(), world.out(&record)),
        (0, vec!["a".into(), "b".into(), "c".into()])
    );
    assert_eq!((world.mood.tries_of("a"), world.mood.tries_of("b")), (0, 3));
    let stage = &record.stages["work"];
    assert_eq!((stage["hits"].as_u64(), stage["misses"].as_u64()), (Some(2), Some(1)));
    world.options = Options::default();
    assert_eq!(world.go(&rows).stages["work"]["hits"], 3);
}

#[test]
fn no_failure_outlives_a_success_whichever_file_is_lost() {
    for (ending, newest) in [("failed", true), ("failed", false), ("parquet", true), ("parquet", false)] {
        let mut world = World::new("map");
        let rows = ["a=one", "b=fail:1"];
        world.go(&rows);
        world.options = retry();
        world.go(&rows);
        world.options = Options::default();
        let mut stored = files(&world.folder.path().join("cache/v1/rows"), ending);
        stored.sort();
        assert_eq!(stored.len(), 2);
        std::fs::remove_file(&stored[usize::from(newest)]).unwrap();
        let record = world.go(&rows);
        assert_eq!(world.out(&record), ["a", "b"], "{ending} {newest}");
        assert_eq!(quarantined(&record).len(), 0);
    }
}

#[test]
fn a_damaged_file_costs_a_retry_and_is_told() {
    let world = World::new("map");
    let rows = ["a=one", "b=fail:9"];
    world.go(&rows);
    world.mood.warnings();
    let [file] = &files(world.folder.path(), "failed")[..] else { panic!() };
    let mut bytes = std::fs::read(file).unwrap();
    bytes.truncate(bytes.len() - 9);
    std::fs::write(file, bytes).unwrap();
    assert_eq!(quarantined(&world.go(&rows)), [format!("b: {FAR} (1)")]);
    assert_eq!(world.mood.tries_of("b"), 2);
    let warnings = world.mood.warnings();
    assert!(warnings.iter().any(|warning| warning.contains("damaged cache file")), "{warnings:?}");
}

#[test]
fn a_row_that_fails_when_it_is_forced_does_not_go_on_with_its_old_value() {
    let mut world = World::new("map");
    let rows = ["a=one", "b=two"];
    world.go(&rows);
    world.options = force();
    world.mood.dark.store(true, Ordering::Relaxed);
    let record = world.go(&rows);
    assert_eq!(quarantined(&record), ["a: it is dark (1)", "b: it is dark (1)"]);
    assert!(world.out(&record).is_empty());
    world.options = Options::default();
    world.mood.dark.store(false, Ordering::Relaxed);
    let record = world.go(&rows);
    assert_eq!(quarantined(&record).len(), 2, "the newest result counts, and that is a failure");
    world.options = retry();
    let record = world.go(&rows);
    assert_eq!((world.out(&record).len(), record.stages["work"]["misses"].as_u64()), (2, Some(2)));
    world.options = Options::default();
    assert_eq!(world.go(&rows).stages["work"]["hits"], 2);
}

#[test]
fn rows_with_one_key_share_one_failure() {
    let world = World::new("map");
    let record = world.go(&["a=fail:1", "b=fail:1", "c=one"]);
    assert_eq!(quarantined(&record), [format!("a: {FAR} (1)"), format!("b: {FAR} (1)")]);
    assert_eq!(world.out(&record), ["c"]);
    assert_eq!((world.mood.tries_of("a"), world.mood.tries_of("b")), (1, 0));
}

#[test]
fn a_hint_goes_along() {
    let world = World::new("map");
    let record = world.go(&["a=hint:1", "b=one"]);
    assert_eq!(quarantined(&record), ["a: a knot; untie it (1)"]);
}

#[test]
fn where_rows_are_not_set_aside_the_next_run_tries_them_again() {
    let mut world = World::new("map");
    world.on_error = OnError::Fail;
    let rows = ["a=one", "b=fail:1"];
    let (_, result) = world.run(&rows);
    assert_eq!(result.unwrap_err().to_string(), format!("stage `work` failed: row `b`: {FAR}"));
    let record = world.go(&rows);
    assert_eq!(world.out(&record), ["a", "b"]);
}

#[test]
fn above_the_threshold_the_stage_fails_and_what_was_computed_is_kept() {
    let mut world = World::new("map");
    world.on_error = OnError::Quarantine { threshold: 0.1 };
    let rows = ["a=one", "b=fail:1", "c=two"];
    let (record, result) = world.run(&rows);
    assert!(matches!(result, Err(Error::TooManyFailed { failed: 1, rows: 3, .. })), "{result:?}");
    assert_eq!(quarantined(&record).len(), 1);
    world.options = retry();
    assert_eq!(world.go(&rows).stages["work"]["hits"], 2);
}

#[test]
fn rows_that_a_source_cannot_read_count_their_attempts() {
    let world = World::new("gaps");
    for run in 1..=3 {
        let record = world.go(&["a", "!b"]);
        assert_eq!(quarantined(&record), [format!("!b: no such file ({run})")]);
    }
    assert_eq!(quarantined(&world.go(&["a", "b"])).len(), 0);
}

#[test]
fn a_row_that_took_too_long_is_tried_again_only_once_it_may_take_longer() {
    let longer: [fn(&mut Tries); 3] = [
        |tries| tries.limit = Some(Duration::from_secs(60)),
        |tries| tries.limit = None,
        |tries| tries.retries = 1,
    ];
    for change in longer {
        let mut world = World::new("map");
        world.rows_per_call = 1;
        world.tries.limit = Some(Duration::from_secs(1));
        let rows = ["a=one", "b=sleep:1"];
        let record = world.go(&rows);
        assert_eq!(quarantined(&record), ["b: took longer than 1 s; raise `time_limit` of the stage (1)"]);
        assert_eq!(quarantined(&world.go(&rows)).len(), 1);
        assert_eq!(world.mood.tries.lock().unwrap()["b"], 1, "nothing has changed");
        change(&mut world.tries);
        assert_eq!(world.out(&world.go(&rows)), ["a", "b"]);
        assert_eq!((world.mood.tries_of("a"), world.mood.tries_of("b")), (1, 2));
        world.mood.wake.store(true, Ordering::Relaxed);
    }
}
