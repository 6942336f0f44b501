//! Which emotion word fits the picture best: counterfactual language-image emotion alignment (KCDP,
//! docs/method.md §4).
//!
//! For every class c the label tokens `E_c` and the picture's knowledge k attend to each other in one multi-head
//! attention (torch's `MultiheadAttention`, names alike); the mean over its tokens is the scene `s_c`, and the score is
//! the cosine between `s_c` and the mapped visual vector, over a temperature.
//!
//! The scenes of all classes share k, so nothing of size `[classes, tokens, tokens]` is ever built. A softmax over the
//! keys `[E_c; k]` is a blend of the softmax over k and the softmax over `E_c`, weighted by the sigmoid of the
//! difference of their log-sums; k's part is the same for all classes. And since only the mean over queries is wanted,
//! attention is averaged over queries first and the value projection is applied to the averages, not to the tokens.

use candle_core::{CpuStorage, CustomOp1, D, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use crate::exp::{exp, largest};
use crate::linear::linear;
use crate::parameters::{Init, Scope};

/// Rows of scores a thread takes at a time.
const ROWS: usize = 256;

/// Sizes of the alignment.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Width of the label tokens and of the knowledge (768 with CLIP ViT-L/14).
    pub width: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Length of the visual vector v (1024 with four levels of 256).
    pub visual: usize,
    /// The cosine is divided by this.
    pub temperature: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { width: 768, heads: 8, visual: 1024, temperature: 0.07 }
    }
}

/// The trained alignment.
#[derive(Debug, Clone)]
pub struct Cliea {
    config: Config,
    query_key: (Tensor, Tensor),
    value: (Tensor, Tensor),
    out: (Tensor, Tensor),
    mapping: (Tensor, Tensor),
}

impl Cliea {
    /// The alignment of `config`, started as torch starts `MultiheadAttention` and `Linear`.
    pub fn new(config: Config, mut scope: Scope<'_>) -> Result<Self> {
        let Config { width, heads, visual, .. } = config;
        if heads == 0 || !width.is_multiple_of(heads) {
            bail!("{heads} attention heads do not divide a width of {width}")
        }
        let weight =
            scope.get("in_proj_weight", (3 * width, width), Init::xavier_uniform(width, 3 * width))?;
        let bias = scope.get("in_proj_bias", 3 * width, Init::Zeros)?;
        let mut sub = scope.sub("out_proj");
        let out =
            (sub.get("weight", (width, width), Init::linear(width))?, sub.get("bias", width, Init::Zeros)?);
        let mut sub = scope.sub("mapping");
        let mapping = (
            sub.get("weight", (width, visual), Init::linear(visual))?,
            sub.get("bias", width, Init::linear(visual))?,
        );
        Ok(Self {
            query_key: (weight.narrow(0, 0, 2 * width)?, bias.narrow(0, 0, 2 * width)?),
            value: (weight.narrow(0, 2 * width, width)?, bias.narrow(0, 2 * width, width)?),
            out,
            mapping,
            config,
        })
    }

    /// Scores `[B, classes]` of visual vectors `v [B, visual]` against `labels [classes, L, width]` and knowledge
    /// `k [B, T, width]` (float32).
    pub fn scores(&self, labels: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
        self.similarity(v, &self.scenes(labels, k)?)
    }

    /// The scenes `s [B, classes, width]`: the mean token of the attention over `[E_c; k]`.
    pub fn scenes(&self, labels: &Tensor, k: &Tensor) -> Result<Tensor> {
        let (_, _, width) = labels.dims3()?;
        let (_, _, knowledge_width) = k.dims3()?;
        if width != self.config.width || knowledge_width != self.config.width {
            bail!(
                "label tokens {width} wide and knowledge {knowledge_width} wide do not fit an alignment of {}",
                self.config.width
            )
        }
        let weights = self.mean_attention(labels, k)?;
        self.scene(&weights, labels, k)
    }

    /// The temperature-scaled cosine `[B, classes]` between mapped `v [B, visual]` and `scenes [B, classes, width]`.
    pub fn similarity(&self, v: &Tensor, scenes: &Tensor) -> Result<Tensor> {
        let mapped = linear(v, &self.mapping.0, Some(&self.mapping.1))?.unsqueeze(1)?;
        let dot = scenes.broadcast_mul(&mapped)?.sum(D::Minus1)?;
        let norms = norm(scenes)?.broadcast_mul(&norm(&mapped)?)?;
        (dot / norms)? / self.config.temperature
    }

    /// Attention from the mean query, per head and class, on knowledge and on label tokens.
    fn mean_attention(&self, labels: &Tensor, k: &Tensor) -> Result<MeanAttention> {
        let (classes, length, _) = labels.dims3()?;
        let (batch, tokens, _) = k.dims3()?;
        let heads = self.config.heads;
        let [qk, kk] = self.query_key(k)?;
        let [qe, ke] = self.query_key(labels)?;
        let of_labels = (batch, heads, tokens, classes, length);

        // Queries from the knowledge; its own softmax stays unnormalised, the sums go into the gates.
        let shared = Exponentials::of(&qk.matmul(&kk.t()?.contiguous()?)?)?;
        let flat_keys = ke.transpose(0, 1)?.reshape((1, heads, classes * length, ()))?;
        let on_labels = Exponentials::of(&against(&qk, &flat_keys)?.reshape(of_labels)?)?;
        let gate = sigmoid(&shared.log_sum()?.broadcast_sub(&on_labels.log_sum()?.squeeze(4)?)?)?;
        let mut on_k = gate.broadcast_div(&shared.sum)?.t()?.contiguous()?.matmul(&shared.values)?;
        let left = gate.affine(-1.0, 1.0)?.unsqueeze(4)?;
        let mut on_e = on_labels.softmax()?.broadcast_mul(&left)?.sum(2)?;

        // Queries from the label tokens.
        let flat_queries = qe.transpose(0, 1)?.reshape((1, heads, classes * length, ()))?;
        let on_shared = against(&kk, &flat_queries)?.transpose(2, 3)?.contiguous()?;
        let on_shared = Exponentials::of(&on_shared.reshape((batch, heads, classes, length, tokens))?)?;
        let own = Exponentials::of(&qe.matmul(&ke.t()?.contiguous()?)?.transpose(0, 1)?.contiguous()?)?;
        let gate = sigmoid(&on_shared.log_sum()?.broadcast_sub(&own.log_sum()?.unsqueeze(0)?)?)?;
        on_k = (on_k + on_shared.softmax()?.broadcast_mul(&gate)?.sum(3)?)?;
        let left = gate.affine(-1.0, 1.0)?;
        on_e = (on_e + left.broadcast_mul(&own.softmax()?.unsqueeze(0)?)?.sum(3)?)?;

        let queries = (tokens + length) as f64;
        Ok(MeanAttention { on_k: (on_k / queries)?, on_e: (on_e / queries)? })
    }

    /// Values and output projection of averaged attention: `[B, classes, width]`.
    fn scene(&self, weights: &MeanAttention, labels: &Tensor, k: &Tensor) -> Result<Tensor> {
        let (batch, heads, classes, tokens) = weights.on_k.dims4()?;
        let (_, length, width) = labels.dims3()?;
        let of_k = weights.on_k.reshape((batch, heads * classes, tokens))?.matmul(k)?;
        let of_k = of_k.reshape((batch, heads, classes, width))?.permute((1, 0, 2, 3))?;
        let of_e = weights.on_e.permute((2, 1, 0, 3))?.reshape((classes, heads * batch, length))?;
        let of_e = of_e.matmul(labels)?.reshape((classes, heads, batch, width))?.permute((1, 2, 0, 3))?;
        let mixed = (of_k + of_e)?.reshape((heads, batch * classes, width))?;
        let value = self.value.0.reshape((heads, width / heads, width))?;
        let attended = mixed.matmul(&value.t()?)?.transpose(0, 1)?.reshape((batch, classes, width))?;
        linear(&attended.broadcast_add(&self.value.1)?, &self.out.0, Some(&self.out.1))
    }

    /// Queries (scaled) and keys `[N, heads, tokens, width/heads]` of `x [N, tokens, width]`.
    fn query_key(&self, x: &Tensor) -> Result<[Tensor; 2]> {
        let (n, tokens, width) = x.dims3()?;
        let (heads, head_width) = (self.config.heads, width / self.config.heads);
        let both = linear(x, &self.query_key.0, Some(&self.query_key.1))?;
        let both = both.reshape((n, tokens, 2, heads, head_width))?.permute((2, 0, 3, 1, 4))?;
        let query = (both.get(0)?.contiguous()? * (head_width as f64).powf(-0.5))?;
        Ok([query, both.get(1)?.contiguous()?])
    }
}

/// Weights over knowledge `[B, heads, classes, T]` and over label tokens `[B, heads, classes, L]`, together summing to 1.
struct MeanAttention {
    on_k: Tensor,
    on_e: Tensor,
}

/// Exponentials of scores less their largest, over the last dimension.
struct Exponentials {
    values: Tensor,
    sum: Tensor,
    largest: Tensor,
}

impl Exponentials {
    fn of(scores: &Tensor) -> Result<Self> {
        // The shift cancels, so it needs no gradient.
        let largest = scores.detach().max_keepdim(D::Minus1)?;
        let values = match scores.device().is_cpu() {
            true => scores.contiguous()?.apply_op1(ExpOfShifted)?,
            false => scores.broadcast_sub(&largest)?.exp()?,
        };
        let sum = values.sum_keepdim(D::Minus1)?;
        Ok(Self { values, sum, largest })
    }

    fn softmax(&self) -> Result<Tensor> {
        self.values.broadcast_div(&self.sum)
    }

    fn log_sum(&self) -> Result<Tensor> {
        self.sum.log()? + &self.largest
    }
}

/// e^(x − the row's largest x) over the last dimension, in one pass; the shift carries no gradient.
struct ExpOfShifted;

impl CustomOp1 for ExpOfShifted {
    fn name(&self) -> &'static str {
        "exp-of-shifted"
    }

    fn cpu_fwd(&self, scores: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let start = layout.start_offset();
        let mut values = scores.as_slice::<f32>()?[start..start + layout.shape().elem_count()].to_vec();
        let width = layout.dims().last().copied().unwrap_or(1).max(1);
        values.par_chunks_mut(ROWS * width).for_each(|rows| {
            for row in rows.chunks_exact_mut(width) {
                let top = largest(row);
                row.iter_mut().for_each(|value| *value = exp(*value - top));
            }
        });
        Ok((CpuStorage::F32(values), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, values: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some((values * grad)?))
    }
}

fn sigmoid(x: &Tensor) -> Result<Tensor> {
    candle_nn::ops::sigmoid(&x.contiguous()?)
}

/// `x [B, heads, T, d]` against `y [1, heads, N, d]`: `[B, heads, T, N]`.
fn against(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (batch, heads, tokens, width) = x.dims4()?;
    let rows = x.transpose(0, 1)?.reshape((heads, batch * tokens, width))?;
    let product = rows.matmul(&y.squeeze(0)?.t()?.contiguous()?)?;
    product.reshape((heads, batch, tokens, ()))?.transpose(0, 1)?.contiguous()
}

/// Lengths of the last dimension (removed), never quite zero so that the gradient stays finite.
fn norm(x: &Tensor) -> Result<Tensor> {
    (x.sqr()?.sum(D::Minus1)? + 1e-16)?.sqrt()
}
