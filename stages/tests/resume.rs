//! Training comes to the same bits whether it was stopped and resumed or not, and wherever its columns lie.

mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use affectflow_pipeline::event::Event;
use affectflow_pipeline::registry::Kind;
use affectflow_pipeline::run::checkpoint::Checkpoints;
use affectflow_pipeline::run::context::Context;
use affectflow_stages::adapt::Adapt;
use affectflow_stages::label::Label;
use arrow::array::RecordBatch;
use bytes::Bytes;
use serde_json::{Value, json};
use table::*;

const EPOCHS: u64 = 4;

/// A training: its kind and options, its rows and the artifact that it starts from.
struct Case {
    kind: &'static dyn Kind,
    options: Value,
    rows: RecordBatch,
    artifacts: Vec<(String, Bytes)>,
}

/// What a training came to.
#[derive(PartialEq)]
struct Outcome {
    bytes: Vec<u8>,
    metrics: Vec<(String, u64, Option<u64>)>,
}

fn quick(more: Value) -> Value {
    let mut all = json!({ "epochs": EPOCHS, "batch": 16, "lr": 0.005, "pyramid": 8, "patience": 0 });
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

fn labelling(more: Value) -> Case {
    let rows = Synthetic { source: 60, target: 30, ..Synthetic::default() }.table();
    let mut options = quick(json!({ "knowledge_tokens": 4 }));
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Case { kind: &Label, options, rows, artifacts: Vec::new() }
}

fn adapting(more: Value) -> Case {
    let label = labelling(json!({}));
    let (rows, output) = run(label.kind, label.options, &label.rows, &Context::detached([])).unwrap();
    let artifacts = vec![("alignment".to_owned(), artifact(&output, "alignment"))];
    Case { kind: &Adapt, options: quick(more), rows, artifacts }
}

impl Case {
    /// Trains until `stop` says so of an event, if ever.
    fn train(
        &self,
        checkpoints: &Arc<Checkpoints>,
        stop: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> (Option<Outcome>, Arc<Told>) {
        let sign = Arc::new(AtomicBool::new(false));
        let set = sign.clone();
        let told = Told::new(move |event| {
            if stop(event) {
                set.store(true, Ordering::Relaxed);
            }
        });
        let cx = watched(&told, self.artifacts.clone()).stopped_by(sign).checkpointed(checkpoints.clone());
        let outcome = match run(self.kind, self.options.clone(), &self.rows, &cx) {
            Ok((_, output)) => Some(Outcome {
                bytes: bytes(&self.rows.project(&[0]).unwrap(), &output),
                metrics: metrics(&told),
            }),
            Err(error) => {
                assert_eq!(error.message(), "interrupted");
                None
            }
        };
        (outcome, told)
    }

    fn whole(&self) -> Outcome {
        self.train(&Arc::default(), |_| false).0.unwrap()
    }

    /// Stops when asked and goes on; says after which epoch it went on.
    #[track_caller]
    fn resumes(
        &self,
        whole: &Outcome,
        checkpoints: Checkpoints,
        stop: impl Fn(&Event) -> bool + Send + Sync + 'static,
    ) -> Option<String> {
        let checkpoints = Arc::new(checkpoints);
        assert!(self.train(&checkpoints, stop).0.is_none(), "it did not stop");
        let (resumed, told) = self.train(&checkpoints, |_| false);
        let resumed = resumed.unwrap();
        assert!(resumed.bytes == whole.bytes, "weights or columns differ");
        assert!(resumed.metrics == whole.metrics, "numbers differ");
        assert!(told.warnings().is_empty(), "{:?}", told.warnings());
        note(&told)
    }
}

#[test]
fn a_pack_on_disk_gives_the_same_bits_as_memory() {
    for case in [labelling(json!({})), adapting(json!({})), adapting(json!({ "method": "source_only" }))] {
        let cx = Context::detached(case.artifacts.clone());
        let outcome = run_on(case.kind, case.options.clone(), &case.rows, &cx, |rows| rows.memory(0));
        let packed = bytes(&case.rows.project(&[0]).unwrap(), &outcome.unwrap().1);
        assert!(packed == case.whole().bytes, "{}", case.options);
    }
}

fn metrics(told: &Told) -> Vec<(String, u64, Option<u64>)> {
    let events = told.events.lock().unwrap();
    let metric = |event: &Event| match event {
        Event::Metric { name, value, step, .. } => Some((name.clone(), value.to_bits(), *step)),
        _ => None,
    };
    events.iter().filter_map(metric).collect()
}

/// What the first word of progress was.
fn note(told: &Told) -> Option<String> {
    let events = told.events.lock().unwrap();
    events.iter().find_map(|event| match event {
        Event::Progress { note, .. } => Some(note.clone()),
        _ => None,
    })
}

fn epochs_done(wanted: u64) -> impl Fn(&Event) -> bool {
    move |event| matches!(event, Event::Progress { done, note, .. } if *done == wanted && note.starts_with("loss"))
}

/// Stopped after each epoch, the last included, whether every epoch was saved or the stop alone was the reason to.
#[track_caller]
fn resumes_after_every_epoch(case: &Case) {
    let whole = case.whole();
    assert!(whole.metrics.iter().filter(|(name, ..)| name == "loss").count() == EPOCHS as usize);
    for epoch in 1..=EPOCHS {
        for interval in [Duration::ZERO, Duration::from_secs(3600)] {
            let checkpoints = Checkpoints::default().every(interval);
            let at = case.resumes(&whole, checkpoints, epochs_done(epoch));
            assert_eq!(at, Some(format!("resumes after epoch {epoch}")));
        }
    }
}

#[test]
fn label_resumes_to_the_same_bits() {
    resumes_after_every_epoch(&labelling(json!({})));
    resumes_after_every_epoch(&labelling(json!({ "balance_classes": false, "batch": 17 })));
}

#[test]
fn kcdp_resumes_to_the_same_bits() {
    resumes_after_every_epoch(&adapting(json!({ "ramp": 1 })));
    resumes_after_every_epoch(&adapting(json!({ "pseudo": "fixed", "ramp": 2 })));
    resumes_after_every_epoch(&adapting(json!({ "pseudo": "batch", "agreement": true, "ramp": 1 })));
}

#[test]
fn source_only_resumes_to_the_same_bits() {
    resumes_after_every_epoch(&adapting(json!({ "method": "source_only" })));
}

#[test]
fn a_stop_within_an_epoch_goes_back_to_the_last_checkpoint() {
    let case = adapting(json!({ "ramp": 1 }));
    let whole = case.whole();
    let third = |event: &Event| matches!(event, Event::Metric { name, step: Some(2), .. } if name == "pseudo_entropy");
    let at = case.resumes(&whole, Checkpoints::default().every(Duration::ZERO), third);
    assert_eq!(at.as_deref(), Some("resumes after epoch 2"));
    let at = case.resumes(&whole, Checkpoints::default(), third);
    assert!(at.unwrap().starts_with("loss"), "no epoch was worth a checkpoint yet");
}

#[test]
fn patience_counts_across_a_stop() {
    let case = labelling(json!({ "patience": 1, "epochs": 40, "lr": 0.02 }));
    let whole = case.whole();
    let epochs = whole.metrics.iter().filter(|(name, ..)| name == "loss").count() as u64;
    assert!((2..40).contains(&epochs), "{epochs} epochs");
    for epoch in [epochs - 1, epochs] {
        let at = case.resumes(&whole, Checkpoints::default(), epochs_done(epoch));
        assert_eq!(at, Some(format!("resumes after epoch {epoch}")));
    }
}

/// The bytes of a checkpoint after so many epochs.
fn checkpoint(case: &Case, epochs: u64) -> Bytes {
    let checkpoints = Arc::new(Checkpoints::default());
    case.train(&checkpoints, epochs_done(epochs));
    checkpoints.newest(|error| panic!("{error}")).unwrap().1
}

#[test]
fn a_checkpoint_of_something_else_is_told_and_left() {
    let case = labelling(json!({}));
    let whole = case.whole();
    let wider = checkpoint(&labelling(json!({ "pyramid": 12 })), 2);
    let later = checkpoint(&case, 3);
    for (bytes, why) in [
        (Bytes::from_static(b"not a checkpoint"), "artifact `checkpoint`: "),
        (later.slice(..later.len() / 2), "artifact `checkpoint`: "),
        (later, "version and step"),
        (wider, "has another shape"),
    ] {
        let checkpoints = Arc::new(Checkpoints::default());
        checkpoints.save(2, &bytes).unwrap();
        let (outcome, told) = case.train(&checkpoints, |_| false);
        assert!(outcome.unwrap() == whole, "{why}");
        let warnings = told.warnings();
        let expected = "the checkpoint of epoch 2 is of no use, so training begins anew: ";
        assert!(
            matches!(&warnings[..], [one] if one.starts_with(expected) && one.contains(why)),
            "{warnings:?}"
        );
    }
}
