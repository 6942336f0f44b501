//! Which class does each target row stand in for, and does it count? Policies `fixed`, `epoch` and `batch`.

use affectflow_pipeline::run::table_rows::TableRows;
use affectflow_pipeline::{StageError, StageResult};
use candle_core::Tensor;

use crate::columns::PSEUDO_LABEL;
use crate::training::filter::{Filter, Proposal, spread};
use crate::training::ledger::Ledger;
use crate::training::read;
use crate::training::scoring::softmax;

use super::options::Options;

/// The pseudo-label of every row of the table; `None` where it does not count.
pub type Labels = Vec<Option<u32>>;

/// The filter at a moment of training, in epochs since its start: the share grows over the ramp.
pub fn filter_at(options: &Options, of_label: &Filter, epochs: f64) -> Filter {
    let full = options.per_class_quantile.unwrap_or(of_label.per_class_quantile);
    let from = options.quantile_from.min(full);
    Filter {
        min_confidence: options.min_confidence.unwrap_or(of_label.min_confidence),
        per_class_quantile: from + (full - from) * options.ramped(epochs),
    }
}

/// The column `pseudo_label`.
pub fn fixed(rows: &TableRows, classes: usize) -> StageResult<Labels> {
    let labels = read::indices(rows, PSEUDO_LABEL)?.into_iter().enumerate().map(|(row, label)| match label {
        None => Ok(None),
        Some(label) if label >= 0 && (label as usize) < classes => Ok(Some(label as u32)),
        Some(label) => Err(StageError::new(format!(
            "row `{}`: `{PSEUDO_LABEL}` is {label}, and there are {classes} classes",
            read::id(rows, row as u32)
        ))),
    });
    labels.collect()
}

/// Labels of `target` rows (all others: none) from their alignment scores, and with `agreement` from the head's logits.
pub fn refreshed(
    table: usize,
    target: &[u32],
    scores: &[Vec<f32>],
    logits: Option<&[Vec<f32>]>,
    filter: &Filter,
) -> Labels {
    let proposals: Vec<Proposal> = scores.iter().map(|scores| Proposal::of(&softmax(scores))).collect();
    let mut labels = vec![None; table];
    for (index, label) in filter.accept(&proposals).into_iter().enumerate() {
        let agreed = logits.is_none_or(|logits| Some(Proposal::of(&logits[index]).class) == label);
        labels[target[index] as usize] = label.filter(|_| agreed);
    }
    labels
}

/// Labels of a minibatch from its alignment scores `[B, classes]`; only the least probability filters.
pub fn of_batch(scores: &Tensor, filter: &Filter) -> StageResult<Labels> {
    let proposals = scores.to_vec2::<f32>()?.into_iter().map(|scores| Proposal::of(&softmax(&scores)));
    let sure = |p: &Proposal| f64::from(p.confidence) >= filter.min_confidence;
    Ok(proposals.map(|proposal| sure(&proposal).then_some(proposal.class)).collect())
}

/// Records how many rows of the target count and how they spread over the classes; a collapse shows here first.
pub fn tell(ledger: &mut Ledger, labels: &[Option<u32>], classes: &[String], epoch: usize) {
    let accepted = labels.iter().flatten().count();
    let (shares, entropy) = spread(labels, classes.len());
    ledger.metric("pseudo_coverage", accepted as f64 / labels.len().max(1) as f64, epoch);
    ledger.metric("pseudo_entropy", entropy, epoch);
    for (class, share) in classes.iter().zip(&shares) {
        ledger.metric(&format!("pseudo_share.{class}"), *share, epoch);
    }
    if accepted >= 20 && entropy == 0.0 {
        ledger.warn(format!(
            "epoch {}: all {accepted} pseudo-labels are of one class; adaptation may collapse",
            epoch + 1
        ));
    }
}
