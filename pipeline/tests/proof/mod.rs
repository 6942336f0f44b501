//! What the proofs share: toy kinds that note what they compute, projects in a folder, outcomes to compare, child processes.

#![allow(dead_code, unused_imports, reason = "each proof uses its own share")]

pub mod child;
pub mod damage;
pub mod folder;
pub mod graph;
pub mod hook;
pub mod ledger;
pub mod mix;
pub mod outcome;
pub mod pick;
pub mod project;
pub mod tally;
pub mod text;
pub mod whole;

use std::sync::Arc;

use affectflow_pipeline::stage::Retry;
use affectflow_pipeline::{About, Registry, Shape};

pub use self::ledger::{Computed, Ledger};
pub use self::outcome::Outcome;
pub use self::project::{Project, Ran};

/// The toy kinds, noting what they compute.
pub fn registry(ledger: &Arc<Ledger>) -> Registry {
    let mut registry = Registry::new();
    registry
        .add(folder::Folder)
        .add(mix::Mix(ledger.clone()))
        .add(pick::Pick)
        .add(tally::Tally(ledger.clone()));
    registry
}

/// The manual page of a toy.
fn about(kind: &'static str, shape: Shape) -> About {
    About {
        kind,
        version: 1,
        summary: "a toy",
        shape,
        columns: &[],
        example: "",
        scores: false,
        retry: Retry::Safe,
    }
}

/// The seed of a proof, so that the same commit is asked the same questions: `AFFECTFLOW_TEST_SEED` asks others. Whoever
/// uses it prints it.
pub fn seed() -> u64 {
    let asked = std::env::var("AFFECTFLOW_TEST_SEED");
    asked.map_or(1, |text| text.parse().expect("AFFECTFLOW_TEST_SEED is a number"))
}
