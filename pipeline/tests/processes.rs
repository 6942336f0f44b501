//! Two and four processes on one cache, some killed: is the result that of one process alone, and no file torn?
#![cfg(unix)]

mod proof;

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use affectflow_pipeline::run::Options;
use proof::damage::files;
use proof::{Project, child, registry, seed};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

const ROWS: usize = 160;
const ROUNDS: usize = 4;

const STAGES: &str = "
      in:    { kind: folder, config: { path: photos, batch: 32 } }
      wide:  { kind: mix, config: { from: [value, file], to: wide, length: 2000, fails: 40, pause: 1500 } }
      some:  { kind: pick, config: { by: wide, drops: 9 } }
      tensor: { kind: mix, config: { from: [wide], to: tensor, vector: true, pause: 1000 } }
      table: { kind: tally, config: { of: [tensor], to: rank, gives: weights } }
      last:  { kind: mix, config: { from: [rank, tensor], to: last, pause: 1000 } }
      tell:  { kind: tally, config: { of: [last], to: place, needs: weights } }
";

/// A run in this process, as the job says.
fn work(job: &Value) {
    let project = Project::at(Path::new(job["folder"].as_str().unwrap()));
    let options = Options { commit_every: Some(Duration::from_millis(30)), ..Options::default() };
    project
        .run_with("state", &sets(job["which"].as_u64().unwrap()), &options, &registry(&project.ledger))
        .result
        .unwrap();
}

/// What the processes differ in: one takes other rows of the same data first, one has another option in the middle.
fn sets(which: u64) -> Vec<String> {
    match which {
        1 => vec!["stages.tensor.config.salt=another".into()],
        2 => vec!["stages.in.config.path=more".into()],
        _ => Vec::new(),
    }
}

#[test]
fn two_processes_on_one_cache() {
    hammer("two_processes_on_one_cache", 2);
}

#[test]
fn four_processes_on_one_cache() {
    hammer("four_processes_on_one_cache", 4);
}

#[test]
fn processes_that_start_together_share_the_work() {
    if let Some(job) = child::job() {
        return work(&job);
    }
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    let row = |n: usize| (format!("r{n:04}"), format!("value {n}"), String::new());
    project.source("photos", &(0..ROWS).map(row).collect::<Vec<_>>());
    project.pipeline(&STAGES.replace("pause: 1", "pause: 5"));
    let test = "processes_that_start_together_share_the_work";
    let start = |_| child::start(test, &json!({ "folder": folder.path(), "which": 0 }));
    let mut children: Vec<Child> = (0..2).map(start).collect();
    children.iter_mut().for_each(|child| assert!(child.wait().unwrap().success()));
    let together = project.ledger.read().len();
    compare(&project, 0);
    let alone = project.ledger.read().len() - together;
    println!("{together} computations by two processes, {alone} by one");
    assert!(2 * together < 3 * alone, "{together} computations where one process makes {alone}");
}

fn hammer(test: &str, processes: u64) {
    if let Some(job) = child::job() {
        return work(&job);
    }
    let seed = seed();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let project = Project::at(folder.path());
    let row = |n: usize| (format!("r{n:04}"), format!("value {n}"), String::new());
    project.source("photos", &(0..ROWS).map(row).collect::<Vec<_>>());
    project.source("more", &(ROWS / 2..ROWS + 40).map(row).collect::<Vec<_>>());
    project.pipeline(STAGES);
    let (mut kills, mut ended) = (0, 0);
    for round in 0..ROUNDS {
        let start = |which| child::start(test, &json!({ "folder": folder.path(), "which": which }));
        let mut children: Vec<Child> = (0..processes).map(start).collect();
        // In the last round all may end.
        for child in children.iter_mut().skip(1).filter(|_| round + 1 < ROUNDS) {
            std::thread::sleep(Duration::from_millis(random.random_range(10..250)));
            child.kill().unwrap();
        }
        for child in &mut children {
            let status = child.wait().unwrap();
            match std::os::unix::process::ExitStatusExt::signal(&status) {
                Some(9) => kills += 1,
                _ => {
                    assert!(status.success(), "a process ended with {status}");
                    ended += 1;
                }
            }
        }
    }
    println!(
        "{processes} processes, {ROUNDS} rounds: {kills} killed, {ended} ended, {} computations",
        project.ledger.read().len()
    );
    assert!(kills > 0 && ended > 0);
    for which in 0..processes.min(3) {
        compare(&project, which);
    }
    whole(&project);
}

/// A run on the shared cache and one alone.
fn compare(project: &Project, which: u64) {
    let run = |state: &str| {
        let ran = project.run_with(state, &sets(which), &Options::default(), &registry(&project.ledger));
        assert_eq!(ran.warnings(), Vec::<String>::new());
        let mut outcome = ran.outcome().unwrap();
        // Two processes at once may both try a row that fails.
        outcome.attempts.clear();
        (outcome, ran.computed)
    };
    let (shared, computed) = run("state");
    let (alone, _) = run(&format!("alone{which}"));
    if let Some(difference) = shared.differs(&alone) {
        panic!("process {which}: {difference}");
    }
    if which < 2 {
        assert_eq!(computed, Vec::new(), "all was computed by the processes");
    }
}

/// No damage was seen, and every sidecar is what its segment makes.
fn whole(project: &Project) {
    let cache = project.folder.join("state/cache");
    assert!(!cache.join("aside").exists(), "{:?}", files(&cache.join("aside")));
    let sidecars = files(&cache).into_iter().filter(|file| file.extension().is_some_and(|end| end == "keys"));
    let sidecars: Vec<_> = sidecars.map(|file| (fs::read(cache.join(&file)).unwrap(), file)).collect();
    assert!(sidecars.len() > 10);
    sidecars.iter().for_each(|(_, file)| fs::remove_file(cache.join(file)).unwrap());
    compare(project, 0);
    compare(project, 1);
    let rebuilt = sidecars.iter().filter(|(bytes, file)| match fs::read(cache.join(file)) {
        Ok(now) => {
            assert!(now == *bytes, "{}", file.display());
            true
        }
        Err(_) => false,
    });
    println!("{} of {} sidecars rebuilt alike", rebuilt.count(), sidecars.len());
}
