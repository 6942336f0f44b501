//! `plugin`: what the plugins of the file bring, and who of them may run. One file a subcommand.

mod check;
mod list;
mod new;
mod trust;

use affectflow_pipeline::Problem;
use affectflow_pipeline::spec::{Origin, PluginSpec, load_lenient};
use affectflow_plugins::process::end_all;

use crate::exit::{Exit, Failure, Outcome};
use crate::project::Project;

/// Arguments of `plugin`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a project with a stage of your own, which builds, passes its tests and runs
    New(new::Args),
    /// List the plugins of the file: kinds, versions, whether they are trusted. Runs nothing
    List,
    /// Run the plugins of the file to ask what they bring, and let them run from now on, as they are
    Trust(trust::Args),
    /// Try whether a plugin keeps the contract: types, purity, nulls, many rows, stopping, memory. Runs it
    Check(check::Args),
}

/// Hands over to the subcommand.
pub fn run(args: Args, project: &Project) -> Outcome {
    let stop = || {
        end_all();
        std::process::exit(Exit::Interrupted as i32);
    };
    // Where nobody can listen, Ctrl-C ends the program, and a plugin ends with its standard input.
    let _ = ctrlc::set_handler(stop);
    match args.command {
        Command::New(args) => new::run(args),
        Command::List => list::run(project),
        Command::Trust(args) => trust::run(args, project),
        Command::Check(args) => check::run(args),
    }
}

/// The plugins of the file.
fn plugins(project: &Project) -> Result<Vec<PluginSpec>, Failure> {
    let (spec, problems) = load_lenient(&project.file, &[]);
    match spec {
        Some(spec) => Ok(spec.plugins),
        None => Err(problems.into()),
    }
}

/// A plugin as the file has it.
fn shown(plugin: &PluginSpec) -> String {
    match &plugin.origin {
        Origin::Path(path) => path.display().to_string(),
        Origin::Command(command) => command.join(" "),
    }
}

/// Where a problem of a plugin lies.
fn placed(plugin: &PluginSpec) -> impl Fn(Problem) -> Failure {
    |problem| vec![problem.at(plugin.span.clone())].into()
}
