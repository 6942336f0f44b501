//! What is the digest of a cell? That of one canonical encoding of its value, whichever column, batch or array type it came in.

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BooleanArray, FixedSizeBinaryArray, StringArray};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::DataType;

use super::{Digest, Digests};
use crate::error::Error;
use crate::parallel;

/// Bytes of a cell from which on a column is digested in parallel.
const LARGE: usize = 1 << 10;

/// Digest of every cell of a column. A value has the same digest whichever column, batch or array type it came in.
pub fn cells(array: &ArrayRef) -> Result<Vec<Digest>, Error> {
    let cells = Cells::new(array.as_ref())?;
    if let Values::Numbers(numbers, size @ LARGE..) = &cells.values {
        return Ok(tensors(numbers, *size, |row| cells.is_valid(row)));
    }
    let mut digests = Digests::with_capacity(array.len());
    let mut buffer = Vec::new();
    for row in 0..array.len() {
        buffer.clear();
        cells.encode(row, &mut buffer);
        digests.push(&buffer);
    }
    Ok(digests.finish())
}

/// Tensors lie one after the other: digested in parallel and without a copy.
fn tensors(numbers: &[u8], size: usize, is_valid: impl Fn(usize) -> bool + Sync) -> Vec<Digest> {
    let digest = |row: usize| {
        let cell = &numbers[row * size..(row + 1) * size];
        let mut hasher = blake3::Hasher::new();
        match is_valid(row) {
            true => hasher.update(&[1]).update(cell),
            false => hasher.update(&[0]),
        };
        Digest::from_hash(hasher.finalize())
    };
    parallel::map(numbers.len() / size, numbers.len(), digest)
}

/// Appends the encoding of every cell of a column: what the cells' digests are taken of, for the price of one digest.
pub(crate) fn encode(array: &ArrayRef, out: &mut Vec<u8>) -> Result<(), Error> {
    let cells = Cells::new(array.as_ref())?;
    (0..array.len()).for_each(|row| cells.encode(row, out));
    Ok(())
}

/// A column whose cells have an encoding.
struct Cells<'a> {
    nulls: Option<&'a NullBuffer>,
    values: Values<'a>,
}

enum Values<'a> {
    Text(&'a StringArray),
    Binary(&'a BinaryArray),
    FixedBinary(&'a FixedSizeBinaryArray),
    Boolean(&'a BooleanArray),
    /// Little-endian numbers, so many bytes a cell.
    Numbers(Buffer, usize),
    List(&'a [i32], Box<Cells<'a>>),
    Struct(Vec<Cells<'a>>),
}

impl<'a> Cells<'a> {
    fn new(array: &'a dyn Array) -> Result<Self, Error> {
        let values = match array.data_type() {
            DataType::Utf8 => Values::Text(array.as_string()),
            DataType::Binary => Values::Binary(array.as_binary()),
            DataType::FixedSizeBinary(_) => Values::FixedBinary(array.as_fixed_size_binary()),
            DataType::Boolean => Values::Boolean(array.as_boolean()),
            DataType::List(_) => {
                let list = array.as_list::<i32>();
                Values::List(list.value_offsets(), Box::new(Cells::new(list.values().as_ref())?))
            }
            DataType::FixedSizeList(item, width) if item.data_type().is_primitive() => {
                let (numbers, size) = numbers(array.as_fixed_size_list().values());
                Values::Numbers(numbers, size * *width as usize)
            }
            DataType::Struct(_) => {
                let columns = array.as_struct().columns().iter().map(|column| Cells::new(column.as_ref()));
                Values::Struct(columns.collect::<Result<_, _>>()?)
            }
            kind if kind.is_primitive() => {
                let (numbers, size) = numbers(array);
                Values::Numbers(numbers, size)
            }
            kind => return Err(Error::Internal(format!("no digest for a column of {kind}"))),
        };
        Ok(Cells { nulls: array.nulls(), values })
    }

    /// Appends a canonical encoding of one cell: a tag for null or not, then little-endian values, lengths before anything
    /// of varying length.
    fn encode(&self, row: usize, out: &mut Vec<u8>) {
        let valid = self.is_valid(row);
        out.push(u8::from(valid));
        if !valid {
            return;
        }
        match &self.values {
            Values::Text(text) => blob(text.value(row).as_bytes(), out),
            Values::Binary(binary) => blob(binary.value(row), out),
            Values::FixedBinary(binary) => blob(binary.value(row), out),
            Values::Boolean(bits) => out.push(u8::from(bits.value(row))),
            Values::Numbers(numbers, size) => out.extend(&numbers[row * size..][..*size]),
            Values::List(offsets, items) => {
                let items_of = offsets[row] as usize..offsets[row + 1] as usize;
                out.extend((items_of.len() as u64).to_le_bytes());
                items_of.for_each(|item| items.encode(item, out));
            }
            Values::Struct(columns) => columns.iter().for_each(|column| column.encode(row, out)),
        }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.nulls.is_none_or(|nulls| nulls.is_valid(row))
    }
}

/// The bytes of a primitive array, and how many of them a number has.
fn numbers(array: &dyn Array) -> (Buffer, usize) {
    let size = array.data_type().primitive_width().unwrap_or(1);
    let data = array.to_data();
    (data.buffers()[0].slice_with_length(data.offset() * size, data.len() * size), size)
}

fn blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        BinaryBuilder, FixedSizeListArray, Float32Array, Int32Array, Int32Builder, ListBuilder, StructArray,
    };
    use arrow::buffer::ScalarBuffer;
    use arrow::datatypes::Field;

    use super::*;

    fn columns() -> Vec<ArrayRef> {
        let mut binary = BinaryBuilder::new();
        let mut lists = ListBuilder::new(Int32Builder::new());
        for row in 0..5i32 {
            binary.append_option((row != 2).then(|| vec![7; row as usize]));
            lists.append_option((row != 3).then(|| (0..row).map(|item| (item != 1).then_some(item * row))));
        }
        let texts: ArrayRef =
            Arc::new(StringArray::from(vec![Some("a"), None, Some(""), Some("b"), Some("a")]));
        let numbers: ArrayRef = Arc::new(Int32Array::from(vec![None, Some(1), Some(2), Some(3), Some(1)]));
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = Arc::new(Float32Array::new(ScalarBuffer::from_iter((0..15).map(|v| v as f32)), None));
        let nulls = NullBuffer::from(vec![true, true, false, true, true]);
        let tensors = FixedSizeListArray::try_new(item, 3, values, Some(nulls.clone())).unwrap();
        let fields = [("text", &texts), ("number", &numbers)]
            .map(|(name, array)| Arc::new(Field::new(name, array.data_type().clone(), true)));
        let pairs =
            StructArray::new(fields.to_vec().into(), vec![texts.clone(), numbers.clone()], Some(nulls));
        let bits = BooleanArray::from(vec![Some(true), None, Some(false), Some(true), Some(true)]);
        let keys = FixedSizeBinaryArray::try_from_iter((0..5u8).map(|row| [row; 16])).unwrap();
        vec![
            texts,
            numbers,
            Arc::new(binary.finish()),
            Arc::new(lists.finish()),
            Arc::new(tensors),
            Arc::new(pairs),
            Arc::new(bits),
            Arc::new(keys),
        ]
    }

    #[test]
    fn a_cell_has_the_same_digest_in_a_slice() {
        for column in columns() {
            let all = cells(&column).unwrap();
            assert_eq!(cells(&column.slice(1, 3)).unwrap(), all[1..4], "{}", column.data_type());
            assert_eq!(cells(&column.slice(5, 0)).unwrap(), [], "{}", column.data_type());
        }
    }

    #[test]
    fn a_large_cell_is_digested_as_a_small_one() {
        let numbers: Vec<f32> = (0..4 * 512).map(|number| number as f32).collect();
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        let values = Arc::new(Float32Array::from(numbers.clone()));
        let nulls = NullBuffer::from(vec![true, true, false, true]);
        let column: ArrayRef = Arc::new(FixedSizeListArray::try_new(item, 512, values, Some(nulls)).unwrap());
        let bytes: Vec<u8> = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
        let cell = |row: usize| Digest::of(&[&[1], &bytes[row * 2048..][..2048]].concat());
        assert_eq!(cells(&column).unwrap(), [cell(0), cell(1), Digest::of(&[0]), cell(3)]);
        assert_eq!(cells(&column.slice(1, 2)).unwrap(), [cell(1), Digest::of(&[0])]);
    }

    #[test]
    fn a_digest_is_that_of_the_encoding() {
        let said = |column: &ArrayRef, row| cells(&column.slice(row, 1)).unwrap()[0];
        let columns = columns();
        assert_eq!(said(&columns[0], 0), Digest::of(b"\x01\x01\0\0\0\0\0\0\0a"));
        assert_eq!(said(&columns[0], 1), Digest::of(b"\0"));
        assert_eq!(said(&columns[1], 3), Digest::of(b"\x01\x03\0\0\0"));
        assert_eq!(said(&columns[3], 2), Digest::of(b"\x01\x02\0\0\0\0\0\0\0\x01\0\0\0\0\0"));
        let tensor = [3f32, 4.0, 5.0].map(f32::to_le_bytes).concat();
        assert_eq!(said(&columns[4], 1), Digest::of(&[&[1], tensor.as_slice()].concat()));
        assert_eq!(said(&columns[5], 4), Digest::of(b"\x01\x01\x01\0\0\0\0\0\0\0a\x01\x01\0\0\0"));
        assert_eq!(said(&columns[6], 2), Digest::of(b"\x01\0"));
        let mut whole = Vec::new();
        encode(&columns[1].slice(0, 2), &mut whole).unwrap();
        assert_eq!(whole, b"\0\x01\x01\0\0\0");
    }
}
