//! How are sizes and ages written? `50GB`, `512MiB`, `30d`: read from files and arguments, and written for people.

use std::time::Duration;

/// Units of a size: the decimal ones, then those in powers of 1024.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KIB", 1 << 10),
    ("MIB", 1 << 20),
    ("GIB", 1 << 30),
    ("TIB", 1 << 40),
];

/// How to write a size.
pub const SIZES: &str = "write a size such as `50GB`, `512MiB` or a number of bytes";

/// How to write an age.
pub const AGES: &str = "write a time such as `12h`, `30d` or `2w`";

/// A size in bytes: a number (decimals allowed) with a unit, or bytes without one. `None` where it is none, or nothing.
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim().to_ascii_uppercase() {
        none if none.is_empty() => 1,
        name => UNITS.iter().find(|(known, _)| *known == name)?.1,
    };
    let bytes = number.parse::<f64>().ok()? * unit as f64;
    (bytes >= 1.0 && bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// An age: a number with `s`, `m`, `h`, `d` or `w`.
pub fn age(text: &str) -> Option<Duration> {
    humantime::parse_duration(text.trim()).ok()
}

/// Bytes as `512 B`, `1.5 KiB`, `20 MiB`.
pub fn bytes(size: u64) -> String {
    let mut value = size as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1023.5 {
            return number_with(value, unit, unit == "B");
        }
        value /= 1024.0;
    }
    number_with(value, "TiB", false)
}

fn number_with(value: f64, unit: &str, whole: bool) -> String {
    if whole || value >= 9.95 { format!("{value:.0} {unit}") } else { format!("{value:.1} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = ["50GB", "2GiB", "1.5 mb", "700", "700B", " 3 KiB "].map(size);
        let bytes = [50_000_000_000, 2 << 30, 1_500_000, 700, 700, 3072];
        assert_eq!(read, bytes.map(Some));
        for wrong in ["", "GB", "50 apples", "-3GB", "1e400GB", "0", "0GB", "1.2.3GB", "50G B", "99999999TB"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn ages_are_read_and_sizes_are_written() {
        let hours = ["12h", "30d", "2w", "0s"].map(|text| age(text).map(|age| age.as_secs() / 3600));
        assert_eq!(hours, [12, 720, 336, 0].map(Some));
        assert_eq!([age("soon"), age("30"), age("-1d")], [None; 3]);
        let written = [0, 1023, 1536, 20 << 20, 3 << 40].map(bytes);
        assert_eq!(written, ["0 B", "1023 B", "1.5 KiB", "20 MiB", "3.0 TiB"]);
    }
}
