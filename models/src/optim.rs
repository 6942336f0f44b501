//! How do the heads step: AdamW (Loshchilov and Hutter 2019) as torch computes it, with parameter groups, clipping by the
//! global norm and a schedule per step.
//!
//! On the CPU a weight and its two moments are updated in place, one pass each and no copies; sums run in name order, so
//! equal runs give equal bits.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, DType, InplaceOp2, InplaceOp3, Layout, Result, Tensor, Var, bail};
use serde::{Deserialize, Serialize};

use crate::parameters::Parameters;

/// Settings of AdamW.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Learning rate before the schedule.
    pub lr: f64,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// Largest global norm of the gradient, if any.
    pub clip: Option<f64>,
    /// How the learning rate changes.
    pub schedule: Schedule,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 1e-2,
            clip: None,
            schedule: Schedule::Constant,
        }
    }
}

/// The factor on the learning rate, per step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Schedule {
    /// Always 1.
    Constant,
    /// `(1 − step/total)^0.9`.
    Poly {
        /// Steps of the whole training.
        total: usize,
    },
    /// Linear up over the first 5 % of the steps, then half a cosine down to 0.
    Cosine {
        /// Steps of the whole training.
        total: usize,
    },
}

impl Schedule {
    /// The factor at `step`, counted from 0.
    pub fn factor(&self, step: usize) -> f64 {
        match *self {
            Self::Constant => 1.0,
            Self::Poly { total } => (1.0 - step as f64 / total.max(1) as f64).max(0.0).powf(0.9),
            Self::Cosine { total } => {
                let warm_up = total.div_ceil(20);
                if step < warm_up {
                    return (step + 1) as f64 / warm_up as f64;
                }
                let done = (step - warm_up) as f64 / (total - warm_up).max(1) as f64;
                0.5 * (1.0 + (std::f64::consts::PI * done.min(1.0)).cos())
            }
        }
    }
}

/// What sets a group of weights apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Group {
    /// Factor on the learning rate.
    pub lr_scale: f64,
    /// Factor on the weight decay.
    pub decay_scale: f64,
}

impl Group {
    /// All weights alike.
    pub fn uniform(_name: &str) -> Self {
        Self { lr_scale: 1.0, decay_scale: 1.0 }
    }

    /// No weight decay on biases and norms.
    pub fn no_decay_on_bias_and_norm(name: &str) -> Self {
        let spared = name.ends_with("bias") || name.contains("norm");
        Self { lr_scale: 1.0, decay_scale: if spared { 0.0 } else { 1.0 } }
    }
}

/// Steps taken: what an optimiser carries from step to step beside its moments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Steps {
    /// By the optimiser.
    pub all: usize,
    /// By each weight, in name order: those in which it had a gradient.
    pub each: Vec<i32>,
}

#[derive(Debug)]
struct Slot {
    name: String,
    var: Var,
    first: Tensor,
    second: Tensor,
    group: Group,
    steps: i32,
}

/// The optimiser with its moments.
#[derive(Debug)]
pub struct AdamW {
    config: Config,
    slots: Vec<Slot>,
    step: usize,
}

impl AdamW {
    /// An optimiser of all `parameters`, each put into a group by its name.
    pub fn new<'a>(
        parameters: impl IntoIterator<Item = &'a Parameters>,
        config: Config,
        group: impl Fn(&str) -> Group,
    ) -> Result<Self> {
        let mut slots = Vec::new();
        for (name, var) in parameters.into_iter().flat_map(Parameters::vars) {
            if var.dtype() != DType::F32 {
                bail!("the weight `{name}` is {:?}; only float32 weights are trained", var.dtype())
            }
            let (first, second) = (var.zeros_like()?, var.zeros_like()?);
            let (name, group) = (name.to_owned(), group(name));
            slots.push(Slot { name, var: var.clone(), first, second, group, steps: 0 });
        }
        Ok(Self { config, slots, step: 0 })
    }

    /// Steps taken.
    pub fn steps(&self) -> Steps {
        Steps { all: self.step, each: self.slots.iter().map(|slot| slot.steps).collect() }
    }

    /// Both moments of each weight by name. They share memory with the optimiser: the next step changes them.
    pub fn moments(&self) -> impl Iterator<Item = (String, &Tensor)> {
        self.slots
            .iter()
            .flat_map(|slot| [(first_of(&slot.name), &slot.first), (second_of(&slot.name), &slot.second)])
    }

    /// Goes on from steps and moments of an optimiser of the same weights; with those of others it fails and stays as it is.
    pub fn resume(&mut self, steps: &Steps, moments: &HashMap<String, Tensor>) -> Result<()> {
        if steps.each.len() != self.slots.len() {
            bail!("{} weights have steps, and {} are trained", steps.each.len(), self.slots.len())
        }
        let moment = |name: String, slot: &Slot| match moments.get(&name) {
            Some(moment) if moment.shape() == slot.var.shape() && moment.dtype() == DType::F32 => {
                moment.to_device(slot.var.device())?.copy()
            }
            _ => bail!("no moment `{name}` of shape {:?}", slot.var.dims()),
        };
        let both =
            |slot: &Slot| Ok((moment(first_of(&slot.name), slot)?, moment(second_of(&slot.name), slot)?));
        let found = self.slots.iter().map(both).collect::<Result<Vec<_>>>()?;
        for ((slot, moments), steps) in self.slots.iter_mut().zip(found).zip(&steps.each) {
            (slot.first, slot.second) = moments;
            slot.steps = *steps;
        }
        self.step = steps.all;
        Ok(())
    }

    /// The learning rate of the next step, before a group's factor.
    pub fn learning_rate(&self) -> f64 {
        self.config.lr * self.config.schedule.factor(self.step)
    }

    /// One step down the gradient of `loss`; returns the gradient's norm before clipping. A norm that is not finite
    /// changes nothing and is an error.
    pub fn backward_step(&mut self, loss: &Tensor) -> Result<f64> {
        self.step(&loss.backward()?)
    }

    /// One step down `grads`, as [`AdamW::backward_step`].
    pub fn step(&mut self, grads: &GradStore) -> Result<f64> {
        let norm = self.norm(grads)?;
        if !norm.is_finite() {
            bail!("the gradient of step {} is not finite; lower the learning rate", self.step)
        }
        let scale = self.config.clip.map_or(1.0, |clip| (clip / (norm + 1e-6)).min(1.0));
        let lr = self.learning_rate();
        for slot in &mut self.slots {
            if let Some(grad) = grads.get(&slot.var) {
                slot.step(&grad.contiguous()?, scale, lr, &self.config)?;
            }
        }
        self.step += 1;
        Ok(norm)
    }

    fn norm(&self, grads: &GradStore) -> Result<f64> {
        let squares = self.slots.iter().filter_map(|slot| grads.get(&slot.var)).map(square_sum);
        Ok(squares.sum::<Result<f64>>()?.sqrt())
    }
}

fn first_of(name: &str) -> String {
    format!("first.{name}")
}

fn second_of(name: &str) -> String {
    format!("second.{name}")
}

impl Slot {
    fn step(&mut self, grad: &Tensor, scale: f64, lr: f64, config: &Config) -> Result<()> {
        self.steps += 1;
        let lr = lr * self.group.lr_scale;
        let first = Moment { decay: config.beta1, scale, square: false };
        let second = Moment { decay: config.beta2, scale, square: true };
        let update = Update {
            keep: 1.0 - lr * config.weight_decay * self.group.decay_scale,
            rate: lr / (1.0 - config.beta1.powi(self.steps)),
            root: (1.0 - config.beta2.powi(self.steps)).sqrt(),
            eps: config.eps,
        };
        if self.var.device().is_cpu() {
            self.first.inplace_op2(grad, &first)?;
            self.second.inplace_op2(grad, &second)?;
            return self.var.inplace_op3(&self.first, &self.second, &update);
        }
        self.first = first.apply(&self.first, grad)?;
        self.second = second.apply(&self.second, grad)?;
        self.var.set(&update.apply(self.var.as_tensor(), &self.first, &self.second)?)
    }
}

/// `m ← decay·m + (1 − decay)·g` or `g²`, with g scaled first.
struct Moment {
    decay: f64,
    scale: f64,
    square: bool,
}

impl Moment {
    fn apply(&self, moment: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let grad = (grad * self.scale)?;
        let grad = if self.square { grad.sqr()? } else { grad };
        (moment * self.decay)? + (grad * (1.0 - self.decay))?
    }
}

impl InplaceOp2 for Moment {
    fn name(&self) -> &'static str {
        "adamw-moment"
    }

    fn cpu_fwd(&self, moment: &mut CpuStorage, ml: &Layout, grad: &CpuStorage, gl: &Layout) -> Result<()> {
        let (decay, scale) = (self.decay as f32, self.scale as f32);
        let fresh = (1.0 - self.decay) as f32;
        for (m, g) in values_mut(moment, ml)?.iter_mut().zip(values(grad, gl)?) {
            let g = g * scale;
            *m = decay * *m + fresh * if self.square { g * g } else { g };
        }
        Ok(())
    }
}

/// `θ ← keep·θ − rate·m / (√v/root + eps)`.
struct Update {
    keep: f64,
    rate: f64,
    root: f64,
    eps: f64,
}

impl Update {
    fn apply(&self, theta: &Tensor, first: &Tensor, second: &Tensor) -> Result<Tensor> {
        let denominator = ((second.sqrt()? / self.root)? + self.eps)?;
        (theta * self.keep)? - ((first * self.rate)? / denominator)?
    }
}

impl InplaceOp3 for Update {
    fn name(&self) -> &'static str {
        "adamw-update"
    }

    fn cpu_fwd(
        &self,
        theta: &mut CpuStorage,
        tl: &Layout,
        first: &CpuStorage,
        fl: &Layout,
        second: &CpuStorage,
        sl: &Layout,
    ) -> Result<()> {
        let (keep, rate, root, eps) = (self.keep as f32, self.rate as f32, self.root as f32, self.eps as f32);
        let moments = values(first, fl)?.iter().zip(values(second, sl)?);
        for (t, (m, v)) in values_mut(theta, tl)?.iter_mut().zip(moments) {
            *t = keep * *t - rate * m / (v.sqrt() / root + eps);
        }
        Ok(())
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => bail!("an optimiser's tensors must be contiguous"),
    }
}

fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("an optimiser's tensors must be contiguous float32"),
    }
}

/// The sum of squares in float64, in order.
fn square_sum(grad: &Tensor) -> Result<f64> {
    let rows = grad.flatten_all()?;
    match grad.device().is_cpu() {
        true => {
            let (storage, layout) = rows.storage_and_layout();
            let candle_core::Storage::Cpu(storage) = &*storage else { bail!("expected a tensor on the CPU") };
            Ok(values(storage, layout)?.iter().map(|&g| g as f64 * g as f64).sum())
        }
        false => Ok(rows.sqr()?.sum_all()?.to_scalar::<f32>()? as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A weight, and an optimiser that has taken `steps` steps on it.
    fn stepped(steps: usize) -> Result<(Parameters, AdamW)> {
        let mut parameters = Parameters::seeded(3, &candle_core::Device::Cpu);
        parameters.scope("head").get("weight", 4, crate::parameters::Init::Uniform(0.5))?;
        let config = Config { clip: Some(1.0), schedule: Schedule::Cosine { total: 9 }, ..Config::default() };
        let mut optimiser = AdamW::new([&parameters], config, Group::uniform)?;
        go_on(&parameters, &mut optimiser, steps)?;
        Ok((parameters, optimiser))
    }

    fn go_on(parameters: &Parameters, optimiser: &mut AdamW, steps: usize) -> Result<()> {
        for _ in 0..steps {
            let loss = parameters.vars().map(|(_, var)| var.sqr()?.sum_all()).next().unwrap()?;
            optimiser.backward_step(&loss)?;
        }
        Ok(())
    }

    #[test]
    fn a_resumed_optimiser_steps_as_one_that_never_stopped() -> Result<()> {
        let (whole, _) = stepped(7)?;
        let (weights, stopped) = stepped(4)?;
        let (_, mut resumed) = stepped(0)?;
        let copies = stopped.moments().map(|(name, moment)| Ok((name, moment.copy()?)));
        let moments: HashMap<String, Tensor> = copies.collect::<Result<_>>()?;
        let none = HashMap::new();
        assert!(
            resumed.resume(&stopped.steps(), &none).unwrap_err().to_string().contains("`first.head.weight`")
        );
        assert_eq!(resumed.steps(), Steps { all: 0, each: vec![0] });

        let mut resumed = AdamW::new([&weights], stopped.config, Group::uniform)?;
        resumed.resume(&stopped.steps(), &moments)?;
        go_on(&weights, &mut resumed, 3)?;
        assert_eq!(weights.to_safetensors()?, whole.to_safetensors()?);
        Ok(())
    }

    #[test]
    fn schedules_start_and_end_where_they_should() {
        assert_eq!(Schedule::Constant.factor(10_000), 1.0);
        let poly = Schedule::Poly { total: 100 };
        assert_eq!((poly.factor(0), poly.factor(100), poly.factor(200)), (1.0, 0.0, 0.0));
        assert!((poly.factor(50) - 0.5f64.powf(0.9)).abs() < 1e-12);
        let cosine = Schedule::Cosine { total: 100 };
        assert!((cosine.factor(0) - 0.2).abs() < 1e-12);
        assert_eq!((cosine.factor(4), cosine.factor(5)), (1.0, 1.0));
        assert!(cosine.factor(99) < 1e-3 && cosine.factor(99) > 0.0);
        assert!((5..99).all(|step| cosine.factor(step + 1) < cosine.factor(step)));
    }
}
