//! What if code panics that is prepared for the worst: a reader on bytes that are not what was written, a stage on a row? It is
//! an error as any other, and nobody reads of a thread that panicked.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;
use std::thread;

use parquet::errors::ParquetError;

use crate::error::Error;

thread_local! {
    /// Whether panics of this thread are caught, and told by whoever catches them.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Decodes stored bytes; the reader of Parquet indexes by lengths that it finds in them.
pub(crate) fn unharmed<T>(decode: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    quietly(decode)
        .unwrap_or_else(|_| Err(ParquetError::General("lengths in it cannot be true".into()).into()))
}

/// Like `catch_unwind`, but a panic prints nothing: it is for whoever called to tell of it.
pub(crate) fn quietly<T>(work: impl FnOnce() -> T) -> thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            // A panic on one of rayon's threads goes on in the thread that waits for it.
            if !CAUGHT.get() && rayon::current_thread_index().is_none() {
                before(panic);
            }
        }));
    });
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_within_is_a_value_and_one_outside_is_still_told() {
        assert!(quietly(|| -> u8 { panic!("within") }).is_err());
        assert!(!CAUGHT.get());
        let nested = quietly(|| {
            assert!(quietly(|| -> u8 { panic!("deep within") }).is_err());
            CAUGHT.get()
        });
        assert!(nested.unwrap());
        assert!(unharmed(|| -> Result<(), Error> { panic!("lengths") }).is_err());
    }
}
