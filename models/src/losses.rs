//! What do the heads minimise (docs/method.md §5)?
//!
//! `L = sup·CE + ccl·L_ccl + target·CE(pseudo) + balance·L_bal`; `L_ccl` is cross entropy over the alignment scores of
//! the source.

use candle_core::{DType, Result, Tensor, bail};

/// What a masked loss is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Average {
    /// The rows that the mask keeps.
    #[default]
    Kept,
    /// All rows of the batch (FixMatch).
    Batch,
}

/// The cross entropy of `logits [B, classes]` against class indices `targets [B]` (u32), a scalar.
///
/// `mask [B]` weighs the rows (1 keeps, 0 drops); when it keeps none the loss is 0, with gradients of 0.
pub fn cross_entropy(
    logits: &Tensor,
    targets: &Tensor,
    mask: Option<&Tensor>,
    average: Average,
) -> Result<Tensor> {
    let (rows, _) = logits.dims2()?;
    if rows == 0 {
        bail!("a loss needs at least one row")
    }
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    let loss = log_probabilities.gather(&targets.unsqueeze(1)?, 1)?.squeeze(1)?.neg()?;
    let Some(mask) = mask else { return loss.mean_all() };
    let mask = mask.to_dtype(DType::F32)?;
    let over = match average {
        Average::Batch => rows as f64,
        Average::Kept => match mask.sum_all()?.to_scalar::<f32>()? {
            0.0 => 1.0,
            kept => kept as f64,
        },
    };
    (loss * mask)?.sum_all()? / over
}

/// The weights of the parts of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the supervised loss on the source (2 in KCDP's code).
    pub supervised: f64,
    /// Of the alignment loss on the source.
    pub ccl: f64,
    /// Of the pseudo-label loss on the target.
    pub target: f64,
    /// Of the balance of the experts (0.01 Switch, 0.1 rank std).
    pub balance: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { supervised: 1.0, ccl: 1.0, target: 1.0, balance: 0.01 }
    }
}

/// The parts of the loss of one step, scalars; a part that a step lacks is `None`.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    /// Cross entropy of the head on the source.
    pub supervised: Option<Tensor>,
    /// Cross entropy of the alignment on the source.
    pub ccl: Option<Tensor>,
    /// Cross entropy of the head on pseudo-labels.
    pub target: Option<Tensor>,
    /// Balance of the experts, one a domain.
    pub balance: Vec<Tensor>,
}

impl Parts {
    /// The weighted sum, a scalar.
    pub fn total(&self, weights: &Weights) -> Result<Tensor> {
        let single = [
            (&self.supervised, weights.supervised),
            (&self.ccl, weights.ccl),
            (&self.target, weights.target),
        ];
        let single = single.into_iter().filter_map(|(part, weight)| Some((part.as_ref()?, weight)));
        let balance = self.balance.iter().map(|part| (part, weights.balance));
        let mut terms = single.chain(balance).map(|(part, weight)| part * weight);
        let Some(first) = terms.next() else { bail!("a step without any part of the loss teaches nothing") };
        terms.try_fold(first?, |sum, term| sum + term?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn an_empty_mask_gives_zero_loss_and_zero_gradient() -> Result<()> {
        let logits = Var::new(&[[3f32, -1.0], [0.5, 9.0]], &Device::Cpu)?;
        let targets = Tensor::new(&[0u32, 1], &Device::Cpu)?;
        for average in [Average::Kept, Average::Batch] {
            let mask = Tensor::new(&[0f32, 0.0], &Device::Cpu)?;
            let loss = cross_entropy(&logits, &targets, Some(&mask), average)?;
            assert_eq!(loss.to_scalar::<f32>()?, 0.0);
            let grads = loss.backward()?;
            let grad = grads.get(&logits).map(|g| g.to_vec2::<f32>()).transpose()?;
            assert_eq!(grad, Some(vec![vec![0.0; 2]; 2]));
        }
        Ok(())
    }

    #[test]
    fn total_weighs_each_part_and_needs_one() -> Result<()> {
        let part = |x: f32| Tensor::new(x, &Device::Cpu);
        let parts = Parts {
            supervised: Some(part(1.0)?),
            ccl: None,
            target: Some(part(10.0)?),
            balance: vec![part(100.0)?, part(200.0)?],
        };
        let weights = Weights { supervised: 2.0, ccl: 5.0, target: 0.5, balance: 0.1 };
        assert!((parts.total(&weights)?.to_scalar::<f32>()? - 37.0).abs() < 1e-5);
        assert!(Parts::default().total(&weights).is_err());
        Ok(())
    }
}
