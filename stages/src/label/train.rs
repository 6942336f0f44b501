//! How does the alignment learn? Cross entropy over its scores on the source, `L_ccl` of docs/method.md §4.

use affectflow_models::losses::{Average, cross_entropy};
use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use affectflow_pipeline::run::table_rows::TableRows;
use candle_core::{Device, Tensor};

use crate::training::aligner::Aligner;
use crate::training::course::{Course, Lesson, Moment};
use crate::training::inputs::Inputs;
use crate::training::roles::Roles;
use crate::training::scoring::answers;
use crate::training::stream::Stream;

use super::Options;

/// The alignment and what it learns from.
pub struct Training<'a> {
    /// What learns.
    pub aligner: &'a Aligner,
    /// Features and knowledge.
    pub inputs: &'a Inputs<'a>,
    /// All rows.
    pub rows: &'a TableRows,
    /// Who teaches.
    pub roles: &'a Roles,
    /// The engine.
    pub cx: &'a Context,
}

impl Training<'_> {
    /// Trains `parameters` in place; the best epoch's weights stay.
    pub fn train(&self, options: &Options, parameters: &Parameters) -> StageResult<()> {
        let (rows, roles) = (self.rows, self.roles);
        let stream = Stream::source(rows, roles, options.balance_classes, options.batch, options.seed);
        let course = Course {
            cx: self.cx,
            roles,
            classes: self.aligner.prompts.dim(0)?,
            epochs: options.epochs,
            steps: stream.steps(),
            settled: 0,
            patience: options.patience,
            lr: options.lr,
            weight_decay: options.weight_decay,
        };
        course.teach(parameters, &mut Alignment { of: self, stream })
    }

    /// Scores of rows.
    pub fn scores(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>> {
        answers(rows, self.cx, |draws| {
            Ok(self.aligner.scores(&self.inputs.features(draws)?, &self.inputs.knowledge(draws)?)?)
        })
    }
}

struct Alignment<'a> {
    of: &'a Training<'a>,
    stream: Stream<'a>,
}

impl Lesson for Alignment<'_> {
    fn loss(&mut self, moment: Moment) -> StageResult<Tensor> {
        let Training { aligner, inputs, roles, .. } = self.of;
        let draws = self.stream.batch(moment.number());
        let labels: Vec<u32> = draws.iter().map(|draw| roles.labels[draw.row as usize]).collect();
        let scores = aligner.scores(&inputs.features(&draws)?, &inputs.knowledge(&draws)?)?;
        Ok(cross_entropy(&scores, &Tensor::new(labels, &Device::Cpu)?, None, Average::Kept)?)
    }

    fn answers(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>> {
        self.of.scores(rows)
    }
}
