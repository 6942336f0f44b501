//! The six kinds of stage of KCDP and a few helpers: `ingest`, `embed`, `perceive`, `label`, `adapt`, `evaluate`, `sample`.
//!
//! One folder a kind. [`register`] is the one visible list.

pub mod adapt;
pub mod columns;
pub mod conditions;
pub mod embed;
pub mod evaluate;
pub mod ingest;
pub mod label;
pub mod model;
pub mod perceive;
pub mod picture;
mod pixels;
mod rows;
pub mod sample;
pub mod training;

use affectflow_pipeline::Registry;

/// Registers every built-in kind and link.
pub fn register(registry: &mut Registry) {
    registry.add(ingest::Ingest).link(ingest::SyntheticLink).link(ingest::TwemojiLink);
    registry.add(sample::Sample).add(sample::Filter);
    registry.add(embed::Embed).add(perceive::Perceive);
    registry.add(label::Label).add(adapt::Adapt).add(evaluate::Evaluate);
}
