//! `runs`: the past runs, newest last.

use std::collections::HashSet;
use std::io::Write;

use affectflow_pipeline::cache::live;
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
    let state = project.existing()?;
    let records = Record::all(&state.runs);
    let at_work = live::runs(&state.cache)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for r in &records {
            let line = json!({ "id": r.id, "pipeline": r.name, "start": r.start, "end": r.end, "outcome": r.stands(&at_work) });
            writeln!(out, "{line}")?;
        }
        return Ok(Exit::Done);
    }
    let head = ["run", "pipeline", "outcome", "computed", "time", "accuracy"];
    write!(out, "{}", table(&head, 3, records.iter().map(|record| row(record, &at_work))))?;
    Ok(Exit::Done)
}

fn row(record: &Record, at_work: &HashSet<String>) -> Vec<String> {
    let computed: u64 = record.stages.values().filter_map(|stage| stage["misses"].as_u64()).sum();
    let accuracy: Vec<String> =
        metrics(record).values().filter_map(|m| m["accuracy"].as_f64()).map(|a| format!("{a:.3}")).collect();
    vec![
        record.id.clone(),
        record.name.clone(),
        record.stands(at_work).to_owned(),
        grouped(computed),
        record.seconds.map_or("-".into(), duration),
        accuracy.join(" "),
    ]
}
