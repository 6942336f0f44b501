//! What do the networks say of many rows? Chunks in id order, one answer of `classes` values a row.

use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use candle_core::Tensor;

use super::confusion::Confusion;
use super::filter::Proposal;
use super::inputs::first_view;
use super::stream::Draw;

/// Rows of one forward pass.
const CHUNK: usize = 64;

/// The rows' answers `[classes]`, by `answer` in chunks; the first view is taken.
pub fn answers(
    rows: &[u32],
    cx: &Context,
    answer: impl Fn(&[Draw]) -> StageResult<Tensor>,
) -> StageResult<Vec<Vec<f32>>> {
    let mut answers = Vec::with_capacity(rows.len());
    for chunk in rows.chunks(CHUNK) {
        cx.check()?;
        answers.extend(answer(&first_view(chunk))?.to_vec2::<f32>()?);
    }
    Ok(answers)
}

/// Probabilities of logits.
pub fn softmax(logits: &[f32]) -> Vec<f32> {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers: Vec<f32> = logits.iter().map(|logit| (logit - largest).exp()).collect();
    let sum: f32 = powers.iter().sum();
    powers.iter().map(|power| power / sum).collect()
}

/// How answers (logits) fit the classes: the matrix of their best guesses and the mean cross entropy.
pub fn judge(answers: &[Vec<f32>], truth: &[u32], classes: usize) -> (Confusion, f64) {
    let mut confusion = Confusion::new(classes);
    let mut loss = 0.0;
    for (answer, &truth) in answers.iter().zip(truth) {
        let probabilities = softmax(answer);
        confusion.add(truth as usize, Proposal::of(&probabilities).class as usize, 1);
        loss -= f64::from(probabilities[truth as usize].max(f32::MIN_POSITIVE)).ln();
    }
    (confusion, loss / answers.len().max(1) as f64)
}
