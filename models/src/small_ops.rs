//! How are softmax and LayerNorm computed on a handful of rows?
//!
//! candle's fused versions hand every call to the thread pool, which costs more than the work when a beam-search step
//! has three rows, and stalls on a busy machine. Small CPU tensors are computed here on the calling thread; large ones,
//! other dtypes and other devices take candle's. The choice depends on the shape alone, so results do not vary. There is
//! no backward pass in either

use candle_core::{CpuStorage, CustomOp1, CustomOp3, D, DType, Layout, Result, Shape, Tensor};
use candle_nn::Module;

/// Elements from which the thread pool pays
const LARGE: usize = 64 * 1024;

fn is_small(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32 && x.is_contiguous() && x.elem_count() < LARGE
}

/// Softmax over the last axis
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    if is_small(x) { x.apply_op1_no_bwd(&SmallSoftmax) } else { candle_nn::ops::softmax_last_dim(x) }
}

/// LayerNorm over the last axis with scale and shift
pub(crate) struct Norm {
    inner: candle_nn::LayerNorm,
    small: SmallNorm,
    weight: Tensor,
    bias: Tensor,
}

impl Norm {
    pub fn new(weight: Tensor, bias: Tensor, eps: f64) -> Self {
        let inner = candle_nn::LayerNorm::new(weight.clone(), bias.clone(), eps);
        Self { inner, small: SmallNorm { eps: eps as f32 }, weight, bias }
    }

    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if !is_small(x) || x.dim(D::Minus1)? != self.weight.elem_count() {
            return self.inner.forward(x);
        }
        x.apply_op3_no_bwd(&self.weight, &self.bias, &self.small)
    }
}

struct SmallSoftmax;

impl CustomOp1 for SmallSoftmax {
    fn name(&self) -> &'static str {
        "small-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut values = contiguous(storage, layout)?.to_vec();
        for row in values.chunks_exact_mut(last_dim(layout)) {
            let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            row.iter_mut().for_each(|value| *value = (*value - highest).exp());
            let scale = 1.0 / sum(row);
            row.iter_mut().for_each(|value| *value *= scale);
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

struct SmallNorm {
    eps: f32,
}

impl CustomOp3 for SmallNorm {
    fn name(&self) -> &'static str {
        "small-layer-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (weight, bias) = (contiguous(weight, weight_layout)?, contiguous(bias, bias_layout)?);
        let mut values = contiguous(x, layout)?.to_vec();
        let width = last_dim(layout);
        for row in values.chunks_exact_mut(width) {
            let mean = sum(row) / width as f32;
            row.iter_mut().for_each(|value| *value -= mean);
            let scale = 1.0 / (sum_of_squares(row) / width as f32 + self.eps).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
                *value = *value * scale * weight + bias;
            }
        }
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }
}

fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("a contiguous tensor is needed"),
    }
}

fn last_dim(layout: &Layout) -> usize {
    layout.dims().last().copied().unwrap_or(1).max(1)
}

/// Eight running sums, so that the order is fixed and the compiler may use wide registers
fn sum_by(row: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; 8];
    let chunks = row.chunks_exact(8);
    let rest: f32 = chunks.remainder().iter().map(|value| of(*value)).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += of(*value));
    }
    lanes.iter().sum::<f32>() + rest
}

fn sum(row: &[f32]) -> f32 {
    sum_by(row, |value| value)
}

fn sum_of_squares(row: &[f32]) -> f32 {
    sum_by(row, |value| value * value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    fn values(shape: (usize, usize, usize), device: &Device) -> Tensor {
        let count = shape.0 * shape.1 * shape.2;
        let wave = |i: usize| ((i * 7919 % 1013) as f32 / 200.0).sin() * 3.0 + 1.0;
        Tensor::from_vec((0..count).map(wave).collect::<Vec<_>>(), shape, device).unwrap()
    }

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        (a - b).unwrap().abs().unwrap().flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn small_and_large_paths_agree() {
        for shape in [(1, 1, 1), (2, 3, 13), (3, 5, 64)] {
            let x = values(shape, &Device::Cpu);
            assert!(is_small(&x));
            assert!(distance(&softmax(&x).unwrap(), &candle_nn::ops::softmax_last_dim(&x).unwrap()) < 1e-6);
            let (weight, bias) =
                (values((1, 1, shape.2), &Device::Cpu), values((1, 1, shape.2), &Device::Cpu));
            let norm = Norm::new(weight.flatten_all().unwrap(), bias.flatten_all().unwrap(), 1e-5);
            assert!(distance(&norm.forward(&x).unwrap(), &norm.inner.forward(&x).unwrap()) < 1e-4);
        }
    }

    #[test]
    fn a_masked_row_keeps_what_it_may_see() {
        let x = Tensor::new(&[[0.0f32, f32::NEG_INFINITY], [1.0, 1.0]], &Device::Cpu).unwrap();
        assert_eq!(softmax(&x).unwrap().to_vec2::<f32>().unwrap(), [[1.0, 0.0], [0.5, 0.5]]);
    }
}
