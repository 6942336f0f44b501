//! The embedding of the time step (diffusers `Timesteps` and `TimestepEmbedding`), computed once a network

use candle_core::{Module, Tensor};

use super::config::Config;
use crate::error::Result;
use crate::weights::Weights;

const MAX_PERIOD: f64 = 10_000.0;

/// SiLU of the embedding of `timestep`, `[4·C₀]`: what every residual block projects
pub(super) fn activated_embedding(config: &Config, weights: &Weights, timestep: f64) -> Result<Tensor> {
    let width = config.block_out_channels[0];
    let waves = Tensor::from_vec(waves(config, width, timestep), (1, width), weights.device())?;
    let time = weights.pp("time_embedding");
    let hidden = time.pp("linear_1").linear(width, 4 * width)?.forward(&waves.to_dtype(weights.dtype())?)?;
    let embedding = time.pp("linear_2").linear(4 * width, 4 * width)?.forward(&hidden.silu()?)?;
    Ok(embedding.silu()?.flatten_all()?)
}

fn waves(config: &Config, width: usize, timestep: f64) -> Vec<f32> {
    let half = width / 2;
    let rate = -MAX_PERIOD.ln() / (half as f64 - config.freq_shift);
    // Rounded to single precision where torch rounds.
    let angle = |index: usize| timestep as f32 * ((index as f64 * rate) as f32).exp();
    let sines = (0..half).map(|index| angle(index).sin());
    let cosines = (0..half).map(|index| angle(index).cos());
    let mut waves: Vec<f32> = match config.flip_sin_to_cos {
        true => cosines.chain(sines).collect(),
        false => sines.chain(cosines).collect(),
    };
    waves.resize(width, 0.0);
    waves
}
