//! What does Stable Diffusion see in a latent, given words: its UNet, run once and read on the way up
//! (docs/method.md §3.2)
//!
//! Level 0 is the output of the last up-block, every coarser level the state after the second layer of its up-block.
//! Levels between the finest and the coarsest also carry the cross-attention maps of their resolution, averaged over
//! heads, then over layers, down-block and up-block alike. Nothing after the last tap is computed

mod attention;
mod blocks;
mod config;
mod time;
mod transformer;

use candle_core::Tensor;

pub use config::{Config, PerLevel};

use super::conv::{Conv, Geometry};
use crate::error::{Error, Result};
use crate::weights::Weights;
use blocks::{DownBlock, MidBlock, Plan, UpBlock};

/// The state after this layer of an up-block is tapped
const TAPPED_LAYER: usize = 1;

/// The UNet, frozen at one time step
#[derive(Debug, Clone)]
pub struct Unet {
    config: Config,
    conv_in: Conv,
    down: Vec<DownBlock>,
    mid: MidBlock,
    /// Deepest first
    up: Vec<UpBlock>,
}

/// What is read at one level
#[derive(Debug, Clone)]
pub struct Tap {
    /// The level, counted from the finest
    pub level: usize,
    /// The state `[C, H, W]`
    pub features: Tensor,
    /// Mean cross-attention `[T, H, W]`; every pixel sums to 1
    pub attention: Option<Tensor>,
}

impl Tap {
    /// Features and attention one above the other, `[C + T, H, W]`: a level of the pyramid's input
    pub fn stacked(&self) -> Result<Tensor> {
        match &self.attention {
            Some(attention) => Ok(Tensor::cat(&[&self.features, attention], 0)?),
            None => Ok(self.features.clone()),
        }
    }
}

impl Unet {
    /// The network of `config` at `timestep`, from the weights of `unet/`
    pub fn new(config: &Config, weights: &Weights, timestep: f64) -> Result<Self> {
        config.check("unet/config.json")?;
        let time = time::activated_embedding(config, weights, timestep)?;
        let plan = Plan { config, time: &time };
        let levels = config.levels();
        let first = config.block_out_channels[0];
        let conv_in = Conv::new(&weights.pp("conv_in"), config.in_channels, first, Geometry::SAME)?;
        let down = weights.pp("down_blocks");
        let up = weights.pp("up_blocks");
        Ok(Self {
            conv_in,
            down: (0..levels).map(|i| DownBlock::new(&plan, &down.pp(i), i)).collect::<Result<_>>()?,
            mid: MidBlock::new(&plan, &weights.pp("mid_block"))?,
            up: (0..levels).map(|i| UpBlock::new(&plan, &up.pp(i), levels - 1 - i)).collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// Its configuration
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Runs on `latent [1, 4, h, w]` and `context [1, T, width]` and hands each level to `visit` as soon as it is
    /// known, coarsest first
    pub fn visit(
        &self,
        latent: &Tensor,
        context: &Tensor,
        mut visit: impl FnMut(Tap) -> Result<()>,
    ) -> Result<()> {
        self.check(latent, context)?;
        let context = context.squeeze(0)?.contiguous()?;
        let levels = self.config.levels();
        let carries_maps = |level: usize| level > 0 && level + 1 < levels;
        let mut maps = vec![Vec::new(); levels];
        let mut x = self.conv_in.forward(latent)?;
        let mut skips = vec![x.clone()];
        for (level, block) in self.down.iter().enumerate() {
            let maps = carries_maps(level).then_some(&mut maps[level]);
            x = block.forward(&x, &context, &mut skips, maps)?;
        }
        x = self.mid.forward(&x, &context)?;
        for (index, block) in self.up.iter().enumerate() {
            let level = levels - 1 - index;
            let tap = if level == 0 { usize::MAX } else { TAPPED_LAYER };
            let wanted = carries_maps(level).then_some(&mut maps[level]);
            let (tapped, next) = block.forward(&x, &context, &mut skips, wanted, tap)?;
            let attention = mean_map(std::mem::take(&mut maps[level]), &tapped)?;
            visit(Tap { level, features: tapped.squeeze(0)?, attention })?;
            x = next;
        }
        Ok(())
    }

    /// All taps, finest first
    pub fn taps(&self, latent: &Tensor, context: &Tensor) -> Result<Vec<Tap>> {
        let mut taps = Vec::with_capacity(self.up.len());
        self.visit(latent, context, |tap| {
            taps.push(tap);
            Ok(())
        })?;
        taps.reverse();
        Ok(taps)
    }

    fn check(&self, latent: &Tensor, context: &Tensor) -> Result<()> {
        let (channels, reduction) = (self.config.in_channels, self.config.reduction());
        let side = |side: usize| side > 0 && side.is_multiple_of(reduction);
        match *latent.dims() {
            [1, c, height, width] if c == channels && side(height) && side(width) => {}
            ref dims => {
                return Err(Error::Input(format!(
                    "the UNet takes one latent `[1, {channels}, height, width]` with sides divisible by {reduction}, \
                     got {dims:?}\nhint: use pictures whose sides are divisible by {}",
                    8 * reduction
                )));
            }
        }
        let width = self.config.cross_attention_dim.at(0);
        match *context.dims() {
            [1, tokens, found] if tokens > 0 && found == width => Ok(()),
            ref dims => Err(Error::Input(format!(
                "the UNet takes a context `[1, tokens, {width}]`, got {dims:?}\nhint: embed the words with the text \
                 encoder of the same checkpoint"
            ))),
        }
    }
}

/// The mean of maps `[H·W, T]` as `[T, H, W]`
fn mean_map(maps: Vec<Tensor>, like: &Tensor) -> Result<Option<Tensor>> {
    let (_, _, height, width) = like.dims4()?;
    let count = maps.len();
    let mut maps = maps.into_iter();
    let Some(first) = maps.next() else { return Ok(None) };
    let sum = maps.try_fold(first, |sum, map| sum + map)?;
    let mean = (sum / count as f64)?;
    Ok(Some(mean.t()?.contiguous()?.reshape(((), height, width))?))
}
