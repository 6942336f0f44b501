//! How does a table stage read a small column? As plain values.

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::table_rows::TableRows;
use arrow::array::{Array, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Int32Type};

/// A text column, one value a row.
pub fn texts(rows: &TableRows, name: &str) -> StageResult<Vec<Option<String>>> {
    let column = cast(&rows.column(name)?, &DataType::Utf8)?;
    Ok(column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)).collect())
}

/// A column of class indices, one value a row.
pub fn indices(rows: &TableRows, name: &str) -> StageResult<Vec<Option<i32>>> {
    let column = cast(&rows.column(name)?, &DataType::Int32)?;
    Ok(column.as_primitive::<Int32Type>().iter().collect())
}

/// A column of single-precision numbers, NaN where null.
pub fn numbers(rows: &TableRows, name: &str) -> StageResult<Vec<f32>> {
    let column = cast(&rows.column(name)?, &DataType::Float32)?;
    Ok(column.as_primitive::<Float32Type>().iter().map(|value| value.unwrap_or(f32::NAN)).collect())
}

/// The id of a row.
pub fn id(rows: &TableRows, row: u32) -> &str {
    let ids = rows.ids();
    if (row as usize) < ids.len() { ids.value(row as usize) } else { "" }
}
