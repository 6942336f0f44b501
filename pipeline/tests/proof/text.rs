//! What does a toy see of a value? Its text, and text made from it; never the engine's own digests of cells.

use affectflow_pipeline::Digest;
use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::util::display::array_value_to_string;

/// A cell as text; null differs from every text.
pub fn cell(array: &ArrayRef, row: usize) -> String {
    match array.is_null(row) {
        true => "\u{2205}".into(),
        false => array_value_to_string(array, row).unwrap(),
    }
}

/// All cells of a row with the names and types of their columns, `id` left out.
pub fn row(rows: &RecordBatch, row: usize) -> String {
    let schema = rows.schema();
    let cells = schema.fields().iter().zip(rows.columns()).skip(1);
    cells
        .map(|(field, array)| format!("{}:{}={}\n", field.name(), field.data_type(), cell(array, row)))
        .collect()
}

/// A name for a text.
pub fn name(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

/// A number made from a text.
pub fn number(text: &str) -> u64 {
    u64::from_le_bytes(Digest::of(text.as_bytes()).0[..8].try_into().unwrap())
}

/// So many characters made from a text.
pub fn stretched(text: &str, length: usize) -> String {
    let mut out = name(text);
    let mut last = out.clone();
    while out.len() < length {
        last = name(&last);
        out.push_str(&last);
    }
    out.truncate(length);
    out
}
