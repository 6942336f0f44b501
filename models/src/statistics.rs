//! What must be remembered of a feature map so that a pooled FPN can be trained on it exactly?
//!
//! Nine numbers a channel (docs/method.md §9): the mean, the means of the border rows and columns, and the corner
//! pixels. They are what a zero-padded 3×3 convolution followed by global averaging can see, and nearest upsampling by
//! a whole factor leaves all nine unchanged.

use candle_core::{DType, Result, Tensor, bail};

/// Statistics a channel, in this order.
pub const STATISTICS: [&str; 9] = [
    "mean",
    "first_row",
    "last_row",
    "first_column",
    "last_column",
    "top_left",
    "top_right",
    "bottom_left",
    "bottom_right",
];

/// The statistics of a map `[C, H, W]` as float32 `[9, C]`, in the order of [`STATISTICS`].
pub fn statistics(map: &Tensor) -> Result<Tensor> {
    let (channels, height, width) = map.dims3()?;
    if height == 0 || width == 0 {
        bail!("a feature map of {height}x{width} has no statistics")
    }
    let map = map.to_dtype(DType::F32)?;
    let row = |y: usize| map.narrow(1, y, 1)?.squeeze(1);
    let column = |x: usize| map.narrow(2, x, 1)?.squeeze(2);
    let (first_row, last_row) = (row(0)?, row(height - 1)?);
    let corner = |row: &Tensor, x: usize| row.narrow(1, x, 1)?.reshape(channels);
    Tensor::stack(
        &[
            map.reshape((channels, height * width))?.mean(1)?,
            first_row.mean(1)?,
            last_row.mean(1)?,
            column(0)?.mean(1)?,
            column(width - 1)?.mean(1)?,
            corner(&first_row, 0)?,
            corner(&first_row, width - 1)?,
            corner(&last_row, 0)?,
            corner(&last_row, width - 1)?,
        ],
        0,
    )
}

/// One level of the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Level {
    /// Channels of the map.
    pub channels: usize,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
}

/// Where each number of a features vector lies: level (finest first), then statistic, then channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Layout {
    levels: Vec<Level>,
}

impl Layout {
    /// A pyramid, finest level first; each level must be a whole multiple of the next, else the statistics are not exact.
    pub fn new(levels: Vec<Level>) -> Result<Self> {
        if levels.is_empty() || levels.iter().any(|l| l.channels * l.height * l.width == 0) {
            bail!("a pyramid needs levels with channels, rows and columns, got {levels:?}")
        }
        for pair in levels.windows(2) {
            let whole = |fine: usize, coarse: usize| fine.is_multiple_of(coarse);
            if !whole(pair[0].height, pair[1].height) || !whole(pair[0].width, pair[1].width) {
                bail!(
                    "a level of {}x{} is no whole multiple of the next, {}x{}; use pictures whose sides divide by 64",
                    pair[0].height,
                    pair[0].width,
                    pair[1].height,
                    pair[1].width
                )
            }
        }
        Ok(Self { levels })
    }

    /// The layout of maps `[.., C, H, W]`, finest first.
    pub fn of_maps(maps: &[Tensor]) -> Result<Self> {
        let level = |map: &Tensor| match map.dims() {
            [.., channels, height, width] => {
                Ok(Level { channels: *channels, height: *height, width: *width })
            }
            dims => bail!("a feature map needs shape [C, H, W], got {dims:?}"),
        };
        Self::new(maps.iter().map(level).collect::<Result<_>>()?)
    }

    /// The levels, finest first.
    pub fn levels(&self) -> &[Level] {
        &self.levels
    }

    /// The length of a features vector: 9·ΣC.
    pub fn len(&self) -> usize {
        STATISTICS.len() * self.levels.iter().map(|level| level.channels).sum::<usize>()
    }

    /// Whether there is nothing to remember (never, for a layout that [`Layout::new`] accepted).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The statistics `[9, C]` of each level as one vector `[9·ΣC]`.
    pub fn join(&self, levels: &[Tensor]) -> Result<Tensor> {
        let flat = levels.iter().map(|level| level.flatten_all()).collect::<Result<Vec<_>>>()?;
        let joined = Tensor::cat(&flat, 0)?;
        match joined.elem_count() == self.len() {
            true => Ok(joined),
            false => bail!("{} statistics do not fit a layout of {}", joined.elem_count(), self.len()),
        }
    }

    /// Features `[B, 9·ΣC]` back to `[B, 9, C]` per level.
    pub fn split(&self, features: &Tensor) -> Result<Vec<Tensor>> {
        let (rows, length) = features.dims2()?;
        if length != self.len() {
            bail!("a features vector of {length} does not fit a layout of {}", self.len())
        }
        let mut start = 0;
        self.levels
            .iter()
            .map(|level| {
                let length = STATISTICS.len() * level.channels;
                let part = features.narrow(1, start, length)?;
                start += length;
                part.reshape((rows, STATISTICS.len(), level.channels))
            })
            .collect()
    }
}

/// The features vector `[9·ΣC]` of maps `[C, H, W]`, finest first.
pub fn features(maps: &[Tensor]) -> Result<Tensor> {
    let layout = Layout::of_maps(maps)?;
    let levels = maps.iter().map(statistics).collect::<Result<Vec<_>>>()?;
    layout.join(&levels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    #[test]
    fn statistics_of_a_counted_map() -> Result<()> {
        let map = Tensor::arange(0f32, 12.0, &Device::Cpu)?.reshape((2, 2, 3))?;
        let expected: Vec<[f32; 9]> = vec![
            [2.5, 1.0, 4.0, 1.5, 3.5, 0.0, 2.0, 3.0, 5.0],
            [8.5, 7.0, 10.0, 7.5, 9.5, 6.0, 8.0, 9.0, 11.0],
        ];
        let got = statistics(&map)?.t()?.to_vec2::<f32>()?;
        assert_eq!(got, expected);
        Ok(())
    }

    #[test]
    fn split_undoes_join() -> Result<()> {
        let maps = [(3, 4, 8), (5, 2, 4), (2, 1, 1)].map(|s| Tensor::rand(-1f32, 1.0, s, &Device::Cpu));
        let maps = maps.into_iter().collect::<Result<Vec<_>>>()?;
        let layout = Layout::of_maps(&maps)?;
        let vector = features(&maps)?;
        assert_eq!(vector.dims(), [layout.len()]);
        for (level, map) in layout.split(&vector.unsqueeze(0)?)?.iter().zip(&maps) {
            assert_eq!(level.squeeze(0)?.to_vec2::<f32>()?, statistics(map)?.to_vec2::<f32>()?);
        }
        Ok(())
    }

    #[test]
    fn levels_that_do_not_divide_are_refused() {
        let level = |side| Level { channels: 1, height: side, width: side };
        let message = Layout::new(vec![level(63), level(32)]).unwrap_err().to_string();
        assert!(message.contains("63x63"), "{message}");
    }
}
