//! A frozen 2-D convolution as one matrix product a tile of output rows
//!
//! The input's patches are laid out with whole-row copies and the weight is used as the checkpoint stores it, so a call
//! on a small map costs little more than its multiplications; a tile bounds the patches' memory on large ones

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Shape, Tensor, bail};

use crate::error::Result;
use crate::weights::Weights;

/// Laid-out patches aim to stay in a core's cache (512 KiB), but a product is never narrower than this many pixels
const TILE: usize = 1 << 17;
const NARROWEST: usize = 512;

/// How a kernel walks over the map
#[derive(Debug, Clone, Copy)]
pub(super) struct Geometry {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    /// Zeros before the first row and column
    pub(super) before: usize,
    /// Zeros after the last row and column
    pub(super) after: usize,
}

impl Geometry {
    /// 1×1
    pub(super) const POINT: Self = Self { kernel: 1, stride: 1, before: 0, after: 0 };
    /// 3×3 that keeps the size
    pub(super) const SAME: Self = Self { kernel: 3, stride: 1, before: 1, after: 1 };
    /// 3×3 that halves the size, padded at the end alone (the VAE's)
    pub(super) const HALVE_AFTER: Self = Self { kernel: 3, stride: 2, before: 0, after: 1 };
    /// 3×3 that halves the size, padded all round (the UNet's)
    pub(super) const HALVE: Self = Self { kernel: 3, stride: 2, before: 1, after: 1 };

    fn out(&self, side: usize) -> usize {
        (side + self.before + self.after - self.kernel) / self.stride + 1
    }
}

/// A frozen convolution with bias
#[derive(Debug, Clone)]
pub(super) struct Conv {
    weight: Tensor,
    bias: Tensor,
    geometry: Geometry,
}

impl Conv {
    /// `weight [out, in, kernel, kernel]` and `bias [out]` below `weights`
    pub(super) fn new(weights: &Weights, input: usize, output: usize, geometry: Geometry) -> Result<Self> {
        let kernel = geometry.kernel;
        let weight = weights.tensor("weight", &[output, input, kernel, kernel])?.contiguous()?;
        let bias = weights.tensor("bias", &[output])?;
        Ok(Self { weight, bias, geometry })
    }

    /// A linear layer over channels, `weight [out, in]` (or `[out, in, 1, 1]`), as a 1×1 convolution
    pub(super) fn from_linear(weights: &Weights, input: usize, output: usize) -> Result<Self> {
        let point = weights.shape("weight").is_some_and(|shape| shape.len() == 4);
        let shape: &[usize] = if point { &[output, input, 1, 1] } else { &[output, input] };
        let weight = weights.tensor("weight", shape)?.reshape((output, input, 1, 1))?.contiguous()?;
        Ok(Self { weight, bias: weights.tensor("bias", &[output])?, geometry: Geometry::POINT })
    }

    /// The convolution with `shift [out]` added to what it says
    pub(super) fn shifted(mut self, shift: &Tensor) -> Result<Self> {
        self.bias = (self.bias + shift)?;
        Ok(self)
    }

    /// The first `count` outputs alone
    pub(super) fn first(mut self, count: usize) -> Result<Self> {
        self.weight = self.weight.narrow(0, 0, count)?.contiguous()?;
        self.bias = self.bias.narrow(0, 0, count)?.contiguous()?;
        Ok(self)
    }

    /// The map `[B, out, H', W']` of `x [B, in, H, W]`
    pub(super) fn forward(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        if x.device().is_cpu() && x.dtype() == DType::F32 {
            return x.contiguous()?.apply_op3_no_bwd(&self.weight, &self.bias, &self.geometry);
        }
        let Geometry { stride, before, after, .. } = self.geometry;
        let padded;
        let (x, padding) = match before == after {
            true => (x, before),
            false => {
                padded = x.pad_with_zeros(2, before, after)?.pad_with_zeros(3, before, after)?;
                (&padded, 0)
            }
        };
        let y = x.conv2d(&self.weight, padding, stride, 1, 1)?;
        y.broadcast_add(&self.bias.reshape((1, (), 1, 1))?)
    }
}

impl CustomOp3 for Geometry {
    fn name(&self) -> &'static str {
        "frozen-conv2d"
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
        let [batch, channels, height, width] = *xl.dims() else {
            bail!("a convolution needs a map [B, C, H, W]")
        };
        let [outputs, inputs, ..] = *wl.dims() else { bail!("a convolution needs a weight [O, I, K, K]") };
        if inputs != channels || height + self.before + self.after < self.kernel {
            bail!("a {height}x{width} map of {channels} channels does not fit a convolution of {inputs}")
        }
        let (rows, columns) = (self.out(height), self.out(width));
        let patch = channels * self.kernel * self.kernel;
        let start = xl.start_offset();
        let x = &x.as_slice::<f32>()?[start..start + batch * channels * height * width];
        let bias = &bias.as_slice::<f32>()?[bl.start_offset()..];
        let weight_layout = Layout::contiguous_with_offset((outputs, patch), wl.start_offset());
        let tile = (TILE / patch).max(NARROWEST).div_ceil(columns).min(rows);
        let mut out = vec![0f32; batch * outputs * rows * columns];
        let mut patches = Vec::new();
        let pictures =
            x.chunks_exact(channels * height * width).zip(out.chunks_exact_mut(outputs * rows * columns));
        for (picture, out) in pictures {
            for first in (0..rows).step_by(tile) {
                let count = tile.min(rows - first);
                let cells = count * columns;
                patches.resize(patch * cells, 0f32);
                self.lay_out(picture, (height, width), first, columns, &mut patches);
                let laid_out = CpuStorage::F32(std::mem::take(&mut patches));
                let cell_layout = Layout::contiguous((patch, cells));
                let product =
                    weight.matmul(&laid_out, (1, outputs, cells, patch), &weight_layout, &cell_layout)?;
                let product = product.as_slice::<f32>()?.chunks_exact(cells);
                for ((plane, product), bias) in out.chunks_exact_mut(rows * columns).zip(product).zip(bias) {
                    let plane = &mut plane[first * columns..first * columns + cells];
                    plane.iter_mut().zip(product).for_each(|(out, value)| *out = value + bias);
                }
                if let CpuStorage::F32(buffer) = laid_out {
                    patches = buffer;
                }
            }
        }
        Ok((CpuStorage::F32(out), Shape::from((batch, outputs, rows, columns))))
    }
}

impl Geometry {
    /// Fills `patches [C·K·K, rows·columns]` for the output rows from `first` on
    fn lay_out(
        &self,
        picture: &[f32],
        (height, width): (usize, usize),
        first: usize,
        columns: usize,
        patches: &mut [f32],
    ) {
        let taps = self.kernel * self.kernel;
        let cells = patches.len() / (picture.len() / (height * width) * taps);
        for (index, patch) in patches.chunks_exact_mut(cells).enumerate() {
            let (channel, tap) = (index / taps, index % taps);
            let (ky, kx) = (tap / self.kernel, tap % self.kernel);
            let plane = &picture[channel * height * width..][..height * width];
            for (offset, line) in patch.chunks_exact_mut(columns).enumerate() {
                let y = (first + offset) * self.stride + ky;
                match y.checked_sub(self.before).filter(|y| *y < height) {
                    Some(y) => self.line(&plane[y * width..][..width], kx, line),
                    None => line.fill(0.0),
                }
            }
        }
    }

    /// One row of the map as kernel column `kx` meets it
    fn line(&self, source: &[f32], kx: usize, line: &mut [f32]) {
        let skip = self.before.saturating_sub(kx).div_ceil(self.stride).min(line.len());
        let source = source.get(skip * self.stride + kx - self.before..).unwrap_or_default();
        let (padding, line) = line.split_at_mut(skip);
        padding.fill(0.0);
        let (line, padding) = line.split_at_mut(source.len().div_ceil(self.stride).min(line.len()));
        padding.fill(0.0);
        match self.stride {
            1 => line.copy_from_slice(&source[..line.len()]),
            stride => line.iter_mut().zip(source.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn agrees_with_candles_convolution() -> candle_core::Result<()> {
        let shapes = [(1, 3, 9, 14, 5), (2, 7, 6, 5, 4), (1, 40, 160, 30, 2), (1, 2, 1, 1, 3)];
        let kinds = [Geometry::POINT, Geometry::SAME, Geometry::HALVE_AFTER, Geometry::HALVE];
        for (batch, inputs, height, width, outputs) in shapes {
            for geometry in kinds {
                if geometry.kernel > height + geometry.before + geometry.after {
                    continue;
                }
                let x = Tensor::randn(0f32, 1.0, (batch, inputs, height, width), &Device::Cpu)?;
                let k = geometry.kernel;
                let weight = Tensor::randn(0f32, 1.0, (outputs, inputs, k, k), &Device::Cpu)?;
                let bias = Tensor::randn(0f32, 1.0, outputs, &Device::Cpu)?;
                let padded = x.pad_with_zeros(2, geometry.before, geometry.after)?;
                let padded = padded.pad_with_zeros(3, geometry.before, geometry.after)?;
                let expected = padded.conv2d(&weight, 0, geometry.stride, 1, 1)?;
                let expected = expected.broadcast_add(&bias.reshape((1, outputs, 1, 1))?)?;
                let got = Conv { weight, bias, geometry }.forward(&x)?;
                assert_eq!(got.dims(), expected.dims());
                let error = (got - expected)?.abs()?.max_all()?.to_scalar::<f32>()?;
                assert!(error < 1e-4, "{geometry:?} on {height}x{width} is off by {error}");
            }
        }
        Ok(())
    }
}
