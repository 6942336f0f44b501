//! How wide is the page, and where do lines break?

use std::io::IsTerminal;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns of the terminal that standard output is, else what `COLUMNS` says; none where nobody cares.
pub fn page_width() -> Option<usize> {
    let terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let said = || std::env::var("COLUMNS").ok()?.parse().ok();
    let width = if std::io::stdout().is_terminal() { terminal() } else { None };
    width.or_else(said).filter(|&width| width >= 20)
}

/// The text in lines of so many columns, broken between words; a word that is longer is broken within. Ends of lines stay.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    text.lines().flat_map(|line| one(line, width.max(2))).collect()
}

fn one(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for part in parts(word, width) {
            match lines.last_mut() {
                Some(last) if last.is_empty() => last.push_str(part),
                Some(last) if last.width() + 1 + part.width() <= width => {
                    last.push(' ');
                    last.push_str(part);
                }
                _ => lines.push(part.to_owned()),
            }
        }
    }
    lines
}

/// A word in pieces of so many columns at most.
fn parts(word: &str, width: usize) -> Vec<&str> {
    let (mut parts, mut start, mut used) = (Vec::new(), 0, 0);
    for (at, c) in word.char_indices() {
        let wide = c.width().unwrap_or(0);
        if used + wide > width {
            parts.push(&word[start..at]);
            (start, used) = (at, 0);
        }
        used += wide;
    }
    parts.push(&word[start..]);
    parts
}

/// A line cut to so many columns, with `…` where something is missing.
pub fn cut(line: &str, width: usize) -> String {
    match parts(line, width.saturating_sub(1))[..] {
        [first, _, ..] if line.width() > width => format!("{}…", first.trim_end()),
        _ => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_long_words_within() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefghij k\nl", 4), ["abcd", "efgh", "ij k", "l"]);
        assert_eq!(wrapped("日本語日本", 5), ["日本", "語日", "本"]);
        assert_eq!(
            (cut("abcdef", 4), cut("abcd", 4), cut("日本語日本語", 7)),
            ("abc…".into(), "abcd".into(), "日本語…".into())
        );
    }
}
