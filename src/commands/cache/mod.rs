//! `cache`: what is stored, whether it is whole, and what can go. One file a subcommand.

mod gc;
mod stats;
mod verify;

use clap::Subcommand;

use crate::exit::Outcome;
use crate::project::Project;

/// Arguments of `cache`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Size by stage and pipeline
    Stats(stats::Args),
    /// Check every stored byte; damaged files are moved aside, and the next run computes their rows again
    Verify(verify::Args),
    /// Remove what no kept run needs
    ///
    /// Kept are runs at work, the newest whole run of each pipeline, newer ones that stopped early, and all that ended within
    /// `--older-than`. What is removed can be computed again, with the same result.
    Gc(gc::Args),
}

/// Hands over to the subcommand.
pub fn run(args: Args, project: &Project) -> Outcome {
    match args.command {
        Command::Stats(args) => stats::run(args, project),
        Command::Verify(args) => verify::run(args, project),
        Command::Gc(args) => gc::run(args, project),
    }
}
