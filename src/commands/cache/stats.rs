//! `cache stats`: how much is stored, by stage and pipeline, and what it would cost to compute again.

use std::io::Write;

use affectflow_pipeline::run::space::stats::{Stored, stats};
use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::cost::seconds_about;
use crate::view::numbers::{bytes, count, day, grouped};
use crate::view::table::table;

/// Arguments of `cache stats`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print a line of JSON a stage
    #[arg(long)]
    json: bool,
}

/// Prints it.
pub fn run(args: Args, project: &Project) -> Outcome {
    let stored = stats(&project.existing()?)?;
    let mut out = std::io::stdout().lock();
    if args.json {
        for s in &stored {
            let line = json!({
                "stage": s.stage, "kind": s.kind, "pipelines": s.pipelines, "rows": s.rows, "files": s.files,
                "bytes": s.bytes, "superseded": { "rows": s.superseded.0, "bytes": s.superseded.1 }, "used": s.used,
                "seconds": s.seconds
            });
            writeln!(out, "{line}")?;
        }
        return Ok(Exit::Done);
    }
    let head =
        ["stage", "kind", "pipelines", "rows", "files", "size", "superseded", "last used", "to recompute"];
    write!(out, "{}", table(&head, 3, stored.iter().map(row)))?;
    let superseded: u64 = stored.iter().map(|s| s.superseded.1).sum();
    let total = bytes(stored.iter().map(|s| s.bytes).sum::<u64>() + superseded);
    writeln!(out, "\n{total} in `{}`", project.state.join("cache").display())?;
    if superseded > 0 {
        let size = bytes(superseded);
        writeln!(
            out,
            "{size} of it are superseded by newer results; `affectflow cache gc` removes what no kept run needs"
        )?;
    }
    Ok(Exit::Done)
}

fn row(stored: &Stored) -> Vec<String> {
    let has_rows = stored.rows > 0;
    vec![
        stored.stage.clone(),
        stored.kind.clone(),
        stored.pipelines.join(", "),
        if has_rows { grouped(stored.rows) } else { "-".into() },
        grouped(stored.files),
        bytes(stored.bytes),
        superseded(stored.superseded),
        day(stored.used.as_deref()),
        if has_rows { seconds_about(stored.seconds) } else { "-".into() },
    ]
}

fn superseded((rows, size): (u64, u64)) -> String {
    match (rows, size) {
        (_, 0) => "-".into(),
        (0, size) => bytes(size),
        (rows, size) => format!("{}, {}", count(rows, "row"), bytes(size)),
    }
}
