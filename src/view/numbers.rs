//! How are numbers written? Counts with separators, durations and sizes in the unit that fits.

pub use affectflow_pipeline::units::bytes;

/// 1234567 as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number, or `≤ 12` where it may turn out to be less.
pub fn at_most(number: u64, unsure: bool) -> String {
    let unsure = if unsure && number > 0 { "≤ " } else { "" };
    format!("{unsure}{}", grouped(number))
}

/// `1 row`, `2 rows`, `1,000 rows`.
pub fn count(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// Seconds as `12 ms`, `3.2 s`, `2 m 05 s`, `1 h 02 m`.
pub fn duration(seconds: f64) -> String {
    // The sum of no numbers is -0.0, and a clock that is set back makes no time negative.
    match if seconds > 0.0 { seconds } else { 0.0 } {
        s if s < 0.9995 => format!("{:.0} ms", s * 1e3),
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{s:.0} s"),
        s if s < 3599.5 => format!("{} m {:02} s", s.round() as u64 / 60, s.round() as u64 % 60),
        s => format!("{} h {:02} m", (s / 60.0).round() as u64 / 60, (s / 60.0).round() as u64 % 60),
    }
}

/// A time in RFC 3339 without fractions of a second.
pub fn to_the_second(time: &str) -> String {
    time.split_once('.').map_or(time.to_owned(), |(whole, _)| format!("{whole}Z"))
}

/// The day of a time in RFC 3339, or `-`.
pub fn day(time: Option<&str>) -> String {
    time.map_or("-", |time| time.split('T').next().unwrap_or_default()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            ["0", "999", "1,000", "1,234,567"],
            [0, 999, 1000, 1_234_567].map(grouped).each_ref().map(|s| s.as_str())
        );
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".into(), "0 rows".into()));
        assert_eq!(
            (at_most(1000, true), at_most(0, true), at_most(7, false)),
            ("≤ 1,000".into(), "0".into(), "7".into())
        );
        assert_eq!(duration(-0.0), "0 ms");
        let seconds = [0.0004, 0.9996, 3.21, 59.6, 125.0, 3600.0, 3726.0].map(duration);
        assert_eq!(seconds, ["0 ms", "1.0 s", "3.2 s", "1 m 00 s", "2 m 05 s", "1 h 00 m", "1 h 02 m"]);
    }
}
