//! `cache stats`: how much is stored, by stage and pipeline, and what it would cost to compute again.

use std::io::Write;

use affectflow_pipeline::run::space::stats::{Stored, stats};
use serde_json::json;

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::cost::seconds_about;
use crate::view::numbers::{bytes, day, grouped};
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
                "bytes": s.bytes, "used": s.used, "seconds": s.seconds
            });
            writeln!(out, "{line}")?;
        }
        return Ok(Exit::Done);
    }
    let head = ["stage", "kind", "pipelines", "rows", "files", "size", "last used", "to recompute"];
    write!(out, "{}", table(&head, 3, stored.iter().map(row)))?;
    let total = bytes(stored.iter().map(|s| s.bytes).sum());
    writeln!(out, "\n{total} in `{}`", project.state.join("cache").display())?;
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
        day(stored.used.as_deref()),
        if has_rows { seconds_about(stored.seconds) } else { "-".into() },
    ]
}
