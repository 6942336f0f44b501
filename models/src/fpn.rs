//! What does a feature pyramid network followed by global average pooling say, given only nine statistics a channel?
//!
//! torchvision's FPN (1×1 laterals, nearest top-down addition, zero-padded 3×3, biases, no norm or activation) is
//! affine in its inputs; with pooling behind it, it is a function of the statistics of [`crate::statistics`], exact in
//! value and in gradient (docs/method.md §9). Weight names are torchvision's: `inner_blocks.l.0`, `layer_blocks.l.0`.

use candle_core::{Device, Result, Tensor, bail};

use crate::linear::linear;
use crate::parameters::{Init, Scope};
use crate::statistics::{Layout, Level, STATISTICS};

/// Output channels a level of KCDP's pyramid.
pub const PYRAMID_WIDTH: usize = 256;

/// The pooled pyramid: features `[B, 9·ΣC]` to `v [B, levels·width]`, finest level first.
#[derive(Debug, Clone)]
pub struct PooledFpn {
    layout: Layout,
    levels: Vec<PyramidLevel>,
    width: usize,
}

#[derive(Debug, Clone)]
struct PyramidLevel {
    lateral: (Tensor, Tensor),
    output: (Tensor, Tensor),
    /// `[9 statistics, 9 kernel taps]`, see [`taps`].
    taps: Tensor,
}

impl PooledFpn {
    /// The pyramid over `layout`, `width` channels a level.
    pub fn new(layout: &Layout, width: usize, mut scope: Scope<'_>, device: &Device) -> Result<Self> {
        let levels = layout.levels().iter().enumerate();
        let levels = levels.map(|(index, level)| PyramidLevel::new(index, level, width, &mut scope, device));
        Ok(Self { layout: layout.clone(), levels: levels.collect::<Result<_>>()?, width })
    }

    /// The length of `v`.
    pub fn out_width(&self) -> usize {
        self.levels.len() * self.width
    }

    /// `v [B, levels·width]` of features `[B, 9·ΣC]` (float32).
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let inputs = self.layout.split(features)?;
        let mut pooled = Vec::with_capacity(inputs.len());
        let mut above: Option<Tensor> = None;
        for (level, input) in self.levels.iter().zip(&inputs).rev() {
            let lateral = linear(input, &level.lateral.0, Some(&level.lateral.1))?;
            let merged = match above {
                Some(above) => (lateral + above)?,
                None => lateral,
            };
            pooled.push(level.pool(&merged)?);
            above = Some(merged);
        }
        pooled.reverse();
        Tensor::cat(&pooled, 1)
    }
}

impl PyramidLevel {
    fn new(
        index: usize,
        level: &Level,
        width: usize,
        scope: &mut Scope<'_>,
        device: &Device,
    ) -> Result<Self> {
        if width == 0 {
            bail!("the width of a pyramid must be at least 1")
        }
        let mut inner = scope.sub(format!("inner_blocks.{index}.0"));
        let kaiming = |fan_in| Init::kaiming_uniform(fan_in, 1.0);
        let lateral = (
            inner.get("weight", (width, level.channels, 1, 1), kaiming(level.channels))?.flatten_from(1)?,
            inner.get("bias", width, Init::Zeros)?,
        );
        let mut layer = scope.sub(format!("layer_blocks.{index}.0"));
        let output = (
            layer.get("weight", (width, width, 3, 3), kaiming(9 * width))?.reshape((width, 9 * width))?,
            layer.get("bias", width, Init::Zeros)?,
        );
        Ok(Self { lateral, output, taps: taps(level, device)? })
    }

    /// The pooled 3×3 convolution of a map known by its statistics `[B, 9, width]`.
    fn pool(&self, statistics: &Tensor) -> Result<Tensor> {
        let (rows, count, width) = statistics.dims3()?;
        let by_channel = statistics.transpose(1, 2)?.reshape((rows * width, count))?;
        let windows = by_channel.matmul(&self.taps)?.reshape((rows, width * count))?;
        linear(&windows, &self.output.0, Some(&self.output.1))
    }
}

/// The mean of the map under each of the nine kernel taps, as a matrix `[statistic, tap]` to multiply on the right.
///
/// Kernel row 0 never sees the last row of the map and kernel row 2 never the first; columns alike.
fn taps(level: &Level, device: &Device) -> Result<Tensor> {
    let (rows, columns) = (1.0 / level.height as f64, 1.0 / level.width as f64);
    // Which border a kernel row (column) misses: `Some(0)` the first, `Some(1)` the last.
    let missed = [Some(1), None, Some(0)];
    let mut matrix = [[0f32; 9]; STATISTICS.len()];
    for tap in 0..9 {
        let (row, column) = (missed[tap / 3], missed[tap % 3]);
        matrix[0][tap] = 1.0;
        if let Some(row) = row {
            matrix[1 + row][tap] = -rows as f32;
        }
        if let Some(column) = column {
            matrix[3 + column][tap] = -columns as f32;
        }
        if let (Some(row), Some(column)) = (row, column) {
            matrix[5 + 2 * row + column][tap] = (rows * columns) as f32;
        }
    }
    Tensor::new(&matrix, device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::Parameters;

    #[test]
    fn parameter_count_of_kcdp() -> Result<()> {
        let level = |channels, side| Level { channels, height: side, width: side };
        let layout = Layout::new(vec![level(320, 64), level(794, 32), level(1434, 16), level(1280, 8)])?;
        let mut parameters = Parameters::seeded(0, &Device::Cpu);
        let fpn = PooledFpn::new(&layout, PYRAMID_WIDTH, parameters.scope("fpn"), &Device::Cpu)?;
        assert_eq!(parameters.count(), 3_341_312);
        assert_eq!(fpn.out_width(), 1024);
        assert_eq!(layout.len(), 34_452);
        Ok(())
    }
}
