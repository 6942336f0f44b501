//! How does a tensor lie in a column? In batches as a fixed-size list with its `shape` in the field's metadata; on disk
//! as fixed-size binary with `dtype` and `shape` (written twenty times faster by Parquet).

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, FixedSizeBinaryArray, FixedSizeListArray, Float16Array, Float32Array, RecordBatch,
    make_array,
};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};

use crate::error::Error;

/// Metadata key of the shape, as JSON: `[154, 768]`.
pub const SHAPE: &str = "shape";
/// Metadata key of the element type on disk: `float16` or `float32`.
pub const DTYPE: &str = "dtype";

/// Element type of a tensor column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    /// Half precision.
    Float16,
    /// Single precision.
    Float32,
}

impl Dtype {
    fn arrow(self) -> DataType {
        match self {
            Dtype::Float16 => DataType::Float16,
            Dtype::Float32 => DataType::Float32,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Dtype::Float16 => "float16",
            Dtype::Float32 => "float32",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Dtype::Float16 => 2,
            Dtype::Float32 => 4,
        }
    }
}

/// The field of a tensor column.
pub fn field(name: &str, dtype: Dtype, shape: &[usize]) -> FieldRef {
    let item = Arc::new(Field::new("item", dtype.arrow(), false));
    let width = shape.iter().product::<usize>() as i32;
    let metadata: HashMap<String, String> = [(SHAPE.to_owned(), format!("{shape:?}"))].into();
    Arc::new(Field::new(name, DataType::FixedSizeList(item, width), true).with_metadata(metadata))
}

/// The shape of a tensor column; `None` for any other column.
pub fn shape(field: &Field) -> Option<Vec<usize>> {
    serde_json::from_str(field.metadata().get(SHAPE)?).ok()
}

/// Element type and width of a tensor column; `None` for any other column.
pub fn dtype(field: &Field) -> Option<(Dtype, usize)> {
    match field.data_type() {
        DataType::FixedSizeList(item, width) => match item.data_type() {
            DataType::Float16 => Some((Dtype::Float16, *width as usize)),
            DataType::Float32 => Some((Dtype::Float32, *width as usize)),
            _ => None,
        },
        _ => None,
    }
}

/// A column of half-precision tensors from their values, row after row.
pub fn from_f16(width: usize, values: Vec<half::f16>) -> Result<ArrayRef, Error> {
    let item = Arc::new(Field::new("item", DataType::Float16, false));
    Ok(Arc::new(FixedSizeListArray::try_new(item, width as i32, Arc::new(Float16Array::from(values)), None)?))
}

/// A column of single-precision tensors from their values, row after row.
pub fn from_f32(width: usize, values: Vec<f32>) -> Result<ArrayRef, Error> {
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    Ok(Arc::new(FixedSizeListArray::try_new(item, width as i32, Arc::new(Float32Array::from(values)), None)?))
}

/// The values of row `row` of a tensor column as single precision; `None` where it is null or not a tensor.
pub fn row_f32(array: &dyn Array, row: usize) -> Option<Vec<f32>> {
    let list = array.as_any().downcast_ref::<FixedSizeListArray>()?;
    if list.is_null(row) {
        return None;
    }
    let values = list.value(row);
    if let Some(half) = values.as_any().downcast_ref::<Float16Array>() {
        return Some(half.values().iter().map(|v| v.to_f32()).collect());
    }
    values.as_any().downcast_ref::<Float32Array>().map(|single| single.values().to_vec())
}

/// Bytes of a cell of a tensor column; `None` for any other column.
pub(crate) fn cell_bytes(field: &Field) -> Option<usize> {
    dtype(field).map(|(dtype, width)| width * dtype.bytes())
}

/// The field as written to disk.
pub(crate) fn disk_field(field: &FieldRef) -> FieldRef {
    let Some((dtype, width)) = dtype(field) else { return field.clone() };
    let mut metadata = field.metadata().clone();
    metadata.insert(DTYPE.to_owned(), dtype.name().to_owned());
    let binary = DataType::FixedSizeBinary((width * dtype.bytes()) as i32);
    Arc::new(Field::new(field.name(), binary, true).with_metadata(metadata))
}

/// The field as batches carry it, from the field on disk.
pub(crate) fn memory_field(disk: &FieldRef) -> FieldRef {
    let dtype = match disk.metadata().get(DTYPE).map(String::as_str) {
        Some("float16") => Dtype::Float16,
        Some("float32") => Dtype::Float32,
        _ => return disk.clone(),
    };
    let mut metadata = disk.metadata().clone();
    metadata.remove(DTYPE);
    let shape = shape(disk).unwrap_or_default();
    metadata.remove(SHAPE);
    let memory = field(disk.name(), dtype, &shape);
    metadata.extend(memory.metadata().clone());
    Arc::new(memory.as_ref().clone().with_metadata(metadata))
}

/// A batch read from disk as stages see it.
pub(crate) fn batch_from_disk(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let fields: Vec<FieldRef> = batch.schema().fields().iter().map(memory_field).collect();
    let arrays = fields.iter().zip(batch.columns()).map(|(field, array)| from_disk(field, array));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields.clone())), arrays.collect::<Result<_, _>>()?)?)
}

/// The column as written to disk, sharing the buffer.
pub(crate) fn to_disk(field: &FieldRef, array: &ArrayRef) -> Result<ArrayRef, Error> {
    let Some((dtype, width)) = dtype(field) else { return Ok(array.clone()) };
    let list = array
        .as_any()
        .downcast_ref::<FixedSizeListArray>()
        .ok_or_else(|| Error::Internal(format!("column `{}` is not a tensor", field.name())))?;
    let size = width * dtype.bytes();
    let values = list.values().to_data();
    let start = values.offset() * dtype.bytes();
    let bytes: Buffer = values.buffers()[0].slice_with_length(start, list.len() * size);
    Ok(Arc::new(FixedSizeBinaryArray::try_new(size as i32, bytes, list.nulls().cloned())?))
}

/// The column as batches carry it, sharing the buffer.
pub(crate) fn from_disk(field: &FieldRef, array: &ArrayRef) -> Result<ArrayRef, Error> {
    let Some((dtype, width)) = dtype(field) else { return Ok(array.clone()) };
    let binary = array
        .as_any()
        .downcast_ref::<FixedSizeBinaryArray>()
        .ok_or_else(|| Error::Internal(format!("stored column `{}` is not binary", field.name())))?;
    let data = binary.to_data();
    let size = width * dtype.bytes();
    let bytes = data.buffers()[0].slice_with_length(data.offset() * size, data.len() * size);
    let values = arrow::array::ArrayData::builder(dtype.arrow())
        .len(binary.len() * width)
        .add_buffer(bytes)
        .align_buffers(true)
        .build()?;
    let item = Arc::new(Field::new("item", dtype.arrow(), false));
    Ok(Arc::new(FixedSizeListArray::try_new(
        item,
        width as i32,
        make_array(values),
        binary.nulls().cloned(),
    )?))
}
