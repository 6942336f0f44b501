//! How does a map stage work on the rows of a call? Each alone, side by side, in order; one that fails stops no other.

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::stage::Failures;
use arrow::array::{Array, StringArray};
use half::f16;
use rayon::prelude::*;

/// What `work` makes of every row; the failures are reported in order of the rows. Ends between two rows once the user has
/// asked to stop.
pub fn each<T: Send>(
    ids: &StringArray,
    parallel: bool,
    cx: &Context,
    failures: &mut Failures,
    work: impl Fn(usize) -> Result<T, String> + Sync + Send,
) -> StageResult<Vec<Option<T>>> {
    let work = |row| match cx.check() {
        Ok(()) => work(row),
        Err(stop) => Err(stop.message().to_owned()),
    };
    let made: Vec<Result<T, String>> = match parallel {
        true => (0..ids.len()).into_par_iter().map(work).collect(),
        false => (0..ids.len()).map(work).collect(),
    };
    cx.check()?;
    let report = |(row, made): (usize, Result<T, String>)| {
        made.map_err(|error| failures.push(ids.value(row), error)).ok()
    };
    Ok(made.into_iter().enumerate().map(report).collect())
}

/// Half precision, refused where a number is not finite in it.
pub fn halves(what: &str, values: &[f32]) -> Result<Vec<f16>, String> {
    let halves: Vec<f16> = values.iter().map(|value| f16::from_f32(*value)).collect();
    match halves.iter().position(|value| !value.is_finite()) {
        None => Ok(halves),
        Some(at) => Err(format!(
            "the network gave {} as number {at} of `{what}`, which half precision cannot hold",
            values[at]
        )),
    }
}
