//! The softmax of scaled attention scores, in one pass over each row and without a backward pass

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use crate::exp::{exp, largest};

/// Softmax over the last dimension of `scores · scale`
pub(super) fn softmax(scores: &Tensor, scale: f64) -> Result<Tensor> {
    if scores.device().is_cpu() && scores.dtype() == DType::F32 && scores.is_contiguous() {
        return scores.apply_op1_no_bwd(&ScaledSoftmax(scale as f32));
    }
    candle_nn::ops::softmax_last_dim(&(scores.contiguous()? * scale)?)
}

struct ScaledSoftmax(f32);

impl CustomOp1 for ScaledSoftmax {
    fn name(&self) -> &'static str {
        "scaled-softmax"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let start = layout.start_offset();
        let scores = &storage.as_slice::<f32>()?[start..start + layout.shape().elem_count()];
        let width = layout.dims().last().copied().unwrap_or(1);
        let mut out = scores.to_vec();
        out.chunks_exact_mut(width.max(1)).for_each(|row| self.row(row));
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }
}

impl ScaledSoftmax {
    fn row(&self, row: &mut [f32]) {
        let top = largest(row) * self.0;
        row.iter_mut().for_each(|value| *value = exp(*value * self.0 - top));
        let inverse = 1.0 / lanes_sum(row);
        row.iter_mut().for_each(|value| *value *= inverse);
    }
}

/// A sum in eight lanes: a fixed order that vector units like
fn lanes_sum(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let mut lanes = [0f32; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value);
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn agrees_with_the_composed_softmax() -> Result<()> {
        let scores = Tensor::rand(-30f32, 30.0, (3, 5, 13), &Device::Cpu)?;
        let expected = candle_nn::ops::softmax(&(&scores * 0.7)?, 2)?;
        let error = (softmax(&scores, 0.7)? - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(error < 1e-6, "off by {error}");
        Ok(())
    }
}
