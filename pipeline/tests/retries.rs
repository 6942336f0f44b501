//! How often is something tried, how long, and what of a call that fails for good?

mod common;
mod moody;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use affectflow_pipeline::Error;
use affectflow_pipeline::plan::{OnError, Tries};
use moody::{World, quarantined};

fn world(kind: &'static str, retries: u32) -> World {
    let mut world = World::new(kind);
    world.tries.retries = retries;
    world
}

#[test]
fn rows_that_fail_are_tried_again_alone() {
    let world = world("map", 2);
    let record = world.go(&["a=one", "b=fail:2", "c=fail:1", "d=two"]);
    assert_eq!(world.out(&record), ["a", "b", "c", "d"]);
    assert_eq!(["a", "b", "c", "d"].map(|id| world.mood.tries_of(id)), [1, 3, 2, 1]);
    let far = "cannot reach the moon: the engine does not start: out of fuel";
    let expected = [
        format!("attempt 2 of 3 for 2 rows in 0 s: {far}"),
        format!("attempt 3 of 3 for 1 row in 0 s: {far}"),
    ];
    assert_eq!(world.mood.warnings(), expected);
}

#[test]
fn what_fails_every_time_is_set_aside_with_its_attempts() {
    let world = world("map", 2);
    let record = world.go(&["a=one", "b=fail:9"]);
    assert!(quarantined(&record)[0].ends_with("out of fuel (3)"), "{:?}", quarantined(&record));
    assert_eq!(world.mood.tries_of("b"), 3);
}

#[test]
fn a_call_that_fails_is_tried_again_as_a_whole() {
    for value in ["error:1", "panic:1"] {
        let world = world("map", 1);
        let record = world.go(&["a=one", &format!("b={value}"), "c=two"]);
        assert_eq!((world.out(&record).len(), quarantined(&record).len()), (3, 0), "{value}");
        assert_eq!((world.mood.tries_of("a"), world.mood.tries_of("b")), (2, 2));
        assert!(world.mood.warnings()[0].starts_with("attempt 2 of 2 for 3 rows in 0 s: "));
    }
}

#[test]
fn a_row_that_brings_a_call_down_goes_to_quarantine_alone() {
    for retries in [0, 1] {
        let world = world("map", retries);
        let record = world.go(&["a=one", "b=error:99", "c=panic:99", "d=two", "e=three"]);
        let tries = retries + 1;
        let expected = [
            format!("b: b brings it down; lift it ({tries})"),
            format!(
                "c: internal error: boom (a bug in the stage); please report it with the pipeline file ({tries})"
            ),
        ];
        assert_eq!(quarantined(&record), expected);
        assert_eq!(world.out(&record), ["a", "d", "e"]);
        assert_eq!(world.mood.opened.load(Ordering::Relaxed), 2, "a worker that panicked is not used again");
    }
}

#[test]
fn a_stage_that_fails_on_everything_is_at_fault_itself() {
    let world = world("map", 0);
    let rows: Vec<String> = (0..100).map(|n| format!("{n:03}=error:{}", 100 + n)).collect();
    let (record, result) = world.run(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let Err(Error::Stage { message, hint, .. }) = result else { panic!("{result:?}") };
    assert!(message.ends_with("brings it down") && hint.as_deref() == Some("lift it"), "{message}");
    assert_eq!(quarantined(&record).len(), 32);
}

#[test]
fn weights_that_do_not_load_are_no_rows_fault() {
    let world = world("map", 1);
    world.mood.closed.store(1, Ordering::Relaxed);
    assert_eq!(world.out(&world.go(&["a=one", "b=two"])), ["a", "b"]);
    world.mood.closed.store(2, Ordering::Relaxed);
    let (record, result) = world.run(&["c=three"]);
    let Err(Error::Stage { message, hint, .. }) = result else { panic!("{result:?}") };
    assert_eq!((message.as_str(), hint.as_deref()), ("the shop is closed", Some("come back later")));
    assert_eq!(quarantined(&record).len(), 0);
}

#[test]
fn what_is_not_safe_to_try_again_is_not() {
    let world = world("rash", 0);
    let (_, result) = world.run(&["a=one", "b=error:1"]);
    assert_eq!(result.unwrap_err().to_string(), "stage `work` failed: b brings it down");
    assert_eq!(world.mood.tries_of("a"), 1);
    let (_, result) = world.run(&["a=one", "c=panic:1"]);
    assert_eq!(
        result.unwrap_err().to_string(),
        "stage `work` failed: internal error: boom (a bug in the stage)"
    );
}

#[test]
fn where_rows_are_not_set_aside_a_call_that_fails_fails_the_stage() {
    let mut world = world("map", 1);
    world.on_error = OnError::Fail;
    let (_, result) = world.run(&["a=one", "b=error:99"]);
    assert_eq!(result.unwrap_err().to_string(), "stage `work` failed: b brings it down");
    assert_eq!(world.mood.tries_of("a"), 2);
}

#[test]
fn a_call_that_takes_too_long_is_left_behind() {
    let mut world = world("map", 0);
    world.tries.limit = Some(Duration::from_millis(500));
    world.rows_per_call = 2;
    let record = world.go(&["a=one", "b=two", "c=sleep:1", "d=three", "e=four"]);
    let late = "took longer than 500 ms; raise `time_limit` of the stage (1)";
    assert_eq!(quarantined(&record), [format!("c: {late}"), format!("d: {late}")]);
    assert_eq!(world.out(&record), ["a", "b", "e"]);
    assert_eq!(world.mood.opened.load(Ordering::Relaxed), 2);
    world.mood.wake.store(true, Ordering::Relaxed);
}

#[test]
fn a_call_that_takes_too_long_is_tried_again() {
    let mut world = world("map", 1);
    world.tries.limit = Some(Duration::from_secs(2));
    let record = world.go(&["a=one", "b=sleep:1"]);
    assert_eq!(world.out(&record), ["a", "b"]);
    assert_eq!(world.mood.warnings(), ["attempt 2 of 2 for 2 rows in 0 s: took longer than 2 s"]);
    world.mood.wake.store(true, Ordering::Relaxed);
}

#[test]
fn the_stop_sign_ends_a_wait() {
    let mut world = world("map", 5);
    world.tries = Tries { wait: Duration::from_secs(60), ..world.tries };
    *world.mood.stop_at_warning.lock().unwrap() = Some(world.options.interrupt.clone());
    let began = Instant::now();
    let (_, result) = world.run(&["a=one", "b=fail:9"]);
    assert!(matches!(result, Err(Error::Interrupted)), "{result:?}");
    assert!(began.elapsed() < Duration::from_secs(55));
    assert_eq!(world.mood.tries_of("b"), 1);
}

#[test]
fn a_table_is_tried_again() {
    for (value, text) in
        [("error", "the table is not laid"), ("panic", "internal error: boom (a bug in the stage)")]
    {
        let world = world("table", 2);
        let record = world.go(&[&format!("a={value}:2"), "b=two"]);
        assert_eq!((world.out(&record).len(), world.mood.tries_of("a")), (2, 3));
        let warnings = world.mood.warnings();
        assert_eq!(warnings, [2, 3].map(|n| format!("attempt {n} of 3 for its table in 0 s: {text}")));
        let (_, result) = world.run(&[&format!("c={value}:9")]);
        assert_eq!(result.unwrap_err().to_string(), format!("stage `work` failed: {text}"));
    }
}

#[test]
fn a_table_that_takes_too_long_fails_whether_it_looks_or_not() {
    for value in ["epochs:1", "sleep:1"] {
        let mut world = world("table", 0);
        world.tries.limit = Some(Duration::from_millis(500));
        let rows = [&*format!("a={value}")];
        let (_, result) = world.run(&rows);
        assert_eq!(
            result.unwrap_err().to_string(),
            "stage `work` failed: took longer than 500 ms",
            "{value}"
        );
        assert_eq!(world.out(&world.go(&rows)), ["a"], "the next run is free to try");
        world.mood.wake.store(true, Ordering::Relaxed);
    }
}
