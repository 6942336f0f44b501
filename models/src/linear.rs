//! How does a trained linear layer read cached inputs without paying for gradients nobody uses?
//!
//! candle's matmul computes the gradient of both operands. The inputs of the heads (cached statistics and knowledge)
//! are constants and by far the larger operand, so [`linear`] leaves their gradient out whenever nothing upstream of
//! them is trained.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Tensor};

/// `x wᵀ + b` for `x [.., in]`, `w [out, in]` and `b [out]`.
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (out, _) = weight.dims2()?;
    let mut dims = x.dims().to_vec();
    let inner = dims.pop().unwrap_or(1);
    let rows = x.reshape(((), inner))?;
    let y = match x.track_op() {
        true => rows.matmul(&weight.t()?)?,
        false => rows.apply_op2(weight, ConstantInput)?,
    };
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    dims.push(out);
    y.reshape(dims)
}

/// `x wᵀ` with a gradient for `w` alone.
struct ConstantInput;

impl ConstantInput {
    fn product<S: BackendStorage>(x: &S, xl: &Layout, w: &S, wl: &Layout) -> Result<(S, Shape)> {
        let (rows, inner) = xl.shape().dims2()?;
        let (out, _) = wl.shape().dims2()?;
        let y = x.matmul(w, (1, rows, out, inner), xl, &wl.transpose(0, 1)?)?;
        Ok((y, Shape::from((rows, out))))
    }
}

impl CustomOp2 for ConstantInput {
    fn name(&self) -> &'static str {
        "linear-of-a-constant"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        Self::product(x, xl, w, wl)
    }

    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        xl: &Layout,
        w: &CudaStorage,
        wl: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        Self::product(x, xl, w, wl)
    }

    fn metal_fwd(
        &self,
        x: &MetalStorage,
        xl: &Layout,
        w: &MetalStorage,
        wl: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        Self::product(x, xl, w, wl)
    }

    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((None, Some(grad.t()?.matmul(x)?)))
    }
}
