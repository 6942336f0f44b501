//! `compare`, `report`, ...: commands with a place in the command line that are not there yet.

use clap::Subcommand;

use crate::exit::{Failure, Outcome};

/// The commands that say that they are not there yet.
#[derive(Debug, Subcommand)]
pub enum Later {
    /// Metrics of several runs side by side (not there yet)
    Compare(Anything),
    /// Write the HTML report of a run (not there yet)
    Report(Anything),
    /// Open the page (not there yet)
    Ui(Anything),
}

/// Whatever is typed after the command.
#[derive(Debug, clap::Args)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

/// Says so.
pub fn run(command: &Later) -> Outcome {
    let (name, instead) = match command {
        Later::Compare(_) => ("compare", "`affectflow show RUN` prints the scores of one run"),
        Later::Report(_) => ("report", "`affectflow show RUN` prints the scores of a run"),
        Later::Ui(_) => ("ui", "`affectflow runs` and `affectflow show RUN` print what is known"),
    };
    Err(not_yet(&format!("the command `{name}`"), instead))
}

/// The answer to something that has a place but is not there yet.
pub fn not_yet(what: &str, instead: &str) -> Failure {
    Failure::wrong(format!("{what} is not there yet"), instead)
}
