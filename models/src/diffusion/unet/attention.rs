//! Attention of pixels to pixels and of pixels to the context (diffusers `Attention`, frozen, one picture)

use candle_core::Tensor;

use super::super::softmax::softmax;
use crate::error::Result;
use crate::weights::Weights;

/// Scores held at a time when nobody asks for them: 64 MiB
const SCORES: usize = 1 << 24;

/// Queries from the pixels, keys and values from the pixels or from the context
#[derive(Debug, Clone)]
pub(super) struct Attention {
    heads: usize,
    query: Tensor,
    /// Keys above values: one product makes both
    key_value: Tensor,
    out: Tensor,
    out_bias: Tensor,
}

impl Attention {
    /// `heads` over `channels`; keys and values come from `source` channels
    pub(super) fn new(weights: &Weights, channels: usize, source: usize, heads: usize) -> Result<Self> {
        let weight = |name: &str, input| weights.pp(name).tensor("weight", &[channels, input]);
        let (key, value) = (weight("to_k", source)?, weight("to_v", source)?);
        Ok(Self {
            heads,
            query: weight("to_q", channels)?,
            key_value: Tensor::cat(&[key, value], 0)?,
            out: weight("to_out.0", channels)?,
            out_bias: weights.pp("to_out.0").tensor("bias", &[channels])?,
        })
    }

    /// `x [N, C]` attending to `source [M, S]`: what to add to x, `[N, C]`
    pub(super) fn forward(&self, x: &Tensor, source: &Tensor) -> candle_core::Result<Tensor> {
        let (query, key, value) = self.project(x, source)?;
        let (_, pixels, _) = query.dims3()?;
        let together = (SCORES / (pixels * key.dim(1)?)).clamp(1, self.heads);
        let attended = (0..self.heads).step_by(together).map(|first| {
            let count = together.min(self.heads - first);
            let part = |x: &Tensor| x.narrow(0, first, count);
            self.probabilities(&part(&query)?, &part(&key)?)?.matmul(&part(&value)?)
        });
        let attended = attended.collect::<candle_core::Result<Vec<_>>>()?;
        self.merge(&Tensor::cat(&attended, 0)?)
    }

    /// As [`Attention::forward`], with the probabilities `[N, M]` averaged over the heads
    pub(super) fn forward_with_map(
        &self,
        x: &Tensor,
        source: &Tensor,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let (query, key, value) = self.project(x, source)?;
        let probabilities = self.probabilities(&query, &key)?;
        let map = probabilities.mean(0)?;
        Ok((self.merge(&probabilities.matmul(&value)?)?, map))
    }

    /// Queries, keys and values, each `[heads, tokens, C/heads]`
    fn project(&self, x: &Tensor, source: &Tensor) -> candle_core::Result<(Tensor, Tensor, Tensor)> {
        let query = split(&x.matmul(&self.query.t()?)?, self.heads)?;
        let key_value = split(&source.matmul(&self.key_value.t()?)?, 2 * self.heads)?;
        Ok((query, key_value.narrow(0, 0, self.heads)?, key_value.narrow(0, self.heads, self.heads)?))
    }

    fn probabilities(&self, query: &Tensor, key: &Tensor) -> candle_core::Result<Tensor> {
        let width = query.dim(2)? as f64;
        softmax(&query.matmul(&key.t()?)?, width.powf(-0.5))
    }

    fn merge(&self, attended: &Tensor) -> candle_core::Result<Tensor> {
        let (_, tokens, _) = attended.dims3()?;
        let flat = attended.transpose(0, 1)?.reshape((tokens, ()))?;
        flat.matmul(&self.out.t()?)?.broadcast_add(&self.out_bias)
    }
}

/// `[N, C]` cut into `[parts, N, C/parts]`; the CPU multiplies the strided view as it is, other devices need a copy
fn split(x: &Tensor, parts: usize) -> candle_core::Result<Tensor> {
    let (tokens, channels) = x.dims2()?;
    let view = x.reshape((tokens, parts, channels / parts))?.transpose(0, 1)?;
    if x.device().is_cpu() { Ok(view) } else { view.contiguous() }
}
