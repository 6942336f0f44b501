//! How does training read rows at random from a column that memory cannot hold? From a pack: the cells of a tensor column in
//! id order, one behind the other in a file that is mapped.
//!
//! It is written in one pass over the cache in the order in which that lies, each cell checked against its digest on the way.
//! The file has no name, so it is gone with the process, however that ends.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, FixedSizeBinaryArray};
use arrow::buffer::{Buffer, NullBuffer};
use arrow::datatypes::FieldRef;
use bytes::Bytes;

use crate::error::Error;
use crate::tensor;

/// A pack being written.
pub struct Pack {
    field: FieldRef,
    folder: PathBuf,
    file: File,
    /// Bytes of a cell.
    width: usize,
    valid: Vec<bool>,
}

impl Pack {
    /// An empty pack for so many rows of a tensor column of `width` bytes a cell, in a file of that folder.
    pub fn new(field: &FieldRef, width: usize, rows: usize, folder: &Path) -> Result<Self, Error> {
        let create = || {
            fs::create_dir_all(folder)?;
            let file = tempfile::tempfile_in(folder)?;
            file.set_len((rows * width) as u64)?;
            Ok(file)
        };
        let file = create().map_err(Error::io("write a pack in", folder))?;
        Ok(Pack { field: field.clone(), folder: folder.to_owned(), file, width, valid: vec![false; rows] })
    }

    /// Puts the cells of some rows at their positions in id order.
    pub fn put(&mut self, positions: &[u32], cells: &ArrayRef) -> Result<(), Error> {
        let cells = tensor::to_disk(&self.field, cells)?;
        self.write(positions, cells.as_fixed_size_binary())
            .map_err(Error::io("write a pack in", &self.folder))
    }

    fn write(&mut self, positions: &[u32], cells: &FixedSizeBinaryArray) -> io::Result<()> {
        for (row, &position) in positions.iter().enumerate().filter(|(row, _)| cells.is_valid(*row)) {
            self.file.seek(SeekFrom::Start(u64::from(position) * self.width as u64))?;
            self.file.write_all(cells.value(row))?;
            self.valid[position as usize] = true;
        }
        Ok(())
    }

    /// The column, in the file.
    pub fn map(self) -> Result<ArrayRef, Error> {
        // SAFETY: the file has no name and this its only handle, so nobody writes or truncates it while it is mapped.
        let map =
            unsafe { memmap2::Mmap::map(&self.file) }.map_err(Error::io("map a pack in", &self.folder))?;
        let nulls = self.valid.contains(&false).then(|| NullBuffer::from(self.valid));
        let cells = Buffer::from(Bytes::from_owner(map));
        let cells = FixedSizeBinaryArray::try_new(self.width as i32, cells, nulls)?;
        tensor::from_disk(&self.field, &(Arc::new(cells) as ArrayRef))
    }
}
