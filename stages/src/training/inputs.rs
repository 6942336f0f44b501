//! How do cached tensors reach the networks? Features and knowledge, gathered row by row into single precision.
//!
//! Columns stay in half precision, in memory or, where they are large, in a file that is mapped.

use affectflow_models::statistics::{Layout, Level};
use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::stage::Inputs as Arriving;
use affectflow_pipeline::{Problem, StageError, StageResult, tensor};
use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float16Type, Float32Type};
use candle_core::{Device, Tensor};
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use crate::columns::{FEATURES, KNOWLEDGE, LEVELS};

use super::moments::{Moments, Scales};
use super::options::Standardise;
use super::read;
use super::stream::Draw;

/// One level of the pyramid as the field's metadata and the artifact name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelSize {
    /// Channels of the map.
    pub channels: usize,
    /// Rows of the map.
    pub height: usize,
    /// Columns of the map.
    pub width: usize,
}

/// Shapes of the two tensor columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Shapes {
    /// Levels of `features`.
    pub levels: Vec<LevelSize>,
    /// Views a row.
    pub views: usize,
    /// Tokens of `knowledge`: the caption's, then as many of the triples'.
    pub tokens: usize,
    /// Width of a token.
    pub width: usize,
}

impl Shapes {
    /// The shapes of the columns that arrive.
    pub fn arriving(inputs: &Arriving) -> Result<Self, Problem> {
        let (features, knowledge) = (inputs.column(FEATURES)?, inputs.column(KNOWLEDGE)?);
        let levels: Option<Vec<LevelSize>> =
            features.metadata().get(LEVELS).and_then(|l| serde_json::from_str(l).ok());
        let levels = levels.ok_or_else(|| {
            Problem::new(format!("column `{FEATURES}` does not say its `{LEVELS}`"))
                .hint("the stage that adds it writes a JSON list of `{channels, height, width}` into the field's metadata")
        })?;
        let layout =
            layout(&levels).map_err(|error| Problem::new(format!("column `{FEATURES}`: {error}")))?;
        let (views, length) = matrix(features, "[views, statistics]")?;
        if length != layout.len() {
            return Err(Problem::new(format!(
                "column `{FEATURES}` has {length} values a view, and its levels make {}",
                layout.len()
            )));
        }
        let (tokens, width) = matrix(knowledge, "[tokens, width]")?;
        Ok(Shapes { levels, views, tokens, width })
    }
}

/// The layout of those levels.
pub fn layout(levels: &[LevelSize]) -> candle_core::Result<Layout> {
    let level = |l: &LevelSize| Level { channels: l.channels, height: l.height, width: l.width };
    Layout::new(levels.iter().map(level).collect())
}

fn matrix(field: &Field, form: &str) -> Result<(usize, usize), Problem> {
    match (tensor::shape(field).as_deref(), tensor::dtype(field)) {
        (Some(&[rows, columns]), Some(_)) if rows * columns > 0 => Ok((rows, columns)),
        _ => Err(Problem::new(format!("column `{}` is no tensor of form `{form}`", field.name()))),
    }
}

/// The two tensor columns of a table's rows.
pub struct Inputs<'a> {
    rows: &'a TableRows,
    shapes: &'a Shapes,
    layout: Layout,
    features: ArrayRef,
    knowledge: ArrayRef,
    /// Tokens used of each half of the knowledge.
    tokens: usize,
    scales: Scales,
    is_target: &'a [bool],
}

impl<'a> Inputs<'a> {
    /// The columns of `rows`, not yet standardised; of each half of the knowledge the first `tokens` tokens are used.
    pub fn new(
        rows: &'a TableRows,
        shapes: &'a Shapes,
        tokens: usize,
        is_target: &'a [bool],
    ) -> StageResult<Self> {
        let layout = layout(&shapes.levels)?;
        let (features, knowledge) = (rows.resident(FEATURES)?, rows.resident(KNOWLEDGE)?);
        let scales = Scales { source: Moments::none(&layout), target: Moments::none(&layout) };
        let tokens = tokens.min(shapes.tokens.div_ceil(2));
        Ok(Inputs { rows, shapes, layout, features, knowledge, tokens, scales, is_target })
    }

    /// From here on features are standardised so.
    pub fn standardise(&mut self, scales: Scales) {
        self.scales = scales;
    }

    /// The scales that `kind` takes from the rows that teach and those that are adapted to.
    pub fn scales(&self, kind: Standardise, train: &[u32], target: &[u32]) -> StageResult<Scales> {
        let source = match kind {
            Standardise::None => Moments::none(&self.layout),
            Standardise::Source | Standardise::Domain => self.moments(train)?,
        };
        let target = match kind {
            Standardise::Domain if !target.is_empty() => self.moments(target)?,
            _ => source.clone(),
        };
        Ok(Scales { source, target })
    }

    /// The layout of a features vector.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Tokens used of each half of the knowledge.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Standardised features `[draws, 9·ΣC]`, each of the view its random bits choose.
    pub fn features(&self, draws: &[Draw]) -> StageResult<Tensor> {
        let length = self.layout.len();
        let mut values = self.raw(draws)?;
        for (draw, row) in draws.iter().zip(values.chunks_mut(length)) {
            let moments =
                if self.is_target[draw.row as usize] { &self.scales.target } else { &self.scales.source };
            moments.apply(&self.layout, row);
        }
        Ok(Tensor::from_vec(values, (draws.len(), length), &Device::Cpu)?)
    }

    fn raw(&self, draws: &[Draw]) -> StageResult<Vec<f32>> {
        let length = self.layout.len();
        let mut out = Vec::with_capacity(draws.len() * length);
        self.gather(&self.features, FEATURES, draws.iter().map(|d| d.row), |index, values| {
            let view = (draws[index].random % self.shapes.views as u64) as usize;
            values.narrow(view * length, length, &mut out)
        })?;
        Ok(out)
    }

    /// Knowledge `[draws, 2·tokens, width]`: the caption's first tokens, then the triples'.
    pub fn knowledge(&self, draws: &[Draw]) -> StageResult<Tensor> {
        let Shapes { tokens, width, .. } = *self.shapes;
        let mut out = Vec::with_capacity(draws.len() * 2 * self.tokens * width);
        let halves = [0, tokens / 2];
        self.gather(&self.knowledge, KNOWLEDGE, draws.iter().map(|d| d.row), |_, values| {
            halves.iter().for_each(|start| values.narrow(start * width, self.tokens * width, &mut out));
        })?;
        Ok(Tensor::from_vec(out, (draws.len(), 2 * self.tokens, width), &Device::Cpu)?)
    }

    fn moments(&self, rows: &[u32]) -> StageResult<Moments> {
        Moments::of(&self.layout, |row| {
            rows.chunks(64).try_for_each(|chunk| {
                let values = self.raw(&first_view(chunk))?;
                values.chunks(self.layout.len()).for_each(&mut *row);
                Ok(())
            })
        })
    }

    fn gather(
        &self,
        column: &ArrayRef,
        name: &str,
        rows: impl Iterator<Item = u32>,
        mut each: impl FnMut(usize, &Values),
    ) -> StageResult<()> {
        for (index, row) in rows.enumerate() {
            let values = Values::of(column, row as usize);
            let id = read::id(self.rows, row);
            let values = values.ok_or_else(|| StageError::new(format!("row `{id}` has no `{name}`")))?;
            if !values.finite() {
                return Err(StageError::new(format!("row `{id}`: `{name}` holds a value that is not a number"))
                    .hint("the stage that made it overflowed; recompute it in single precision, or leave the row out"));
            }
            each(index, &values);
        }
        Ok(())
    }
}

/// Draws of those rows that take the first view.
pub fn first_view(rows: &[u32]) -> Vec<Draw> {
    rows.iter().map(|&row| Draw { row, random: 0 }).collect()
}

/// One cell of a tensor column, not yet converted.
enum Values {
    Half(arrow::array::Float16Array),
    Single(arrow::array::Float32Array),
}

impl Values {
    fn of(column: &ArrayRef, row: usize) -> Option<Self> {
        let list = column.as_fixed_size_list_opt()?;
        if list.is_null(row) {
            return None;
        }
        let cell = list.value(row);
        match cell.data_type() {
            DataType::Float16 => Some(Values::Half(cell.as_primitive::<Float16Type>().clone())),
            DataType::Float32 => Some(Values::Single(cell.as_primitive::<Float32Type>().clone())),
            _ => None,
        }
    }

    fn finite(&self) -> bool {
        match self {
            Values::Half(values) => values.values().iter().all(|v| v.is_finite()),
            Values::Single(values) => values.values().iter().all(|v| v.is_finite()),
        }
    }

    fn narrow(&self, start: usize, length: usize, out: &mut Vec<f32>) {
        match self {
            Values::Half(values) => {
                let from = out.len();
                out.resize(from + length, 0.0);
                values.values()[start..start + length].convert_to_f32_slice(&mut out[from..]);
            }
            Values::Single(values) => out.extend_from_slice(&values.values()[start..start + length]),
        }
    }
}
