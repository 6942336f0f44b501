//! `source_only`: pyramid and head on the source's labels (docs/method.md §10).

use affectflow_models::fpn::PooledFpn;
use affectflow_models::losses::{Average, Parts, Weights, cross_entropy};
use affectflow_models::moe::Decision;
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::training::artifact;
use crate::training::course::{Lesson, Moment};
use crate::training::inputs::{Inputs, LevelSize};
use crate::training::options::pyramid;
use crate::training::roles::Roles;
use crate::training::scoring::answers;
use crate::training::stream::{Draw, Stream};

use super::head::{Head, HeadMeta};
use super::options::Options;
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
    let mut training = Training {
        options,
        fpn,
        head,
        inputs,
        roles: &roles,
        cx,
        stream: Stream::source(rows, &roles, options.balance_classes, options.batch, options.seed),
    };
    let course = options.course(cx, &roles, stage.classes.len(), training.stream.steps(), 0);
    course.teach(&parameters, &mut training)?;

    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let logits = training.answers(&all)?;
    let head = &training.head.meta;
    let meta = Meta { classes: &stage.classes, levels: &stage.shapes.levels, pyramid: width, head };
    let weights = artifact::save(&parameters, &artifact::of_scales(&scales)?, &meta)?;
    Ok(Trained { logits, weights })
}

struct Training<'a> {
    options: &'a Options,
    fpn: PooledFpn,
    head: Head,
    inputs: Inputs<'a>,
    roles: &'a Roles,
    cx: &'a Context,
    stream: Stream<'a>,
}

impl Training<'_> {
    fn decide(&self, draws: &[Draw]) -> StageResult<Decision> {
        let knowledge = if self.head.reads() { Some(self.inputs.knowledge(draws)?) } else { None };
        Ok(self.head.decide(&self.fpn.forward(&self.inputs.features(draws)?)?, knowledge.as_ref())?)
    }
}

impl Lesson for Training<'_> {
    fn loss(&mut self, moment: Moment) -> StageResult<Tensor> {
        let options = self.options;
        let draws = self.stream.batch(moment.number());
        let labels: Vec<u32> = draws.iter().map(|draw| self.roles.labels[draw.row as usize]).collect();
        let decision = self.decide(&draws)?;
        let labels = Tensor::new(labels, &Device::Cpu)?;
        let parts = Parts {
            supervised: Some(cross_entropy(&decision.logits, &labels, None, Average::Kept)?),
            balance: vec![decision.balance(options.balance_kind.into())?],
            ..Parts::default()
        };
        let weights =
            Weights { supervised: options.sup_weight, balance: options.balance, ..Weights::default() };
        Ok(parts.total(&weights)?)
    }

    fn answers(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>> {
        answers(rows, self.cx, |draws| Ok(self.decide(draws)?.logits))
    }
}
