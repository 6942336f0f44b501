//! Which token comes next, given the picture and what is written so far?
//!
//! A post-LN BERT with cross-attention (Li et al. 2022, MED); names as `text_decoder.` of the checkpoint. Rows are the
//! beams of one picture. Cross-attention treats the beams as more queries to one set of keys and values, computed when
//! the picture starts; self-attention writes its keys and values into a buffer that [`DecoderState::reorder`] permutes.
//! Frozen

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{Embedding, Module};

use super::config::{BlipConfig, BlipTextConfig};
use crate::activation::Activation;
use crate::dense::Dense;
use crate::error::Error;
use crate::fused_attention::{FusedQkv, Heads, attend, causal_mask};
use crate::small_ops::{Norm, softmax};
use crate::weights::Weights;

/// The text decoder with its language-model head
pub struct BlipDecoder {
    heads: Heads,
    vocabulary: usize,
    longest: usize,
    device: Device,
    dtype: DType,
    words: Embedding,
    positions: Tensor,
    norm: Norm,
    layers: Vec<Layer>,
    transform: Dense,
    activation: Activation,
    transform_norm: Norm,
    scores: Dense,
}

/// What the decoder remembers of one picture's beams
pub struct DecoderState {
    rows: usize,
    written: usize,
    /// A layer: `[2, rows, heads, room, dim]`, keys then values
    memories: Vec<Tensor>,
    pictures: Vec<Picture>,
}

/// Cross-attention's side of the picture in one layer
struct Picture {
    /// `[heads, dim, patches]`
    keys: Tensor,
    /// `[heads, patches, dim]`
    values: Tensor,
}

impl BlipDecoder {
    /// From tensors below `text_decoder`
    pub fn new(config: &BlipConfig, weights: &Weights) -> crate::Result<Self> {
        let (text, bert) = (&config.text_config, weights.pp("bert"));
        let (width, eps) = (text.hidden_size, text.layer_norm_eps);
        let (embeddings, head) = (bert.pp("embeddings"), weights.pp("cls.predictions"));
        let words = embeddings.pp("word_embeddings").embedding(text.vocab_size, width)?;
        let layer = |i| Layer::new(config, &bert.pp("encoder.layer").pp(i));
        Ok(Self {
            heads: Heads { count: text.num_attention_heads, width },
            vocabulary: text.vocab_size,
            longest: text.max_position_embeddings,
            device: weights.device().clone(),
            dtype: weights.dtype(),
            positions: embeddings
                .pp("position_embeddings")
                .tensor("weight", &[text.max_position_embeddings, width])?,
            norm: embeddings.pp("LayerNorm").norm(width, eps)?,
            layers: (0..text.num_hidden_layers).map(layer).collect::<crate::Result<_>>()?,
            transform: head.pp("transform.dense").dense(width, width)?,
            activation: text.hidden_act,
            transform_norm: head.pp("transform.LayerNorm").norm(width, eps)?,
            scores: scores(text, &head, &words)?,
            words,
        })
    }

    /// Number of token ids
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// One row with nothing written, for a picture's states `[1, patches, width]`; `room` is the most it will write
    pub fn start(&self, image_embeds: &Tensor, room: usize) -> crate::Result<DecoderState> {
        if room > self.longest {
            let longest = self.longest;
            return Err(Error::Input(format!(
                "a prompt and caption of {room} tokens are longer than the {longest} the network writes\nhint: lower `max_new_tokens`"
            )));
        }
        let memory =
            |_| Tensor::zeros((2, 1, self.heads.count, room, self.heads.dim()), self.dtype, &self.device);
        Ok(DecoderState {
            rows: 1,
            written: 0,
            memories: self.layers.iter().map(memory).collect::<Result<_>>()?,
            pictures: self
                .layers
                .iter()
                .map(|layer| layer.cross.picture(image_embeds))
                .collect::<Result<_>>()?,
        })
    }

    /// Writes `tokens` (row by row, equally many a row) and returns their states `[rows, tokens, width]`
    pub fn forward(&self, tokens: &[u32], state: &mut DecoderState) -> Result<Tensor> {
        let (rows, count) = (state.rows, tokens.len() / state.rows);
        let ids = Tensor::from_slice(tokens, (rows, count), &self.device)?;
        let x =
            self.words.forward(&ids)?.broadcast_add(&self.positions.narrow(0, state.written, count)?)?;
        let mut x = self.norm.forward(&x)?;
        let mask = if count > 1 { Some(causal_mask(count, state.written, &x)?) } else { None };
        for ((layer, memory), picture) in self.layers.iter().zip(&state.memories).zip(&state.pictures) {
            x = layer.forward(&x, memory, state.written, picture, mask.as_ref())?;
        }
        state.written += count;
        Ok(x)
    }

    /// Scores of the token that follows each state: `[rows, tokens, width]` to `[rows, tokens, vocabulary]`
    pub fn scores(&self, states: &Tensor) -> Result<Tensor> {
        let x = self.activation.apply(&self.transform.forward(states)?)?;
        self.scores.forward(&self.transform_norm.forward(&x)?)
    }

    /// Writes `tokens` and returns the scores that follow the last one of each row, row by row
    pub fn next_scores(&self, tokens: &[u32], state: &mut DecoderState) -> Result<Vec<f32>> {
        let states = self.forward(tokens, state)?;
        let last = states.narrow(1, states.dim(1)? - 1, 1)?.contiguous()?;
        let scores: Vec<f32> = self.scores(&last)?.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        match scores.iter().any(|score| score.is_nan()) {
            false => Ok(scores),
            true => candle_core::bail!(
                "the captioner gave NaN as the score of a word; its weights or this picture's pixels are not finite"
            ),
        }
    }
}

impl DecoderState {
    /// Row `i` goes on from what row `parents[i]` has written
    pub fn reorder(&mut self, parents: &[u32]) -> Result<()> {
        if parents.len() == self.rows && parents.iter().zip(0..).all(|(parent, row)| *parent == row) {
            return Ok(());
        }
        let Some(device) = self.memories.first().map(|memory| memory.device().clone()) else { return Ok(()) };
        let index = Tensor::from_slice(parents, parents.len(), &device)?;
        for memory in &mut self.memories {
            *memory = memory.index_select(&index, 1)?;
        }
        self.rows = parents.len();
        Ok(())
    }
}

struct Layer {
    qkv: FusedQkv,
    output: Residual,
    cross: CrossAttention,
    intermediate: Dense,
    activation: Activation,
    feed: Residual,
}

impl Layer {
    fn new(config: &BlipConfig, weights: &Weights) -> crate::Result<Self> {
        let text = &config.text_config;
        let (width, inner, eps) = (text.hidden_size, text.intermediate_size, text.layer_norm_eps);
        let heads = Heads { count: text.num_attention_heads, width };
        let cross = weights.pp("crossattention");
        Ok(Self {
            qkv: FusedQkv::from_three(&weights.pp("attention.self"), ["query", "key", "value"], heads)?,
            output: Residual::new(&weights.pp("attention.output"), width, width, eps)?,
            cross: CrossAttention::new(&cross, heads, config.vision_config.hidden_size, eps)?,
            intermediate: weights.pp("intermediate.dense").dense(width, inner)?,
            activation: text.hidden_act,
            feed: Residual::new(&weights.pp("output"), inner, width, eps)?,
        })
    }

    fn forward(
        &self,
        x: &Tensor,
        memory: &Tensor,
        written: usize,
        picture: &Picture,
        mask: Option<&Tensor>,
    ) -> Result<Tensor> {
        let x = self.output.forward(&self.remember(x, memory, written, mask)?, x)?;
        let x = self.cross.forward(&x, picture)?;
        let inner = self.activation.apply(&self.intermediate.forward(&x)?)?;
        self.feed.forward(&inner, &x)
    }

    /// Self-attention that first writes its keys and values behind the `written` ones
    fn remember(&self, x: &Tensor, memory: &Tensor, written: usize, mask: Option<&Tensor>) -> Result<Tensor> {
        let qkv = self.qkv.forward(x)?;
        memory.slice_set(&qkv.narrow(0, 1, 2)?, 3, written)?;
        let seen = memory.narrow(3, 0, written + x.dim(1)?)?;
        attend(&qkv.get(0)?, &seen.get(0)?, &seen.get(1)?, mask)
    }
}

/// `LayerNorm(dense(x) + skip)`
struct Residual {
    dense: Dense,
    norm: Norm,
}

impl Residual {
    fn new(weights: &Weights, inputs: usize, width: usize, eps: f64) -> crate::Result<Self> {
        let dense = weights.pp("dense").dense(inputs, width)?;
        Ok(Self { dense, norm: weights.pp("LayerNorm").norm(width, eps)? })
    }

    fn forward(&self, x: &Tensor, skip: &Tensor) -> Result<Tensor> {
        self.norm.forward(&(self.dense.forward(x)? + skip)?)
    }
}

struct CrossAttention {
    heads: Heads,
    query: Dense,
    key: Dense,
    value: Dense,
    output: Residual,
}

impl CrossAttention {
    fn new(weights: &Weights, heads: Heads, picture: usize, eps: f64) -> crate::Result<Self> {
        let (attention, width) = (weights.pp("self"), heads.width);
        let query = attention.pp("query").tensor("weight", &[width, width])?;
        let bias = attention.pp("query").tensor("bias", &[width])?;
        Ok(Self {
            heads,
            query: Dense::new(&(query * heads.scale())?, (bias * heads.scale())?)?,
            key: attention.pp("key").dense(picture, width)?,
            value: attention.pp("value").dense(picture, width)?,
            output: Residual::new(&weights.pp("output"), width, width, eps)?,
        })
    }

    fn picture(&self, image_embeds: &Tensor) -> Result<Picture> {
        let (_, patches, _) = image_embeds.dims3()?;
        let shape = (patches, self.heads.count, self.heads.dim());
        Ok(Picture {
            keys: self.key.forward(image_embeds)?.reshape(shape)?.permute((1, 2, 0))?.contiguous()?,
            values: self.value.forward(image_embeds)?.reshape(shape)?.transpose(0, 1)?.contiguous()?,
        })
    }

    fn forward(&self, x: &Tensor, picture: &Picture) -> Result<Tensor> {
        let (rows, tokens, width) = x.dims3()?;
        let queries = self.query.forward(x)?.reshape((rows * tokens, self.heads.count, self.heads.dim()))?;
        let scores = queries.transpose(0, 1)?.contiguous()?.matmul(&picture.keys)?;
        let mixed = softmax(&scores)?.matmul(&picture.values)?;
        let merged = mixed.transpose(0, 1)?.flatten_from(D::Minus2)?.reshape((rows, tokens, width))?;
        self.output.forward(&merged, x)
    }
}

/// The head's last product, which shares the word embeddings where the checkpoint leaves it out
fn scores(text: &BlipTextConfig, head: &Weights, words: &Embedding) -> crate::Result<Dense> {
    let decoder = head.pp("decoder");
    let weight = if decoder.has("weight") {
        decoder.tensor("weight", &[text.vocab_size, text.hidden_size])?
    } else {
        words.embeddings().clone()
    };
    let bias = if decoder.has("bias") { &decoder } else { head };
    Ok(Dense::new(&weight, bias.tensor("bias", &[text.vocab_size])?)?)
}
