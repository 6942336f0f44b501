//! What if a reader panics on bytes that are not what was written? It is an error as any other that damage makes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parquet::errors::ParquetError;

use crate::error::Error;

/// Decodes stored bytes; the reader of Parquet indexes by lengths that it finds in them.
pub(crate) fn unharmed<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(ParquetError::General("lengths in it cannot be true".into()).into()))
}
