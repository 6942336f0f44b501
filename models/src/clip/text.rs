//! What states does CLIP's text tower give a sequence of tokens?
//!
//! A causal pre-LN transformer (Radford et al. 2021); weights as `CLIPTextModel` of transformers names them, with or
//! without the leading `text_model.`. Frozen: the softmax and LayerNorm used here have no backward pass

use candle_core::{DType, Device, Tensor};
use candle_nn::{Embedding, Module};
use serde::Deserialize;

use crate::activation::Activation;
use crate::dense::Dense;
use crate::fused_attention::{FusedQkv, Heads, attend, causal_mask};
use crate::small_ops::Norm;
use crate::{Error, ModelFolder, Result, Weights};

/// `config.json` of a `CLIPTextModel`; fields left out take the published defaults
#[derive(Debug, Clone, Deserialize)]
#[serde(default)]
pub struct ClipTextConfig {
    /// Number of token ids
    pub vocab_size: usize,
    /// Width of a state
    pub hidden_size: usize,
    /// Width inside the MLP
    pub intermediate_size: usize,
    /// Width of the space shared with pictures
    pub projection_dim: usize,
    /// Number of layers
    pub num_hidden_layers: usize,
    /// Number of attention heads
    pub num_attention_heads: usize,
    /// Longest sequence
    pub max_position_embeddings: usize,
    /// Non-linearity of the MLP
    pub hidden_act: Activation,
    /// Added to the variance in LayerNorm
    pub layer_norm_eps: f64,
    /// Token whose state is the pooled one; 2 in old files, which means the highest id of the sequence
    pub eos_token_id: u32,
}

impl Default for ClipTextConfig {
    fn default() -> Self {
        Self {
            vocab_size: 49408,
            hidden_size: 512,
            intermediate_size: 2048,
            projection_dim: 512,
            num_hidden_layers: 12,
            num_attention_heads: 8,
            max_position_embeddings: 77,
            hidden_act: Activation::QuickGelu,
            layer_norm_eps: 1e-5,
            eos_token_id: 49407,
        }
    }
}

/// What the text tower says of a batch of sequences
pub struct TextStates {
    /// States of every token after the final LayerNorm, `[batch, tokens, width]`
    pub hidden: Tensor,
    /// State of the first end token, `[batch, width]`
    pub pooled: Tensor,
}

/// CLIP's text tower
pub struct ClipTextModel {
    config: ClipTextConfig,
    device: Device,
    tokens: Embedding,
    positions: Tensor,
    layers: Vec<Layer>,
    norm: Norm,
}

impl ClipTextModel {
    /// Reads `config.json` (a text model's, or a whole CLIP's) and the weights of `folder`
    pub fn load(folder: &ModelFolder, device: &Device, dtype: DType) -> Result<Self> {
        let config = ClipTextConfig::load(folder)?;
        let weights = folder.weights(device, dtype)?;
        let weights = if weights.has_below("text_model") { weights.pp("text_model") } else { weights };
        Self::new(config, &weights)
    }

    /// From tensors whose names start at `embeddings.`, `encoder.` and `final_layer_norm.`
    pub fn new(config: ClipTextConfig, weights: &Weights) -> Result<Self> {
        let (width, embeddings) = (config.hidden_size, weights.pp("embeddings"));
        let positions = [config.max_position_embeddings, width];
        let layer = |i| Layer::new(&config, &weights.pp("encoder.layers").pp(i));
        Ok(Self {
            tokens: embeddings.pp("token_embedding").embedding(config.vocab_size, width)?,
            positions: embeddings.pp("position_embedding").tensor("weight", &positions)?,
            layers: (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?,
            norm: weights.pp("final_layer_norm").norm(width, config.layer_norm_eps)?,
            device: weights.device().clone(),
            config,
        })
    }

    /// The configuration
    pub fn config(&self) -> &ClipTextConfig {
        &self.config
    }

    /// Where the network lies
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// States of ids `[batch, tokens]` (u32); padding is not masked, the causal mask keeps it from what stands before
    pub fn forward(&self, ids: &Tensor) -> Result<TextStates> {
        let (_, tokens) = ids.dims2()?;
        if tokens > self.config.max_position_embeddings {
            let longest = self.config.max_position_embeddings;
            return Err(Error::Input(format!(
                "a text of {tokens} tokens is longer than the {longest} the network reads"
            )));
        }
        let mut x = self.tokens.forward(ids)?.broadcast_add(&self.positions.narrow(0, 0, tokens)?)?;
        let mask = causal_mask(tokens, 0, &x)?;
        for layer in &self.layers {
            x = layer.forward(&x, &mask)?;
        }
        let hidden = self.norm.forward(&x)?;
        let pooled = self.pooled(ids, &hidden)?;
        Ok(TextStates { hidden, pooled })
    }

    fn pooled(&self, ids: &Tensor, hidden: &Tensor) -> Result<Tensor> {
        let mut rows = Vec::new();
        for (row, ids) in ids.to_vec2::<u32>()?.iter().enumerate() {
            rows.push(hidden.get(row)?.narrow(0, self.end_position(ids), 1)?);
        }
        Ok(Tensor::cat(&rows, 0)?)
    }

    fn end_position(&self, ids: &[u32]) -> usize {
        let end = match self.config.eos_token_id {
            2 => ids.iter().copied().max().unwrap_or_default(),
            end => end,
        };
        ids.iter().position(|id| *id == end).unwrap_or_default()
    }
}

struct Layer {
    norm1: Norm,
    qkv: FusedQkv,
    output: Dense,
    norm2: Norm,
    fc1: Dense,
    activation: Activation,
    fc2: Dense,
}

impl Layer {
    fn new(config: &ClipTextConfig, weights: &Weights) -> Result<Self> {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let heads = Heads { count: config.num_attention_heads, width };
        let attention = weights.pp("self_attn");
        Ok(Self {
            norm1: weights.pp("layer_norm1").norm(width, config.layer_norm_eps)?,
            qkv: FusedQkv::from_three(&attention, ["q_proj", "k_proj", "v_proj"], heads)?,
            output: attention.pp("out_proj").dense(width, width)?,
            norm2: weights.pp("layer_norm2").norm(width, config.layer_norm_eps)?,
            fc1: weights.pp("mlp.fc1").dense(width, inner)?,
            activation: config.hidden_act,
            fc2: weights.pp("mlp.fc2").dense(inner, width)?,
        })
    }

    fn forward(&self, x: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
        let qkv = self.qkv.forward(&self.norm1.forward(x)?)?;
        let mixed = attend(&qkv.get(0)?, &qkv.get(1)?, &qkv.get(2)?, Some(mask))?;
        let x = (x + self.output.forward(&mixed)?)?;
        let inner = self.activation.apply(&self.fc1.forward(&self.norm2.forward(&x)?)?)?;
        x + self.fc2.forward(&inner)?
    }
}

impl ClipTextConfig {
    /// Reads and checks `config.json`, a text model's or a whole CLIP's
    pub fn load(folder: &ModelFolder) -> Result<Self> {
        #[derive(Deserialize)]
        struct Whole {
            text_config: ClipTextConfig,
        }
        let raw: serde_json::Map<String, serde_json::Value> = folder.json("config.json")?;
        let config = if raw.contains_key("text_config") {
            folder.json::<Whole>("config.json")?.text_config
        } else {
            folder.json("config.json")?
        };
        let heads = config.num_attention_heads;
        if heads == 0 || config.hidden_size % heads != 0 {
            let message = format!("is {heads}, which does not divide `hidden_size` {}", config.hidden_size);
            let field = "num_attention_heads".into();
            return Err(Error::Config { file: folder.label("config.json"), field, message });
        }
        Ok(config)
    }
}
