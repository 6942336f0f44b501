//! `worker`: our stages for another engine, over the protocol of plugins.

use std::process::ExitCode;

use affectflow_pipeline::Registry;
use affectflow_pipeline::plan::manual::manual;
use affectflow_plugins::worker::{Offer, run as serve};

use super::stages::trial::planned;
use crate::exit::{Exit, Outcome};

/// Answers until standard input ends.
pub fn run(registry: &Registry) -> Outcome {
    let offer = |kind| {
        let trial = planned(registry, &manual(std::sync::Arc::as_ref(kind)))?;
        Offer::new(std::sync::Arc::clone(kind), &trial)
    };
    let ended = serve(registry.kinds().filter_map(offer).collect());
    Ok(if ended == ExitCode::SUCCESS { Exit::Done } else { Exit::Failed })
}
