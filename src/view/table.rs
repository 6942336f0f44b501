//! How is a table drawn? Words to the left, numbers to the right, a line under the head.

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use unicode_width::UnicodeWidthStr;

use super::wrap::wrapped;

/// Narrowest column of words.
const NARROWEST: usize = 16;

/// A table whose first `words` columns are words; the others are numbers.
pub fn table(head: &[&str], words: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING.header_separator(LineStyle::new('─', '─', '─', '─')));
    table.set_header(head.to_vec()).add_rows(rows);
    for (at, column) in table.column_iter_mut().enumerate() {
        column.set_padding((u16::from(at > 0), 1));
        column.set_cell_alignment(if at < words { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Like [`table`], with one column narrowed by `how` so that no line is longer than `width`; none where that is too narrow.
pub fn narrowed(
    (head, words): (&[&str], usize),
    rows: &[Vec<String>],
    width: Option<usize>,
    column: usize,
    how: impl Fn(&str, usize) -> String,
) -> Option<String> {
    let whole = table(head, words, rows.to_vec());
    let longest = |text: &str| text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
    let Some(excess) = width.map(|width| longest(&whole).saturating_sub(width)).filter(|&excess| excess > 0)
    else {
        return Some(whole);
    };
    let cells = rows.iter().filter_map(|row| row.get(column));
    let room =
        cells.map(|cell| longest(cell)).max()?.checked_sub(excess).filter(|&room| room >= NARROWEST)?;
    let mut rows = rows.to_vec();
    rows.iter_mut().filter_map(|row| row.get_mut(column)).for_each(|cell| *cell = how(cell, room));
    Some(table(head, words, rows))
}

/// Like [`table`], no line longer than `width`: one column of words wraps; where that is not enough, each row is a paragraph.
pub fn fitted(
    (head, words): (&[&str], usize),
    rows: &[Vec<String>],
    width: Option<usize>,
    column: usize,
) -> String {
    let lines = |text: &str, width: usize| wrapped(text, width).join("\n");
    narrowed((head, words), rows, width, column, lines).unwrap_or_else(|| {
        let width = width.unwrap_or(usize::MAX);
        rows.iter().map(|row| paragraph((head, words), row, width, column)).collect()
    })
}

fn paragraph((head, words): (&[&str], usize), row: &[String], width: usize, column: usize) -> String {
    let named = row.iter().enumerate().filter(|(at, _)| *at < words && *at != column);
    let name = named.map(|(_, cell)| cell.as_str()).collect::<Vec<_>>().join(", ");
    let numbers = head.iter().zip(row).skip(words).filter(|(_, cell)| !cell.is_empty());
    let numbers = numbers.map(|(head, cell)| format!("{head} {cell}")).collect::<Vec<_>>().join(", ");
    let below = [row.get(column).cloned().unwrap_or_default(), numbers];
    let below = below.iter().flat_map(|text| wrapped(text, width - 2)).map(|line| format!("  {line}\n"));
    wrapped(&name, width).into_iter().map(|line| line + "\n").chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_longer_than_the_page() {
        let rows = [
            vec!["one".into(), "a reason of many words that goes on and on".into(), "1,000".into()],
            vec!["another-with-a-long-name".into(), "short\nsecond line".into(), "7".into()],
        ];
        for width in 20..120 {
            let text = fitted((&["stage", "why", "rows"], 2), &rows, Some(width), 1);
            assert!(text.lines().all(|line| line.width() <= width), "{width}\n{text}");
            let words = text.split_whitespace().filter(|word| ["goes", "second", "1,000"].contains(word));
            assert_eq!(words.count(), 3, "{text}");
        }
        let whole = table(&["stage", "why", "rows"], 2, rows.to_vec());
        assert_eq!(fitted((&["stage", "why", "rows"], 2), &rows, None, 1), whole);
    }
}
