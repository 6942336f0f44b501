//! How is a caption written, token by token?
//!
//! Reproduces `generate` of transformers 5.23 without sampling: greedy for one beam, else beam search (see
//! [`super::beam`]). Processors come in its order, repetition penalty then minimum length; they change logits when
//! greedy and log-probabilities when searching

use candle_core::Tensor;

use super::beam;
use super::decoder::{BlipDecoder, DecoderState};
use crate::{Error, Result};

/// How captions are written
#[derive(Debug, Clone, PartialEq)]
pub struct GenerateOptions {
    /// Sequences followed at once; 1 is greedy
    pub num_beams: usize,
    /// Fewest tokens before the end token
    pub min_new_tokens: usize,
    /// Most tokens, the end token included
    pub max_new_tokens: usize,
    /// Above 1, makes tokens already written less likely
    pub repetition_penalty: f32,
    /// Exponent of the length that a finished sequence's score is divided by; above 0 favours long ones
    pub length_penalty: f64,
    /// Words that the caption starts with
    pub prompt: Option<String>,
}

impl Default for GenerateOptions {
    fn default() -> Self {
        Self {
            num_beams: 3,
            min_new_tokens: 5,
            max_new_tokens: 25,
            repetition_penalty: 1.0,
            length_penalty: 1.0,
            prompt: None,
        }
    }
}

impl GenerateOptions {
    fn check(&self) -> Result<()> {
        let wrong = |message: String| Err(Error::Input(message));
        if self.num_beams == 0 {
            return wrong("`num_beams` is 0\nhint: 1 is greedy, 3 to 5 search".into());
        }
        if self.max_new_tokens == 0 || self.min_new_tokens > self.max_new_tokens {
            let (min, max) = (self.min_new_tokens, self.max_new_tokens);
            return wrong(format!(
                "`max_new_tokens` is {max}\nhint: at least 1, and at least `min_new_tokens` {min}"
            ));
        }
        if self.repetition_penalty > 0.0 && self.length_penalty.is_finite() {
            return Ok(());
        }
        wrong("`repetition_penalty` must be above 0 and `length_penalty` finite".into())
    }
}

/// Tokens after `prompt`, the end token included where one was chosen
pub(super) fn generate(
    decoder: &BlipDecoder,
    image_embeds: &Tensor,
    prompt: &[u32],
    options: &GenerateOptions,
    end: u32,
) -> Result<Vec<u32>> {
    options.check()?;
    let mut state = decoder.start(image_embeds, prompt.len() + options.max_new_tokens)?;
    let scores = decoder.next_scores(prompt, &mut state)?;
    let mut writer = Writer { decoder, state };
    let processors = Processors { options, end, prompt: prompt.len() };
    match options.num_beams {
        1 => greedy(&mut writer, prompt, scores, &processors),
        _ => beam::search(&mut writer, prompt, scores, &processors),
    }
}

/// Something that scores the next token of several rows
pub(super) trait NextScores {
    /// Row `i` goes on from row `parents[i]` with `tokens[i]`; returns the rows' scores, one after another
    fn advance(&mut self, parents: &[u32], tokens: &[u32]) -> Result<Vec<f32>>;
}

struct Writer<'a> {
    decoder: &'a BlipDecoder,
    state: DecoderState,
}

impl NextScores for Writer<'_> {
    fn advance(&mut self, parents: &[u32], tokens: &[u32]) -> Result<Vec<f32>> {
        self.state.reorder(parents)?;
        Ok(self.decoder.next_scores(tokens, &mut self.state)?)
    }
}

/// What is done to a row's scores before a token is chosen
pub(super) struct Processors<'a> {
    pub options: &'a GenerateOptions,
    pub end: u32,
    /// Number of tokens of the prompt
    pub prompt: usize,
}

impl Processors<'_> {
    /// `tokens` is all that the row has written, prompt included
    pub fn apply(&self, tokens: &[u32], scores: &mut [f32]) {
        self.penalise_repetition(tokens, scores);
        if tokens.len() - self.prompt < self.options.min_new_tokens {
            set(scores, self.end, f32::NEG_INFINITY);
        }
    }

    fn penalise_repetition(&self, tokens: &[u32], scores: &mut [f32]) {
        let penalty = self.options.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        for (at, token) in tokens.iter().enumerate() {
            if tokens[..at].contains(token) {
                continue;
            }
            if let Some(score) = scores.get_mut(*token as usize) {
                *score = if *score < 0.0 { *score * penalty } else { *score / penalty };
            }
        }
    }
}

fn set(scores: &mut [f32], token: u32, value: f32) {
    if let Some(score) = scores.get_mut(token as usize) {
        *score = value;
    }
}

fn greedy(
    writer: &mut dyn NextScores,
    prompt: &[u32],
    mut scores: Vec<f32>,
    processors: &Processors<'_>,
) -> Result<Vec<u32>> {
    let mut tokens = prompt.to_vec();
    loop {
        processors.apply(&tokens, &mut scores);
        let token = highest(&scores);
        tokens.push(token);
        if token == processors.end || tokens.len() - prompt.len() == processors.options.max_new_tokens {
            return Ok(tokens.split_off(prompt.len()));
        }
        scores = writer.advance(&[0], &[token])?;
    }
}

/// The first of the highest scores
fn highest(scores: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (token, &score) in (0u32..).zip(scores) {
        if score > best.1 {
            best = (token, score);
        }
    }
    best.0
}
