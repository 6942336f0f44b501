//! What does `label` train and `adapt` go on with? A pooled pyramid and the alignment on top of it
//! (docs/method.md §4, §9).

use affectflow_models::cliea::{self, Cliea};
use affectflow_models::fpn::PooledFpn;
use affectflow_models::parameters::Parameters;
use affectflow_models::statistics::Layout;
use affectflow_pipeline::{StageError, StageResult};
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::filter::Filter;
use super::inputs::{LevelSize, Shapes};

/// Rows whose attention is computed at once.
const AT_ONCE: usize = 8;

/// What an aligner was trained for: the header of the artifact `alignment`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// Names of the classes in order.
    pub classes: Vec<String>,
    /// Levels of the features.
    pub levels: Vec<LevelSize>,
    /// Channels of a pyramid level.
    pub pyramid: usize,
    /// Width of a knowledge token.
    pub width: usize,
    /// Tokens used of each half of the knowledge.
    pub knowledge_tokens: usize,
    /// Attention heads.
    pub heads: usize,
    /// The cosine is divided by this.
    pub temperature: f64,
    /// The prompt around a class name.
    pub template: String,
    /// How its pseudo-labels are filtered.
    pub filter: Filter,
}

impl Meta {
    /// Fails where the rows that arrive are not of the form that the weights were trained on.
    pub fn fits(&self, classes: &[String], shapes: &Shapes) -> StageResult<()> {
        let differs = |what: &str, trained: String, here: String| {
            Err(StageError::new(format!(
                "the artifact `alignment` was trained with {what} {trained}, and here it is {here}"
            ))
            .hint("let `label` and `adapt` take rows of the same `perceive` and `embed` stages"))
        };
        if self.classes != classes {
            return differs("classes", format!("{:?}", self.classes), format!("{classes:?}"));
        }
        if self.levels != shapes.levels {
            let channels =
                |levels: &[LevelSize]| format!("{:?}", levels.iter().map(|l| l.channels).collect::<Vec<_>>());
            return differs("`features` of channels", channels(&self.levels), channels(&shapes.levels));
        }
        if self.width != shapes.width {
            return differs("`knowledge` of width", self.width.to_string(), shapes.width.to_string());
        }
        Ok(())
    }
}

/// The networks.
pub struct Aligner {
    /// Features to v.
    pub fpn: PooledFpn,
    /// v and knowledge to a score a class.
    pub cliea: Cliea,
    /// States of the label prompts, `[classes, tokens, width]`.
    pub prompts: Tensor,
}

impl Aligner {
    /// The networks of `meta`, their weights in `parameters` under `fpn` and `cliea`.
    pub fn new(meta: &Meta, layout: &Layout, prompts: Tensor, parameters: &mut Parameters) -> Result<Self> {
        let fpn = PooledFpn::new(layout, meta.pyramid, parameters.scope("fpn"), &Device::Cpu)?;
        let config = cliea::Config {
            width: meta.width,
            heads: meta.heads,
            visual: fpn.out_width(),
            temperature: meta.temperature,
        };
        Ok(Aligner { fpn, cliea: Cliea::new(config, parameters.scope("cliea"))?, prompts })
    }

    /// Scores `[B, classes]`, cosines over the temperature, of features and knowledge.
    pub fn scores(&self, features: &Tensor, knowledge: &Tensor) -> Result<Tensor> {
        self.align(&self.fpn.forward(features)?, knowledge)
    }

    /// Scores of v `[B, visual]` and knowledge. Attention goes a few rows at a time, so that its maps stay in the cache.
    pub fn align(&self, v: &Tensor, knowledge: &Tensor) -> Result<Tensor> {
        let rows = knowledge.dim(0)?;
        let scenes = (0..rows).step_by(AT_ONCE).map(|start| {
            let part = knowledge.narrow(0, start, AT_ONCE.min(rows - start))?;
            self.cliea.scenes(&self.prompts, &part)
        });
        self.cliea.similarity(v, &Tensor::cat(&scenes.collect::<Result<Vec<_>>>()?, 0)?)
    }
}
