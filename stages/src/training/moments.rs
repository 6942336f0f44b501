//! On which scale do channels reach the pyramid? Each less its mean, over its spread, taken from the source's train rows.
//!
//! The mean and standard deviation of a channel are those of its map's mean over rows; all nine statistics of the channel
//! are shifted and scaled alike, which is what standardising the map itself would do. A lateral (1×1) follows, so the
//! scaling folds exactly into its weights and the pooled identity (docs/method.md §9) holds. A spread below what half
//! precision can tell apart from rounding (2⁻¹⁰ of the mean) counts as that much. Under `domain` the target has moments of
//! its own, as in adaptive batch normalisation (Li et al. 2018).

use affectflow_models::statistics::{Layout, STATISTICS};

/// Shift and factor of every number of a features vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    /// Mean of each channel, levels in order.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub spread: Vec<f32>,
}

impl Moments {
    /// No change.
    pub fn none(layout: &Layout) -> Self {
        let channels = channels(layout);
        Moments { mean: vec![0.0; channels], spread: vec![1.0; channels] }
    }

    /// The moments of rows of features, `each` handing every row to its argument.
    pub fn of<E>(
        layout: &Layout,
        each: impl FnOnce(&mut dyn FnMut(&[f32])) -> Result<(), E>,
    ) -> Result<Self, E> {
        let places = places(layout);
        let (mut sum, mut square, mut rows) = (vec![0f64; places.len()], vec![0f64; places.len()], 0u64);
        each(&mut |features| {
            rows += 1;
            for (channel, &place) in places.iter().enumerate() {
                let value = f64::from(features[place]);
                sum[channel] += value;
                square[channel] += value * value;
            }
        })?;
        let count = rows.max(1) as f64;
        let mean: Vec<f64> = sum.iter().map(|sum| sum / count).collect();
        let spread = mean.iter().zip(&square).map(|(mean, square)| {
            let spread = (square / count - mean * mean).max(0.0).sqrt();
            spread.max(mean.abs() / 1024.0).max(1e-6) as f32
        });
        Ok(Moments { spread: spread.collect(), mean: mean.iter().map(|&mean| mean as f32).collect() })
    }

    /// Standardises one row of features in place.
    pub fn apply(&self, layout: &Layout, row: &mut [f32]) {
        let (mut start, mut first) = (0, 0);
        for level in layout.levels() {
            let channels = first..first + level.channels;
            for statistic in row[start..start + STATISTICS.len() * level.channels].chunks_mut(level.channels)
            {
                let moments = self.mean[channels.clone()].iter().zip(&self.spread[channels.clone()]);
                for (value, (mean, spread)) in statistic.iter_mut().zip(moments) {
                    *value = (*value - mean) / spread;
                }
            }
            start += STATISTICS.len() * level.channels;
            first += level.channels;
        }
    }
}

/// The moments of each domain; equal where the source's serve both.
#[derive(Debug, Clone, PartialEq)]
pub struct Scales {
    /// For rows of the source.
    pub source: Moments,
    /// For rows of the target.
    pub target: Moments,
}

/// Channels of all levels.
pub fn channels(layout: &Layout) -> usize {
    layout.levels().iter().map(|level| level.channels).sum()
}

/// Where the mean of each channel stands in a features vector.
fn places(layout: &Layout) -> Vec<usize> {
    let mut start = 0;
    let mut places = Vec::new();
    for level in layout.levels() {
        places.extend(start..start + level.channels);
        start += STATISTICS.len() * level.channels;
    }
    places
}
