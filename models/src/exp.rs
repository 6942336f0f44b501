//! How is an exponential computed fast, and alike on every machine?
//!
//! Written without calls or branches so that loops over it become vector code; the relative error stays under 2e-7

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;
/// Adding and taking away 1.5·2²³ rounds to a whole number
const ROUND: f32 = 12_582_912.0;

/// e^x, with x held within ±87 so that the result is normal; NaN stays NaN
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Comparisons rather than `clamp`: they are one instruction each, and let NaN through.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 87.0 { 87.0 } else { x };
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    // Taylor's series on |rest| ≤ ln 2 / 2.
    let series = 1.0 / 5040.0;
    let series = series * rest + 1.0 / 720.0;
    let series = series * rest + 1.0 / 120.0;
    let series = series * rest + 1.0 / 24.0;
    let series = series * rest + 1.0 / 6.0;
    let series = series * rest + 0.5;
    let series = (series * rest + 1.0) * rest + 1.0;
    // The whole number sits in the low bits of `rounded`; a cast from float would cost more.
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127) << 23;
    series * f32::from_bits(exponent)
}

/// The largest value, in eight lanes; -∞ for none
pub(crate) fn largest(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<8>();
    let greater = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; 8];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane = greater(*lane, *value));
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, greater)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_exponential_in_double_precision() {
        for step in -87_000..87_000 {
            let x = step as f32 / 1000.0;
            let exact = (x as f64).exp();
            let error = (exp(x) as f64 - exact).abs() / exact;
            assert!(error < 2e-7, "exp({x}) is off by {error:e}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(-1e30) < 1e-37 && exp(1e30).is_finite());
    }

    #[test]
    fn largest_of_any_length() {
        let values: Vec<f32> = (0..37).map(|i| ((i * 29) % 37) as f32 - 40.0).collect();
        for end in 1..=values.len() {
            let expected = values[..end].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(largest(&values[..end]), expected);
        }
    }
}
