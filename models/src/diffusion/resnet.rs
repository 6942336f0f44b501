//! The residual block shared by the VAE and the UNet (diffusers `ResnetBlock2D`)

use candle_core::Tensor;

use super::conv::{Conv, Geometry};
use super::group_norm::GroupNorm;
use crate::error::Result;
use crate::weights::Weights;

/// Norm, SiLU, convolution, twice, and the way round
#[derive(Debug, Clone)]
pub(super) struct ResnetBlock {
    norm1: GroupNorm,
    conv1: Conv,
    norm2: GroupNorm,
    conv2: Conv,
    shortcut: Option<Conv>,
}

/// What every block of a network has in common
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub(super) groups: usize,
    pub(super) eps: f64,
}

impl ResnetBlock {
    /// From `input` to `output` channels; `time` is the activated time embedding of a block that has one
    pub(super) fn new(
        weights: &Weights,
        input: usize,
        output: usize,
        norm: Norm,
        time: Option<&Tensor>,
    ) -> Result<Self> {
        let mut conv1 = Conv::new(&weights.pp("conv1"), input, output, Geometry::SAME)?;
        if let Some(time) = time {
            conv1 = conv1.shifted(&time_shift(&weights.pp("time_emb_proj"), time, output)?)?;
        }
        let shortcut = match input == output {
            true => None,
            false => Some(Conv::new(&weights.pp("conv_shortcut"), input, output, Geometry::POINT)?),
        };
        Ok(Self {
            norm1: GroupNorm::with_silu(&weights.pp("norm1"), norm.groups, input, norm.eps)?,
            conv1,
            norm2: GroupNorm::with_silu(&weights.pp("norm2"), norm.groups, output, norm.eps)?,
            conv2: Conv::new(&weights.pp("conv2"), output, output, Geometry::SAME)?,
            shortcut,
        })
    }

    /// `[B, out, H, W]` of `x [B, in, H, W]`
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let hidden = self.conv1.forward(&self.norm1.forward(x)?)?;
        let hidden = self.conv2.forward(&self.norm2.forward(&hidden)?)?;
        match &self.shortcut {
            Some(shortcut) => shortcut.forward(x)? + hidden,
            None => x + hidden,
        }
    }
}

/// What the time step adds to every pixel of a block's first convolution: constant, as the time step is
fn time_shift(weights: &Weights, time: &Tensor, output: usize) -> Result<Tensor> {
    let projection = weights.linear(time.elem_count(), output)?;
    let shift = candle_core::Module::forward(&projection, &time.reshape((1, ()))?)?;
    Ok(shift.flatten_all()?)
}
