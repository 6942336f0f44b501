//! How does a frozen network multiply a few rows by a matrix quickly?
//!
//! A checkpoint holds `[outputs, inputs]`; read transposed, the CPU product packs the whole matrix anew for every
//! token. Stored as `[inputs, outputs]` it is read in place, which halves the time of a beam-search step and more

use candle_core::{D, Result, Tensor};

/// `y = x Wᵀ + b` with `W` stored transposed
pub(crate) struct Dense {
    matrix: Tensor,
    bias: Tensor,
}

impl Dense {
    /// From a matrix `[outputs, inputs]` and a bias `[outputs]`
    pub fn new(weight: &Tensor, bias: Tensor) -> Result<Self> {
        Ok(Self { matrix: weight.t()?.contiguous()?, bias })
    }

    /// `[.., inputs]` to `[.., outputs]`
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let inputs = x.dim(D::Minus1)?;
        let rows = x.elem_count() / inputs.max(1);
        let y = x.reshape((rows, inputs))?.matmul(&self.matrix)?.broadcast_add(&self.bias)?;
        if let Some(last) = shape.last_mut() {
            *last = self.bias.elem_count();
        }
        y.reshape(shape)
    }
}
