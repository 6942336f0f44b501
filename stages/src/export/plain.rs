//! What does a reader elsewhere understand? Tensors leave as (nested) lists of their numbers, the rest as it is.

use std::sync::Arc;

use affectflow_pipeline::Error;
use arrow::array::{Array, ArrayRef, AsArray, FixedSizeListArray, ListArray, RecordBatch};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema};

/// The batch with lists in place of fixed-size lists: every reader knows them, and a null row takes no room.
pub(super) fn plain(batch: &RecordBatch) -> Result<RecordBatch, Error> {
    let mut fields = Vec::new();
    let mut columns: Vec<ArrayRef> = Vec::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let column = match column.data_type() {
            DataType::FixedSizeList(..) => Arc::new(list(column.as_fixed_size_list())),
            _ => column.clone(),
        };
        let same = Field::new(field.name(), column.data_type().clone(), field.is_nullable());
        fields.push(Arc::new(same.with_metadata(field.metadata().clone())));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn list(tensor: &FixedSizeListArray) -> ListArray {
    let width = tensor.value_length() as usize;
    let DataType::FixedSizeList(item, _) = tensor.data_type() else { unreachable!("a fixed-size list") };
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(width, tensor.len()));
    ListArray::new(item.clone(), offsets, tensor.values().clone(), tensor.nulls().cloned())
}
