//! The head on top of v: the mixture of experts and the text that it reads (docs/method.md §3.4).

use affectflow_models::moe::{Config, Decision, Moe, token_mean};
use affectflow_models::parameters::Parameters;
use candle_core::{Result, Tensor};
use serde::{Deserialize, Serialize};

use super::options::{MoeText, Options};

/// Sizes of a head, as the artifact names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadMeta {
    /// Experts.
    pub experts: usize,
    /// Experts that answer for a row.
    pub top: usize,
    /// Hidden units of an expert.
    pub hidden: usize,
    /// Values of text behind v; 0 for none.
    pub text: usize,
}

/// The head.
pub struct Head {
    moe: Moe,
    /// Its sizes.
    pub meta: HeadMeta,
}

impl Head {
    /// A head for v of length `visual` and `tokens` tokens of triples.
    pub fn new(
        options: &Options,
        visual: usize,
        tokens: usize,
        classes: usize,
        parameters: &mut Parameters,
    ) -> Result<Self> {
        let text = if options.moe_text == MoeText::Tokenmean { tokens } else { 0 };
        let meta = HeadMeta { experts: options.experts, top: options.top, hidden: options.hidden, text };
        let config =
            Config { visual, text, experts: meta.experts, top: meta.top, hidden: meta.hidden, classes };
        Ok(Head { moe: Moe::new(config, parameters.scope("head"))?, meta })
    }

    /// Whether it reads the knowledge.
    pub fn reads(&self) -> bool {
        self.meta.text > 0
    }

    /// The answer for v `[B, visual]` and knowledge `[B, 2·tokens, width]` (not looked at where the head reads none).
    pub fn decide(&self, v: &Tensor, knowledge: Option<&Tensor>) -> Result<Decision> {
        let text = match knowledge {
            Some(knowledge) if self.reads() => Some(token_mean(knowledge, self.meta.text, self.meta.text)?),
            _ => None,
        };
        self.moe.forward(v, text.as_ref())
    }
}
