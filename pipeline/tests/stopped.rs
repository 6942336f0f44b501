//! Is everything that a run computed before it was stopped still there for the next one?

mod proof;

use std::collections::BTreeSet;
use std::time::Duration;

use affectflow_pipeline::Error;
use affectflow_pipeline::run::Options;
use proof::Project;
use proof::damage::folder;

const STAGES: &str = "
      in:   { kind: folder, config: { path: photos, batch: 1 } }
      one:  { kind: mix, quarantine_threshold: 1, config: { from: [value], to: one, fails: 7, rows_per_call: 1, length: 20000 } }
      last: { kind: mix, config: { from: [one], to: last, rows_per_call: 1, length: 20000 } }
";

#[test]
fn nothing_computed_is_computed_again() {
    let folder = folder();
    let project = Project::at(folder.path());
    project.pipeline(STAGES);
    let row = |n: usize| (format!("r{n:03}"), format!("value {n}"), String::new());
    project.source("photos", &(0..400).map(row).collect::<Vec<_>>());
    let mut known = BTreeSet::new();
    let mut stops = 0;
    loop {
        let options = Options { commit_every: Some(Duration::from_millis(stops % 3)), ..Options::default() };
        project.ledger.stop_after(10 + stops as i64 % 7, options.interrupt.clone());
        let ran = project.run("state", &options);
        if let Some(one) = ran.computed.iter().find(|one| !known.insert(one.of.clone())) {
            panic!("after {stops} stops computed again: {one:?}");
        }
        match ran.result {
            Err(Error::Interrupted) => stops += 1,
            result => break result.unwrap(),
        }
    }
    println!("{stops} stops, {} computations", known.len());
    assert!(stops > 20);
}
