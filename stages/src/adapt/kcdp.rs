//! `kcdp`: source labels and target pseudo-labels together (docs/method.md §5, recommended step, on cached
//! statistics).

use affectflow_models::losses::{Average, Parts, Weights, cross_entropy};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::columns::ALIGNMENT_WEIGHTS;
use crate::training::aligner::{Aligner, Meta};
use crate::training::artifact;
use crate::training::course::{Lesson, Moment};
use crate::training::filter::Filter;
use crate::training::inputs::Inputs;
use crate::training::ledger::Ledger;
use crate::training::roles::Roles;
use crate::training::scoring::answers;
use crate::training::stream::{Draw, Stream};

use super::head::{Head, HeadMeta};
use super::options::{Options, Pseudo};
use super::pseudo::{self, Labels};
use super::{Adapting, Trained};

/// The header of the artifact.
#[derive(Serialize)]
struct Header<'a> {
    #[serde(rename = "alignment")]
    meta: &'a Meta,
    head: &'a HeadMeta,
}

/// Trains, and answers for every row.
pub fn run(stage: &Adapting, rows: &TableRows, cx: &Context) -> StageResult<Trained> {
    let bytes = cx.artifact(ALIGNMENT_WEIGHTS)?;
    let (meta, tensors): (Meta, _) = artifact::load(ALIGNMENT_WEIGHTS, &bytes)?;
    meta.fits(&stage.classes, &stage.shapes)?;
    let roles = Roles::of(rows, &stage.classes, stage.options.holdout)?;
    roles.need_target()?;
    let mut inputs = Inputs::new(rows, &stage.shapes, meta.knowledge_tokens, &roles.is_target)?;
    let scales = artifact::scales(ALIGNMENT_WEIGHTS, &tensors)?;
    inputs.standardise(scales.clone());

    let prompts = artifact::tensor(ALIGNMENT_WEIGHTS, &tensors, "prompts")?;
    let mut parameters = Parameters::seeded(stage.options.seed, &Device::Cpu).warm_start(&bytes)?;
    let aligner = Aligner::new(&meta, inputs.layout(), prompts.clone(), &mut parameters)?;
    let visual = aligner.fpn.out_width();
    let head = Head::new(&stage.options, visual, inputs.tokens(), stage.classes.len(), &mut parameters)?;
    let training = Training {
        options: &stage.options,
        filter: meta.filter,
        aligner,
        head,
        inputs,
        rows,
        roles: &roles,
        cx,
    };
    training.train(&parameters, &stage.classes)?;

    let all: Vec<u32> = (0..rows.len() as u32).collect();
    let logits = training.logits(&all)?;
    let mut further = artifact::of_scales(&scales)?;
    further.push(("prompts".into(), prompts));
    let weights = artifact::save(&parameters, &further, &Header { meta: &meta, head: &training.head.meta })?;
    Ok(Trained { logits, weights })
}

struct Training<'a> {
    options: &'a Options,
    filter: Filter,
    aligner: Aligner,
    head: Head,
    inputs: Inputs<'a>,
    rows: &'a TableRows,
    roles: &'a Roles,
    cx: &'a Context,
}

impl Training<'_> {
    fn train(&self, parameters: &Parameters, classes: &[String]) -> StageResult<()> {
        let (options, roles, rows) = (self.options, self.roles, self.rows);
        let source = Stream::source(rows, roles, options.balance_classes, options.batch, options.seed);
        let target = Stream::new(rows, &roles.target, options.batch, options.seed, "target");
        let steps = source.steps().max(target.steps());
        let labels = match options.pseudo {
            Pseudo::Fixed => pseudo::fixed(rows, classes.len())?,
            Pseudo::Epoch | Pseudo::Batch => vec![None; rows.len()],
        };
        let course = options.course(self.cx, roles, classes.len(), steps, options.settled());
        course.teach(parameters, &mut Adaptation { of: self, source, target, labels, classes })
    }

    /// The loss of one step, a scalar.
    fn loss(&self, source: &[Draw], target: &[Draw], weight: f64, labels: &Labels) -> StageResult<Tensor> {
        let options = self.options;
        let truth: Vec<u32> = source.iter().map(|draw| self.roles.labels[draw.row as usize]).collect();
        let truth = Tensor::new(truth, &Device::Cpu)?;
        let knowledge = self.inputs.knowledge(source)?;
        let v = self.aligner.fpn.forward(&self.inputs.features(source)?)?;
        let scores = self.aligner.align(&v, &knowledge)?;
        let decision = self.head.decide(&v, Some(&knowledge))?;
        let mut parts = Parts {
            supervised: Some(cross_entropy(&decision.logits, &truth, None, Average::Kept)?),
            ccl: Some(cross_entropy(&scores, &truth, None, Average::Kept)?),
            balance: vec![decision.balance(options.balance_kind.into())?],
            target: None,
        };
        if weight > 0.0 {
            self.of_target(target, labels, &mut parts)?;
        }
        let weights = Weights {
            supervised: options.sup_weight,
            ccl: options.ccl_weight,
            target: weight,
            balance: options.balance,
        };
        Ok(parts.total(&weights)?)
    }

    /// Adds what the target's rows of a step contribute; without an accepted row, nothing.
    fn of_target(&self, draws: &[Draw], labels: &Labels, parts: &mut Parts) -> StageResult<()> {
        let batchwise = self.options.pseudo == Pseudo::Batch;
        let mut given: Labels = draws.iter().map(|draw| labels[draw.row as usize]).collect();
        if !batchwise && given.iter().all(Option::is_none) {
            return Ok(());
        }
        let read = batchwise || self.head.reads();
        let knowledge = if read { Some(self.inputs.knowledge(draws)?) } else { None };
        let v = self.aligner.fpn.forward(&self.inputs.features(draws)?)?;
        let decision = self.head.decide(&v, knowledge.as_ref())?;
        if let (true, Some(knowledge)) = (batchwise, &knowledge) {
            let scores = self.aligner.align(&v.detach(), knowledge)?.detach();
            given = pseudo::of_batch(&scores, &pseudo::filter_at(self.options, &self.filter, f64::MAX))?;
            if self.options.agreement {
                let logits = decision.logits.detach().to_vec2::<f32>()?;
                let agrees = |(label, logits): (&mut Option<u32>, &Vec<f32>)| {
                    *label =
                        label.filter(|&class| crate::training::filter::Proposal::of(logits).class == class);
                };
                given.iter_mut().zip(&logits).for_each(agrees);
            }
        }
        let mask: Vec<f32> = given.iter().map(|label| if label.is_some() { 1.0 } else { 0.0 }).collect();
        let classes: Vec<u32> = given.iter().map(|label| label.unwrap_or(0)).collect();
        let (mask, classes) = (Tensor::new(mask, &Device::Cpu)?, Tensor::new(classes, &Device::Cpu)?);
        parts.target = Some(cross_entropy(&decision.logits, &classes, Some(&mask), Average::Kept)?);
        parts.balance.push(decision.balance(self.options.balance_kind.into())?);
        Ok(())
    }

    /// Renews the pseudo-labels of an epoch where the policy asks for it, and records how they lie.
    fn refresh(
        &self,
        labels: &mut Labels,
        classes: &[String],
        epoch: usize,
        ledger: &mut Ledger,
    ) -> StageResult<()> {
        if epoch < self.options.pl_warmup || self.options.pseudo == Pseudo::Batch {
            return Ok(());
        }
        let target = &self.roles.target;
        if self.options.pseudo == Pseudo::Epoch {
            let scores = answers(target, self.cx, |draws| {
                Ok(self.aligner.scores(&self.inputs.features(draws)?, &self.inputs.knowledge(draws)?)?)
            })?;
            let logits = if self.options.agreement { Some(self.logits(target)?) } else { None };
            let filter = pseudo::filter_at(self.options, &self.filter, epoch as f64);
            *labels = pseudo::refreshed(self.rows.len(), target, &scores, logits.as_deref(), &filter);
        }
        let of_target: Labels = target.iter().map(|&row| labels[row as usize]).collect();
        pseudo::tell(ledger, &of_target, classes, epoch);
        Ok(())
    }

    /// The head's logits of rows.
    fn logits(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>> {
        answers(rows, self.cx, |draws| {
            let knowledge = if self.head.reads() { Some(self.inputs.knowledge(draws)?) } else { None };
            let v = self.aligner.fpn.forward(&self.inputs.features(draws)?)?;
            Ok(self.head.decide(&v, knowledge.as_ref())?.logits)
        })
    }
}

/// One training: the streams and the pseudo-labels of the epoch, which its weights decide.
struct Adaptation<'a> {
    of: &'a Training<'a>,
    source: Stream<'a>,
    target: Stream<'a>,
    labels: Labels,
    classes: &'a [String],
}

impl Lesson for Adaptation<'_> {
    fn begin(&mut self, epoch: usize, ledger: &mut Ledger) -> StageResult<()> {
        self.of.refresh(&mut self.labels, self.classes, epoch, ledger)
    }

    fn loss(&mut self, moment: Moment) -> StageResult<Tensor> {
        let (source, target) = (self.source.batch(moment.number()), self.target.batch(moment.number()));
        self.of.loss(&source, &target, self.of.options.pseudo_weight(moment.epochs()), &self.labels)
    }

    fn answers(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>> {
        self.of.logits(rows)
    }
}
