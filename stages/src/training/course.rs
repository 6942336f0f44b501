//! How does training go? Epoch after epoch of a lesson: steps, the score on the source's val rows, the best weights, a
//! checkpoint where one is due.
//!
//! A state is whole only between two epochs; Ctrl-C within one loses that epoch, and what a checkpoint a moment earlier would
//! have held. A resumed run tells the numbers of all epochs, as if it had never stopped.

use affectflow_models::parameters::Parameters;
use affectflow_pipeline::StageResult;
use affectflow_pipeline::run::context::Context;
use candle_core::Tensor;

use super::best::Best;
use super::ledger::Ledger;
use super::roles::Roles;
use super::scoring::judge;
use super::state::State;
use super::step::{optimiser, step};

/// What is taught.
pub trait Lesson {
    /// Makes ready for an epoch.
    fn begin(&mut self, epoch: usize, ledger: &mut Ledger) -> StageResult<()> {
        let _ = (epoch, ledger);
        Ok(())
    }

    /// The loss of a step.
    fn loss(&mut self, moment: Moment) -> StageResult<Tensor>;

    /// What the networks say of rows: one value a class.
    fn answers(&self, rows: &[u32]) -> StageResult<Vec<Vec<f32>>>;
}

/// A step of training.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The step within it, from 0.
    pub turn: usize,
    /// Steps of an epoch.
    pub steps: usize,
}

impl Moment {
    /// The number of its minibatch, counted over all epochs.
    pub fn number(self) -> usize {
        self.epoch * self.steps + self.turn
    }

    /// Epochs done once the step is.
    pub fn epochs(self) -> f64 {
        self.epoch as f64 + (self.turn + 1) as f64 / self.steps as f64
    }
}

/// How it is taught.
pub struct Course<'a> {
    /// The engine.
    pub cx: &'a Context,
    /// Who chooses the epoch.
    pub roles: &'a Roles,
    /// Classes told apart.
    pub classes: usize,
    /// Epochs at most.
    pub epochs: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// The first epoch whose weights may stay.
    pub settled: usize,
    /// Epochs without a better score after which training stops; 0: never.
    pub patience: usize,
    /// Learning rate at its peak.
    pub lr: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
}

impl Course<'_> {
    /// Trains `parameters` in place, from the newest checkpoint if there is one; the best epoch's weights stay.
    pub fn teach(&self, parameters: &Parameters, lesson: &mut impl Lesson) -> StageResult<()> {
        let total = self.steps * self.epochs;
        let mut state = State {
            parameters,
            optimiser: optimiser(parameters, self.lr, self.weight_decay, total)?,
            best: Best::new(self.patience),
            ledger: Ledger::new(self.cx),
        };
        for epoch in self.resume(&mut state)..self.epochs {
            if state.best.done() {
                break;
            }
            self.epoch(epoch, &mut state, lesson)?;
            if self.cx.checkpoint_due() {
                self.cx.save_checkpoint(epoch as u64 + 1, &state.encode()?);
            }
        }
        Ok(state.best.restore(parameters)?)
    }

    /// Takes over the newest checkpoint; the epoch to go on with.
    fn resume(&self, state: &mut State) -> usize {
        let Some((done, bytes)) = self.cx.checkpoint() else { return 0 };
        let epoch = done as usize;
        if let Err(error) = state.restore(&bytes, epoch.saturating_mul(self.steps)) {
            self.cx.warn(format!(
                "the checkpoint of epoch {done} is of no use, so training begins anew: {error:?}"
            ));
            self.cx.forget_checkpoints();
            return 0;
        }
        self.cx.progress(done, Some(self.epochs as u64), "epochs", &format!("resumes after epoch {done}"));
        epoch
    }

    fn epoch(&self, epoch: usize, state: &mut State, lesson: &mut impl Lesson) -> StageResult<()> {
        let (cx, ledger) = (self.cx, &mut state.ledger);
        lesson.begin(epoch, ledger)?;
        let mut sum = 0.0;
        for turn in 0..self.steps {
            cx.check()?;
            let loss = lesson.loss(Moment { epoch, turn, steps: self.steps })?;
            sum += step(&mut state.optimiser, &loss, epoch, turn)?;
        }
        let val = &self.roles.val;
        let (confusion, val_loss) = judge(&lesson.answers(val)?, &self.roles.classes_of(val), self.classes);
        let (loss, score) = (sum / self.steps as f64, confusion.macro_f1());
        ledger.metric("loss", loss, epoch);
        ledger.metric("val_loss", val_loss, epoch);
        ledger.metric("val_macro_f1", score.unwrap_or(0.0), epoch);
        let note = format!("loss {loss:.3} val {:.3}", score.unwrap_or(0.0));
        cx.progress(epoch as u64 + 1, Some(self.epochs as u64), "epochs", &note);
        if epoch >= self.settled {
            // Without a single row to choose by, the loss on the train rows does.
            state.best.offer(score.unwrap_or(-loss), state.parameters)?;
        }
        Ok(())
    }
}
