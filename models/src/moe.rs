//! Which emotion does the visual vector (and the text behind it) show: KCDP's mixture of experts
//! (docs/method.md §3.4).
//!
//! A gate picks the two best of four small networks and adds their answers, each times its gate weight, which is not
//! renormalised. Two balance losses: Switch (Fedus et al. 2021) and the one of KCDP's code, which evens out rank 1
//! against rank 2 rather than the experts.

use candle_core::{DType, Result, Tensor, bail};

use crate::linear::linear;
use crate::parameters::{Init, Scope};

/// Sizes of the head.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Length of the visual vector v.
    pub visual: usize,
    /// Length of the text vector put behind v; 0 for none (77 in KCDP's `UC` setting).
    pub text: usize,
    /// Experts.
    pub experts: usize,
    /// Experts that answer for a row.
    pub top: usize,
    /// Hidden units of an expert.
    pub hidden: usize,
    /// Classes.
    pub classes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { visual: 1024, text: 0, experts: 4, top: 2, hidden: 128, classes: 6 }
    }
}

/// How experts are kept in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// N·Σ fₑ·P̄ₑ over the experts, fₑ the share of picks; 1 when even.
    Switch,
    /// The spread between the summed weights of the ranks, as KCDP's code has it.
    RankStd,
}

/// The trained head.
#[derive(Debug, Clone)]
pub struct Moe {
    config: Config,
    gate: (Tensor, Tensor),
    experts: Vec<[(Tensor, Tensor); 2]>,
}

/// What the head says of a batch.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Logits `[B, classes]`.
    pub logits: Tensor,
    /// Gate probabilities `[B, experts]`.
    pub gates: Tensor,
    /// 1 where an expert was picked, else 0, `[B, experts]`; constant.
    pub picked: Tensor,
    /// 1 for the expert of rank r, `[top][B, experts]`; constant.
    ranks: Vec<Tensor>,
}

impl Moe {
    /// The head of `config`, started as torch starts `Linear`.
    pub fn new(config: Config, mut scope: Scope<'_>) -> Result<Self> {
        if config.top == 0 || config.top > config.experts {
            bail!("{} of {} experts cannot be picked", config.top, config.experts)
        }
        let input = config.visual + config.text;
        let gate = torch_linear(scope.sub("gate"), input, config.experts)?;
        let experts = (0..config.experts).map(|index| {
            let mut expert = scope.sub(format!("experts.{index}"));
            let first = torch_linear(expert.sub(0), input, config.hidden)?;
            Ok([first, torch_linear(expert.sub(2), config.hidden, config.classes)?])
        });
        Ok(Self { gate, experts: experts.collect::<Result<_>>()?, config })
    }

    /// The answer for visual vectors `v [B, visual]` and, if the head has a text input, `text [B, text]`.
    pub fn forward(&self, v: &Tensor, text: Option<&Tensor>) -> Result<Decision> {
        let input = match (text, self.config.text) {
            (None, 0) => v.clone(),
            (Some(text), width) if width > 0 => Tensor::cat(&[v, text], 1)?,
            (None, width) => bail!("this head needs a text vector of {width} values a row"),
            (Some(_), _) => bail!("this head was made without a text input"),
        };
        let gates = candle_nn::ops::softmax(&linear(&input, &self.gate.0, Some(&self.gate.1))?, 1)?;
        let ranks = ranks(&gates, self.config.top)?;
        let picked = ranks[1..].iter().try_fold(ranks[0].clone(), |sum, rank| sum + rank)?;
        let weights = (&gates * &picked)?;
        let mut logits = Vec::with_capacity(self.experts.len());
        for (index, [first, second]) in self.experts.iter().enumerate() {
            let hidden = linear(&input, &first.0, Some(&first.1))?.relu()?;
            let answer = linear(&hidden, &second.0, Some(&second.1))?;
            logits.push(answer.broadcast_mul(&weights.narrow(1, index, 1)?)?);
        }
        let logits = logits[1..].iter().try_fold(logits[0].clone(), |sum, answer| sum + answer)?;
        Ok(Decision { logits, gates, picked, ranks })
    }
}

impl Decision {
    /// The balance loss of this batch, a scalar.
    pub fn balance(&self, kind: Balance) -> Result<Tensor> {
        match kind {
            Balance::Switch => self.switch(),
            Balance::RankStd => self.rank_std(),
        }
    }

    fn switch(&self) -> Result<Tensor> {
        let (rows, experts) = self.gates.dims2()?;
        let share = (self.picked.sum(0)? / (rows * self.ranks.len()) as f64)?;
        (share * self.gates.mean(0)?)?.sum_all()? * experts as f64
    }

    /// The standard deviation (n−1) of the summed weights `[top, classes]`, the classes being copies of each other.
    fn rank_std(&self) -> Result<Tensor> {
        let sums =
            self.ranks.iter().map(|rank| (&self.gates * rank)?.sum_all()).collect::<Result<Vec<_>>>()?;
        let copies = self.logits.dim(1)?;
        let sums = Tensor::stack(&sums, 0)?;
        let spread = sums.broadcast_sub(&sums.mean_keepdim(0)?)?.sqr()?.sum_all()?;
        let entries = sums.elem_count() * copies;
        // The small constant keeps the gradient of the root finite where all ranks weigh the same.
        ((spread * (copies as f64 / (entries - 1).max(1) as f64))? + 1e-24)?.sqrt()
    }
}

/// The text input of the head: the mean of each token's embedding, `k [B, T, width]` to `[B, length]` of the tokens
/// from `start` on (KCDP: the 77 tokens of the triples).
pub fn token_mean(k: &Tensor, start: usize, length: usize) -> Result<Tensor> {
    k.narrow(1, start, length)?.mean(2)
}

/// One mask `[B, experts]` a rank, best first; of equal gates the lower index comes first.
fn ranks(gates: &Tensor, top: usize) -> Result<Vec<Tensor>> {
    let rows = gates.detach().to_dtype(DType::F32)?.to_vec2::<f32>()?;
    let experts = gates.dim(1)?;
    let mut masks = vec![vec![0f32; rows.len() * experts]; top];
    for (index, row) in rows.iter().enumerate() {
        let mut order: Vec<usize> = (0..experts).collect();
        order.sort_by(|&a, &b| row[b].total_cmp(&row[a]));
        for (mask, expert) in masks.iter_mut().zip(order) {
            mask[index * experts + expert] = 1.0;
        }
    }
    masks.into_iter().map(|mask| Tensor::from_vec(mask, (rows.len(), experts), gates.device())).collect()
}

fn torch_linear(mut scope: Scope<'_>, input: usize, output: usize) -> Result<(Tensor, Tensor)> {
    let init = Init::linear(input);
    Ok((scope.get("weight", (output, input), init)?, scope.get("bias", output, init)?))
}
