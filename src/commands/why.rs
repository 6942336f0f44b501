//! `why`: what in a stage, or in one of its rows, changed since the nearest earlier run; nothing is computed or written.

use std::io::Write;

use affectflow_pipeline::run::Options;
use affectflow_pipeline::run::context::Device;
use affectflow_pipeline::run::why::why;
use affectflow_pipeline::{Registry, plan, spec};

use super::plan::tell;
use super::run::device;
use crate::exit::{Exit, Outcome};
use crate::project::Project;
use crate::view::why::explained;

/// Arguments of `why`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub struct Args {
    /// The stage; without a pipeline that of the default one, or of the only one that has it
    #[arg(value_name = "[PIPELINE/]STAGE")]
    stage: String,
    /// Explain this row as well
    #[arg(long, value_name = "ID")]
    row: Option<String>,
    /// Change a value of the file, as `run` would: `stages.adapt.config.epochs=3`, `vars.seed=1`
    #[arg(long = "set", value_name = "PATH=VALUE")]
    sets: Vec<String>,
    /// Where networks would compute: `cpu`, `cuda`, `cuda:N`, `metal`
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    device: Device,
    /// Print the explanation as JSON
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Compares with the nearest earlier run: of the identities that this stage had before (or, where it had none, that stages of
its kind had), the one that differs in the fewest fields, the newest of equals.

Examples:
  affectflow why adapt                          options, columns, files, artifacts that differ, old and new
  affectflow why embed --row photos/sad/12.png  why this row is computed, or since when it is stored
  affectflow why adapt --set vars.seed=1        what that change would do

Values of `${env.X}` are kept and shown as digests.";

/// Looks it up and prints it.
pub fn run(args: Args, project: &Project, registry: &Registry) -> Outcome {
    let (read, problems) = spec::load_lenient(&project.file, &args.sets);
    let Some(read) = read else { return Err(problems.into()) };
    let (pipeline, stage) = plan::address(&read, &args.stage).map_err(|problem| vec![problem])?;
    let (_, plan) = plan::open(&project.file, Some(&pipeline), &args.sets, registry, Some(&stage))?;
    let state = project.state();
    let options = Options { device: args.device, ..Options::default() };
    let (why, damage) = why(&plan, registry, &state, &options, &stage, args.row.as_deref())?;
    tell(&damage);
    let mut out = std::io::stdout().lock();
    match args.json {
        true => writeln!(out, "{}", serde_json::to_string_pretty(&why).map_err(std::io::Error::other)?)?,
        false => write!(out, "{}", explained(&why))?,
    }
    Ok(Exit::Done)
}
