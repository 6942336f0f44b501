//! Options that `label` and `adapt` share, and how those left out are filled in.

use affectflow_pipeline::Problem;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::inputs::LevelSize;

/// On which scale channels reach the pyramid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standardise {
    /// Mean 0 and deviation 1 over the source's train rows, for both domains.
    #[default]
    Source,
    /// Mean 0 and deviation 1 in each domain by itself; no labels are used.
    Domain,
    /// As they come.
    None,
}

/// The width of the pyramid's levels: as asked, else the coarsest level's channels, 256 (as published) at most.
pub fn pyramid(asked: Option<usize>, levels: &[LevelSize]) -> usize {
    asked.unwrap_or_else(|| levels.last().map_or(256, |level| level.channels.min(256)))
}

/// The heads of the alignment: as asked, else one for 32 of the width, 8 (as published) at most.
pub fn heads(asked: Option<usize>, width: usize) -> Result<usize, Problem> {
    match asked {
        Some(heads) if heads > 0 && width.is_multiple_of(heads) => Ok(heads),
        Some(heads) => Err(Problem::new(format!(
            "{heads} attention heads do not divide the width of `knowledge`, {width}"
        ))
        .option("heads")
        .hint("leave `heads` out, or take a divisor")),
        None => {
            Ok((1..=(width / 32).clamp(1, 8)).rev().find(|heads| width.is_multiple_of(*heads)).unwrap_or(1))
        }
    }
}

/// Refuses a number that is not in `(from, to]`.
pub fn within(name: &str, value: f64, from: f64, to: f64) -> Result<(), Problem> {
    match value > from && value <= to {
        true => Ok(()),
        false if to.is_infinite() => {
            Err(Problem::new(format!("`{name}` must be above {from}, not {value}")).option(name))
        }
        false => {
            Err(Problem::new(format!("`{name}` must be above {from} and at most {to}, not {value}"))
                .option(name))
        }
    }
}

/// Refuses a number that is not in `[from, to]`.
pub fn between(name: &str, value: f64, from: f64, to: f64) -> Result<(), Problem> {
    match (from..=to).contains(&value) {
        true => Ok(()),
        false => {
            Err(Problem::new(format!("`{name}` must lie between {from} and {to}, not {value}")).option(name))
        }
    }
}

/// Refuses 0.
pub fn at_least_one(name: &str, value: usize) -> Result<(), Problem> {
    match value {
        0 => Err(Problem::new(format!("`{name}` must be at least 1")).option(name)),
        _ => Ok(()),
    }
}
