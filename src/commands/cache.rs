//! `cache stats`: how much is stored, by stage and pipeline. `cache verify` and `cache gc` are not there yet.

use std::io::Write;

use affectflow_pipeline::run::stats::{Stored, stats};
use clap::Subcommand;
use serde_json::json;

use super::later::not_yet;
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::numbers::{bytes, grouped};
use crate::view::table::table;

/// Arguments of `cache`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Size by stage and pipeline
    Stats {
        /// Print a line of JSON a stage
        #[arg(long)]
        json: bool,
    },
    /// Check every stored byte (not there yet)
    Verify,
    /// Remove what no kept run needs (not there yet)
    Gc {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
        rest: Vec<String>,
    },
}

/// Prints it.
pub fn run(args: Args, project: &Project) -> Outcome {
    match args.command {
        Command::Stats { json } => print(json, project),
        Command::Verify => Err(not_yet("`cache verify`", "what is read is checked as it is read")),
        Command::Gc { .. } => {
            Err(not_yet("`cache gc`", "deleting `.affectflow/cache` is safe: everything is computed again"))
        }
    }
}

fn print(json: bool, project: &Project) -> Outcome {
    let stored = stats(&project.existing()?)?;
    let mut out = std::io::stdout().lock();
    if json {
        for s in &stored {
            let line = json!({
                "stage": s.stage, "kind": s.kind, "pipelines": s.pipelines, "files": s.files, "bytes": s.bytes
            });
            writeln!(out, "{line}")?;
        }
        return Ok(Exit::Done);
    }
    let head = ["stage", "kind", "pipelines", "files", "size"];
    write!(out, "{}", table(&head, 3, stored.iter().map(row)))?;
    writeln!(
        out,
        "\n{} in `{}`",
        bytes(stored.iter().map(|s| s.bytes).sum()),
        project.state.join("cache").display()
    )?;
    Ok(Exit::Done)
}

fn row(stored: &Stored) -> Vec<String> {
    vec![
        stored.stage.clone(),
        stored.kind.clone(),
        stored.pipelines.join(", "),
        grouped(stored.files),
        bytes(stored.bytes),
    ]
}
