//! `runs`: the past runs, newest last.

use std::io::Write;
use std::time::Duration;

use affectflow_pipeline::run::record::Record;
use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::numbers::{duration, grouped};
use crate::view::summary::metrics;
use crate::view::table::table;

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a line of JSON a run
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub fn run(args: Args, project: &Project) -> Outcome {
    let records = Record::all(&project.existing()?.runs);
    let mut out = std::io::stdout().lock();
    if args.json {
        for r in &records {
            let line = json!({ "id": r.id, "pipeline": r.name, "start": r.start, "end": r.end, "outcome": r.outcome });
            writeln!(out, "{line}")?;
        }
        return Ok(Exit::Done);
    }
    let head = ["run", "pipeline", "outcome", "computed", "time", "accuracy"];
    write!(out, "{}", table(&head, 3, records.iter().map(row)))?;
    Ok(Exit::Done)
}

fn row(record: &Record) -> Vec<String> {
    let computed: u64 = record.stages.values().filter_map(|stage| stage["misses"].as_u64()).sum();
    let accuracy: Vec<String> =
        metrics(record).values().filter_map(|m| m["accuracy"].as_f64()).map(|a| format!("{a:.3}")).collect();
    vec![
        record.id.clone(),
        record.name.clone(),
        record.outcome.clone(),
        grouped(computed),
        took(record).map_or("-".into(), |took| duration(took.as_secs_f64())),
        accuracy.join(" "),
    ]
}

/// From start to end, in whole seconds.
fn took(record: &Record) -> Option<Duration> {
    let seconds: Vec<f64> = record.stages.values().filter_map(|stage| stage["seconds"].as_f64()).collect();
    record.end.as_ref()?;
    Duration::try_from_secs_f64(seconds.into_iter().fold(0.0, f64::max)).ok()
}
