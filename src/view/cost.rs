//! What will it cost? Seconds and bytes foretold from past runs; what nobody knows is `unknown`.

use affectflow_pipeline::run::predict::Forecast;

use super::numbers::{bytes, duration};

/// `~12 s`, or `unknown`.
pub fn seconds_about(seconds: Option<f64>) -> String {
    seconds.map_or("unknown".into(), |seconds| format!("~{}", duration(seconds)))
}

/// `~1.5 MiB`, or `unknown`.
pub fn bytes_about(size: Option<u64>) -> String {
    size.map_or("unknown".into(), |size| format!("~{}", bytes(size)))
}

/// Whether less may be to compute than a forecast says.
pub fn unsure(forecast: &Forecast) -> bool {
    forecast.unknown > 0 || forecast.at_most
}

/// All stages together: `to compute: ~1 m 20 s; to write: ~12 MiB`.
pub fn total(forecasts: &[Forecast]) -> String {
    let pending: Vec<&Forecast> = forecasts.iter().filter(|forecast| forecast.compute > 0).collect();
    if pending.is_empty() {
        return "nothing to compute".into();
    }
    let seconds: Vec<f64> = pending.iter().filter_map(|forecast| forecast.seconds).collect();
    let sizes: Vec<u64> = pending.iter().filter_map(|forecast| forecast.bytes).collect();
    let unsure = pending.iter().any(|forecast| unsure(forecast));
    let least = |known: usize, words: String| match (known == pending.len(), unsure) {
        _ if known == 0 => "unknown".to_owned(),
        (true, false) => words,
        (true, true) => format!("at most {words}"),
        (false, false) => format!("at least {words}"),
        (false, true) => format!("{words} of what is known"),
    };
    let time = least(seconds.len(), seconds_about(Some(seconds.iter().sum())));
    let size = least(sizes.len(), bytes_about(Some(sizes.iter().sum())));
    format!("to compute: {time}; to write: {size}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(compute: u64, seconds: Option<f64>, bytes: Option<u64>) -> Forecast {
        Forecast {
            stage: "s".into(),
            kind: "k".into(),
            rows: 10,
            compute,
            seconds,
            bytes,
            ..Forecast::default()
        }
    }

    #[test]
    fn what_is_not_known_is_not_invented() {
        assert_eq!(total(&[stage(0, Some(0.0), Some(0))]), "nothing to compute");
        let (one, two) = (stage(5, Some(80.0), Some(2 << 20)), stage(5, Some(1.0), None));
        assert_eq!(total(&[one.clone(), two.clone()]), "to compute: ~1 m 21 s; to write: at least ~2.0 MiB");
        let unsure = [Forecast { unknown: 5, ..one }, two];
        assert_eq!(total(&unsure), "to compute: at most ~1 m 21 s; to write: ~2.0 MiB of what is known");
        assert_eq!(total(&[stage(5, None, None)]), "to compute: unknown; to write: unknown");
    }
}
