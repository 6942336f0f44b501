//! What is the name of a value? 16 bytes of BLAKE3: for files, for cells of a column, for keys of rows.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::array::{Array, AsArray, FixedSizeListArray};
use arrow::datatypes::DataType;
use rayon::prelude::*;

use crate::error::Error;

/// The first 16 bytes of a BLAKE3 hash. Written as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(transparent)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// Digest of bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    /// Cuts a full hash.
    pub fn from_hash(hash: blake3::Hash) -> Self {
        let mut out = [0; 16];
        out.copy_from_slice(&hash.as_bytes()[..16]);
        Digest(out)
    }

    /// Digest of a list of parts, each preceded by its length, so that no two lists collide by concatenation.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = blake3::Hasher::new();
        for part in parts {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Self::from_hash(hasher.finalize())
    }

    /// Reads 32 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        blake3::Hash::from_hex(format!("{text}{text}")).ok().map(Self::from_hash)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Digest of every cell of a column. A value has the same digest whichever column, batch or array type it came in.
pub fn cells(array: &ArrayRef) -> Result<Vec<Digest>, Error> {
    if let Some(tensors) = array.as_fixed_size_list_opt().filter(|_| array.null_count() == 0) {
        if let Some(size) = tensors.value_type().primitive_width() {
            return Ok(tensor_cells(tensors, size * tensors.value_length() as usize));
        }
    }
    let mut buffer = Vec::new();
    (0..array.len())
        .map(|row| {
            buffer.clear();
            encode(array.as_ref(), row, &mut buffer)?;
            Ok(Digest::of(&buffer))
        })
        .collect()
}

/// Tensors are large and lie one after the other: digested in parallel and without a copy.
fn tensor_cells(tensors: &FixedSizeListArray, size: usize) -> Vec<Digest> {
    let values = tensors.values().to_data();
    let width = tensors.value_length().max(1) as usize;
    let bytes = &values.buffers()[0].as_slice()[values.offset() * (size / width)..][..tensors.len() * size];
    let digest = |cell: &[u8]| {
        let mut hasher = blake3::Hasher::new();
        Digest::from_hash(hasher.update(&[1]).update(cell).finalize())
    };
    if size == 0 {
        return vec![digest(&[]); tensors.len()];
    }
    bytes.par_chunks(size).with_min_len((1 << 18) / size + 1).map(digest).collect()
}

/// Appends a canonical encoding of one cell: a tag for null or not, then little-endian values, lengths before anything of
/// varying length.
fn encode(array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    if array.is_null(row) {
        out.push(0);
        return Ok(());
    }
    out.push(1);
    match array.data_type() {
        DataType::Utf8 => blob(array.as_string::<i32>().value(row).as_bytes(), out),
        DataType::Binary => blob(array.as_binary::<i32>().value(row), out),
        DataType::FixedSizeBinary(_) => blob(array.as_fixed_size_binary().value(row), out),
        DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
        DataType::List(_) => {
            let list = array.as_list::<i32>().value(row);
            out.extend((list.len() as u64).to_le_bytes());
            for item in 0..list.len() {
                encode(list.as_ref(), item, out)?;
            }
        }
        DataType::FixedSizeList(item, width) if item.data_type().is_primitive() => {
            let size = item.data_type().primitive_width().unwrap_or(1) * *width as usize;
            let values = array.as_fixed_size_list().value(row).to_data();
            out.extend(
                &values.buffers()[0].as_slice()[values.offset() * (size / (*width).max(1) as usize)..]
                    [..size],
            );
        }
        DataType::Struct(_) => {
            for column in array.as_struct().columns() {
                encode(column.as_ref(), row, out)?;
            }
        }
        kind if kind.is_primitive() => {
            let size = kind.primitive_width().unwrap_or(1);
            let data = array.to_data();
            out.extend(&data.buffers()[0].as_slice()[(data.offset() + row) * size..][..size]);
        }
        kind => return Err(Error::Internal(format!("no digest for a column of {kind}"))),
    }
    Ok(())
}

fn blob(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as u64).to_le_bytes());
    out.extend(bytes);
}
