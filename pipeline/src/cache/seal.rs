//! Is a Parquet file that is named by its values, not by its bytes, what was written? A digest of its name and all its
//! other bytes lies in its own metadata, where no reader minds it.

use parquet::file::metadata::KeyValue;

use crate::digest::Digest;

/// The name of the metadata; in the file its value follows the name, after the byte for its type and length.
const NAME: &str = "affectflow.seal";
/// Characters of a digest.
const LENGTH: usize = 32;

/// The metadata to write the file with.
pub(crate) fn unsealed() -> KeyValue {
    KeyValue::new(NAME.to_owned(), "0".repeat(LENGTH))
}

/// Puts the digest into a file of that name, which was written with [`unsealed`] metadata.
pub(crate) fn seal(file: &mut [u8], name: &str) {
    if let Some(at) = place(file) {
        let digest = digest(file, at, name);
        file[at..at + LENGTH].copy_from_slice(digest.as_bytes());
    }
}

/// Whether the file is as it was sealed under that name; `None` where it bears no seal.
pub(crate) fn whole(file: &[u8], name: &str) -> Option<bool> {
    place(file).map(|at| file[at..at + LENGTH] == *digest(file, at, name).as_bytes())
}

/// Where the digest lies: metadata stands at the end of the file, ours among the last of it.
fn place(file: &[u8]) -> Option<usize> {
    let name = file.windows(NAME.len()).rposition(|window| window == NAME.as_bytes())?;
    // Type and length of the value are a byte each.
    let at = name + NAME.len() + 2;
    (at + LENGTH <= file.len()).then_some(at)
}

fn digest(file: &[u8], at: usize, name: &str) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes()).update(&file[..at]).update(&file[at + LENGTH..]);
    Digest::from_hash(hasher.finalize()).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int32Array, RecordBatch};
    use parquet::arrow::ArrowWriter;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use parquet::file::properties::WriterProperties;

    use super::*;

    fn written(sealed: bool) -> (RecordBatch, Vec<u8>) {
        let column: ArrayRef = Arc::new(Int32Array::from_iter_values(0..50));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let with = sealed.then(|| vec![unsealed()]);
        let properties = WriterProperties::builder().set_key_value_metadata(with).build();
        let mut bytes = Vec::new();
        let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        seal(&mut bytes, "a list");
        (batch, bytes)
    }

    #[test]
    fn every_flipped_bit_of_a_sealed_file_is_found() {
        let (batch, bytes) = written(true);
        assert_eq!(whole(&bytes, "a list"), Some(true));
        assert_eq!(whole(&bytes, "another"), Some(false));
        let mut reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes.clone()))
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(reader.next().unwrap().unwrap(), batch, "readers do not mind the seal");
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A seal that is not found any more is none; what the file is named after tells then.
            assert_ne!(whole(&flipped, "a list"), Some(true), "bit {bit}");
        }
        assert_ne!(whole(&bytes[..bytes.len() / 2], "a list"), Some(true));
        assert_eq!(whole(&written(false).1, "a list"), None);
    }
}
