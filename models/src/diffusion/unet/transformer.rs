//! The transformer between two residual blocks (diffusers `Transformer2DModel` of `BasicTransformerBlock`)

use candle_core::{D, Module, Tensor};
use candle_nn::{LayerNorm, Linear};

use super::super::conv::Conv;
use super::super::group_norm::GroupNorm;
use super::attention::Attention;
use crate::error::Result;
use crate::weights::Weights;

/// Epsilon of the norm before the blocks, and of their layer norms
const GROUP_EPS: f64 = 1e-6;
const LAYER_EPS: f64 = 1e-5;

/// Sizes of a transformer
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) channels: usize,
    pub(super) context: usize,
    pub(super) heads: usize,
    pub(super) blocks: usize,
    pub(super) groups: usize,
}

/// Pixels attend to each other and to the context
#[derive(Debug, Clone)]
pub(super) struct Transformer {
    norm: GroupNorm,
    proj_in: Conv,
    blocks: Vec<Block>,
    proj_out: Conv,
}

impl Transformer {
    pub(super) fn new(weights: &Weights, sizes: Sizes) -> Result<Self> {
        let channels = sizes.channels;
        let blocks = (0..sizes.blocks)
            .map(|index| Block::new(&weights.pp("transformer_blocks").pp(index), sizes))
            .collect::<Result<_>>()?;
        Ok(Self {
            norm: GroupNorm::plain(&weights.pp("norm"), sizes.groups, channels, GROUP_EPS)?,
            proj_in: Conv::from_linear(&weights.pp("proj_in"), channels, channels)?,
            blocks,
            proj_out: Conv::from_linear(&weights.pp("proj_out"), channels, channels)?,
        })
    }

    /// `[1, C, H, W]` of `x` and `context [T, width]`; the cross-attention maps `[H·W, T]`, averaged over heads, go to
    /// `maps` where given
    pub(super) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        mut maps: Option<&mut Vec<Tensor>>,
    ) -> candle_core::Result<Tensor> {
        let (_, channels, height, width) = x.dims4()?;
        let hidden = self.proj_in.forward(&self.norm.forward(x)?)?;
        let mut hidden = hidden.reshape((channels, height * width))?.t()?.contiguous()?;
        for block in &self.blocks {
            hidden = block.forward(&hidden, context, maps.as_deref_mut())?;
        }
        let hidden = hidden.t()?.contiguous()?.reshape((1, channels, height, width))?;
        x + self.proj_out.forward(&hidden)?
    }
}

#[derive(Debug, Clone)]
struct Block {
    norms: [LayerNorm; 3],
    self_attention: Attention,
    cross_attention: Attention,
    gated: Linear,
    out: Linear,
}

impl Block {
    fn new(weights: &Weights, sizes: Sizes) -> Result<Self> {
        let Sizes { channels, context, heads, .. } = sizes;
        let norm = |name: &str| weights.pp(name).layer_norm(channels, LAYER_EPS);
        let feed_forward = weights.pp("ff.net");
        Ok(Self {
            norms: [norm("norm1")?, norm("norm2")?, norm("norm3")?],
            self_attention: Attention::new(&weights.pp("attn1"), channels, channels, heads)?,
            cross_attention: Attention::new(&weights.pp("attn2"), channels, context, heads)?,
            gated: feed_forward.pp("0.proj").linear(channels, 8 * channels)?,
            out: feed_forward.pp(2).linear(4 * channels, channels)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        maps: Option<&mut Vec<Tensor>>,
    ) -> candle_core::Result<Tensor> {
        let normal = self.norms[0].forward(x)?;
        let x = (x + self.self_attention.forward(&normal, &normal)?)?;
        let normal = self.norms[1].forward(&x)?;
        let attended = match maps {
            None => self.cross_attention.forward(&normal, context)?,
            Some(maps) => {
                let (attended, map) = self.cross_attention.forward_with_map(&normal, context)?;
                maps.push(map);
                attended
            }
        };
        let x = (x + attended)?;
        let both = self.gated.forward(&self.norms[2].forward(&x)?)?;
        let half = both.dim(D::Minus1)? / 2;
        let gate = both.narrow(1, half, half)?.contiguous()?.gelu_erf()?;
        x + self.out.forward(&(both.narrow(1, 0, half)? * gate)?)?
    }
}
