//! Which epoch's weights stay? Those of the best score on the source's val rows; of equals the later.

use affectflow_models::parameters::Parameters;
use candle_core::{Result, Tensor};

/// The best weights so far.
pub struct Best {
    /// The best score; negative infinity before the first.
    pub score: f64,
    /// Its weights in name order; none before the first.
    pub weights: Vec<Tensor>,
    /// Epochs since the score last rose.
    pub since: usize,
    patience: usize,
}

impl Best {
    /// Nothing yet; after `patience` epochs without a better score training may stop (0: never).
    pub fn new(patience: usize) -> Self {
        Best { score: f64::NEG_INFINITY, weights: Vec::new(), since: 0, patience }
    }

    /// Takes note of an epoch's score, and copies its weights if it is the best.
    pub fn offer(&mut self, score: f64, parameters: &Parameters) -> Result<()> {
        self.since = if score > self.score { 0 } else { self.since + 1 };
        if score >= self.score {
            self.score = score;
            self.weights = parameters.vars().map(|(_, var)| var.copy()).collect::<Result<_>>()?;
        }
        Ok(())
    }

    /// Whether the score has stood still long enough.
    pub fn done(&self) -> bool {
        self.patience > 0 && self.since >= self.patience
    }

    /// Puts the best weights back.
    pub fn restore(&self, parameters: &Parameters) -> Result<()> {
        set(parameters, &self.weights)
    }
}

/// Sets weights, as many as there are, from values in name order.
pub fn set(parameters: &Parameters, values: &[Tensor]) -> Result<()> {
    parameters.vars().zip(values).try_for_each(|((_, var), value)| var.set(value))
}
