//! What can be typed? The commands and the arguments that all of them share.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands::{
    cache, completions, export, graph, init, later, plan, plugin, run, runs, show, stages, test, validate,
    why,
};
use crate::exit::Exit;

/// Declarative, resumable pipelines for emotion in pictures.
///
/// Reads `pipelines.yaml` in the current folder and keeps everything computed in `.affectflow/` beside it, so that a run
/// that was stopped or changed computes only what is missing.
#[derive(Debug, Parser)]
#[command(name = "affectflow", version, propagate_version = true, after_help = after())]
pub struct Cli {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: Command,
}

/// Exit codes and first steps, below the list of commands.
fn after() -> String {
    let codes: String =
        Exit::ALL.iter().map(|&exit| format!("  {:<4} {}\n", exit as u8, exit.meaning())).collect();
    format!("Exit codes:\n{codes}\n{FIRST_STEPS}")
}

const FIRST_STEPS: &str = "\
First steps:
  affectflow init DIR                                make a project that runs as it is
  affectflow run                                     run the default pipeline
  affectflow show last                               its stages and scores
  affectflow export last adapt -o predictions.csv    its predictions";

/// Which file, and where its state lies.
#[derive(Debug, Clone, clap::Args)]
pub struct Place {
    /// The pipeline file
    #[arg(short, long, global = true, value_name = "FILE", default_value = "pipelines.yaml")]
    pub file: PathBuf,
    /// Folder of the cache and of the runs' records [default: `.affectflow` beside the file]
    #[arg(long, global = true, value_name = "DIR", env = "AFFECTFLOW_STATE")]
    pub state: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a pipeline, reusing every cached row
    ///
    /// Each row of each stage is looked up by what it is computed from; what is missing is computed and kept. Run it again after
    /// Ctrl-C, a kill or a change: it goes on from there. A pipeline with a `matrix:` runs once for each combination.
    Run(run::Args),
    /// Show what a run would do, and why; runs nothing
    ///
    /// The same look-ups as a run, without computing or writing. A number with `≤` is a bound: how much it will be depends on what
    /// a stage before it finds. Times and sizes are estimated from earlier runs.
    Plan(plan::Args),
    /// Explain what changed in a stage, or in one of its rows, since the nearest earlier run; explains hits too
    Why(why::Args),
    /// Report every problem of the file at once
    ///
    /// Each with file, line and column, what was expected, and how to mend it; also problems of values that come from elsewhere:
    /// an `include`, a variable, an anchor, an argument.
    Validate(validate::Args),
    /// Run the tests of the file: rows that it gives, and what it expects of those that leave a stage
    Test(test::Args),
    /// List the kinds of stages; for one, its options, columns and an example
    Stages(stages::Args),
    /// Print the JSON Schema of the pipeline file, for editors
    ///
    /// The kinds of your own crate are in it. An editor finds it by the first line of a file: `# yaml-language-server:
    /// $schema=schema.json`
    Schema,
    /// Draw the stages, their edges, and what is cached
    ///
    /// Nothing is computed. Dashed edges are artifacts, such as trained weights.
    Graph(graph::Args),
    /// Make a new project that runs as it is
    Init(init::Args),
    /// Serve an editor over standard input and output: problems, completion, documentation, definitions
    Lsp,
    /// Write the rows of a stage to a file
    ///
    /// In the order of their ids. Tensors leave as lists; in CSV files nested columns are JSON text.
    Export(export::Args),
    /// List past runs
    Runs(runs::Args),
    /// Show a past run: stages, scores, rows in quarantine
    Show(show::Args),
    /// What is stored: how much, whether it is whole, and what can go
    Cache(cache::Args),
    /// Stages of other people: which there are, and who may run
    Plugin(plugin::Args),
    /// Serve the map stages to another engine over standard input and output, as a plugin would
    ///
    /// The protocol is that of plugins (plugins/PROTOCOL.md): lines of JSON, rows as Arrow IPC streams.
    Worker,
    /// Print shell completions
    Completions(completions::Args),
    #[command(flatten)]
    Later(later::Later),
}

/// Reads the arguments; wrong ones end the program with code 2 and say how to mend them.
pub fn parse() -> Cli {
    Cli::parse()
}
