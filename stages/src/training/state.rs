//! What does training carry from epoch to epoch? Weights, the optimiser, the best weights so far and what was told: enough to
//! go on, from its bytes alone, to the same bits as without a stop.
//!
//! The order of rows and the pseudo-labels follow from epoch, seed and weights, and are not kept. As bytes it is an artifact
//! (safetensors with a header) whose weights bear their own names.

use std::collections::HashMap;

use affectflow_models::optim::{AdamW, Steps};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::{StageError, StageResult};
use bytes::Bytes;
use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::artifact;
use super::best::{Best, set};
use super::ledger::{Ledger, Told};

/// Raised when the bytes below change their meaning.
const FORMAT: u32 = 1;
/// How errors name the bytes.
const NAME: &str = "checkpoint";

/// The state of training between two epochs.
pub struct State<'a> {
    /// The weights in training.
    pub parameters: &'a Parameters,
    /// How they step.
    pub optimiser: AdamW,
    /// The best so far.
    pub best: Best,
    /// What was told.
    pub ledger: Ledger<'a>,
}

#[derive(Serialize, Deserialize)]
struct Header {
    format: u32,
    /// The version of the program: another may round otherwise.
    program: String,
    steps: Steps,
    /// The bits of the best score.
    score: u64,
    since: usize,
    told: Vec<Told>,
}

impl State<'_> {
    /// The state as bytes.
    pub fn encode(&self) -> StageResult<Bytes> {
        let header = Header {
            format: FORMAT,
            program: env!("CARGO_PKG_VERSION").into(),
            steps: self.optimiser.steps(),
            score: self.best.score.to_bits(),
            since: self.best.since,
            told: self.ledger.told().to_vec(),
        };
        let moments = self.optimiser.moments().map(|(name, moment)| (name, moment.clone()));
        let names = self.parameters.vars().map(|(name, _)| best_of(name));
        let best = names.zip(self.best.weights.iter().cloned());
        let further: Vec<(String, Tensor)> = moments.chain(best).collect();
        artifact::save(self.parameters, &further, &header)
    }

    /// Takes over a state from its bytes. Those of another training or version are refused, and nothing is changed.
    pub fn restore(&mut self, bytes: &[u8], steps: usize) -> StageResult<()> {
        let (header, tensors): (Header, _) = artifact::load(NAME, bytes)?;
        let here = (FORMAT, env!("CARGO_PKG_VERSION"), steps);
        let there = (header.format, header.program.as_str(), header.steps.all);
        if there != here {
            return Err(StageError::new(format!(
                "it is of format, version and step {there:?}, and {here:?} was expected"
            )));
        }
        let weights = self.weights(&tensors, str::to_owned)?;
        let best = match tensors.keys().any(|name| name.starts_with(BEST)) {
            true => self.weights(&tensors, best_of)?,
            false => Vec::new(),
        };
        self.optimiser.resume(&header.steps, &tensors)?;
        set(self.parameters, &weights)?;
        (self.best.score, self.best.since, self.best.weights) =
            (f64::from_bits(header.score), header.since, best);
        self.ledger.again(header.told);
        Ok(())
    }

    /// A tensor for each weight, of its shape.
    fn weights(
        &self,
        tensors: &HashMap<String, Tensor>,
        name: impl Fn(&str) -> String,
    ) -> StageResult<Vec<Tensor>> {
        let found = self.parameters.vars().map(|(weight, var)| {
            let found = artifact::tensor(NAME, tensors, &name(weight))?;
            match found.shape() == var.shape() && found.dtype() == DType::F32 {
                true => Ok(found),
                false => Err(StageError::new(format!("`{weight}` has another shape"))),
            }
        });
        found.collect()
    }
}

const BEST: &str = "best.";

fn best_of(name: &str) -> String {
    format!("{BEST}{name}")
}
