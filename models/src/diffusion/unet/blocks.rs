//! The levels of the UNet: on the way down, at the bottom, and on the way up

use candle_core::Tensor;

use super::super::conv::{Conv, Geometry};
use super::super::resnet::{Norm, ResnetBlock};
use super::config::Config;
use super::transformer::{Sizes, Transformer};
use crate::error::Result;
use crate::weights::Weights;

/// What the blocks need to know besides their weights
pub(super) struct Plan<'a> {
    pub(super) config: &'a Config,
    /// Activated time embedding
    pub(super) time: &'a Tensor,
}

impl Plan<'_> {
    fn resnet(&self, weights: &Weights, input: usize, output: usize) -> Result<ResnetBlock> {
        let norm = Norm { groups: self.config.norm_num_groups, eps: self.config.norm_eps };
        ResnetBlock::new(weights, input, output, norm, Some(self.time))
    }

    fn transformer(&self, weights: &Weights, level: usize) -> Result<Transformer> {
        let config = self.config;
        let sizes = Sizes {
            channels: config.block_out_channels[level],
            context: config.cross_attention_dim.at(level),
            heads: config.attention_head_dim.at(level),
            blocks: config.transformer_layers_per_block.at(level),
            groups: config.norm_num_groups,
        };
        Transformer::new(weights, sizes)
    }
}

/// A residual block and, where the level attends, its transformer
#[derive(Debug, Clone)]
struct Layer {
    resnet: ResnetBlock,
    transformer: Option<Transformer>,
}

impl Layer {
    fn new(
        plan: &Plan<'_>,
        weights: &Weights,
        index: usize,
        (input, level): (usize, usize),
        attends: bool,
    ) -> Result<Self> {
        let output = plan.config.block_out_channels[level];
        let resnet = plan.resnet(&weights.pp("resnets").pp(index), input, output)?;
        let transformer = match attends {
            true => Some(plan.transformer(&weights.pp("attentions").pp(index), level)?),
            false => None,
        };
        Ok(Self { resnet, transformer })
    }

    fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        maps: Option<&mut Vec<Tensor>>,
    ) -> candle_core::Result<Tensor> {
        let x = self.resnet.forward(x)?;
        match &self.transformer {
            Some(transformer) => transformer.forward(&x, context, maps),
            None => Ok(x),
        }
    }
}

/// One level on the way down
#[derive(Debug, Clone)]
pub(super) struct DownBlock {
    layers: Vec<Layer>,
    downsample: Option<Conv>,
}

impl DownBlock {
    pub(super) fn new(plan: &Plan<'_>, weights: &Weights, level: usize) -> Result<Self> {
        let channels = &plan.config.block_out_channels;
        let (input, output) = (channels[level.saturating_sub(1)], channels[level]);
        let layers = (0..plan.config.layers_per_block.at(level)).map(|index| {
            let input = if index == 0 { input } else { output };
            Layer::new(plan, weights, index, (input, level), plan.config.down_attends(level))
        });
        let downsample = match level + 1 < channels.len() {
            true => Some(Conv::new(&weights.pp("downsamplers.0.conv"), output, output, Geometry::HALVE)?),
            false => None,
        };
        Ok(Self { layers: layers.collect::<Result<_>>()?, downsample })
    }

    /// Pushes every state that the way up will need onto `skips`
    pub(super) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        skips: &mut Vec<Tensor>,
        mut maps: Option<&mut Vec<Tensor>>,
    ) -> candle_core::Result<Tensor> {
        let mut x = x.clone();
        for layer in &self.layers {
            x = layer.forward(&x, context, maps.as_deref_mut())?;
            skips.push(x.clone());
        }
        if let Some(downsample) = &self.downsample {
            x = downsample.forward(&x)?;
            skips.push(x.clone());
        }
        Ok(x)
    }
}

/// The bottom
#[derive(Debug, Clone)]
pub(super) struct MidBlock {
    before: ResnetBlock,
    transformer: Transformer,
    after: ResnetBlock,
}

impl MidBlock {
    pub(super) fn new(plan: &Plan<'_>, weights: &Weights) -> Result<Self> {
        let level = plan.config.levels() - 1;
        let channels = plan.config.block_out_channels[level];
        let resnet = |index| plan.resnet(&weights.pp("resnets").pp(index), channels, channels);
        Ok(Self {
            before: resnet(0)?,
            transformer: plan.transformer(&weights.pp("attentions.0"), level)?,
            after: resnet(1)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, context: &Tensor) -> candle_core::Result<Tensor> {
        let x = self.before.forward(x)?;
        self.after.forward(&self.transformer.forward(&x, context, None)?)
    }
}

/// One level on the way up
#[derive(Debug, Clone)]
pub(super) struct UpBlock {
    layers: Vec<Layer>,
    upsample: Option<Conv>,
}

impl UpBlock {
    /// `level` counts from the finest
    pub(super) fn new(plan: &Plan<'_>, weights: &Weights, level: usize) -> Result<Self> {
        let channels = &plan.config.block_out_channels;
        let output = channels[level];
        let below = channels[(level + 1).min(channels.len() - 1)];
        let last = plan.config.layers_per_block.at(level);
        let layers = (0..=last).map(|index| {
            let input = if index == 0 { below } else { output };
            // The last state that is met comes from the level above, before its own width.
            let skip = if index == last { channels[level.saturating_sub(1)] } else { output };
            Layer::new(plan, weights, index, (input + skip, level), plan.config.up_attends(level))
        });
        let upsample = match level > 0 {
            true => Some(Conv::new(&weights.pp("upsamplers.0.conv"), output, output, Geometry::SAME)?),
            false => None,
        };
        Ok(Self { layers: layers.collect::<Result<_>>()?, upsample })
    }

    /// The states after each of the layers that `tap` picks (by index), and the input of the next level
    pub(super) fn forward(
        &self,
        x: &Tensor,
        context: &Tensor,
        skips: &mut Vec<Tensor>,
        mut maps: Option<&mut Vec<Tensor>>,
        tap: usize,
    ) -> candle_core::Result<(Tensor, Tensor)> {
        let mut x = x.clone();
        let mut tapped = None;
        for (index, layer) in self.layers.iter().enumerate() {
            if let Some(skip) = skips.pop() {
                x = Tensor::cat(&[x, skip], 1)?;
            }
            x = layer.forward(&x, context, maps.as_deref_mut())?;
            if index == tap {
                tapped = Some(x.clone());
            }
        }
        let tapped = tapped.unwrap_or_else(|| x.clone());
        if let Some(upsample) = &self.upsample {
            let (_, _, height, width) = x.dims4()?;
            x = upsample.forward(&x.upsample_nearest2d(2 * height, 2 * width)?)?;
        }
        Ok((tapped, x))
    }
}
