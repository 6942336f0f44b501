//! Which of many captions scores best?
//!
//! Beam search of transformers 5.23 (`_beam_search`, `early_stopping=False`) for one picture, in f32 as there. Each
//! step keeps the `2 * beams` best continuations, so that `beams` remain when half of them end. A sequence that ends
//! among the best `beams` is filed under `log p / length^penalty`; the search stops at the length limit, or when
//! `beams` sequences are filed and the best one running, at its present length, no longer beats the worst of them

use super::generate::{NextScores, Processors};
use crate::{Error, Result};

/// What all beams but the first start with, so that the first step follows one beam alone
const NEVER: f32 = -1e9;

#[derive(Debug, Clone)]
struct Sequence {
    tokens: Vec<u32>,
    score: f32,
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    score: f32,
    beam: usize,
    token: u32,
}

/// The best sequence after `prompt`; `scores` are those that follow the prompt
pub(super) fn search(
    writer: &mut dyn NextScores,
    prompt: &[u32],
    scores: Vec<f32>,
    processors: &Processors<'_>,
) -> Result<Vec<u32>> {
    let options = processors.options;
    let beams = options.num_beams;
    let vocabulary = scores.len();
    let mut scores = scores.repeat(beams);
    let mut running: Vec<Sequence> = (0..beams)
        .map(|beam| Sequence { tokens: prompt.to_vec(), score: if beam == 0 { 0.0 } else { NEVER } })
        .collect();
    let mut parents_are_one_row = true;
    let mut filed: Vec<Sequence> = Vec::new();
    for written in 1..=options.max_new_tokens {
        accumulate(&mut scores, vocabulary, &running, processors);
        let candidates = best_candidates(&scores, vocabulary, 2 * beams);
        let last = written == options.max_new_tokens;
        let length = (written as f64).powf(options.length_penalty) as f32;
        let ends = |candidate: &Candidate| last || candidate.token == processors.end;
        for candidate in candidates.iter().take(beams).filter(|candidate| ends(candidate)) {
            filed.push(extended(&running, *candidate, candidate.score / length));
        }
        filed.sort_by(|a, b| b.score.total_cmp(&a.score));
        filed.truncate(beams);
        let going_on: Vec<Candidate> =
            candidates.into_iter().filter(|candidate| !ends(candidate)).take(beams).collect();
        let Some(leader) = going_on.first() else { break };
        if !can_improve(leader.score / length, &filed, beams) {
            break;
        }
        let parent = |candidate: &Candidate| if parents_are_one_row { 0 } else { candidate.beam as u32 };
        let parents: Vec<u32> = going_on.iter().map(parent).collect();
        let tokens: Vec<u32> = going_on.iter().map(|candidate| candidate.token).collect();
        running = going_on.iter().map(|candidate| extended(&running, *candidate, candidate.score)).collect();
        scores = writer.advance(&parents, &tokens)?;
        parents_are_one_row = false;
    }
    let best = filed.into_iter().next();
    let mut best = best.ok_or_else(|| {
        Error::Input("the decoder's scores are not numbers\nhint: check the weights".into())
    })?;
    Ok(best.tokens.split_off(prompt.len()))
}

/// Turns each row of logits into processed log-probabilities plus the score of its beam
fn accumulate(scores: &mut [f32], vocabulary: usize, running: &[Sequence], processors: &Processors<'_>) {
    for (row, beam) in scores.chunks_exact_mut(vocabulary).zip(running) {
        log_softmax(row);
        processors.apply(&beam.tokens, row);
        row.iter_mut().for_each(|score| *score += beam.score);
    }
}

fn log_softmax(row: &mut [f32]) {
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|score| f64::from((score - highest).exp())).sum();
    let shift = sum.ln() as f32;
    row.iter_mut().for_each(|score| *score = *score - highest - shift);
}

/// The `count` highest, best first; among equals the first
fn best_candidates(scores: &[f32], vocabulary: usize, count: usize) -> Vec<Candidate> {
    let mut best: Vec<(f32, usize)> = Vec::with_capacity(count + 1);
    let mut threshold = f32::NEG_INFINITY;
    for (at, &score) in scores.iter().enumerate() {
        let full = best.len() == count;
        if score.is_nan() || (full && score <= threshold) {
            continue;
        }
        let place = best.partition_point(|(other, _)| *other >= score);
        best.insert(place, (score, at));
        best.truncate(count);
        threshold = best.last().map_or(f32::NEG_INFINITY, |(score, _)| *score);
    }
    let candidate = |(score, at): (f32, usize)| Candidate {
        score,
        beam: at / vocabulary,
        token: (at % vocabulary) as u32,
    };
    best.into_iter().map(candidate).collect()
}

fn extended(running: &[Sequence], candidate: Candidate, score: f32) -> Sequence {
    let mut tokens = running[candidate.beam].tokens.clone();
    tokens.push(candidate.token);
    Sequence { tokens, score }
}

fn can_improve(leader: f32, filed: &[Sequence], beams: usize) -> bool {
    let worst =
        if filed.len() < beams { NEVER } else { filed.last().map_or(NEVER, |sequence| sequence.score) };
    leader > worst
}
