//! Random pipelines, edited and run again and again: does a cached run equal a cold one, and is nothing computed twice?

mod proof;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use affectflow_pipeline::run::{Options, State, predict};
use affectflow_pipeline::{Error, plan};
use proof::damage::folder;
use proof::graph::Graph;
use proof::project::settle;
use proof::{Computed, Project, Ran, registry, seed};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

const HISTORIES: u64 = 300;

/// What was done in all, for the last line.
#[derive(Default)]
struct Totals {
    runs: AtomicUsize,
    interrupted: AtomicUsize,
    failed: AtomicUsize,
    computed: AtomicUsize,
    cold: AtomicUsize,
}

#[test]
fn a_cached_run_equals_a_cold_one_and_computes_nothing_twice() {
    let seed = seed();
    println!("seed {seed}");
    let (totals, next) = (Totals::default(), AtomicUsize::new(0));
    let workers = std::thread::available_parallelism().map_or(2, |n| n.get()).min(4);
    let broken = std::thread::scope(|scope| {
        let work = || {
            while let number @ 0..HISTORIES = next.fetch_add(1, Ordering::Relaxed) as u64 {
                let start = seed.wrapping_mul(1_000_003).wrapping_add(number);
                let mut random = ChaCha8Rng::seed_from_u64(start);
                let steps: Vec<u64> = (0..random.random_range(4..=6)).map(|_| random.random()).collect();
                if let Err(what) = history(start, &steps, &totals) {
                    return Some((start, steps, what));
                }
            }
            None
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads.into_iter().find_map(|thread| thread.join().unwrap())
    });
    if let Some((start, steps, what)) = broken {
        println!("history {start} with steps {steps:?}: {what}");
        let (steps, what) = shrunk(start, steps, what);
        panic!("seed {seed}; smallest history: {start} with steps {steps:?}:\n{what}");
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{HISTORIES} histories, {} runs ({} interrupted, {} failed), {} computations where cold runs took {}",
        count(&totals.runs),
        count(&totals.interrupted),
        count(&totals.failed),
        count(&totals.computed),
        count(&totals.cold)
    );
    assert!(count(&totals.interrupted) > 0 && count(&totals.computed) < count(&totals.cold));
}

/// Leaves out steps, halves first, as long as the history stays wrong.
fn shrunk(start: u64, mut steps: Vec<u64>, mut what: String) -> (Vec<u64>, String) {
    let mut size = steps.len() / 2;
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(fewer.len()));
            match history(start, &fewer, &Totals::default()) {
                Err(still) => (steps, what) = (fewer, still),
                Ok(()) => at += size,
            }
        }
        size /= 2;
    }
    (steps, what)
}

/// A graph made from a seed, run, and for each step edited (a seed, too) and run again.
fn history(start: u64, steps: &[u64], totals: &Totals) -> Result<(), String> {
    let folder = folder();
    let mut world = World {
        project: Project::at(folder.path()),
        written: BTreeMap::new(),
        known: BTreeSet::new(),
        told: Vec::new(),
    };
    let mut graph = Graph::new(&mut ChaCha8Rng::seed_from_u64(start));
    let mut versions = vec![graph.clone()];
    world.run(&graph, &mut ChaCha8Rng::seed_from_u64(start), totals)?;
    for &step in steps {
        let mut random = ChaCha8Rng::seed_from_u64(step);
        if random.random_bool(0.1) {
            graph = versions.choose(&mut random).unwrap().clone();
            world.told.push("everything as it was once".into());
        } else {
            for _ in 0..random.random_range(1..=2) {
                let mut edited = graph.clone();
                let what = edited.edit(&mut random);
                if world.plans(&edited) {
                    world.told.push(what.into());
                    graph = edited;
                }
            }
        }
        versions.push(graph.clone());
        world.run(&graph, &mut random, totals)?;
    }
    Ok(())
}

/// A project, and what is known to be computed.
struct World {
    project: Project,
    /// Bytes and touch of every file as written last.
    written: BTreeMap<PathBuf, (String, u64)>,
    known: BTreeSet<String>,
    told: Vec<String>,
}

impl World {
    fn plans(&self, graph: &Graph) -> bool {
        let file = self.project.folder.join("pipelines.yaml");
        self.project.pipeline(&graph.text());
        plan::open(&file, None, &[], &registry(&self.project.ledger), None).is_ok()
    }

    fn write(&mut self, graph: &Graph, random: &mut ChaCha8Rng) {
        self.project.pipeline(&graph.text());
        for (name, rows) in &graph.sources {
            let folder = self.project.folder.join(name);
            fs::create_dir_all(&folder).unwrap();
            let lines = rows.iter().map(|row| format!("{}\t{}\t{}\n", row.id, row.value, row.note));
            fs::write(folder.join("rows.tsv"), lines.collect::<String>()).unwrap();
            for row in rows {
                let (file, wanted) =
                    (folder.join(format!("{}.bin", row.id)), (row.body.clone(), row.touched));
                if self.written.get(&file) != Some(&wanted) {
                    fs::write(&file, &row.body).unwrap();
                    if random.random_bool(0.7) {
                        settle(&file, 1000);
                    }
                    self.written.insert(file, wanted);
                }
            }
        }
    }

    /// Runs the graph on the cache and cold, and compares.
    fn run(&mut self, graph: &Graph, random: &mut ChaCha8Rng, totals: &Totals) -> Result<(), String> {
        self.write(graph, random);
        let commit_every =
            random.random_bool(0.7).then(|| Duration::from_micros(random.random_range(0..3000)));
        let mut options = Options { commit_every, ..Options::default() };
        let mut fuse = None;
        match random.random_range(0..10) {
            0 | 1 => options.force.extend(graph.computing().choose(random).cloned()),
            2 | 3 => options.retry_quarantined = true,
            4 | 5 => fuse = Some(random.random_range(1..10)),
            _ => {}
        }
        self.told.push(format!(
            "run, forced {:?}, retry {}, stop after {fuse:?}",
            options.force, options.retry_quarantined
        ));
        let wrong = |told: &[String], what: String| format!("{}\n{what}\n{}", told.join("\n"), graph.text());
        let forecast = self.forecast(&options).map_err(|what| wrong(&self.told, what))?;
        if let Some(computations) = fuse {
            self.project.ledger.stop_after(computations, options.interrupt.clone());
        }
        let cached = self.project.run("state", &options);
        self.project.ledger.clear();
        let cold = self.project.run("cold", &Options::default());
        let known = std::mem::take(&mut self.known);
        let checked = check(&cached, &cold, &known, &options, forecast);
        self.known = known.into_iter().chain(cached.computed.iter().map(|one| one.of.clone())).collect();
        fs::remove_dir_all(self.project.folder.join("cold")).unwrap();
        self.project.ledger.clear();
        totals.runs.fetch_add(1, Ordering::Relaxed);
        totals
            .interrupted
            .fetch_add(matches!(cached.result, Err(Error::Interrupted)).into(), Ordering::Relaxed);
        totals.failed.fetch_add(cold.result.is_err().into(), Ordering::Relaxed);
        totals.computed.fetch_add(cached.computed.len(), Ordering::Relaxed);
        totals.cold.fetch_add(cold.computed.len(), Ordering::Relaxed);
        checked.map_err(|what| wrong(&self.told, what))
    }

    /// Whether a forecast says that there is something to compute.
    fn forecast(&self, options: &Options) -> Result<bool, String> {
        let file = self.project.folder.join("pipelines.yaml");
        let registry = registry(&self.project.ledger);
        let (_, plan) = plan::open(&file, None, &[], &registry, None).unwrap_or_else(|p| panic!("{p:?}"));
        let state = State::open(&self.project.folder.join("state"));
        let (forecasts, damage) = predict::predict(&plan, &registry, &state, options)
            .map_err(|error| format!("cannot be forecast: {error}"))?;
        assert_eq!(damage, Vec::new());
        Ok(forecasts.iter().any(|forecast| forecast.compute > 0))
    }
}

/// The oracles.
fn check(
    cached: &Ran,
    cold: &Ran,
    known: &BTreeSet<String>,
    options: &Options,
    forecast: bool,
) -> Result<(), String> {
    let again =
        |one: &Computed| options.force.contains(&one.stage) || (options.retry_quarantined && one.failed);
    let made = distinct(&cached.computed, "the cached run")?;
    let wanted = distinct(&cold.computed, "the cold run")?;
    if let Some(one) = made.values().find(|one| known.contains(&one.of) && !again(one)) {
        return Err(format!("computed although known: {one:?}"));
    }
    let warnings = cached.warnings().into_iter().chain(cold.warnings());
    if let Some(warning) = warnings.into_iter().find(|warning| !warning.starts_with("keeps none")) {
        return Err(format!("warns: {warning}"));
    }
    match (&cached.result, &cold.result) {
        (Err(Error::Interrupted), _) => return Ok(()),
        (Err(one), Err(two)) if !matches!(two, Error::Interrupted) => {
            let same = std::mem::discriminant(one) == std::mem::discriminant(two);
            return if same { Ok(()) } else { Err(format!("ended with `{one}`, and cold with `{two}`")) };
        }
        (Ok(()), Ok(())) => {}
        (one, two) => return Err(format!("ended with {one:?}, and cold with {two:?}")),
    }
    let missing =
        wanted.values().find(|one| (!known.contains(&one.of) || again(one)) && !made.contains_key(&one.of));
    if let Some(one) = missing {
        return Err(format!("not computed, although neither known nor cached: {one:?}"));
    }
    if let Some(one) = made.values().find(|one| !wanted.contains_key(&one.of)) {
        return Err(format!("computed, and not by the cold run: {one:?}"));
    }
    if forecast == made.is_empty() {
        return Err(format!("forecast something to compute: {forecast}; computed: {}", made.len()));
    }
    for (stage, said) in &cached.record.stages {
        let own = made.values().filter(|one| one.stage == *stage && !one.failed).count() as u64;
        if said["misses"] != own && said["shape"] != "source" {
            return Err(format!("stage `{stage}` counts {} misses and computed {own}", said["misses"]));
        }
    }
    let outcome = |ran: &Ran| ran.outcome().map_err(|error| format!("cannot be exported: {error}"));
    let (mut one, mut two) = (outcome(cached)?, outcome(cold)?);
    one.attempts.clear();
    two.attempts.clear();
    one.differs(&two).map_or(Ok(()), Err)
}

/// Computations by what they are of; an error where one was done twice.
fn distinct<'a>(computed: &'a [Computed], who: &str) -> Result<BTreeMap<String, &'a Computed>, String> {
    let mut found = BTreeMap::new();
    for one in computed {
        if let Some(first) = found.insert(one.of.clone(), one) {
            return Err(format!("{who} computed twice: {first:?} and {one:?}"));
        }
    }
    Ok(found)
}
