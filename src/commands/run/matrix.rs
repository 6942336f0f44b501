//! A pipeline with a `matrix:`: a run for each combination, one after the other over one cache, then all of them side by side.

use std::sync::atomic::Ordering;

use affectflow_pipeline::Registry;
use affectflow_pipeline::plan::Plan;
use affectflow_pipeline::run::{self, Options, State};

use super::{Args, ended, observer};
use crate::exit::{Exit, Outcome};
use crate::view::combinations::{Ran, combination, compared, scores_of};
use crate::view::summary::metrics;

/// Runs every combination; one that fails does not keep the others from running. The worst exit code counts.
pub fn run(args: &Args, plans: &[Plan], registry: &Registry, state: &State, options: &Options) -> Outcome {
    let mut options = options.clone();
    let mut worst = Exit::Done;
    let mut ran = Vec::with_capacity(plans.len());
    for (at, plan) in plans.iter().enumerate() {
        if !args.quiet {
            eprintln!(
                "{}{} of {}: {}",
                if at > 0 { "\n" } else { "" },
                at + 1,
                plans.len(),
                combination(plan)
            );
        }
        let (record, result) = run::run(plan, registry, state, &options, observer(args))?;
        options.parent.get_or_insert_with(|| record.id.clone());
        let scores = scores_of(&metrics(&record));
        let exit = ended(args, &record, result).unwrap_or_else(|failure| failure.report());
        worst = worse(worst, exit);
        ran.push(Ran { matrix: plan.matrix.clone(), record, scores });
        if options.interrupt.load(Ordering::SeqCst) {
            break;
        }
    }
    if !args.quiet {
        eprint!("\n{}", compared(&ran));
    }
    Ok(worst)
}

/// Of two exit codes the one that says more of what went wrong.
fn worse(one: Exit, other: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Done => 0,
        Exit::Quarantined => 1,
        Exit::Failed => 2,
        Exit::Wrong => 3,
        Exit::Damaged => 4,
        Exit::Interrupted => 5,
    };
    if rank(other) > rank(one) { other } else { one }
}
