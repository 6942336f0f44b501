//! What does each command do? One file a command.

pub mod cache;
pub mod completions;
pub mod export;
pub mod graph;
pub mod init;
pub mod later;
pub mod lsp;
pub mod plan;
pub mod plugin;
pub mod run;
pub mod runs;
pub mod schema;
pub mod show;
pub mod stages;
pub mod test;
pub mod validate;
pub mod why;
pub mod worker;

use affectflow_pipeline::Registry;
use affectflow_pipeline::cache::Damage;

use crate::cli::{Cli, Command};
use crate::exit::Outcome;
use crate::project::Project;

/// Hands over to the command.
pub fn dispatch(cli: Cli, registry: &Registry) -> Outcome {
    let project = Project::new(cli.place);
    match cli.command {
        Command::Run(args) => run::run(args, &project, registry),
        Command::Plan(args) => plan::run(args, &project, registry),
        Command::Why(args) => why::run(args, &project, registry),
        Command::Validate(args) => validate::run(args, &project, registry),
        Command::Test(args) => test::run(args, &project, registry),
        Command::Stages(args) => stages::run(args, &project.registry(registry)),
        Command::Schema => schema::run(&project.registry(registry)),
        Command::Graph(args) => graph::run(args, &project, registry),
        Command::Init(args) => init::run(args, registry),
        Command::Lsp => lsp::run(registry),
        Command::Export(args) => export::run(args, &project),
        Command::Runs(args) => runs::run(args, &project),
        Command::Show(args) => show::run(args, &project),
        Command::Cache(args) => cache::run(args, &project),
        Command::Completions(args) => completions::run(args),
        Command::Worker => worker::run(registry),
        Command::Plugin(args) => plugin::run(args, &project),
        Command::Later(command) => later::run(&command),
    }
}

/// Tells of damaged files on standard error.
fn tell_damage(found: &[Damage]) {
    found.iter().for_each(|damage| eprintln!("warning: {damage}"));
}
