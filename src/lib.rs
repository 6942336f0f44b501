//! The affectflow program as a library, so that a crate of your own can add stages and keep every command.
//!
//! ```no_run
//! use affectflow::{main_with, pipeline::Registry};
//!
//! fn add_mine(registry: &mut Registry) {
//!     // registry.add(MyStage);
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     main_with(add_mine)
//! }
//! ```
//!
//! Architecture invariant: this crate is the only one that prints or ends the process. Data goes to standard output,
//! everything else to standard error.

#[cfg(doctest)]
#[doc = include_str!("../plugins/README.md")]
struct PluginsReadme;

mod cli;
mod commands;
mod complete;
mod exit;
mod lsp;
mod project;
pub mod reference;
mod snapshot;
mod view;

use std::process::ExitCode;

pub use affectflow_pipeline as pipeline;
use affectflow_pipeline::Registry;
pub use affectflow_plugin as sdk;
pub use affectflow_plugins::plugin;
use affectflow_plugins::{Host, process::end_all, trust::Home};
pub use affectflow_stages as stages;

/// Runs the command line with the built-in kinds and those that `add` registers.
pub fn main_with(add: impl FnOnce(&mut Registry)) -> ExitCode {
    let mut registry = Registry::new();
    affectflow_stages::register(&mut registry);
    registry.host(Host::new(Home::of_user()));
    add(&mut registry);
    complete::answer(&registry);
    let cli = cli::parse();
    let ended = commands::dispatch(cli, &registry);
    end_all();
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => failure.report().into(),
    }
}
