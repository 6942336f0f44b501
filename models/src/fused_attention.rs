//! How do frozen networks attend with few tensor operations?
//!
//! Query, key and value share one product and one copy; the scale `1/√d` is folded into the query's weights when they
//! load. The softmax has no backward pass: nothing here can be trained

use candle_core::{D, Device, Result, Tensor};

use crate::dense::Dense;
use crate::small_ops::softmax;
use crate::weights::Weights;

/// How a width divides into attention heads
#[derive(Debug, Clone, Copy)]
pub(crate) struct Heads {
    pub count: usize,
    pub width: usize,
}

impl Heads {
    pub fn dim(self) -> usize {
        self.width / self.count
    }

    pub fn scale(self) -> f64 {
        1.0 / (self.dim() as f64).sqrt()
    }
}

/// Query, key and value projections as one matrix
pub(crate) struct FusedQkv {
    linear: Dense,
    heads: Heads,
}

impl FusedQkv {
    /// From three projections of the checkpoint, named in the order query, key, value
    pub fn from_three(weights: &Weights, names: [&str; 3], heads: Heads) -> crate::Result<Self> {
        let mut parts = Vec::new();
        for name in names {
            let weights = weights.pp(name);
            parts.push((
                weights.tensor("weight", &[heads.width, heads.width])?,
                weights.tensor("bias", &[heads.width])?,
            ));
        }
        let matrices: Vec<_> = parts.iter().map(|part| &part.0).collect();
        let biases: Vec<_> = parts.iter().map(|part| &part.1).collect();
        Ok(Self::scaled(Tensor::cat(&matrices, 0)?, Tensor::cat(&biases, 0)?, heads)?)
    }

    /// From one projection that the checkpoint already holds fused
    pub fn from_one(weights: &Weights, heads: Heads) -> crate::Result<Self> {
        let matrix = weights.tensor("weight", &[3 * heads.width, heads.width])?;
        let bias = weights.tensor("bias", &[3 * heads.width])?;
        Ok(Self::scaled(matrix, bias, heads)?)
    }

    fn scaled(matrix: Tensor, bias: Tensor, heads: Heads) -> Result<Self> {
        let scale = |tensor: &Tensor| {
            let query = (tensor.narrow(0, 0, heads.width)? * heads.scale())?;
            Tensor::cat(&[&query, &tensor.narrow(0, heads.width, 2 * heads.width)?.contiguous()?], 0)
        };
        Ok(Self { linear: Dense::new(&scale(&matrix)?, scale(&bias)?)?, heads })
    }

    /// `[batch, tokens, width]` to `[3, batch, heads, tokens, dim]`, queries already scaled
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, tokens, _) = x.dims3()?;
        let fused =
            self.linear.forward(x)?.reshape((batch, tokens, 3, self.heads.count, self.heads.dim()))?;
        fused.permute((2, 0, 3, 1, 4))?.contiguous()
    }
}

/// `softmax(q kᵀ + mask) v`, heads merged: `[batch, heads, tokens, dim]` to `[batch, tokens, width]`
pub(crate) fn attend(q: &Tensor, k: &Tensor, v: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
    let scores = q.matmul(&k.t()?)?;
    let scores = match mask {
        Some(mask) => scores.broadcast_add(mask)?,
        None => scores,
    };
    let mixed = softmax(&scores)?.matmul(v)?;
    mixed.transpose(1, 2)?.flatten_from(D::Minus2)
}

/// Additive mask `[tokens, past + tokens]`: a token sees the past, itself and what stands before it
pub(crate) fn causal_mask(tokens: usize, past: usize, like: &Tensor) -> Result<Tensor> {
    let total = past + tokens;
    let entry = |i: usize| if i % total > past + i / total { f32::NEG_INFINITY } else { 0.0 };
    let values: Vec<f32> = (0..tokens * total).map(entry).collect();
    Tensor::from_vec(values, (tokens, total), &Device::Cpu)?.to_device(like.device())?.to_dtype(like.dtype())
}
