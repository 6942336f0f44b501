//! Does a process killed at any moment lose no more than promised, and is the result in the end the same, byte for byte?
#![cfg(unix)]

mod proof;

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use affectflow_pipeline::run::Options;
use proof::{Computed, Outcome, Project, child, seed};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const KILLS: usize = 50;
/// Rows of the source.
const ROWS: usize = 900;
/// Milliseconds that a row takes at least, and rows computed at once.
const PAUSE: u64 = 4;
const CALL: u64 = 2;
/// Milliseconds after which rows must be durable.
const COMMIT: u64 = 40;
/// Calls that may lie between the thread that computes and the one that writes: a queue of four, and one in each hand.
const CALLS_UNDER_WAY: u64 = 6;
/// Rows of one stage that a kill may lose: those that wait for a commit, those that it writes, and those that queue meanwhile.
const LOST: u64 = COMMIT / PAUSE + 1 + 2 * CALLS_UNDER_WAY * CALL;

const STAGES: &str = "
      in:    { kind: folder, config: { path: photos, batch: 64 } }
      wide:  { kind: mix, config: { from: [value, file], to: wide, length: 3000, fails: 40, rows_per_call: CALL, pause: PAUSE } }
      some:  { kind: pick, config: { by: wide, drops: 9 } }
      tensor: { kind: mix, config: { from: [wide], to: tensor, vector: true, fails: 50, rows_per_call: CALL, pause: PAUSE } }
      table: { kind: tally, config: { of: [tensor], to: rank, gives: weights, pause: 150 } }
      last:  { kind: mix, config: { from: [rank, tensor], to: last, rows_per_call: CALL, pause: PAUSE } }
      tell:  { kind: tally, config: { of: [last], to: place, needs: weights } }
";

fn stages(pause: u64) -> String {
    STAGES.replace("CALL", &CALL.to_string()).replace("PAUSE", &(pause * 1000).to_string())
}

fn source(project: &Project, rows: usize) {
    let row = |n: usize| (format!("r{n:04}"), format!("value {}", n % 700), String::new());
    project.source("photos", &(0..rows).map(row).collect::<Vec<_>>());
}

/// A run in this process, as the job says.
fn work(job: &Value) {
    let project = Project::at(Path::new(job["folder"].as_str().unwrap()));
    let commit_every = Some(Duration::from_millis(job["commit"].as_u64().unwrap()));
    project.run("state", &Options { commit_every, ..Options::default() }).result.unwrap();
}

/// For each process and stage, the rows that it computed and a later one computed again.
fn lost(computed: &[Computed]) -> BTreeMap<(u32, &str), u64> {
    let mut by_row: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    for one in computed {
        by_row.entry((&one.stage, &one.of)).or_default().push(one.process);
    }
    let mut lost = BTreeMap::new();
    for ((stage, _), processes) in by_row {
        for process in &processes[..processes.len() - 1] {
            *lost.entry((*process, stage)).or_default() += 1;
        }
    }
    lost
}

#[test]
fn killed_fifty_times_it_ends_the_same() {
    if let Some(job) = child::job() {
        return work(&job);
    }
    let seed = seed();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    source(&project, ROWS);
    project.pipeline(&stages(0));
    let whole = project.run("reference", &Options::default()).outcome().unwrap();
    assert_eq!(whole.outcome, "quarantined");
    let rows = project.ledger.read().len();
    project.ledger.clear();

    project.pipeline(&stages(PAUSE));
    let job = json!({ "folder": folder.path(), "commit": COMMIT });
    let mut kills = 0;
    let mut finished = 0;
    while kills < KILLS {
        let mut process = child::start("killed_fifty_times_it_ends_the_same", &job);
        std::thread::sleep(Duration::from_millis(random.random_range(20..450)));
        process.kill().unwrap();
        let status = process.wait().unwrap();
        if status.success() {
            finished += 1;
            compare(&project, &whole);
            std::fs::remove_dir_all(project.folder.join("state")).unwrap();
            project.ledger.clear();
        } else {
            assert_eq!(status.signal(), Some(9));
            kills += 1;
        }
    }
    project.pipeline(&stages(0));
    compare(&project, &whole);
    let computed = project.ledger.read();
    let lost = lost(&computed);
    let most = lost.values().max().copied().unwrap_or_default();
    println!(
        "{kills} kills ({finished} runs ended before), {rows} computations in one run, {} in all; most lost of a stage by one kill: {most} of {LOST} allowed",
        computed.len()
    );
    assert!(most <= LOST, "{lost:?}");
    assert_eq!(computed.len() as u64, rows as u64 + lost.values().sum::<u64>());
}

/// Finishes the run, and compares.
fn compare(project: &Project, whole: &Outcome) {
    let ran = project.run("state", &Options::default());
    assert_eq!(ran.warnings(), Vec::<String>::new());
    if let Some(difference) = ran.outcome().unwrap().differs(whole) {
        panic!("{difference}");
    }
    assert!(!project.folder.join("state/cache/aside").exists(), "nothing that a kill leaves is damage");
}

#[test]
fn killed_it_loses_at_most_64_megabytes_of_large_rows() {
    if let Some(job) = child::job() {
        return work(&job);
    }
    const MEGABYTE: usize = 1 << 20;
    const LOST: u64 = 64 + 2 * CALLS_UNDER_WAY;
    let seed = seed();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    source(&project, 180);
    let stages = format!(
        "      in:   {{ kind: folder, config: {{ path: photos }} }}
      wide: {{ kind: mix, config: {{ from: [value], to: wide, length: {MEGABYTE}, rows_per_call: 1 }} }}
      hash: {{ kind: mix, config: {{ from: [wide], to: hash }} }}
"
    );
    project.pipeline(&stages);
    let whole = project.run("reference", &Options::default()).outcome().unwrap();
    project.ledger.clear();
    let job = json!({ "folder": folder.path(), "commit": 3_600_000 });
    let mut kills = 0;
    for wanted in [100, 60, 100] {
        let before = project.ledger.read().len();
        let mut process = child::start("killed_it_loses_at_most_64_megabytes_of_large_rows", &job);
        while project.ledger.read().len() < before + wanted && process.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..60)));
        process.kill().unwrap();
        kills += usize::from(process.wait().unwrap().signal() == Some(9));
    }
    assert!(kills > 0);
    compare(&project, &whole);
    let computed = project.ledger.read();
    let lost = lost(&computed);
    println!("{kills} kills, lost of rows of a megabyte: {:?}, {LOST} allowed", lost.values());
    assert!(lost.values().all(|rows| *rows <= LOST), "{lost:?}");
}
