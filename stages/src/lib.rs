//! The six kinds of stage of KCDP and a few helpers: `ingest`, `embed`, `perceive`, `label`, `adapt`, `evaluate`, `sample`.
//!
//! One folder a kind. [`register`] is the one visible list.

pub mod adapt;
pub mod columns;
pub mod evaluate;
pub mod label;
pub mod model;
pub mod training;

use affectflow_pipeline::Registry;

/// Registers every built-in kind and link.
pub fn register(registry: &mut Registry) {
    registry.add(label::Label);
    registry.add(adapt::Adapt);
    registry.add(evaluate::Evaluate);
}
