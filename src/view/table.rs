//! How is a table drawn? Words to the left, numbers to the right, a line under the head.

use comfy_table::{CellAlignment, LineStyle, Table, presets};

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
