//! How does a column get into a query, and out again? Arrow to polars and back, by value; columns of single values alone.

use std::sync::Arc;

use affectflow_pipeline::{StageError, StageResult};
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, StringArray,
    UInt32Array, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type, UInt32Type, UInt64Type};
use pl::{Column, IntoColumn, IntoSeries};
use polars::prelude::{self as pl, NewChunkedArray};

/// Whether a query can read columns of that type.
pub(super) fn readable(kind: &DataType) -> bool {
    seen(kind).is_some()
}

/// The type with which a query sees a column.
fn seen(kind: &DataType) -> Option<DataType> {
    Some(match kind {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => DataType::Int32,
        DataType::Float16 => DataType::Float32,
        DataType::Utf8
        | DataType::Boolean
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt32
        | DataType::UInt64
        | DataType::Float32
        | DataType::Float64 => kind.clone(),
        _ => return None,
    })
}

/// The type that a column of a result gets; none where it holds no single values.
pub(super) fn leaving(kind: &pl::DataType) -> Option<DataType> {
    Some(match kind {
        pl::DataType::String => DataType::Utf8,
        pl::DataType::Boolean => DataType::Boolean,
        pl::DataType::Int32 => DataType::Int32,
        pl::DataType::Int64 => DataType::Int64,
        pl::DataType::UInt32 => DataType::UInt32,
        pl::DataType::UInt64 => DataType::UInt64,
        pl::DataType::Float32 => DataType::Float32,
        pl::DataType::Float64 => DataType::Float64,
        _ => return None,
    })
}

/// A column for a query.
pub(super) fn column(name: &str, array: &ArrayRef) -> StageResult<Column> {
    let Some(kind) = seen(array.data_type()) else {
        return Err(StageError::new(format!("column `{name}` cannot be read by a query")));
    };
    let array = cast(array, &kind)?;
    let name = pl::PlSmallStr::from_str(name);
    let series = match kind {
        DataType::Utf8 => {
            pl::StringChunked::from_iter_options(name, array.as_string::<i32>().iter()).into_series()
        }
        DataType::Boolean => {
            pl::BooleanChunked::from_iter_options(name, array.as_boolean().iter()).into_series()
        }
        DataType::Int32 => {
            pl::Int32Chunked::from_iter_options(name, array.as_primitive::<Int32Type>().iter()).into_series()
        }
        DataType::Int64 => {
            pl::Int64Chunked::from_iter_options(name, array.as_primitive::<Int64Type>().iter()).into_series()
        }
        DataType::UInt32 => {
            pl::UInt32Chunked::from_iter_options(name, array.as_primitive::<UInt32Type>().iter())
                .into_series()
        }
        DataType::UInt64 => {
            pl::UInt64Chunked::from_iter_options(name, array.as_primitive::<UInt64Type>().iter())
                .into_series()
        }
        DataType::Float32 => {
            pl::Float32Chunked::from_iter_options(name, array.as_primitive::<Float32Type>().iter())
                .into_series()
        }
        _ => pl::Float64Chunked::from_iter_options(name, array.as_primitive::<Float64Type>().iter())
            .into_series(),
    };
    Ok(series.into_column())
}

/// A column of a result, as batches carry it.
pub(super) fn array(column: &Column) -> StageResult<ArrayRef> {
    let column = column.as_materialized_series();
    let cannot = |error: pl::PolarsError| StageError::new(error.to_string());
    Ok(match leaving(column.dtype()) {
        Some(DataType::Utf8) => Arc::new(column.str().map_err(cannot)?.iter().collect::<StringArray>()),
        Some(DataType::Boolean) => Arc::new(column.bool().map_err(cannot)?.iter().collect::<BooleanArray>()),
        Some(DataType::Int32) => Arc::new(column.i32().map_err(cannot)?.iter().collect::<Int32Array>()),
        Some(DataType::Int64) => Arc::new(column.i64().map_err(cannot)?.iter().collect::<Int64Array>()),
        Some(DataType::UInt32) => Arc::new(column.u32().map_err(cannot)?.iter().collect::<UInt32Array>()),
        Some(DataType::UInt64) => Arc::new(column.u64().map_err(cannot)?.iter().collect::<UInt64Array>()),
        Some(DataType::Float32) => Arc::new(column.f32().map_err(cannot)?.iter().collect::<Float32Array>()),
        Some(DataType::Float64) => Arc::new(column.f64().map_err(cannot)?.iter().collect::<Float64Array>()),
        _ => {
            let message = format!("column `{}` of the result holds no single values", column.name());
            return Err(StageError::new(message));
        }
    })
}
