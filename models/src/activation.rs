//! Which non-linearity does a configuration name in `hidden_act`?
//!
//! The names and formulas are those of Hugging Face transformers

use candle_core::{Result, Tensor};
use serde::Deserialize;

/// A non-linearity by its published name
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// `x Φ(x)`, exact
    Gelu,
    /// `x σ(1.702 x)`, as OpenAI trained CLIP
    QuickGelu,
    /// The tanh approximation of GELU
    #[serde(alias = "gelu_pytorch_tanh", alias = "gelu_fast")]
    GeluNew,
    /// `max(x, 0)`
    Relu,
    /// `x σ(x)`
    #[serde(alias = "swish")]
    Silu,
}

impl Activation {
    pub(crate) fn apply(self, x: &Tensor) -> Result<Tensor> {
        match self {
            Activation::Gelu => x.gelu_erf(),
            Activation::QuickGelu => x * candle_nn::ops::sigmoid(&(x * 1.702)?)?,
            Activation::GeluNew => x.gelu(),
            Activation::Relu => x.relu(),
            Activation::Silu => x.silu(),
        }
    }
}
