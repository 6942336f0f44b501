//! How far might the scores lie from those on other pictures of the same kind? Percentile bootstrap (Efron 1979).
//!
//! What is drawn is a unit: one row, or all rows of one group (every rendering of one drawing, say), so that rows that
//! resemble each other do not make the interval too narrow.

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::training::confusion::Confusion;

/// 95% intervals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intervals {
    /// Of the accuracy.
    pub accuracy: [f64; 2],
    /// Of the macro-F1.
    pub macro_f1: [f64; 2],
}

/// Intervals from `draws` resamples of `units`, each a list of (truth, prediction). `None` where nothing can be drawn.
pub fn intervals(
    units: &[Vec<(u32, u32)>],
    classes: usize,
    draws: usize,
    seed: u64,
    cx: &Context,
) -> StageResult<Option<Intervals>> {
    if draws == 0 || units.iter().all(Vec::is_empty) {
        return Ok(None);
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut confusion = Confusion::new(classes);
    let (mut accuracies, mut f1s) = (Vec::with_capacity(draws), Vec::with_capacity(draws));
    for _ in 0..draws {
        cx.check()?;
        confusion.clear();
        for _ in 0..units.len() {
            for &(truth, prediction) in &units[random.random_range(0..units.len())] {
                confusion.add(truth as usize, prediction as usize, 1);
            }
        }
        accuracies.extend(confusion.accuracy());
        f1s.extend(confusion.macro_f1());
    }
    Ok(Some(Intervals { accuracy: middle(accuracies), macro_f1: middle(f1s) }))
}

/// The 2.5% and 97.5% quantiles, interpolated linearly as numpy does.
fn middle(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|share| {
        let place = share * (values.len() - 1) as f64;
        let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
        below + (above - below) * place.fract()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let values = (0..=40).map(f64::from).collect();
        assert_eq!(middle(values), [1.0, 39.0]);
        assert_eq!(middle(vec![0.5]), [0.5, 0.5]);
    }

    #[test]
    fn groups_widen_the_interval() -> StageResult<()> {
        // 200 rows, 80% right; in groups of 20 that are right or wrong together.
        let row = |i: usize| (0u32, u32::from(i.is_multiple_of(5)));
        let single: Vec<_> = (0..200).map(|i| vec![row(i)]).collect();
        let grouped: Vec<_> = (0..10).map(|group| vec![row(group); 20]).collect();
        let cx = Context::detached([]);
        let width = |units: &[Vec<(u32, u32)>]| -> StageResult<f64> {
            let [low, high] = intervals(units, 2, 1000, 0, &cx)?.map_or([0.0; 2], |i| i.accuracy);
            assert!(low <= 0.8 && high >= 0.8);
            Ok(high - low)
        };
        // The standard errors are 0.028 and 0.126.
        let (narrow, wide) = (width(&single)?, width(&grouped)?);
        assert!((0.08..0.14).contains(&narrow), "{narrow}");
        assert!((0.35..0.60).contains(&wide), "{wide}");
        Ok(())
    }
}
