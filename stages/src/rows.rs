//! How does a map stage work on the rows of a call? Each alone, side by side, in order; one that fails stops no other.

use affectflow_pipeline::stage::Failures;
use arrow::array::{Array, StringArray};
use half::f16;
use rayon::prelude::*;

/// What `work` makes of every row; the failures are reported in order of the rows.
pub fn each<T: Send>(
    ids: &StringArray,
    parallel: bool,
    failures: &mut Failures,
    work: impl Fn(usize) -> Result<T, String> + Sync + Send,
) -> Vec<Option<T>> {
    let made: Vec<Result<T, String>> = match parallel {
        true => (0..ids.len()).into_par_iter().map(work).collect(),
        false => (0..ids.len()).map(work).collect(),
    };
    let report = |(row, made): (usize, Result<T, String>)| {
        made.map_err(|error| failures.push(ids.value(row), error)).ok()
    };
    made.into_iter().enumerate().map(report).collect()
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
