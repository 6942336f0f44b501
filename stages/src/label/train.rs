//! How does the alignment learn? Cross entropy over its scores on the source, `L_ccl` of docs/method.md §4.

use affectflow_models::losses::{Average, cross_entropy};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use candle_core::{Device, Tensor};

use crate::training::aligner::Aligner;
use crate::training::best::Best;
use crate::training::inputs::Inputs;
use crate::training::roles::Roles;
use crate::training::scoring::{answers, judge};
use crate::training::step::{optimiser, step};
use crate::training::stream::Stream;

use super::Options;

/// Trains `parameters` in place; the best epoch's weights stay.
pub fn train(
    options: &Options,
    aligner: &Aligner,
    parameters: &Parameters,
    inputs: &Inputs,
    rows: &TableRows,
    roles: &Roles,
    cx: &Context,
) -> StageResult<()> {
    let mut stream = match options.balance_classes {
        true => Stream::balanced(rows, &roles.train, &roles.labels, options.batch, options.seed, "source"),
        false => Stream::new(rows, &roles.train, options.batch, options.seed, "source"),
    };
    let steps = stream.steps();
    let mut optimiser = optimiser(parameters, options.lr, options.weight_decay, steps * options.epochs)?;
    let mut best = Best::new(options.patience);
    let val = roles.classes_of(&roles.val);
    for epoch in 0..options.epochs {
        let mut sum = 0.0;
        for turn in 0..steps {
            cx.check()?;
            let draws = stream.next_batch();
            let labels: Vec<u32> = draws.iter().map(|draw| roles.labels[draw.row as usize]).collect();
            let scores = aligner.scores(&inputs.features(&draws)?, &inputs.knowledge(&draws)?)?;
            let loss = cross_entropy(&scores, &Tensor::new(labels, &Device::Cpu)?, None, Average::Kept)?;
            sum += step(&mut optimiser, &loss, epoch, turn)?;
        }
        let loss = sum / steps as f64;
        let scores = answers(&roles.val, cx, |draws| {
            Ok(aligner.scores(&inputs.features(draws)?, &inputs.knowledge(draws)?)?)
        })?;
        let (confusion, val_loss) = judge(&scores, &val, aligner.prompts.dim(0)?);
        let score = confusion.macro_f1();
        let at = Some(epoch as u64);
        cx.metric("loss", loss, at);
        cx.metric("val_loss", val_loss, at);
        cx.metric("val_macro_f1", score.unwrap_or(0.0), at);
        let note = format!("loss {loss:.3} val {:.3}", score.unwrap_or(0.0));
        cx.progress(epoch as u64 + 1, Some(options.epochs as u64), "epochs", &note);
        // Without a single row to choose by, the loss on the train rows does.
        best.offer(score.unwrap_or(-loss), parameters)?;
        if best.done() {
            break;
        }
    }
    Ok(best.restore(parameters)?)
}
