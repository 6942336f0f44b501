//! The six kinds of stage of KCDP and a few helpers: `ingest`, `embed`, `perceive`, `label`, `adapt`, `evaluate`, `sample`.
//!
//! One folder a kind. [`register`] is the one visible list.

pub mod columns;
pub mod conditions;
pub mod ingest;
pub mod picture;
pub mod sample;

use affectflow_pipeline::Registry;

/// Registers every built-in kind and link.
pub fn register(registry: &mut Registry) {
    registry.add(ingest::Ingest).link(ingest::SyntheticLink).link(ingest::TwemojiLink);
    registry.add(sample::Sample).add(sample::Filter);
}
