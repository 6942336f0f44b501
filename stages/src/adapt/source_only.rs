//! `source_only`: pyramid and head on the source's labels (docs/method.md §10).

use affectflow_models::fpn::PooledFpn;
use affectflow_models::losses::{Average, Parts, Weights, cross_entropy};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::training::artifact;
use crate::training::best::Best;
use crate::training::inputs::{Inputs, LevelSize};
use crate::training::options::pyramid;
use crate::training::roles::Roles;
use crate::training::scoring::{answers, judge};
use crate::training::step::{optimiser, step};
use crate::training::stream::{Draw, Stream};

use super::head::{Head, HeadMeta};
use super::{Adapting, Trained};

/// The header of the artifact.
#[derive(Serialize)]
struct Meta<'a> {
    classes: &'a [String],
    levels: &'a [LevelSize],
    pyramid: usize,
    head: &'a HeadMeta,
}

/// Trains, and answers for every row.
pub fn run(stage: &Adapting, rows: &TableRows, cx: &Context) -> StageResult<Trained> {
    let options = &stage.options;
    let roles = Roles::of(rows, &stage.classes, options.holdout)?;
    let mut inputs = Inputs::new(rows, &stage.shapes, usize::MAX, &roles.is_target)?;
    let scales = inputs.scales(options.standardise, &roles.train, &roles.target)?;
    inputs.standardise(scales.clone());

    let width = pyramid(options.pyramid, &stage.shapes.levels);
    let mut parameters = Parameters::seeded(options.seed, &Device::Cpu);
    let fpn = PooledFpn::new(inputs.layout(), width, parameters.scope("fpn"), &Device::Cpu)?;
    let head = Head::new(options, fpn.out_width(), inputs.tokens(), stage.classes.len(), &mut parameters)?;
    let decide = |draws: &[Draw]| -> StageResult<_> {
        let knowledge = if head.reads() { Some(inputs.knowledge(draws)?) } else { None };
        Ok(head.decide(&fpn.forward(&inputs.features(draws)?)?, knowledge.as_ref())?)
    };

    let mut stream = match options.balance_classes {
        true => Stream::balanced(rows, &roles.train, &roles.labels, options.batch, options.seed, "source"),
        false => Stream::new(rows, &roles.train, options.batch, options.seed, "source"),
    };
    let steps = stream.steps();
    let weights = Weights { supervised: options.sup_weight, balance: options.balance, ..Weights::default() };
    let mut optimiser = optimiser(&parameters, options.lr, options.weight_decay, steps * options.epochs)?;
    let mut best = Best::new(options.patience);
    let val = roles.classes_of(&roles.val);
    for epoch in 0..options.epochs {
        let mut sum = 0.0;
        for turn in 0..steps {
            cx.check()?;
            let draws = stream.next_batch();
            let labels: Vec<u32> = draws.iter().map(|draw| roles.labels[draw.row as usize]).collect();
            let decision = decide(&draws)?;
            let labels = Tensor::new(labels, &Device::Cpu)?;
            let parts = Parts {
                supervised: Some(cross_entropy(&decision.logits, &labels, None, Average::Kept)?),
                balance: vec![decision.balance(options.balance_kind.into())?],
                ..Parts::default()
            };
            sum += step(&mut optimiser, &parts.total(&weights)?, epoch, turn)?;
        }
        let logits = answers(&roles.val, cx, |draws| Ok(decide(draws)?.logits))?;
        let (confusion, val_loss) = judge(&logits, &val, stage.classes.len());
        let (loss, score) = (sum / steps as f64, confusion.macro_f1());
        super::tell(cx, epoch, options.epochs, loss, val_loss, score);
        best.offer(score.unwrap_or(-loss), &parameters)?;
        if best.done() {
            break;
        }
    }
    best.restore(&parameters)?;

    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let logits = answers(&all, cx, |draws| Ok(decide(draws)?.logits))?;
    let meta =
        Meta { classes: &stage.classes, levels: &stage.shapes.levels, pyramid: width, head: &head.meta };
    let weights = artifact::save(&parameters, &artifact::of_scales(&scales)?, &meta)?;
    Ok(Trained { logits, weights })
}
