//! One step of training, guarded: a loss or gradient that is not a number stops the stage with its place.

use affectflow_models::optim::{AdamW, Config, Group, Schedule};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::{StageError, StageResult};
use candle_core::Tensor;

/// The optimiser of the heads: AdamW under half a cosine over `total` steps, gradients cut to norm 1, biases not decayed.
pub fn optimiser(parameters: &Parameters, lr: f64, weight_decay: f64, total: usize) -> StageResult<AdamW> {
    let schedule = Schedule::Cosine { total };
    let config = Config { lr, weight_decay, clip: Some(1.0), schedule, ..Config::default() };
    Ok(AdamW::new([parameters], config, Group::no_decay_on_bias_and_norm)?)
}

/// One step down `loss`; returns it. `epoch` and `step` count from 0 and are named from 1.
pub fn step(optimiser: &mut AdamW, loss: &Tensor, epoch: usize, step: usize) -> StageResult<f64> {
    let value = loss.to_scalar::<f32>()?;
    let diverged = |what: String| {
        let place = format!("in epoch {}, step {}", epoch + 1, step + 1);
        Err(StageError::new(format!("training diverged {place}: {what}"))
            .hint("lower `lr`, or use `standardise: source`"))
    };
    if !value.is_finite() {
        return diverged(format!("the loss is {value}"));
    }
    match optimiser.backward_step(loss) {
        Ok(_) => Ok(f64::from(value)),
        Err(error) if error.to_string().contains("finite") => diverged("the gradient is not finite".into()),
        Err(error) => Err(error.into()),
    }
}
