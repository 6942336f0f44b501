//! What takes space in the cache, who needs it, and what goes? Looking, choosing and removing, each in a file of its own.
//!
//! Everything here can go at any time and costs no correctness: what is missing is computed again.

mod choose;
pub mod gc;
mod inventory;
pub(super) mod limit;
pub mod stats;
mod superseded;
mod uses;
