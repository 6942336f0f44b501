//! Group normalisation, with the SiLU that follows it almost everywhere, in two passes over the map

use candle_core::{CpuStorage, CustomOp3, DType, Layout, Module, Shape, Tensor, bail};

use crate::error::Result;
use crate::exp::exp;
use crate::weights::Weights;

/// A frozen group norm, with or without SiLU behind it
#[derive(Debug, Clone)]
pub(super) struct GroupNorm {
    weight: Tensor,
    bias: Tensor,
    composed: candle_nn::GroupNorm,
    fused: Fused,
}

#[derive(Debug, Clone, Copy)]
struct Fused {
    groups: usize,
    eps: f64,
    silu: bool,
}

impl GroupNorm {
    /// `groups` over `channels`, then SiLU
    pub(super) fn with_silu(weights: &Weights, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        Self::new(weights, channels, Fused { groups, eps, silu: true })
    }

    /// `groups` over `channels`
    pub(super) fn plain(weights: &Weights, groups: usize, channels: usize, eps: f64) -> Result<Self> {
        Self::new(weights, channels, Fused { groups, eps, silu: false })
    }

    fn new(weights: &Weights, channels: usize, fused: Fused) -> Result<Self> {
        let composed = weights.group_norm(fused.groups, channels, fused.eps)?;
        let (weight, bias) = (weights.tensor("weight", &[channels])?, weights.tensor("bias", &[channels])?);
        Ok(Self { weight, bias, composed, fused })
    }

    /// The normalised map `[B, C, H, W]`
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if x.device().is_cpu() && x.dtype() == DType::F32 {
            return x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &self.fused);
        }
        let normal = self.composed.forward(x)?;
        if self.fused.silu { normal.silu() } else { Ok(normal) }
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "group-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        weight: &CpuStorage,
        wl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let [_, channels, height, width] = *xl.dims() else { bail!("a group norm needs a map [B, C, H, W]") };
        let (weight, bias) = (values(weight, wl)?, values(bias, bl)?);
        let (area, a_group) = (height * width, channels / self.groups);
        let mut out = values(x, xl)?.to_vec();
        for (index, group) in out.chunks_exact_mut(a_group * area).enumerate() {
            let (mean, inverse) = self.moments(group);
            let first = index % self.groups * a_group;
            for (offset, plane) in group.chunks_exact_mut(area).enumerate() {
                let slope = weight[first + offset] * inverse;
                self.plane(plane, slope, bias[first + offset] - mean * slope);
            }
        }
        Ok((CpuStorage::F32(out), xl.shape().clone()))
    }
}

impl Fused {
    /// Mean, and one over the standard deviation
    fn moments(&self, group: &[f32]) -> (f32, f32) {
        let count = group.len() as f64;
        let mean = lanes_sum(group, |x| x) / count;
        let centre = mean as f32;
        let variance = lanes_sum(group, |x| (x - centre) * (x - centre)) / count;
        (centre, (1.0 / (variance + self.eps).sqrt()) as f32)
    }

    fn plane(&self, plane: &mut [f32], slope: f32, shift: f32) {
        let linear = |x: f32| x * slope + shift;
        match self.silu {
            true => plane.iter_mut().for_each(|x| *x = silu(linear(*x))),
            false => plane.iter_mut().for_each(|x| *x = linear(*x)),
        }
    }
}

#[inline(always)]
fn silu(x: f32) -> f32 {
    x / (1.0 + exp(-x))
}

/// A sum of `f` in double precision, in eight lanes
fn lanes_sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0f64; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += f(*value) as f64);
    }
    lanes.iter().sum::<f64>() + rest.iter().map(|value| f(*value) as f64).sum::<f64>()
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("a group norm needs contiguous tensors"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn agrees_with_the_composed_norm() -> candle_core::Result<()> {
        let x = Tensor::randn(3f32, 2.0, (2, 12, 5, 7), &Device::Cpu)?;
        let (weight, bias) =
            (Tensor::randn(1f32, 0.3, 12, &Device::Cpu)?, Tensor::randn(0f32, 0.3, 12, &Device::Cpu)?);
        for silu in [false, true] {
            let composed = candle_nn::GroupNorm::new(weight.clone(), bias.clone(), 12, 4, 1e-5)?;
            let fused = Fused { groups: 4, eps: 1e-5, silu };
            let norm = GroupNorm { weight: weight.clone(), bias: bias.clone(), composed, fused };
            let expected = norm.composed.forward(&x)?;
            let expected = if silu { expected.silu()? } else { expected };
            let error = (norm.forward(&x)? - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
            assert!(error < 5e-6, "off by {error}");
        }
        Ok(())
    }
}
