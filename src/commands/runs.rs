//! `runs`: the past runs, newest last.

use std::collections::HashSet;
use std::io::Write;

use affectflow_pipeline::cache::live;
use affectflow_pipeline::run::history::{Unreadable, survey};
use affectflow_pipeline::run::record::Record;
use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::numbers::{duration, grouped};
use crate::view::summary::metrics;
use crate::view::table::table;

/// Arguments of `runs`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Print a line of JSON a run
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Examples:
  affectflow runs                                    oldest first
  affectflow runs --json | jq -r .id                 their names";

/// Lists them.
pub fn run(args: Args, project: &Project) -> Outcome {
    let state = project.existing()?;
    let (records, unreadable) = survey(&state.runs);
    let records: Vec<Record> = records.into_iter().map(Record::as_far_as_told).collect();
    let at_work = live::runs(&state.cache)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for r in &records {
            let line = json!({
                "id": r.id, "pipeline": r.name, "start": r.start, "end": r.end, "outcome": r.stands(&at_work),
                "computed": computed(r), "seconds": r.seconds
            });
            writeln!(out, "{line}")?;
        }
        for Unreadable { id, path, error } in &unreadable {
            writeln!(out, "{}", json!({ "id": id, "outcome": "unreadable", "path": path, "error": error }))?;
        }
        return Ok(Exit::Done);
    }
    let head = ["run", "pipeline", "outcome", "computed", "time", "accuracy"];
    let lines = records.iter().map(|record| row(record, &at_work)).chain(unreadable.iter().map(lost));
    write!(out, "{}", table(&head, 3, lines))?;
    unreadable
        .iter()
        .for_each(|run| eprintln!("warning: the record of run `{}` is lost: {}", run.id, run.error));
    Ok(Exit::Done)
}

/// The line of a run whose record cannot be read.
fn lost(run: &Unreadable) -> Vec<String> {
    let dash = || "-".to_owned();
    vec![run.id.clone(), dash(), "unreadable".into(), dash(), dash(), String::new()]
}

fn computed(record: &Record) -> u64 {
    record.stages.values().filter_map(|stage| stage["misses"].as_u64()).sum()
}

fn row(record: &Record, at_work: &HashSet<String>) -> Vec<String> {
    let accuracy: Vec<String> =
        metrics(record).values().filter_map(|m| m["accuracy"].as_f64()).map(|a| format!("{a:.3}")).collect();
    vec![
        record.id.clone(),
        record.name.clone(),
        record.stands(at_work).to_owned(),
        grouped(computed(record)),
        record.seconds.map_or("-".into(), duration),
        accuracy.join(" "),
    ]
}
