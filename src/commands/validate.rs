//! `validate`: every problem of the file at once, each with its place and a hint.

use affectflow_pipeline::{Registry, plan};

use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::numbers::count;
use crate::view::problem::shown;

/// Arguments of `validate`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// Change a value of the file first, as in `run`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Say nothing when all is well
    #[arg(short, long)]
    quiet: bool,
}

const AFTER: &str = "\
Examples:
  affectflow validate                                pipelines.yaml, every pipeline in it
  affectflow validate -f other.yaml -q               only the exit code and what is wrong";

/// Checks every pipeline of the file.
pub fn run(args: Args, project: &Project, registry: &Registry) -> Outcome {
    let problems = plan::check(&project.file, &args.sets, registry);
    if problems.is_empty() {
        if !args.quiet {
            eprintln!("`{}` is valid", project.file.display());
        }
        return Ok(Exit::Done);
    }
    eprint!("{}", shown(&problems));
    eprintln!("{} in `{}`", count(problems.len() as u64, "problem"), project.file.display());
    Ok(Exit::Wrong)
}
